//! Whether a web page may open a WebSocket by a credential that its browser sends by itself.
//!
//! A browser sends cookies, passwords, tickets (Negotiate, NTLM) and certificates to a host with whatever any page asks
//! for there. Of other
//! requests it keeps the answer from pages that are not let in (`cors`), or asks before; of a WebSocket it does
//! neither: whichever page opens one reads and writes it in its user's name (cross-site WebSocket hijacking). It tells
//! who asks in `Origin`, and no page can change that (RFC 6455, sections 4.1 and 10.2). So that has to be the request's
//! own host, or one that
//! `cors` of the route lets in with credentials. Who says no `Origin` is no browser, and what a page has to write
//! itself, a token in a header, no other page has.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use super::access::RouteAuth;
use super::credential::Credential;
use super::places;
use super::provider::{Place, Provider};
use crate::config::settings::Cors;
use crate::config::settings::forward_auth::ForwardAuth;
use crate::config::settings::identity::TokenPlace;
use crate::context::forwarded;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::tls::ClientCertificate;

/// Lets a WebSocket's handshake pass, or not, before anything is proven. Nothing is taken out here.
///
/// # Errors
/// 403 for a page of another origin, where the credential is one that browsers send by themselves.
#[cold]
pub fn admit<N: Network>(exchange: &Exchange<N>, headers: &RequestFields) -> Result<(), GatewayError> {
    let Some(route) = exchange.route().filter(|route| route.settings.websocket) else { return Ok(()) };
    if !headers.contains_key(&header::ORIGIN) {
        return Ok(());
    }
    let certificate = exchange.connection.secured.as_ref().and_then(|secured| secured.client());
    let asked = route.settings.forward_auth.as_deref();
    if !shows_ambient((route.auth.as_deref(), asked), headers, certificate) {
        return Ok(());
    }
    let told = exchange.peer_trusted.then(|| forwarded::told_host(headers, &exchange.snapshot.trusted)).flatten();
    let own = told.as_ref().or(exchange.host().map(|host| &host.value));
    if may_open(headers, (own, exchange.secure), route.settings.cors.as_deref()) {
        return Ok(());
    }
    Err(refused(headers))
}

/// Who finds out who asks: the providers of a route, and the service that it asks.
pub(crate) type Askers<'a> = (Option<&'a RouteAuth>, Option<&'a ForwardAuth>);

