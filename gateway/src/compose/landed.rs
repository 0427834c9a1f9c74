//! What a shared call came to, and whether several may have it.

use std::future::{Future as _, poll_fn};
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};

use super::key;
use crate::context::names::streams;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::held_bytes::Gathered;
use crate::http1::{Fields, ResponseHead};
use crate::network::Network;
use crate::response_body::{Answer, Behind, how_it_broke};

/// The largest body that several get, bytes.
const LARGEST: usize = 256 * 1024;
/// A body that is not whole so long after its head streams, and streams are not shared.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a shared call came to, and its exchange, which knows the way that it took.
pub(super) struct Landed<N: Network> {
    /// `None` where a bug ended the call, or its answer is another one's.
    pub(super) exchange: Option<Box<Exchange<N>>>,
    pub(super) what: What<N>,
}

impl<N: Network> Landed<N> {
    /// An answer that one of those who wait elsewhere gets.
    pub(super) fn anothers() -> Self {
        Self { exchange: None, what: What::One(Mutex::default()) }
    }
}

/// An answer, and what of its body has been read.
pub(super) type Taken<N> = Box<(Answer<N>, Behind)>;

/// What it came to.
pub(super) enum What<N: Network> {
    /// Whoever waits gets it.
    Whole(ResponseHead, Bytes),
    /// One of them gets it.
    One(Mutex<Option<Taken<N>>>),
    /// There is no answer; whether the route's fixed answer stands in for one.
    Failed(Box<GatewayError>, bool),
}

/// Takes an answer: as a whole, where several may have it.
pub(super) async fn land<N: Network>(exchange: &Exchange<N>, answer: Answer<N>) -> What<N> {
    let one = |answer, behind| What::One(Mutex::new(Some(Box::new((answer, behind)))));
    if !may_be_shared(exchange, &answer) {
        return one(answer, Behind::default());
    }
    let Answer { head, judged, mut source, came } = answer;
    // Of the memory that bodies share, answers that clients may take their time with leave three quarters to others.
    let room = exchange.snapshot.config.server.body_match_memory / 4;
    let mut gathered = Gathered::new(&exchange.shard.held, room);
    let (mut length, mut patience) = (0, None);
    while !source.leg.is_over() {
        let frame = poll_fn(|cx| match source.leg.poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => {
                let patience = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
                patience.as_mut().poll(cx).map(|()| None)
            }
        })
        .await;
        let data = match frame {
            Some(None) => break,
            // Trailers are left out, of who would take them too (RFC 9110, section 6.5.1).
            Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Some(Some(Err(error))) => {
                let (outcome, code) = how_it_broke(&error);
                exchange.blame(&source, outcome, &error.reason());
                let problem = GatewayError::new(code, "The upstream broke its answer off.");
                return What::Failed(Box::new(problem.because(error)), false);
            }
            None => {
                let (read, kept) = gathered.into_parts();
                return one(Answer { head, judged, source, came }, Behind::new([read], kept));
            }
        };
        length += data.len();
        if length > LARGEST || !gathered.add(&data) {
            let (read, kept) = gathered.into_parts();
            return one(Answer { head, judged, source, came }, Behind::new([read, data], kept));
        }
    }
    source.finish(exchange, exchange.now());
    let (body, share) = gathered.into_parts();
    What::Whole(head, share.hold(body))
}

/// Whether an answer, by its head, may be given to others than who asked (RFC 9111, sections 3 and 4).
fn may_be_shared<N: Network>(exchange: &Exchange<N>, answer: &Answer<N>) -> bool {
    let status = answer.head.status;
    // A refusal may hang on what the key leaves out, as an address or a browser.
    let is_refusal = status.is_client_error() && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    let is_for_all = !is_refusal && !status.is_informational();
    let source = &answer.source;
    is_for_all
        && says_so(&answer.head.fields)
        && source.leg.length_left().is_none_or(|length| length <= LARGEST as u64)
        && source.selected.cookie(exchange.secure).is_none()
}

fn says_so(fields: &Fields) -> bool {
    fields.iter().all(|(name, value)| {
        let is = |known: http::HeaderName| name.eq_ignore_ascii_case(known.as_str().as_bytes());
        let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        // Trailers are not kept with a body.
        if is(header::SET_COOKIE) || is(header::TRAILER) {
            return false;
        }
        if is(header::CACHE_CONTROL) {
            // `private="x"` and `no-cache="x"` forbid less; nobody takes a field out of an answer here.
            let word = |word: &[u8]| {
                let end = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
                word[..end].to_ascii_lowercase()
            };
            return !words.any(|it| matches!(&*word(it), b"private" | b"no-store" | b"no-cache"));
        }
        if is(header::VARY) {
            return !words.any(|name| name == b"*" || key::is_ones_own(name));
        }
        if is(header::CONTENT_TYPE) {
            return !streams(value.trim_ascii());
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn answers_say_whether_others_may_have_them() {
        for (fields, expected) in [
            (
                &[("content-type", "application/json"), ("vary", "accept, cookie"), ("cache-control", "max-age=1")][..],
                true,
            ),
            (&[("set-cookie", "a=b")], false),
            (&[("Trailer", "x-sum")], false),
            (&[("cache-control", "max-age=1, Private")], false),
            (&[("cache-control", "no-cache=\"x\"")], false),
            (&[("cache-control", "no-store")], false),
            (&[("vary", "accept, User-Agent")], false),
            (&[("vary", "accept-encoding,Forwarded")], false),
            (&[("vary", "x-forwarded-host")], true),
            (&[("vary", "*")], false),
            (&[("Content-Type", "Text/Event-Stream;charset=utf-8")], false),
            (&[("content-type", "application/grpc+proto")], false),
            (&[], true),
        ] {
            assert_eq!(says_so(&Fields::of_lines(fields)), expected, "{fields:?}");
        }
    }
}
