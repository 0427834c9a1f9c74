//! Whether an answer may be kept, and for whom (RFC 9111, section 3).
//!
//! Of what the RFC leaves open, the careful side is taken: an answer that says `no-cache` is not kept, nor is one that
//! sets a cookie, whatever else it says; nor any whose status another client's request may have provoked (400, 431,
//! 5xx).

use http::HeaderName;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE, TRAILER,
};

use super::asked::Asked;
use super::directives::{Directives, seconds};
use super::freshness::{Freshness, Receipt, Times};
use super::route::RouteCache;
use super::vary::Secondary;
use crate::clock::http_date_seconds;
use crate::config::settings::cache::KEPT_STATUSES;
use crate::context::names::streams;
use crate::http1::Fields;
use crate::request_fields::RequestFields;

/// Those that the route's `default_ttl` gives a time.
pub(super) const GIVEN_A_TIME: [u16; 6] = [200, 203, 301, 308, 404, 410];

/// For how long an answer holds, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// For how long.
    pub freshness: Freshness,
    /// Which requests of its key.
    pub secondary: Secondary,
    /// It says that it is anybody's.
    pub is_for_all: bool,
    /// It may be given to who shows an `authorization` that nobody has proven (RFC 9111, section 3.5).
    pub is_for_authorized: bool,
}

impl Keeping {
    /// Whether it may be given to a request of its key.
    pub fn may_answer(&self, asked: &Asked, headers: &RequestFields) -> bool {
        (self.is_for_authorized || !asked.is_authorized)
            && (self.is_for_all || asked.credentials.iter().all(|name| self.secondary.names(name.as_str())))
            && self.secondary.is_for(headers)
    }
}

/// Judges an answer to this request by its head.
///
/// # Errors
/// Why it is not kept, in a word.
pub(super) fn judge(
    status: u16,
    fields: &Fields,
    (asked, headers): (&Asked, &RequestFields),
    (route, receipt): (&RouteCache, Receipt),
) -> Result<Keeping, &'static str> {
    if asked.control.no_store {
        return Err("asked-no-store");
    }
    if !KEPT_STATUSES.contains(&status) || has(fields, &CONTENT_RANGE) {
        return Err("status");
    }
    let control = Directives::read(fields.all(&CACHE_CONTROL));
    if control.no_store {
        return Err("no-store");
    }
    if control.private {
        return Err("private");
    }
    if control.no_cache {
        return Err("no-cache");
    }
    if has(fields, &SET_COOKIE) {
        return Err("set-cookie");
    }
    // Trailers are not kept with a body.
    if has(fields, &TRAILER) {
        return Err("trailer");
    }
    if fields.all(&CONTENT_TYPE).any(streams) {
        return Err("stream");
    }
    let secondary = Secondary::of(fields, headers, &route.unseen).ok_or("vary")?;
    let is_for_all = control.is_for_all();
    let keeping = Keeping {
        freshness: Freshness::of(&control, &times(fields), receipt, &route.terms_of(status)).ok_or("no-lifetime")?,
        secondary,
        is_for_all,
        is_for_authorized: is_for_all || control.must_revalidate,
    };
    if asked.is_authorized && !keeping.is_for_authorized {
        return Err("authorization");
    }
    if !keeping.may_answer(asked, headers) {
        return Err("credentials");
    }
    let can_be_confirmed = has(fields, &ETAG) || has(fields, &LAST_MODIFIED);
    if !keeping.freshness.is_of_use(can_be_confirmed) {
        return Err("stale");
    }
    Ok(keeping)
}

fn has(fields: &Fields, name: &HeaderName) -> bool {
    fields.all(name).next().is_some()
}

