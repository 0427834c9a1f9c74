//! An answer's body in the hands of stages: whole and plain, where one asks for it, and within a bound. What cannot be
//! had so is given back as it came, or is not passed on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::request::RequestInfo;
use crate::compression::{Coded, DIGESTS, NotDecoded};
use crate::error::{Code, GatewayError};
use crate::held_bytes::{Gathered, HeldBytes};
use crate::telemetry::metrics::ShedReason;

/// How much of a worker's memory may be held by bodies.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) held: Arc<HeldBytes>,
    pub(crate) most: usize,
}

/// What the gateway answers in the place of an answer that is not passed on.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) Arc<GatewayError>);

/// Why an answer's body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// There is none by its nature, or it is a part of one: an answer to HEAD, 204, 206, 304.
    Partless,
    /// It is larger than the stage wants, as it came or as it is.
    TooLarge,
    /// The worker holds as much as it may.
    NoRoom,
    /// Its coding is not known here.
    Coding,
    /// It is not what its coding has.
    Malformed,
    /// It broke off.
    Broken,
}

/// An answer of which a stage does not get the body ([`RequestInfo::read`]). It is whole all the same: the stage says
/// what becomes of it.
pub struct Unread(Box<Inner>);

struct Inner {
    why: Why,
    parts: Parts,
    /// What of it was read, or all of it.
    read: VecDeque<Frame<Bytes>>,
    rest: Option<Body>,
    error: Option<axum::Error>,
    is_head: bool,
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unread").field(&self.0.why).finish()
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.why {
            Why::Partless => "it has no body, or a part of one",
            Why::TooLarge => "it is too large",
            Why::NoRoom => "the gateway holds as many bodies as it may",
            Why::Coding => "its content-encoding is not known",
            Why::Malformed => "it is not what its content-encoding has",
            Why::Broken => "it broke off",
        })
    }
}

impl std::error::Error for Unread {}

impl Unread {
    /// The answer as it came, for a stage that lets pass what it cannot look at: an answer to HEAD, a file. Of the
    /// answer to HEAD no length is told: it is not the one that the stage would give.
    pub fn pass(self) -> Response {
        let Inner { mut parts, read, rest, error, is_head, .. } = *self.0;
        if is_head {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        Response::from_parts(parts, Body::new(Again { read, rest, error }))
    }

    /// A problem in its place, for a stage that lets nothing pass unseen: 502 `upstream_invalid`; 503 `overloaded`
    /// where there is no room. Answers without a body (to HEAD, 204, 304) pass all the same; there is nothing in them
    /// to see but headers.
    pub fn refuse(self) -> Response {
        let detail = match self.0.why {
            Why::Partless if self.0.parts.status != StatusCode::PARTIAL_CONTENT => return self.pass(),
            Why::NoRoom => return refusal(GatewayError::shed(ShedReason::RoutingBodies, NO_ROOM)),
            Why::Partless => "The service answered with a part of what is looked at as a whole.",
            Why::TooLarge => "The service's answer is larger than what is looked at.",
            Why::Coding | Why::Malformed => "The service's answer is coded in a way that is not known.",
            Why::Broken => "The service's answer broke off.",
        };
        refusal(GatewayError::new(Code::UpstreamInvalid, detail))
    }
}

const NO_ROOM: &str = "The gateway holds as many bodies as it may.";

/// An answer that stands for a problem of the gateway.
fn refusal(error: GatewayError) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = error.status();
    answer.extensions_mut().insert(Refusal(Arc::new(error)));
    answer
}

impl RequestInfo {
    /// For the `response` of a stage: the whole body of an answer, in the plain (`gzip`, `deflate` and `zstd` are
    /// undone), where it has no more than `most` bytes, coded or not. While it is held, it counts as memory that bodies
    /// take (`body_match_memory` of `[server]`).
    ///
    /// The answer comes back with its bytes for a body; what was said of the coded ones is gone (`content-encoding`,
    /// digests; a strong `etag` is a weak one then). `response.map(Body::from)` gives it, changed or not; its length is
    /// the gateway's to say. Trailers are not among what is read.
    ///
    /// # Errors
    /// It cannot be had so: [`Unread`] has the answer as it came.
    pub async fn read(&self, response: Response, most: usize) -> Result<http::Response<Bytes>, Unread> {
        let (parts, body) = response.into_parts();
        let mut inner = Inner {
            why: Why::Partless,
            parts,
            read: VecDeque::new(),
            rest: Some(body),
            error: None,
            is_head: self.is_head,
        };
        let read = match self.gather(&mut inner, most).await {
            Ok(read) => read,
            Err(why) => {
                inner.why = why;
                return Err(Unread(Box::new(inner)));
            }
        };
        if read.is_decoded {
            undress(&mut inner.parts.headers);
        }
        Ok(http::Response::from_parts(inner.parts, read.bytes))
    }

