//! The route's edits of an answer's head, which come after all that the gateway says itself; and what no edit takes
//! from an answer: a cache is told that it varies by origin where it does, and a problem stays one.

use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName};

use super::cross_origin;
use crate::context::names::X_REQUEST_ID;
use crate::exchange::Exchange;
use crate::header_edits::Edits;
use crate::http1::Fields;
use crate::network::Network;

#[inline]
fn edits<N: Network>(exchange: &Exchange<N>) -> Option<&Edits> {
    exchange.route()?.edits.response.as_deref()
}

/// Edits an upstream's answer.
#[inline]
pub(super) fn relayed<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if let Some(edits) = edits(exchange) {
        edit_relayed(exchange, edits, fields);
    }
}

#[cold]
fn edit_relayed<N: Network>(exchange: &Exchange<N>, edits: &Edits, fields: &mut Fields) {
    fields.replace(edits.gone(), edits.lines(exchange.made_for_client()));
    cross_origin::vary_in(exchange, fields);
}

/// Edits an answer of the gateway's own, or of its program's.
pub(super) fn own<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if let Some(edits) = edits(exchange).filter(|_| !exchange.is_undecided) {
        edits.apply(headers, exchange.made_for_client());
        cross_origin::vary(exchange, headers);
    }
}

/// Edits a problem, but for what makes it one. While it hangs on the body which route a request takes, the edits of
/// none hold.
#[inline]
pub(super) fn problem<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if let Some(edits) = edits(exchange) {
        edit_problem(exchange, edits, headers);
    }
}

#[cold]
fn edit_problem<N: Network>(exchange: &Exchange<N>, edits: &Edits, headers: &mut HeaderMap) {
    if !exchange.is_undecided {
        edits.apply_but(headers, exchange.made_for_client(), is_problems_own);
        cross_origin::vary(exchange, headers);
    }
}

/// What a problem's document is, whom it asks for what, and that nobody keeps it: what is said of the route's answers
/// would be wrong of it.
fn is_problems_own(name: &HeaderName) -> bool {
    const OWN: [HeaderName; 11] = [
        AGE,
        ALLOW,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_RANGE,
        CONTENT_TYPE,
        ETAG,
        EXPIRES,
        LAST_MODIFIED,
        RETRY_AFTER,
        WWW_AUTHENTICATE,
    ];
    let text = name.as_str();
    // `cdn-cache-control` (RFC 9213) and its like.
    let is_of_caches = text.ends_with("-cache-control") || text == "surrogate-control";
    OWN.contains(name) || *name == X_REQUEST_ID || is_of_caches || text.starts_with("grpc-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_what_makes_it_one() {
        for own in
            ["content-type", "retry-after", "www-authenticate", "x-request-id", "cdn-cache-control", "grpc-status"]
        {
            assert!(is_problems_own(&HeaderName::from_static(own)), "{own}");
        }
        for edited in ["x-frame-options", "vary", "access-control-allow-origin", "set-cookie", "ratelimit"] {
            assert!(!is_problems_own(&HeaderName::from_static(edited)), "{edited}");
        }
    }
}
