//! The route's edits of an answer's head, which come after all that the gateway says itself; and what no edit takes
//! from an answer: a cache is told that it varies by origin where it does, and a problem stays one. Nor does one have
//! errors kept, or the word of another service that refuses a request.

use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cross_origin;
use crate::clock::http_date_seconds;
use crate::config::settings::own_answer::OwnAnswer;
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
        edit_relayed(exchange, edits, fields, Whose::TheRoutes);
    }
}

/// Edits what another service says to a request that may not pass.
pub(super) fn refused<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if let Some(edits) = edits(exchange) {
        edit_relayed(exchange, edits, fields, Whose::AnAuthoritys);
    }
}

/// Whose an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The route's: what its edits are written for, as far as it went well.
    TheRoutes,
    /// That of the service that was asked whether the request may pass: about one client at one moment, whatever its
    /// status.
    AnAuthoritys,
}

#[cold]
fn edit_relayed<N: Network>(exchange: &Exchange<N>, edits: &Edits, fields: &mut Fields, whose: Whose) {
    let lines = || edits.lines(exchange.made_for_client());
    // An authority's, which the gateway adds to the upstream's, too.
    let there = |name: &HeaderName| one_value(fields.all(name));
    if let Some(kept) = kept(exchange, edits, whose, there) {
        let gone: Vec<HeaderName> = edits.gone().iter().filter(|name| !kept.contains(name)).cloned().collect();
        fields.replace(&gone, lines().filter(|(name, _)| !kept.contains(name)));
    } else {
        fields.replace(edits.gone(), lines());
    }
    cross_origin::vary_in(exchange, fields);
}

/// The lines of a field as one (RFC 9110, section 5.3).
fn one_value<'v>(lines: impl Iterator<Item = &'v [u8]>) -> Vec<u8> {
    lines.collect::<Vec<_>>().join(&b", "[..])
}

/// The names under which an edit would have caches keep an error: what is said of the route's answers is meant for
/// those that went well, and an error that a browser has kept is there when the service is well again. So no edit lets
/// it be kept, nor takes away what forbids that; what an edit itself forbids holds for all. The same is so of what is
/// no answer of the route's at all. `None`: all edits hold. `there` is the value of a field as the answer has it.
fn kept<N: Network>(
    exchange: &Exchange<N>,
    edits: &Edits,
    whose: Whose,
    there: impl Fn(&HeaderName) -> Vec<u8>,
) -> Option<Vec<HeaderName>> {
    // What stands in for an answer that failed has its code, whatever its status.
    let is_error = exchange.code.is_some()
        || exchange.status.is_some_and(|status| status.is_client_error() || status.is_server_error());
    // Of an error that the route itself is for, they are said on purpose.
    let is_meant = || matches!(exchange.route()?.settings.own_answer.as_deref()?, OwnAnswer::Fixed(_)).then_some(());
    if whose == Whose::TheRoutes && (!is_error || is_meant().is_some()) {
        return None;
    }
    let now = exchange.shard.shared.clock.unix_seconds(exchange.now());
    let lines = || edits.lines(exchange.made_for_client());
    let let_keep = lines().filter(|(name, value)| lets_keep(name, value.as_bytes(), now)).map(|(name, _)| name);
    let only_goes = |name: &&HeaderName| tells_caches(name) && lines().all(|(own, _)| own != *name);
    let restrain = edits.gone().iter().filter(only_goes).filter(|name| restrains(name, &there(name), now));
    Some(let_keep.chain(restrain).cloned().collect::<Vec<_>>()).filter(|kept| !kept.is_empty())
}

/// Whether a field is for caches.
fn tells_caches(name: &HeaderName) -> bool {
    *name == CACHE_CONTROL || *name == EXPIRES || is_of_caches(name)
}

/// Whether a field forbids to keep an answer, or to keep it for everybody. An empty one is not there.
fn restrains(name: &HeaderName, value: &[u8], now: i64) -> bool {
    let words = String::from_utf8_lossy(value).to_ascii_lowercase();
    let is_for_one = |directive: &str| {
        let word = directive.split('=').next().unwrap_or_default().trim();
        matches!(word, "private" | "no-cache")
    };
    !value.is_empty() && (!lets_keep(name, value, now) || words.split(',').any(is_for_one))
}

/// Whether a field lets caches keep an answer for a while.
fn lets_keep(name: &HeaderName, value: &[u8], now: i64) -> bool {
    if *name == EXPIRES {
        return http_date_seconds(value).is_some_and(|until| until > now);
    }
    if !tells_caches(name) {
        return false;
    }
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    let mut lets = false;
    for directive in value.split(',').map(str::trim) {
        let (word, time) = directive.split_once('=').unwrap_or((directive, ""));
        match word.trim() {
            "no-store" => return false,
            // With names of fields it speaks of them alone.
            "no-cache" if time.is_empty() => return false,
            "public" | "immutable" => lets = true,
            "max-age" | "s-maxage" => lets |= !time.trim().trim_matches('"').trim_start_matches('0').is_empty(),
            _ => {}
        }
    }
    lets
}

/// Edits an answer of the gateway's own, or of its program's.
pub(super) fn own<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if let Some(edits) = edits(exchange).filter(|_| !exchange.is_undecided) {
        let there = |name: &HeaderName| one_value(headers.get_all(name).iter().map(HeaderValue::as_bytes));
        let kept = kept(exchange, edits, Whose::TheRoutes, there).unwrap_or_default();
        edits.apply_but(headers, exchange.made_for_client(), |name| kept.contains(name));
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
    OWN.contains(name) || *name == X_REQUEST_ID || is_of_caches(name) || name.as_str().starts_with("grpc-")
}

/// `cdn-cache-control` (RFC 9213) and its like.
fn is_of_caches(name: &HeaderName) -> bool {
    name.as_str().ends_with("-cache-control") || *name == "surrogate-control"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_caches_keep_an_answer_is_told_from_what_forbids_it() {
        let lets =
            |name: &'static str, value: &str| lets_keep(&HeaderName::from_static(name), value.as_bytes(), 800_000_000);
        for (name, value) in [
            ("cache-control", "max-age=604800"),
            ("cache-control", "Public, Max-Age=\"5\""),
            ("cache-control", "max-age=0, s-maxage=10"),
            ("cdn-cache-control", "immutable"),
            ("surrogate-control", "max-age=3600"),
            ("expires", "Thu, 01 Jan 2037 00:00:00 GMT"),
            // A browser keeps it.
            ("cache-control", "private, max-age=60"),
            ("cache-control", "no-cache=\"set-cookie\", max-age=9"),
        ] {
            assert!(lets(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cache-control", "max-age=0, must-revalidate"),
            ("cache-control", "private"),
            ("cache-control", "no-cache"),
            ("expires", "0"),
            ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("x-frame-options", "public"),
        ] {
            assert!(!lets(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn what_forbids_to_keep_an_answer_is_told_from_what_lets_it() {
        let restrains =
            |name: &'static str, value: &str| restrains(&HeaderName::from_static(name), value.as_bytes(), 800_000_000);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cache-control", "max-age=5, no-store"),
            ("cache-control", "max-age=60, Private"),
            ("cache-control", "no-cache=\"set-cookie\", max-age=9"),
            ("cdn-cache-control", "max-age=0"),
            ("expires", "0"),
        ] {
            assert!(restrains(name, value), "{name}: {value}");
        }
        for (name, value) in
            [("cache-control", ""), ("cache-control", "public"), ("expires", "Thu, 01 Jan 2037 00:00:00 GMT")]
        {
            assert!(!restrains(name, value), "{name}: {value}");
        }
    }

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