/// What browsers send by themselves of what these look at, in words. Where there is nothing, any page may.
pub(crate) fn ambient_ways((auth, asked): Askers<'_>) -> Vec<&'static str> {
    let is_cookie = |place: &TokenPlace| matches!(place, TokenPlace::Cookie(_));
    let is_shown = |name: &HeaderName| asked.is_some_and(|asked| asked.request_headers.contains(name));
    let places = || auth.into_iter().flat_map(|auth| auth.providers.iter()).map(|provider| provider.place());
    let has = |is: &dyn Fn(Place<'_>) -> bool| places().any(is);
    let cookie = has(&|place| match place {
        Place::Tokens(all) => all.iter().any(is_cookie),
        Place::Header(name) => *name == header::COOKIE,
        _ => false,
    });
    // The whole field may be what the system has logged somebody in with, too.
    let ticket = is_shown(&header::AUTHORIZATION)
        || has(&|place| matches!(place, Place::Header(name) if *name == header::AUTHORIZATION));
    let certificate = has(&|place| matches!(place, Place::Handshake));
    let ways = [
        ("a cookie", cookie || is_shown(&header::COOKIE)),
        ("a password", ticket || has(&|place| matches!(place, Place::Password))),
        ("a ticket", ticket),
        ("a certificate", certificate),
    ];
    ways.into_iter().filter(|(_, is_looked_at)| *is_looked_at).map(|(way, _)| way).collect()
}

/// Whether a request shows one of them, and nothing that a page has to write itself.
pub(crate) fn shows_ambient(
    (auth, asked): Askers<'_>,
    headers: &RequestFields,
    certificate: Option<&Arc<ClientCertificate>>,
) -> bool {
    let proves_by_itself = auth.is_some_and(|auth| {
        // What is no credential, or none at all, is judged where identity is.
        let shown = auth.present(&mut headers.clone(), certificate);
        shown.is_ok_and(|shown| shown.is_some_and(|(provider, credential)| is_ambient(provider, &credential, headers)))
    });
    proves_by_itself || asked.is_some_and(|asked| shows_what_browsers_send(&asked.request_headers, headers))
}

/// What a page of another origin is told; the origin is for operators.
pub(crate) fn refused(headers: &RequestFields) -> GatewayError {
    let why = format!(
        "{} is neither the host that was asked for nor among `origins` of the route's `cors`, with credentials = true",
        shown_origin(headers)
    );
    GatewayError::new(Code::Forbidden, "Pages of this origin may not open a WebSocket here.").because(why)
}

/// What a request says of the page that asks, as it is shown to people.
pub(crate) fn shown_origin(headers: &RequestFields) -> String {
    let shown = headers.get_all(&header::ORIGIN).iter().map(|it| it.as_bytes().escape_ascii().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

/// Whether a browser sends it by itself.
fn is_ambient(provider: &Provider, credential: &Credential, headers: &RequestFields) -> bool {
    match provider.place() {
        Place::Password => true,
        Place::Handshake => matches!(credential, Credential::Certificate(_)),
        Place::Tokens(all) => places::is_in_cookies_alone(headers, all),
        Place::Header(name) if *name == header::COOKIE => true,
        Place::Header(name) if *name == header::AUTHORIZATION => is_browsers(headers),
        Place::Bearer | Place::Header(_) => false,
    }
}

/// Whether the service of `forward_auth` is shown what a browser sends by itself, and nothing that no browser sends: no
/// page can give a handshake a token in `Authorization`, so who shows one is no page.
fn shows_what_browsers_send(shown: &[HeaderName], headers: &RequestFields) -> bool {
    let is_shown = |name: &HeaderName| shown.contains(name) && headers.contains_key(name);
    let is_written = headers.contains_key(&header::AUTHORIZATION) && !is_browsers(headers);
    !is_written && (is_shown(&header::COOKIE) || is_shown(&header::AUTHORIZATION))
}

/// Whether `Authorization` is of a scheme that browsers answer by themselves, from what they remember or whom their
/// system has logged in: RFC 7617, RFC 7616, RFC 4559, and NTLM.
fn is_browsers(headers: &RequestFields) -> bool {
    const THEIRS: [&[u8]; 4] = [b"basic", b"digest", b"negotiate", b"ntlm"];
    let scheme = |value: &[u8]| value.split(|byte| *byte == b' ').next().unwrap_or_default().to_ascii_lowercase();
    headers.get_all(&header::AUTHORIZATION).iter().any(|value| THEIRS.contains(&&*scheme(value.as_bytes())))
}

/// Whether a page of this `Origin` may; `own`: the host that was asked for, and whether that was over TLS.
pub(crate) fn may_open(headers: &RequestFields, own: (Option<&HeaderValue>, bool), cors: Option<&Cors>) -> bool {
    let mut origins = headers.get_all(&header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    if origins.next().is_some() {
        return false;
    }
    is_own(origin.as_bytes(), own)
        || cors.is_some_and(|cors| cors.credentials && cors.allows(&origin.to_header_value()).is_some())
}

/// Whether an origin is of the host that was asked for. Where a balancer that nobody trusts ends TLS, the page's is
/// `https` and the request's in the clear; the other way about, somebody on the way has written the page.
fn is_own(origin: &[u8], (host, secure): (Option<&HeaderValue>, bool)) -> bool {
    let Some(host) = host else { return false };
    let (page, usual) = match (origin.strip_prefix(b"https://"), origin.strip_prefix(b"http://")) {
        (Some(page), _) => (page, &b":443"[..]),
        (None, Some(page)) if !secure => (page, &b":80"[..]),
        _ => return false,
    };
    let bare = |host: &[u8]| host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
    bare(page) == bare(host.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::settings::cors::AllowedOrigin;

    fn may(origins: &[&'static str], host: &'static str, secure: bool, cors: Option<&Cors>) -> bool {
        let mut headers = RequestFields::new();
        for origin in origins {
            headers.append(&header::ORIGIN, HeaderValue::from_static(origin));
        }
        may_open(&headers, (Some(&HeaderValue::from_static(host)), secure), cors)
    }

    #[test]
    fn a_page_of_the_same_host_may_and_so_may_who_is_no_page() {
        for (origins, host, secure) in [
            (&[][..], "a.test", true),
            (&["https://a.test"], "a.test", true),
            (&["https://a.test"], "A.test:443", true),
            (&["https://a.test:8443"], "a.test:8443", true),
            (&["http://a.test"], "a.test", false),
            (&["http://a.test:8080"], "a.test:8080", false),
            // A balancer has ended TLS.
            (&["https://a.test"], "a.test", false),
            (&["https://[::1]:8443"], "[::1]:8443", true),
        ] {
            assert!(may(origins, host, secure, None), "{origins:?} {host}");
        }
        for (origins, host, secure) in [
            (&["https://evil.test"][..], "a.test", true),
            (&["https://a.test.evil.test"], "a.test", true),
            (&["https://evila.test"], "a.test", true),
            (&["https://a.test:8443"], "a.test", true),
            (&["https://a.test:80"], "a.test", true),
            (&["http://a.test"], "a.test", true),
            (&["null"], "a.test", true),
            (&[""], "a.test", true),
            (&["https://"], "a.test", true),
            (&["https://a.test", "https://a.test"], "a.test", true),
            (&["a.test"], "a.test", true),
        ] {
            assert!(!may(origins, host, secure, None), "{origins:?} {host}");
        }
        assert!(!may_open(
            &RequestFields::from_iter([(header::ORIGIN, HeaderValue::from_static("https://a.test"))]),
            (None, true),
            None
        ));
    }

    #[test]
    fn a_service_that_is_asked_is_shown_what_browsers_send_by_themselves() {
        let both = [header::AUTHORIZATION, header::COOKIE];
        let of = |shown: &[HeaderName], fields: &[(&'static str, &'static str)]| {
            let fields =
                fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            shows_what_browsers_send(shown, &fields.collect())
        };
        assert!(of(&both, &[("cookie", "a=b")]) && of(&both, &[("authorization", "Basic YTpi")]));
        assert!(of(&both, &[("cookie", "a=b"), ("authorization", "basic YTpi")]));
        for theirs in ["Negotiate YII=", "negotiate YII=", "NTLM TlRM", "Digest username=\"a\"", "Basic"] {
            assert!(of(&both, &[("cookie", "a=b"), ("authorization", theirs)]), "a browser sends it: {theirs}");
            assert!(of(&both, &[("authorization", theirs)]), "{theirs}");
        }
        assert!(!of(&both, &[]) && !of(&both, &[("authorization", "Bearer t")]));
        assert!(!of(&both, &[("cookie", "a=b"), ("authorization", "Bearer t")]), "no page writes that in a handshake");
        assert!(!of(&both[..1], &[("cookie", "a=b")]), "it is not shown");
    }

    #[test]
    fn cors_lets_others_in_where_it_lets_them_send_credentials() {
        let cors = |origins: Option<&'static str>, credentials| Cors {
            origins: origins.map(|origin| vec![AllowedOrigin::Exact(HeaderValue::from_static(origin))]),
            methods: None,
            headers: Vec::new(),
            exposed: None,
            credentials,
            max_age: Duration::ZERO,
        };
        let app = "https://app.test";
        let of = |cors: &Cors, origin: &'static str| may(&[origin], "a.test", true, Some(cors));
        assert!(of(&cors(Some(app), true), app) && of(&cors(Some(app), true), "https://a.test"));
        assert!(!of(&cors(Some(app), true), "https://evil.test"));
        assert!(!of(&cors(Some(app), false), app) && !of(&cors(None, false), app), "without credentials");
    }
}
