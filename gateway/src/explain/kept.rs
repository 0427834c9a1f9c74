//! Where a route keeps answers: what that is to a request which shows a credential that nobody has proven.

use http::{HeaderName, Method};

use crate::caching::unproven;
use crate::config::settings::Route;
use crate::identity::{RouteAuth, Trial};
use crate::request_fields::RequestFields;

/// Which answers are kept, and whether this request's are.
pub(super) fn kept(
    route: &Route,
    (method, headers): (&Method, &RequestFields),
    proven: Option<(&RouteAuth, &Trial)>,
) -> Option<String> {
    let cache = route.cache.as_deref()?;
    let (auth, trial) = proven.filter(|(_, trial)| trial.granted.is_some() && trial.status.is_none()).unzip();
    let by = trial.and_then(|trial| trial.decided_by.as_deref()).unwrap_or_default();
    // What identity takes for itself goes no further.
    let taken = trial.map_or(&[][..], |trial| trial.removed.as_slice());
    let is_proven = |name: &HeaderName| {
        auth.is_some_and(|auth| auth.passes_on(by, name)) || taken.iter().any(|taken| *taken == name.as_str())
    };
    let lost: Vec<HeaderName> = route.request_headers.names_gone().cloned().collect();
    let shown = unproven(headers, is_proven, &lost);
    if shown.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
        return Some(cache.to_string());
    }
    let names: Vec<&str> = shown.iter().map(HeaderName::as_str).collect();
    let they = names.join(" and ");
    Some(format!(
        "{cache}. Not so for this request: it shows {they}, which the upstream sees, so that it shares only answers that \
         say `public` or `s-maxage`; `remove` of request_headers would take that away"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Question, answer};
    use crate::config::{Purpose, load_text};

    fn told(route: &str, method: &str, headers: &[&str]) -> String {
        let text = format!(
            "[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://127.0.0.1:1'\ncache = {{ default_ttl = '60s' }}\n{route}\n"
        );
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        answer(&config, &Question::parse(method, "/a", headers).unwrap()).policies.unwrap().cache.unwrap()
    }

    #[test]
    fn a_credential_that_the_upstream_sees_is_told_of() {
        let shown = told("", "GET", &["cookie: _ga=1", "authorization: Basic YTpi"]);
        assert!(shown.contains("it shows authorization and cookie, which the upstream sees"), "{shown}");
        let plain = told("", "GET", &["accept: */*"]);
        assert!(
            plain.starts_with("answers for as long as they say, others for 60s") && !plain.contains("shows"),
            "{plain}"
        );
        assert_eq!(told("", "POST", &["cookie: _ga=1"]), plain, "of which nothing is kept anyway");
        let edits = "request_headers = { remove = ['cookie', 'authorization'] }";
        assert_eq!(told(edits, "GET", &["cookie: _ga=1", "authorization: Basic YTpi"]), plain);
    }
}
