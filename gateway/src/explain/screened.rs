//! What the gateway's first stage leaves of a question: the headers that all other stages see, or a refusal.

use http::HeaderName;
use http::header::HOST;

use super::Question;
use crate::config::settings::Config;
use crate::context::stage::check_expectation;
use crate::context::target::{check_host, check_method_and_target};
use crate::context::{HeaderRules, Taken, screen_request_headers};
use crate::error::GatewayError;
use crate::request_fields::RequestFields;

/// Headers as routes, limits and identity see them, and what was taken away before.
pub(super) struct Screened {
    /// What is left.
    pub(super) headers: RequestFields,
    /// Names of headers that are gone, each with the reason.
    pub(super) removed: Vec<String>,
}

/// Screens a question that a client asks, or a trusted proxy for one.
///
/// # Errors
/// As the stage's own: a method or a target that is not served, a host that is malformed, a name with an underscore.
pub(super) fn screen(config: &Config, question: &Question) -> Result<Screened, GatewayError> {
    check_method_and_target(&question.method, &question.uri.clone().into())?;
    // Who asks by a path alone is asked for no host.
    question.stated_host().as_ref().map_or(Ok(()), check_host)?;
    let rules = HeaderRules::new(&config.identity, config.server.underscores_in_headers);
    let mut headers = question.headers.clone();
    check_expectation(&headers)?;
    let is_trusted = question.told.is_some();
    if let Err(refused) = screen_request_headers(&mut headers, &rules, is_trusted) {
        let is_cause = |name: &HeaderName| rules.why_taken(name, is_trusted) == Some(Taken::Refused);
        let error = GatewayError::from(refused);
        return Err(match question.headers.header_names().find(is_cause) {
            Some(name) => GatewayError::new(error.code, format!("{} ({name})", error.detail)),
            None => error,
        });
    }
    // The host is a header like any, wherever its request says it.
    if let Some(host) = question.stated_host().filter(|_| !headers.contains_key(&HOST)) {
        headers.insert(&HOST, host);
    }
    let removed = question.headers.header_names().filter(|name| !headers.contains_key(name));
    let removed = removed.map(|name| format!("{name}: {}", why(rules.why_taken(&name, is_trusted)))).collect();
    Ok(Screened { headers, removed })
}

fn why(taken: Option<Taken>) -> &'static str {
    match taken {
        Some(Taken::Identity) => "no client may say it: `strip_headers`, or a header that only the gateway sets",
        Some(Taken::ForProxies) => "only one of `trusted_proxies` may say it",
        Some(Taken::Underscore | Taken::Refused) => "its name has an underscore: `underscores_in_headers`",
        // What is named by `connection`, and `te` without trailers, are of the connection too.
        Some(Taken::Connection) | None => "it speaks of one connection",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Answer, Question, answer};
    use crate::config::{Purpose, load_text};

    const TEXT: &str = "[[routes]]\nname = 'beta'\npath = '/'\nupstream = 'http://127.0.0.1:1'\n\
                        headers = { x-beta = '*' }\n[[routes]]\nname = 'all'\npath = '/'\n\
                        upstream = 'http://127.0.0.1:2'\nrate_limits = ['tenant']\n[rate_limits.tenant]\n\
                        rate = '1/s'\nburst = 1\nkey = 'header:x-tenant'\n";

    fn ask(more: &str, method: &str, headers: &[&str]) -> Answer {
        let text = format!("{TEXT}{more}");
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        answer(&config, &Question::parse(method, "/", headers).unwrap())
    }

    fn route(answer: &Answer) -> Option<&str> {
        answer.routing.as_ref()?.route.as_deref()
    }

    #[test]
    fn the_urls_host_is_a_header_too() {
        let text = format!(
            "{TEXT}[[routes]]\nname = 'mine'\npath = '/m'\nupstream = 'http://127.0.0.1:3'\nheaders = {{ Host = 'x.test' }}\n"
        );
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let told = |url: &str, headers: &[&str]| {
            let answer = answer(&config, &Question::parse("GET", url, headers).unwrap());
            assert!(answer.removed.is_empty(), "{answer:?}");
            route(&answer).map(str::to_owned)
        };
        assert_eq!(told("http://x.test/m", &[]).as_deref(), Some("mine"));
        assert_eq!(told("/m", &["host: x.test"]).as_deref(), Some("mine"));
        assert_eq!(told("http://x.test:8080/m", &[]), None, "a header is what is written in it");
        assert_eq!(told("/m", &[]), None);
    }

    #[test]
    fn what_no_client_may_say_decides_nothing() {
        let strip = "[identity]\nstrip_headers = ['x-auth-*']\n";
        let told = ask(strip, "GET", &["x-beta: 1", "x-auth-subject: root", "x-forwarded-for: 10.0.0.1", "te: gzip"]);
        assert_eq!(route(&told), Some("beta"));
        let [identity, proxies, hop] = &told.removed[..] else { panic!("{:?}", told.removed) };
        assert!(identity.starts_with("x-auth-subject: no client may say it"), "{identity}");
        assert!(proxies.starts_with("x-forwarded-for: only one of `trusted_proxies`"), "{proxies}");
        assert!(hop.starts_with("te: "), "{hop}");
    }

    #[test]
    fn what_a_connection_names_is_gone_for_routes_and_limits() {
        let told = ask("", "GET", &["x-beta: 1", "x-tenant: a", "connection: x-beta, x-tenant"]);
        assert_eq!(route(&told), Some("all"));
        let key = &told.policies.as_ref().unwrap().rate_limits[0].key;
        assert!(key.ends_with("since x-tenant is absent"), "{key}");
        assert_eq!(told.removed.len(), 3);
    }

    #[test]
    fn what_is_refused_before_routing_takes_no_route() {
        let refused = |more: &str, method: &str, headers: &[&str]| {
            let told = ask(more, method, headers);
            assert!(told.routing.is_none() && told.policies.is_none(), "{told:?}");
            (told.status.unwrap(), told.refused.unwrap())
        };
        let (status, why) = refused("", "GET", &["X_User: 1"]);
        assert_eq!(status, 400);
        assert!(why.ends_with("(x_user)"), "{why}");
        assert_eq!(refused("", "POST", &["expect: foo"]).0, 417);
        assert_eq!(route(&ask("", "POST", &["expect: 100-continue"])), Some("all"));
        for method in ["TRACE", "CONNECT"] {
            assert_eq!(refused("", method, &[]).0, 405, "{method}");
        }
        let (status, why) = refused("", "GET", &["host: x:99999"]);
        assert_eq!((status, &*why), (400, "The host header is malformed."));
        assert_eq!(route(&ask("", "GET", &["host: x:8080"])), Some("all"));
        let drop = "[server]\nunderscores_in_headers = 'drop'\n";
        assert_eq!(ask(drop, "GET", &["X_User: 1"]).removed.len(), 1);
        assert_eq!(route(&ask("", "get", &[])), Some("all"), "a method is what it is written as");
    }
}
