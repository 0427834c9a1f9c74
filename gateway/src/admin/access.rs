//! Who may use the admin API: whoever has the token; without one, whoever is on this machine and is no web page. Where
//! a program mounts it, who may is the program's to say, and only pages of other sites are kept from changing anything.
//!
//! A browser on the operator's machine can be made to send requests to loopback by any page it shows. So the `Host`
//! must be an address or `localhost` (a name that a page's owner controls could be bound to loopback: DNS rebinding),
//! and an `Origin` must be the admin's own. Nor is a proxy on this machine somebody who is on it: what it passes on is
//! anybody's. Proxies say of what they pass on for whom they do, and this gateway in five headers, so that no edit of
//! one of them makes a stranger look like somebody who is here. (That an upstream's name turns out to be this address
//! is found out before, in `upstream/closed.rs`; another gateway's may lead here too.)

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::State;
use super::view::refusal;
use crate::network::Network;

/// What proxies write into what they pass on, and neither a person's client nor a scraper of metrics does.
const OF_PROXIES: [&str; 7] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-timeout-ms",
];

pub(super) async fn check<N: Network>(Shared(state): Shared<Arc<State<N>>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_mounted = state.serves.is_none();
    // A program may serve it over HTTP/2, where the host stands in the URI.
    let in_uri = request.uri().authority().map(Authority::as_str).filter(|_| is_mounted);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(in_uri).unwrap_or("");
    let verdict = match &state.token {
        _ if is_mounted => None,
        Some(token) if !bears(headers.get(header::AUTHORIZATION), token) => {
            Some(challenged(refusal(StatusCode::UNAUTHORIZED, "unauthorized", "The admin token is needed.")))
        }
        None if !is_local_name(host) => {
            Some(refusal(StatusCode::FORBIDDEN, "forbidden", "Use the admin address itself as the host."))
        }
        None if OF_PROXIES.iter().any(|name| headers.contains_key(*name)) => {
            let detail = "Who comes through a proxy needs a token: set token_env in [admin].";
            Some(refusal(StatusCode::FORBIDDEN, "forbidden", detail))
        }
        Some(_) | None => None,
    };
    let cross_site = headers.get(header::ORIGIN).is_some_and(|origin| !is_own_origin(origin, host));
    let writes = *request.method() != Method::GET && *request.method() != Method::HEAD;
    match verdict {
        Some(refused) => refused,
        None if cross_site && writes => {
            refusal(StatusCode::FORBIDDEN, "forbidden", "Another site's page may not change this gateway.")
        }
        None => next.run(request).await,
    }
}

/// A page that anybody may have, as it carries no data and is where a person gives the token. Who has not shown it is
/// told so by the status, as with any call; a browser shows the page all the same.
pub(super) fn of_page<N: Network>(state: &State<N>, headers: &HeaderMap, page: Response) -> Response {
    let needed = state.token.as_ref().filter(|_| state.serves.is_some());
    match needed {
        Some(token) if !bears(headers.get(header::AUTHORIZATION), token) => challenged(page),
        Some(_) | None => page,
    }
}

/// An answer to who has not shown the token.
fn challenged(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = HeaderValue::from_static("Bearer realm=\"gateway admin\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// Headers that browsers respect (OWASP REST Security Cheat Sheet). The page's script and style are files of their own,
/// so that nothing inline ever runs; its forms are never sent but by the script.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(policy) = HeaderValue::from_str(&policy(""))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What a page of the admin's may do: run and show its own files, and ask the admin and these further origins.
pub(super) fn policy(origins: &str) -> String {
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'{origins}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn bears(authorization: Option<&HeaderValue>, token: &str) -> bool {
    // A scheme is one in any case (RFC 9110, section 11.1), and what follows it stands behind one blank or more.
    let given = authorization.and_then(|value| value.as_bytes().split_at_checked(7));
    given.is_some_and(|(scheme, given)| {
        let given = given.trim_ascii_start();
        scheme.eq_ignore_ascii_case(b"bearer ") && equal_in_constant_time(given, token.as_bytes())
    })
}

/// Takes the same time wherever two secrets of one length differ.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |seen, (x, y)| std::hint::black_box(seen | (x ^ y)));
    a.len() == b.len() && differing == 0
}

/// `localhost` or an IP address, with or without a port.
fn is_local_name(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

fn is_own_origin(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or("");
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(|origin| origin == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_else_controls_is_not_local() {
        for local in ["localhost", "localhost:9901", "127.0.0.1:9901", "[::1]:9901", "10.0.0.5"] {
            assert!(is_local_name(local), "{local}");
        }
        for foreign in ["", "evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example"] {
            assert!(!is_local_name(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_the_admins_own_page_is_its_own_origin() {
        let own = |origin: &'static str| is_own_origin(&HeaderValue::from_static(origin), "127.0.0.1:9901");
        assert!(own("http://127.0.0.1:9901"));
        assert!(!own("http://127.0.0.1:8080") && !own("http://evil.example") && !own("null"));
    }

    #[test]
    fn a_token_comes_behind_its_scheme_in_any_case() {
        let bears = |field: &'static str| bears(Some(&HeaderValue::from_static(field)), "s3cret");
        for field in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret"] {
            assert!(bears(field), "{field}");
        }
        for field in
            ["", "Bearer", "Bearer ", "s3cret", "Bearers3cret", "Bearer\ts3cret", "Basic s3cret", "Bearer S3CRET"]
        {
            assert!(!bears(field), "{field}");
        }
    }

    #[test]
    fn a_token_is_equal_only_to_itself() {
        assert!(equal_in_constant_time(b"secret", b"secret"));
        assert!(!equal_in_constant_time(b"secret", b"secre") && !equal_in_constant_time(b"", b"s"));
        assert!(!equal_in_constant_time(b"secret", b"Secret"));
    }
}
