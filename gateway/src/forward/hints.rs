//! Early hints (RFC 8297) of an upstream for its client, where the route passes them on (`early_hints`).
//!
//! A hint is no answer: it says what the client could fetch or do meanwhile, and binds nobody. So one may be passed on
//! of an attempt that fails behind it, and another endpoint, a fallback or the gateway itself answers (RFC 8297,
//! section 2: what is hinted at may be missing from the answer, and is not to be taken for a part of it).
//!
//! Of its fields pass those that clients heed before an answer, and no others: who is asked says nothing of itself, of
//! the connection, or of the client's identity by this way. What the route takes from answers it takes from hints.

use http::header::{CONTENT_SECURITY_POLICY, LINK, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::config::settings::route::EarlyHints;
use crate::context::remove_from_answer;
use crate::exchange::Exchange;
use crate::header_edits::Edits;
use crate::network::Network;
use crate::upstream::Leg;

/// What clients heed: what to fetch, and two that hold for fetching it (HTML, "early hint headers").
static HEEDED: [HeaderName; 3] = [LINK, CONTENT_SECURITY_POLICY, REFERRER_POLICY];

/// Whether hints of this exchange's upstream are passed on.
#[inline]
pub(super) fn are_wanted<N: Network>(exchange: &Exchange<N>) -> bool {
    let passes = exchange.route().map_or(EarlyHints::Off, |route| route.settings.early_hints);
    passes != EarlyHints::Off && can_be_told(exchange, passes)
}

/// Whether its client can be told. Nobody of HTTP/1.0 knows of interim answers (RFC 9110, section 15.2), callers of
/// gRPC have no use for them, and the program's own stages are to see first what a client gets of an upstream.
#[cold]
fn can_be_told<N: Network>(exchange: &Exchange<N>, passes: EarlyHints) -> bool {
    let is_understood = match exchange.version {
        Version::HTTP_2 => true,
        Version::HTTP_11 => passes == EarlyHints::All,
        _ => false,
    };
    let is_of_upstream = !exchange.consults && !exchange.is_doubtful && !exchange.is_grpc && exchange.seen.is_none();
    is_understood && is_of_upstream && exchange.connection.hints.is_some()
}

/// Passes on what has come.
#[cold]
pub(super) fn pass_on<N: Network>(exchange: &Exchange<N>, leg: &mut Leg<N::Stream>) {
    let Some(hints) = &exchange.connection.hints else { return };
    let edits = exchange.route().and_then(|route| route.edits.response.as_deref());
    leg.interim().take_hints().into_iter().filter_map(|hint| screened(hint, edits)).for_each(|hint| hints.put(hint));
}

/// What passes of a hint; `None` where that is nothing to fetch. Copied: what waits for a client keeps no more of what
/// its upstream sent.
fn screened(mut hint: HeaderMap, edits: Option<&Edits>) -> Option<HeaderMap> {
    remove_from_answer(&mut hint);
    let passes = HEEDED.iter().filter(|name| edits.is_none_or(|edits| !edits.takes(name)));
    let values = passes.flat_map(|name| hint.get_all(name).iter().map(move |value| (name, value)));
    let copy = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    Some(values.filter_map(copy).collect::<HeaderMap>()).filter(|hint| hint.contains_key(LINK))
}

#[cfg(test)]
mod tests {
    use http::header::{CONNECTION, SERVER, SET_COOKIE};

    use super::*;
    use crate::config::settings::header_edits::HeaderEdits;

    fn hint(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn e_of_a_hint_passes_what_clients_heed_and_nothing_else() {
        let all = hint(&[
            (LINK, "</a.css>; rel=preload"),
            (SERVER, "secret/1"),
            (LINK, "</b.js>; rel=preload"),
            (SET_COOKIE, "a=1"),
            (CONTENT_SECURITY_POLICY, "default-src 'self'"),
            (HeaderName::from_static("x-internal"), "1"),
        ]);
        let passed = screened(all, None).unwrap();
        let links: Vec<_> = passed.get_all(LINK).iter().collect();
        assert_eq!(links, ["</a.css>; rel=preload", "</b.js>; rel=preload"]);
        assert_eq!(passed.len(), 3);
        assert_eq!(passed[CONTENT_SECURITY_POLICY], "default-src 'self'");
    }

    #[test]
    fn what_is_nothing_to_fetch_is_no_hint() {
        assert_eq!(screened(hint(&[(CONTENT_SECURITY_POLICY, "default-src 'self'")]), None), None);
        assert_eq!(screened(hint(&[(LINK, "</a>"), (CONNECTION, "link")]), None), None, "it is of the connection");
    }

    #[test]
    fn what_the_route_takes_from_answers_it_takes_from_hints() {
        let settings = HeaderEdits { remove: vec![CONTENT_SECURITY_POLICY], ..HeaderEdits::default() };
        let both = || hint(&[(LINK, "</a>"), (CONTENT_SECURITY_POLICY, "a")]);
        assert_eq!(screened(both(), Edits::new(&settings).as_deref()), Some(hint(&[(LINK, "</a>")])));
        let settings = HeaderEdits { remove: vec![LINK], ..HeaderEdits::default() };
        assert_eq!(screened(both(), Edits::new(&settings).as_deref()), None);
    }
}