    /// The plain bytes; what was read of them is left with the answer.
    async fn gather(&self, inner: &mut Inner, most: usize) -> Result<Plain, Why> {
        let status = inner.parts.status;
        let is_part = matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let Some(body) = inner.rest.as_mut().filter(|_| !is_part && !self.is_head) else { return Err(Why::Partless) };
        let coding = Coded::of(&inner.parts.headers).ok_or(Why::Coding)?;
        if http_body::Body::size_hint(&*body).lower() > most as u64 {
            return Err(Why::TooLarge);
        }
        // Elsewhere than behind a gateway's stage, in a test of the program's own, nothing is counted.
        let room = self.room.clone().unwrap_or_else(|| Room { held: Arc::default(), most: usize::MAX });
        let mut gathered = Gathered::new(&room.held, room.most);
        let mut length = 0;
        let whole = loop {
            match body.frame().await {
                None => break Ok(()),
                Some(Err(error)) => {
                    inner.error = Some(error);
                    break Err(Why::Broken);
                }
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else {
                        inner.read.push_back(frame);
                        continue;
                    };
                    length += data.len();
                    let fits = length <= most;
                    if !fits || !gathered.add(data) {
                        inner.read.push_back(frame);
                        break Err(if fits { Why::NoRoom } else { Why::TooLarge });
                    }
                }
            }
        };
        let (bytes, kept) = gathered.into_parts();
        let bytes = if bytes.is_empty() { bytes } else { kept.hold(bytes) };
        if !bytes.is_empty() {
            inner.read.push_front(Frame::data(bytes.clone()));
        }
        if whole.is_ok() || inner.error.is_some() {
            inner.rest = None;
        }
        whole?;
        if coding == Coded::Identity {
            return Ok(Plain { bytes, is_decoded: false });
        }
        let plain = coding.decode(&bytes, most).map_err(|why| match why {
            NotDecoded::TooLarge => Why::TooLarge,
            NotDecoded::Malformed => Why::Malformed,
        })?;
        let kept = room.held.take(plain.len(), room.most).ok_or(Why::NoRoom)?;
        Ok(Plain { bytes: kept.hold(plain.into()), is_decoded: true })
    }
}

/// A body as it is meant.
struct Plain {
    bytes: Bytes,
    is_decoded: bool,
}

/// Takes off what was said of coded bytes.
fn undress(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    DIGESTS.iter().for_each(|name| drop(headers.remove(name)));
    // RFC 9110, section 8.8.3.3: the plain form has a tag of its own, or the two are equal only in meaning.
    if let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        match weak {
            Ok(weak) => drop(headers.insert(header::ETAG, weak)),
            Err(_) => drop(headers.remove(header::ETAG)),
        }
    }
}