fn times(fields: &Fields) -> Times {
    let mut expires = fields.all(&EXPIRES);
    Times {
        date: fields.all(&DATE).next().and_then(http_date_seconds),
        // Of several, which may differ, none is believed.
        expires: expires.next().map(|first| http_date_seconds(first).filter(|_| expires.next().is_none())),
        // A list of one, or what an upstream's own cache has added to.
        age: fields
            .all(&AGE)
            .filter_map(|age| seconds(age.split(|byte| *byte == b',').next()?.trim_ascii()))
            .max()
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::cache::Cache;
    use crate::config::settings::header_edits::HeaderEdits;

    const AT: Receipt = Receipt { at: 784_111_777, delay: 0 };

    fn route() -> RouteCache {
        with_times(Vec::new())
    }

    /// A route that gives these statuses times of their own, seconds.
    fn with_times(of: Vec<(u16, u64)>) -> RouteCache {
        let (default_ttl, max_ttl) = (Duration::from_secs(5), Duration::from_secs(86_400));
        let none = Duration::ZERO;
        let settings = Cache {
            default_ttl,
            status_ttl: of.into_iter().map(|(status, seconds)| (status, Duration::from_secs(seconds))).collect(),
            max_ttl,
            max_body: 1,
            stale_while_revalidate: none,
            stale_if_error: none,
            vary_limit: 1,
            shared: false,
            ignore_client_directives: false,
        };
        RouteCache::new(&settings, &HeaderEdits::default(), 0)
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> RequestFields {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn kept_for(
        status: u16,
        answer: &[(&str, &str)],
        request: &[(&'static str, &'static str)],
    ) -> Result<Keeping, &'static str> {
        let headers = headers(request);
        judge(status, &Fields::of_lines(answer), (&Asked::of(&headers), &headers), (&route(), AT))
    }

    fn kept(status: u16, answer: &[(&str, &str)]) -> Result<Keeping, &'static str> {
        kept_for(status, answer, &[])
    }

    #[test]
    fn what_is_one_clients_or_no_whole_is_not_kept() {
        let an_hour = ("cache-control", "max-age=3600");
        for (fields, why) in [
            (&[("cache-control", "no-store, max-age=9")][..], "no-store"),
            (&[("cache-control", "max-age=9, private=\"x\"")], "private"),
            (&[("cache-control", "no-cache=\"set-cookie\"")], "no-cache"),
            (&[("Set-Cookie", "a=b"), ("cache-control", "public, max-age=60")], "set-cookie"),
            (&[an_hour, ("Trailer", "x-sum")], "trailer"),
            (&[an_hour, ("content-type", "Text/Event-Stream; charset=utf-8")], "stream"),
            (&[an_hour, ("vary", "*")], "vary"),
            (&[an_hour, ("content-range", "bytes 0-1/2")], "status"),
            (&[("cache-control", "max-age=0")], "stale"),
            (&[("cache-control", "max-age=10"), ("age", "10")], "stale"),
            (&[("expires", "0")], "stale"),
        ] {
            assert_eq!(kept(200, fields), Err(why), "{fields:?}");
        }
        for status in [201, 206, 303, 304, 400, 401, 403, 405, 414, 429, 431, 500, 501, 503] {
            assert_eq!(kept(status, &[an_hour]), Err("status"), "{status}");
        }
    }

    #[test]
    fn only_some_statuses_are_given_a_time() {
        for status in KEPT_STATUSES {
            let expected = if GIVEN_A_TIME.contains(&status) { Ok(5) } else { Err("no-lifetime") };
            assert_eq!(kept(status, &[]).map(|kept| kept.freshness.lifetime), expected, "{status}");
            assert!(kept(status, &[("cache-control", "max-age=1")]).is_ok(), "{status}");
        }
    }

    #[test]
    fn a_status_may_have_a_time_of_its_own() {
        let route = with_times(vec![(404, 1), (302, 2), (410, 0)]);
        let headers = RequestFields::new();
        let kept = |status, fields: &[(&str, &str)]| {
            let asked = (&Asked::of(&headers), &headers);
            judge(status, &Fields::of_lines(fields), asked, (&route, AT)).map(|kept| kept.freshness.lifetime)
        };
        for (status, expected) in [
            (200, Ok(5)),
            (301, Ok(5)),
            (404, Ok(1)),
            (302, Ok(2)),
            (410, Err("no-lifetime")),
            (307, Err("no-lifetime")),
        ] {
            assert_eq!(kept(status, &[]), expected, "{status}");
        }
        assert_eq!(kept(404, &[("cache-control", "max-age=9")]), Ok(9), "its own word comes first");
        assert_eq!(kept(500, &[("cache-control", "max-age=9")]), Err("status"));
    }

    #[test]
    fn a_stale_one_that_can_be_confirmed_is_kept() {
        for validator in [("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")] {
            assert!(kept(200, &[("cache-control", "max-age=0"), validator]).is_ok(), "{validator:?}");
        }
        assert!(kept(200, &[("cache-control", "max-age=0, stale-if-error=60")]).is_ok());
    }

    #[test]
    fn dates_say_how_long() {
        let (then, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
        let lifetime = |fields: &[(&str, &str)]| kept(200, fields).map(|kept| kept.freshness.lifetime);
        assert_eq!(lifetime(&[("date", then), ("expires", later)]), Ok(60));
        assert_eq!(lifetime(&[("date", then), ("expires", later), ("expires", then)]), Err("stale"), "two of them");
        assert_eq!(lifetime(&[("cache-control", "max-age=30"), ("expires", "0")]), Ok(30), "the newer word");
    }

    #[test]
    fn who_shows_a_credential_is_given_what_is_for_all() {
        let plain = [("cache-control", "max-age=60")];
        let (public, shared, checked) = (
            [("cache-control", "public, max-age=60")],
            [("cache-control", "s-maxage=60")],
            [("cache-control", "max-age=60, must-revalidate")],
        );
        let authorized = [("authorization", "Bearer x")];
        assert_eq!(kept_for(200, &plain, &authorized), Err("authorization"));
        for open in [&public[..], &shared, &checked] {
            assert!(kept_for(200, open, &authorized).is_ok(), "{open:?}");
        }
        for credential in [("cookie", "s=1"), ("x-api-key", "k")] {
            assert_eq!(kept_for(200, &plain, &[credential]), Err("credentials"));
            assert_eq!(kept_for(200, &checked, &[credential]), Err("credentials"));
            assert!(kept_for(200, &public, &[credential]).is_ok());
            let varies = [plain[0], ("vary", credential.0)];
            assert!(kept_for(200, &varies, &[credential]).is_ok());
            // What was kept for somebody without one is not for them either.
            let of_nobody = kept(200, &plain).unwrap();
            let asks = headers(&[credential]);
            assert!(!of_nobody.may_answer(&Asked::of(&asks), &asks));
        }
        assert_eq!(kept_for(200, &public, &[("cache-control", "no-store")]), Err("asked-no-store"));
    }

    proptest! {
        #[test]
        fn no_answer_that_forbids_it_is_ever_kept(
            more in prop::collection::vec("[a-z-]{1,12}(=[0-9]{1,4})?", 0..4),
            forbidden in prop::sample::select(vec!["no-store", "private", "no-cache", "Private=\"x\"", "NO-STORE"]),
            at in 0_usize..5,
            status in prop::sample::select(KEPT_STATUSES.to_vec()),
        ) {
            let mut words = more;
            words.insert(at.min(words.len()), forbidden.to_owned());
            prop_assert!(kept(status, &[("Cache-Control", &words.join(", "))]).is_err());
            let lines: Vec<(&str, &str)> = words.iter().map(|word| ("cache-control", &**word)).collect();
            prop_assert!(kept(status, &lines).is_err());
        }
    }
}
