//! Which web pages may open a WebSocket on a route, in words: the rule of `identity/page.rs`, what it hangs on, and
//! what becomes of the page that a question names.

use http::header;

use super::Question;
use crate::config::settings::Route;
use crate::error::GatewayError;
use crate::identity::RouteAuth;
use crate::identity::page::{ambient_ways, may_open, refused, shown_origin, shows_ambient};
use crate::request_fields::RequestFields;

/// The rule and its verdict, where the route has the one and the other; the refusal, where the question is such a
/// handshake. `headers` are the question's, as stages see them.
pub(super) fn told(
    (route, auth): (&Route, Option<&RouteAuth>),
    (question, headers): (&Question, &RequestFields),
    secure: bool,
) -> (Option<String>, Option<GatewayError>) {
    let askers = (auth, route.forward_auth.as_deref());
    let ways = ambient_ways(askers);
    if !route.websocket || ways.is_empty() {
        return (None, None);
    }
    let cors = route.cors.as_deref().filter(|cors| cors.credentials).map(|cors| cors.origins_texts().join(", "));
    let others = cors.map(|origins| format!(", or of {origins} (`cors` with credentials),")).unwrap_or_default();
    let rule = format!(
        "by {}, which browsers send by themselves, only pages of the host that is asked for{others} may open one",
        in_words(&ways)
    );
    if !headers.contains_key(&header::ORIGIN) {
        return (
            Some(format!("{rule}; this request names no `Origin`, as what is no browser: it is asked nothing")),
            None,
        );
    }
    let (origin, host) = (shown_origin(headers), question.stated_host());
    if may_open(headers, (host.as_ref(), secure), route.cors.as_deref()) {
        return (Some(format!("{rule}; {origin} may")), None);
    }
    if host.is_none() {
        return (Some(format!("{rule}; whether {origin} may hangs on the host, which is not given")), None);
    }
    if !shows_ambient(askers, headers, question.certificate.as_ref()) {
        return (Some(format!("{rule}; {origin} may not (403), but shows none of it here")), None);
    }
    let is_asked = question.opens_websocket().then(|| refused(headers));
    (Some(format!("{rule}; {origin} may not (403)")), is_asked)
}

/// `a cookie, a password or a certificate`
fn in_words(ways: &[&str]) -> String {
    match ways {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Answer, answer};
    use super::*;
    use crate::config::{Purpose, load_text};

    const CORS: &str = "cors = { origins = ['https://app.test'], credentials = true }";
    const HANDSHAKE: [&str; 2] = ["upgrade: websocket", "connection: Upgrade"];

    fn ask(keys: &str, url: &str, headers: &[&str]) -> Answer {
        let text = format!(
            "[upstreams.auth]\nendpoints = ['127.0.0.1:2']\n[[routes]]\nname = 'ws'\npath = '/ws'\n\
             upstream = 'http://127.0.0.1:1'\n{keys}\n"
        );
        let config = load_text(&text, Path::new("a.toml"), Purpose::Check).unwrap_or_else(|it| panic!("{it:?}")).config;
        answer(&config, &Question::parse("GET", url, headers).unwrap())
    }

    /// The route asks a service that is shown the cookie.
    fn shown(more: &str, url: &str, headers: &[&str]) -> (Option<u16>, String) {
        let keys = format!("forward_auth = {{ upstream = 'auth', request_headers = ['cookie'] }}\n{more}");
        let told = ask(&keys, url, headers);
        (told.status, told.policies.unwrap().websocket_pages.unwrap())
    }

    #[test]
    fn the_rule_is_told_with_what_it_hangs_on() {
        let rule =
            "by a cookie, which browsers send by themselves, only pages of the host that is asked for may open one; ";
        let (status, told) = shown("", "http://a.test/ws", &HANDSHAKE);
        assert!(status.is_none() && told.starts_with(rule), "{told}");
        assert!(told.ends_with("this request names no `Origin`, as what is no browser: it is asked nothing"), "{told}");
        let (_, told) = shown(CORS, "http://a.test/ws", &["origin: https://app.test", "cookie: a=b"]);
        assert!(told.contains("asked for, or of https://app.test (`cors` with credentials), may open"), "{told}");
        assert!(told.ends_with("; https://app.test may"), "{told}");
    }

    #[test]
    fn a_page_of_another_origin_is_told_what_the_pipeline_tells_it() {
        let evil = ["origin: https://evil.test", "cookie: a=b"];
        let handshake = [&HANDSHAKE[..], &evil].concat();
        for (url, headers) in [("http://a.test/ws", &handshake[..]), ("wss://a.test/ws", &evil)] {
            let (status, told) = shown(CORS, url, headers);
            assert_eq!(status, Some(403), "{url}");
            assert!(told.ends_with("; https://evil.test may not (403)"), "{told}");
        }
        let (status, told) = shown("", "http://a.test/ws", &evil);
        assert!(status.is_none() && told.ends_with("may not (403)"), "a request that is no handshake passes: {told}");
        let (status, told) = shown("", "ws://a.test/ws", &evil[..1]);
        assert!(
            status.is_none() && told.ends_with("https://evil.test may not (403), but shows none of it here"),
            "{told}"
        );
        let own = ["origin: https://a.test", "cookie: a=b"];
        let (status, told) = shown("", "ws://a.test/ws", &own);
        assert!(status.is_none() && told.ends_with("; https://a.test may"), "{told}");
        let (status, told) = shown("", "/ws", &own);
        assert!(
            status.is_none() && told.ends_with("https://a.test may hangs on the host, which is not given"),
            "{told}"
        );
    }

    #[test]
    fn who_is_sent_to_tls_or_kept_out_for_an_address_is_not_asked_for_the_page() {
        let evil = ["origin: https://evil.test", "cookie: a=b"];
        let (status, told) = shown("https = 'redirect'", "ws://a.test/ws", &evil);
        assert!(status.is_none() && told.ends_with("may not (403)"), "{told}");
        let keys = "https = 'require'\nforward_auth = { upstream = 'auth', request_headers = ['cookie'] }";
        let refused = ask(keys, "ws://a.test/ws", &evil).refused;
        assert_eq!(refused.as_deref(), Some("This route is served over TLS alone."));
    }

    #[test]
    fn where_browsers_send_nothing_by_themselves_there_is_no_rule() {
        let evil = ["origin: https://evil.test", "cookie: a=b"];
        let token = "forward_auth = { upstream = 'auth', request_headers = ['x-token'] }";
        for keys in ["", token] {
            let told = ask(keys, "ws://a.test/ws", &evil);
            assert_eq!((told.status, told.policies.unwrap().websocket_pages), (None, None), "{keys}");
        }
        let asked = "forward_auth = { upstream = 'auth', request_headers = ['cookie', 'authorization'] }";
        let told = ask(&format!("upgrades = []\n{asked}"), "ws://a.test/ws", &evil);
        assert_eq!((told.status, told.policies.unwrap().websocket_pages), (None, None), "it takes no WebSocket");
        let told = ask(asked, "ws://a.test/ws", &[]).policies.unwrap().websocket_pages.unwrap();
        assert!(told.starts_with("by a cookie, a password or a ticket, which"), "{told}");
    }

    #[test]
    fn ways_are_told_as_people_say_them() {
        assert_eq!(in_words(&["a", "b", "c"]), "a, b or c");
        assert_eq!((in_words(&["a", "b"]), in_words(&["a"])), ("a or b".to_owned(), "a".to_owned()));
    }
}