/// A body of which some was read, from its beginning.
struct Again {
    read: VecDeque<Frame<Bytes>>,
    rest: Option<Body>,
    /// What it ends with.
    error: Option<axum::Error>,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(frame) = self.read.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.error.is_none() && self.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.read.iter().filter_map(|frame| frame.data_ref()).map(|data| data.len() as u64).sum();
        if self.error.is_some() {
            // More was promised than comes.
            return SizeHint::default();
        }
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), http_body::Body::size_hint);
        let mut hint = SizeHint::default();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    const TEXT: &str = "plain text plain text plain text";

    fn info(most: usize) -> (RequestInfo, Arc<HeldBytes>) {
        let held = Arc::new(HeldBytes::default());
        let room = Room { held: Arc::clone(&held), most };
        let mut info = RequestInfo::of_nothing();
        info.room = Some(room);
        (info, held)
    }

    /// In parts of five bytes, and with a trailer.
    fn answer(bytes: &[u8], breaks_off: bool) -> Response {
        let mut frames: Vec<_> = bytes.chunks(5).map(|part| Ok(Frame::data(Bytes::copy_from_slice(part)))).collect();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        frames.push(if breaks_off { Err("it broke off") } else { Ok(Frame::trailers(trailers)) });
        Response::new(Body::new(StreamBody::new(stream::iter(frames))))
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    async fn all(response: Response) -> Result<(Bytes, bool), axum::Error> {
        let body = response.into_body().collect().await?;
        let has_trailers = body.trailers().is_some();
        Ok((body.to_bytes(), has_trailers))
    }

    #[tokio::test]
    async fn a_body_is_whole_and_counted_as_long_as_it_is_there() {
        let (info, held) = info(1 << 20);
        let whole = info.read(answer(TEXT.as_bytes(), false), TEXT.len()).await.unwrap();
        assert_eq!(whole.body(), TEXT);
        assert!(held.count() >= TEXT.len());
        drop(whole);
        assert_eq!(held.count(), 0);
    }

    #[tokio::test]
    async fn a_coding_is_undone_and_what_was_said_of_it_goes() {
        let (info, held) = info(1 << 20);
        let mut coded = answer(&gzip(TEXT), false);
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-digest", "sha-256=:AA==:"),
            ("etag", "\"a\""),
            ("content-type", "text/plain"),
        ] {
            coded.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let whole = info.read(coded, 100).await.unwrap();
        assert_eq!(whole.body(), TEXT);
        let mut names: Vec<&str> = whole.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            (names, &whole.headers()["etag"]),
            (vec!["content-type", "etag"], &HeaderValue::from_static("W/\"a\""))
        );
        drop(whole);
        assert_eq!(held.count(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_had_passes_as_it_came_or_is_refused() {
        let (gzipped, large) = (gzip(TEXT), vec![b'b'; 5000]);
        let coded = |coding: &'static str, bytes: &[u8]| {
            let mut answer = answer(bytes, false);
            answer.headers_mut().insert("content-encoding", HeaderValue::from_static(coding));
            answer
        };
        for (why, given, came, most, room) in [
            (Why::TooLarge, answer(TEXT.as_bytes(), false), TEXT.as_bytes(), TEXT.len() - 1, 1 << 20),
            (Why::NoRoom, answer(&large, false), &large[..], 1 << 20, 3000),
            (Why::TooLarge, coded("gzip", &gzipped), &gzipped[..], TEXT.len() - 1, 1 << 20),
            (Why::Malformed, coded("gzip", TEXT.as_bytes()), TEXT.as_bytes(), 100, 1 << 20),
            (Why::Coding, coded("br", TEXT.as_bytes()), TEXT.as_bytes(), 100, 1 << 20),
        ] {
            let (info, held) = info(room);
            let unread = info.read(given, most).await.unwrap_err();
            assert_eq!(unread.0.why, why);
            assert_eq!(all(unread.pass()).await.unwrap(), (Bytes::copy_from_slice(came), true), "{why:?}");
            assert_eq!(held.count(), 0, "{why:?}");
        }
        let (info, _) = info(1 << 20);
        for (given, most) in [(answer(TEXT.as_bytes(), false), 7), (answer(TEXT.as_bytes(), true), 100)] {
            let refused = info.read(given, most).await.unwrap_err().refuse();
            assert_eq!(refused.status(), 502);
            assert_eq!(refused.extensions().get::<Refusal>().unwrap().0.code, Code::UpstreamInvalid);
        }
    }

    #[tokio::test]
    async fn one_that_breaks_off_passes_with_its_end() {
        let (info, _) = info(1 << 20);
        let unread = info.read(answer(TEXT.as_bytes(), true), 100).await.unwrap_err();
        assert_eq!((unread.0.why, unread.to_string()), (Why::Broken, "it broke off".to_owned()));
        let passed = unread.pass();
        assert_eq!(http_body::Body::size_hint(passed.body()).exact(), None, "more was promised");
        assert!(all(passed).await.is_err());
    }

    #[tokio::test]
    async fn what_has_no_body_passes_and_a_part_of_one_may_be_refused() {
        let (plain, _) = info(1 << 20);
        let mut head = plain.clone();
        head.is_head = true;
        for (info, status, refused) in [(&head, 200, 200), (&plain, 204, 204), (&plain, 304, 304), (&plain, 206, 502)] {
            let given = || {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                answer.headers_mut().insert("content-length", HeaderValue::from_static("7"));
                answer
            };
            let passed = info.read(given(), 100).await.unwrap_err().pass();
            assert_eq!(
                (passed.status().as_u16(), passed.headers().contains_key("content-length")),
                (status, status != 200)
            );
            assert_eq!(info.read(given(), 100).await.unwrap_err().refuse().status(), refused);
        }
    }
}
