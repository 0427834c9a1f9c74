//! What a request is to a cache: what it says of caches, what it shows of who asks, and what else of it an answer may
//! hang on though no `Vary` names it.

use http::HeaderName;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, PROXY_AUTHORIZATION, RANGE,
};
use smallvec::SmallVec;

use super::directives::Directives;
use crate::context::names::lists;
use crate::request_fields::RequestFields;

/// Headers that prove who asks, to services that see to that themselves, beside `authorization` and `cookie`.
const KEYS: [&str; 8] = [
    "api-key",
    "apikey",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-apikey",
    "x-auth-token",
    "x-session-token",
];

/// Beginnings of headers by which services are told of another URL, host or method than the request's own: what they
/// lead to is another answer, which nobody must be given who did not ask for it ("web cache poisoning").
const LEADS_ELSEWHERE: [&str; 10] = [
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    "x-http-method",
    "x-method-override",
    "x-host",
    "x-http-host",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
];

/// What a request says and shows. The names are of its headers.
#[derive(Debug, Default)]
pub struct Asked {
    /// What it says to caches.
    pub control: Directives,
    /// Why it is not for a cache at all.
    pub passes_by: Option<&'static str>,
    /// It has an `authorization`.
    pub is_authorized: bool,
    /// What else it has that proves who asks.
    pub credentials: SmallVec<[HeaderName; 2]>,
    /// What leads elsewhere, in the order of the names.
    pub elsewhere: SmallVec<[HeaderName; 4]>,
}

impl Asked {
    /// Looks at each header once.
    pub fn of(headers: &RequestFields) -> Self {
        let mut asked = Self::default();
        headers.names().for_each(|name| asked.see(name));
        asked.elsewhere.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        asked.elsewhere.dedup();
        if headers.contains_key(&CACHE_CONTROL) {
            asked.control = Directives::read(headers.get_all(&CACHE_CONTROL).iter().map(|value| value.as_bytes()));
        } else if headers.get_all(&PRAGMA).iter().any(|value| lists(value.as_bytes(), b"no-cache")) {
            // RFC 7234, section 5.4; RFC 9111 leaves it to who wants to.
            asked.control.no_cache = true;
        }
        asked
    }

    /// Looks at a field's name; one that is repeated is seen as often.
    fn see(&mut self, name: &[u8]) {
        let is = |known: &HeaderName| name == known.as_str().as_bytes();
        if is(&RANGE) || is(&IF_RANGE) {
            self.passes_by = Some("range");
        } else if is(&IF_MATCH) || is(&IF_UNMODIFIED_SINCE) {
            self.passes_by = Some("condition");
        } else if is(&AUTHORIZATION) {
            self.is_authorized = true;
        } else if is(&COOKIE) || is(&PROXY_AUTHORIZATION) || KEYS.iter().any(|key| name == key.as_bytes()) {
            let name = HeaderName::from_bytes(name).ok().filter(|name| !self.credentials.contains(name));
            self.credentials.extend(name);
        } else if leads_elsewhere(name) {
            self.elsewhere.extend(HeaderName::from_bytes(name));
        }
    }

    /// The route takes these away before anybody is asked, who cannot have looked at them then.
    pub fn loses(&mut self, names: &[HeaderName]) {
        self.is_authorized &= !names.contains(&AUTHORIZATION);
        self.credentials.retain(|name| !names.contains(name));
    }

    /// Who asks was proven by what is in these headers, and is in the key: they say nothing more, but for a cookie, in
    /// which anything may be. What proved nothing here may prove somebody to the service.
    pub fn is_proven(&mut self, by: impl Fn(&HeaderName) -> bool) {
        self.is_authorized &= !by(&AUTHORIZATION);
        self.credentials.retain(|name| *name == COOKIE || !by(name));
    }
}

/// What a request shows that the service may know somebody by whom the gateway does not: what it is answered is kept
/// for others only where the answer says that it may be. `lost` is what its route takes away.
pub fn unproven(
    headers: &RequestFields,
    is_proven: impl Fn(&HeaderName) -> bool,
    lost: &[HeaderName],
) -> Vec<HeaderName> {
    let mut asked = Asked::of(headers);
    asked.is_proven(is_proven);
    asked.loses(lost);
    asked.is_authorized.then_some(AUTHORIZATION).into_iter().chain(asked.credentials).collect()
}

fn leads_elsewhere(name: &[u8]) -> bool {
    // Whose request it is: each client has its own.
    name != b"x-forwarded-for" && LEADS_ELSEWHERE.iter().any(|begin| name.starts_with(begin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(lines: &[(&'static str, &'static str)]) -> Asked {
        let mut headers = RequestFields::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Asked::of(&headers)
    }

    #[test]
    fn pragma_says_something_only_where_nothing_newer_does() {
        assert!(asked(&[("pragma", "No-Cache")]).control.no_cache);
        assert!(!asked(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]).control.no_cache);
        assert!(!asked(&[("pragma", "x")]).control.no_cache);
    }

    #[test]
    fn parts_and_conditions_of_changes_pass_by_and_who_would_take_trailers_does_not() {
        for (name, value) in
            [("range", "bytes=0-1"), ("if-range", "\"a\""), ("if-match", "*"), ("if-unmodified-since", "x")]
        {
            assert!(asked(&[(name, value)]).passes_by.is_some(), "{name}");
        }
        assert_eq!(asked(&[("if-none-match", "\"a\""), ("te", "trailers")]).passes_by, None);
    }

    #[test]
    fn what_shows_who_asks_and_what_leads_elsewhere_is_seen() {
        let mut all = asked(&[
            ("authorization", "Basic x"),
            ("cookie", "a=b"),
            ("x-api-key", "k"),
            ("x-original-url", "/admin"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-for", "192.0.2.1"),
            ("accept", "a"),
        ]);
        assert!(all.is_authorized);
        assert_eq!(all.credentials.iter().map(HeaderName::as_str).collect::<Vec<_>>(), ["cookie", "x-api-key"]);
        let elsewhere: Vec<_> = all.elsewhere.iter().map(HeaderName::as_str).collect();
        assert_eq!(elsewhere, ["x-forwarded-host", "x-original-url"]);
        all.is_proven(|name| name == "x-api-key" || *name == COOKIE);
        assert!(all.is_authorized, "which proved nobody here");
        assert_eq!(all.credentials.iter().map(HeaderName::as_str).collect::<Vec<_>>(), ["cookie"]);
        all.is_proven(|name| *name == AUTHORIZATION);
        assert!(!all.is_authorized);
    }

    #[test]
    fn what_the_route_takes_away_shows_the_service_nobody() {
        let lines = [("authorization", "Basic x"), ("cookie", "a=b"), ("x-api-key", "k")];
        let mut all = asked(&lines);
        all.loses(&[COOKIE]);
        assert!(all.is_authorized);
        assert_eq!(all.credentials.iter().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-api-key"]);
        all.loses(&[AUTHORIZATION, HeaderName::from_static("x-api-key")]);
        assert!(!all.is_authorized && all.credentials.is_empty());
        let headers: RequestFields = lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let left = unproven(&headers, |name| name == "x-api-key", &[COOKIE]);
        assert_eq!(left, [AUTHORIZATION]);
    }
}
