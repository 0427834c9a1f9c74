//! An HTTP/2 request in the form that the rest of the server knows: a head of lines, a body counted and hashed.

use h2::RecvStream;
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::exchange::Left;
use crate::http1::head::{Head, MAX_HEADERS};
use crate::http1::json::{Received, hex};

/// The texts of a head that are not in the request as one piece.
#[derive(Debug)]
pub(super) struct Texts {
    target: String,
    authority: Option<String>,
    scheme: Option<String>,
}

impl Texts {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            target: parts.uri.path_and_query().map_or_else(|| "*".to_owned(), ToString::to_string),
            authority: parts.uri.authority().map(ToString::to_string),
            scheme: parts.uri.scheme_str().map(ToOwned::to_owned),
        }
    }

    /// The head's lines: the pseudo-headers under their names, then the others as they came.
    pub(super) fn lines<'a>(&'a self, parts: &'a Parts) -> Vec<httparse::Header<'a>> {
        let pseudo = [(":authority", &self.authority), (":scheme", &self.scheme)];
        let pseudo = pseudo
            .into_iter()
            .filter_map(|(name, value)| Some(httparse::Header { name, value: value.as_deref()?.as_bytes() }));
        let others =
            parts.headers.iter().map(|(name, value)| httparse::Header { name: name.as_str(), value: value.as_bytes() });
        pseudo.chain(others).take(MAX_HEADERS).collect()
    }

    /// The head that these lines make.
    pub(super) fn head<'a>(&'a self, parts: &'a Parts, lines: &'a [httparse::Header<'a>]) -> Head<'a, 'a> {
        Head { method: parts.method.as_str(), target: &self.target, minor: 2, headers: lines, len: 0 }
    }
}

/// The whole body.
pub(super) async fn receive(body: &mut RecvStream) -> Result<Received, Left> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|_| Left)?;
        hash.update(&piece);
        bytes += piece.len() as u64;
        body.flow_control().release_capacity(piece.len()).map_err(|_| Left)?;
    }
    let trailers = body.trailers().await.map_err(|_| Left)?;
    Ok(Received { bytes, sha256: hex(&hash.finalize()), trailers: trailers.map_or_else(Vec::new, |map| section(&map)) })
}

/// Trailers as HTTP/1.1 has them.
fn section(trailers: &HeaderMap) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in trailers {
        section.extend_from_slice(name.as_str().as_bytes());
        section.extend_from_slice(b": ");
        section.extend_from_slice(value.as_bytes());
        section.extend_from_slice(b"\r\n");
    }
    section.extend_from_slice(b"\r\n");
    section
}
