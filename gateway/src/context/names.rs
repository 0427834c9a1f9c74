//! The names of the headers that the gateway itself sets, made once; and words that headers hold.

use http::HeaderName;

/// Whether a header's list, as `a, b`, has this word in it, in whatever letters.
pub fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
}

/// What streams by its kind, with what it may go on with, as `; charset` or `+proto`.
const STREAMS: [&[u8]; 4] =
    [b"text/event-stream", b"multipart/x-mixed-replace", b"application/x-ndjson", b"application/grpc"];

/// Whether an answer of this `content-type` streams: it may never be whole, and each part of it is wanted as it comes.
pub fn streams(kind: &[u8]) -> bool {
    let begins = |stream: &[u8]| kind.get(..stream.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(stream));
    STREAMS.into_iter().any(begins)
}

/// `x-request-id`
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `traceparent` (W3C Trace Context)
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate` (W3C Trace Context)
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `x-forwarded-for`
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `x-forwarded-proto`
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `x-forwarded-host`
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `forwarded` (RFC 7239)
pub static FORWARDED: HeaderName = HeaderName::from_static("forwarded");
/// `ratelimit`: what is left (draft-ietf-httpapi-ratelimit-headers)
pub static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `ratelimit-policy`: how much there is
pub static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `cache-status`: how a cache came by an answer (RFC 9211)
pub static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// `x-aggregate-missing`: the parts of an aggregate that are missing, and for which nothing stands in
pub static X_AGGREGATE_MISSING: HeaderName = HeaderName::from_static("x-aggregate-missing");
/// `x-request-timeout-ms`: what is left of a request's time
pub static X_REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// `grpc-timeout`: the same, to gRPC
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Whether the gateway writes this header of each request that it sends on.
pub fn is_own(name: &HeaderName) -> bool {
    let own = [
        &X_REQUEST_ID,
        &TRACEPARENT,
        &TRACESTATE,
        &X_FORWARDED_FOR,
        &X_FORWARDED_PROTO,
        &X_FORWARDED_HOST,
        &FORWARDED,
        &X_REQUEST_TIMEOUT_MS,
        &GRPC_TIMEOUT,
    ];
    own.into_iter().any(|own| own == name)
}
