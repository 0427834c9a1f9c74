//! Asks servers of identity: key sets, configurations of issuers, introspection. Never for long, never for much, never
//! elsewhere than it was told, and never without TLS but on this machine.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::Policy;

use super::key_store::FETCH_TIMEOUT;
pub(super) use crate::config::may_be_asked;
use crate::fetch_failure::{innermost, place, reason};

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The body.
    pub(super) body: Vec<u8>,
    /// How long it may be kept, as the server says.
    pub(super) fresh_for: Option<Duration>,
}

/// Why there is no answer to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server answered with another status than 200.
    Status(u16),
    /// It did not answer, or what it answered is no use.
    Other(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// A client for these purposes. Proxies of the environment are not used: who may see tokens is configured.
///
/// # Errors
/// TLS cannot be set up.
pub(super) fn client() -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder().http1_only().redirect(Policy::none()).no_proxy().timeout(FETCH_TIMEOUT);
    let builder = builder.connect_timeout(Duration::from_secs(2)).user_agent("portcullis");
    builder.build().map_err(|error| innermost(&error))
}

/// Gets a document of at most this many bytes.
///
/// # Errors
/// There is none, in time, of that size, with status 200: where it was asked for, and why.
pub(super) async fn get(client: &reqwest::Client, url: &str, most: usize) -> Result<Answer, String> {
    if !may_be_asked(url) {
        return Err(format!("{} is neither https nor on this machine", place(url)));
    }
    let read = read(client.get(url).header(ACCEPT, "application/json"), most).await;
    read.map_err(|failed| format!("{}: {failed}", place(url)))
}

/// Sends a request, and reads what comes within its bounds.
///
/// # Errors
/// As [`get`].
pub(super) async fn read(request: reqwest::RequestBuilder, most: usize) -> Result<Answer, Failed> {
    // The client looks names up on threads, and panics where there is none. Who asks again and again goes on.
    let read = AssertUnwindSafe(read_whole(request, most)).catch_unwind().await;
    read.unwrap_or_else(|_| Err(Failed::Other("it could not be asked: the machine may have no thread left".into())))
}

async fn read_whole(request: reqwest::RequestBuilder, most: usize) -> Result<Answer, Failed> {
    let broken = |error: reqwest::Error| Failed::Other(reason(error));
    let mut response = request.send().await.map_err(broken)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(Failed::Status(response.status().as_u16()));
    }
    let fresh_for = max_age(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > most {
            return Err(Failed::Other(format!("the answer is larger than {most} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { body, fresh_for })
}

/// `max-age` (RFC 9111, section 5.2.2.1). That a server wants nothing kept is passed over: keys are kept to be used.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    let seconds =
        directives.find_map(|directive| directive.to_ascii_lowercase().strip_prefix("max-age=")?.parse().ok());
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_read_where_it_is_one() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of("public, Max-Age=60"), Some(60));
        for none in ["no-cache", "max-age=x", "max-age", "s-maxage=5", "max-age=-1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
