//! Tokens that are elsewhere than in `Authorization`: in cookies of browsers' sessions, and in headers of their own.

use serde_json::json;
use wiremock::matchers::{body_string_contains, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::h2::{H2Client, head};
use crate::support::{Answer, Client, Gateway, ISSUER, Issuer, echo, now, one_route};

const PLACES: &str = "token_from = ['header', 'cookie:__Host-s', 'header:X-Access-Token']";

struct World {
    gateway: Gateway,
    issuer: Issuer,
    _upstream: mocks::Mock,
}

async fn world(auth: &str, provider: &str) -> World {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let route = one_route("", &format!("auth = {auth}"), upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{}", issuer.provider(provider))).await;
    World { gateway, issuer, _upstream: upstream }
}

fn request(fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET /orders HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

impl World {
    async fn ask(&self, fields: &[(&str, &str)]) -> Answer {
        self.gateway.ask(request(fields)).await
    }

    fn token(&self) -> String {
        self.issuer.token(&json!({}))
    }
}

fn cookie(token: &str) -> String {
    format!("__Host-s={token}")
}

#[tokio::test]
async fn a_session_passes_by_its_cookie_and_the_upstream_sees_all_others() {
    let it = world("{ providers = ['main'], scopes = ['orders:read'] }", PLACES).await;
    let token = it.token();
    let sent = format!("theme=\"dark\";  __Host-s={token}; __host-s=other;odd");
    let echo = it.ask(&[("cookie", &sent), ("cookie", "late=1")]).await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-provider")), (Some("ada"), Some("main")));
    let seen = echo.all("cookie").join("|");
    assert_eq!(seen, "theme=\"dark\"; __host-s=other;odd|late=1", "what is not the token's stays, byte for byte");
    let echo = it.ask(&[("cookie", &cookie(&token))]).await.echo();
    assert_eq!(echo.all("cookie"), [""; 0], "a field in which nothing is left goes too");
    let echo = it.ask(&[("X-Access-Token", &token), ("cookie", "a=b")]).await.echo();
    assert_eq!(echo.header("x-auth-subject"), Some("ada"));
    assert_eq!((echo.all("x-access-token"), echo.header("cookie")), (vec![], Some("a=b")));
    let echo = it.ask(&[("authorization", &format!("Bearer {token}")), ("cookie", &cookie(&token))]).await.echo();
    assert_eq!((echo.all("authorization"), echo.all("cookie")), (vec![], vec![]), "one token, from both of its places");
    let log = it.gateway.log_text(4).await;
    assert!(!log.contains(&token), "no token is in the log");
}

#[tokio::test]
async fn h8_two_tokens_are_no_credential_wherever_they_are_and_a_query_has_none() {
    let it = world("{ providers = ['main'] }", PLACES).await;
    let (token, other) = (it.token(), it.issuer.token(&json!({ "sub": "mallory" })));
    let (bearer, own) = (format!("Bearer {token}"), cookie(&token));
    let twice = format!("{own}; {own}");
    let emptied = format!("__Host-s=; {own}");
    for fields in [
        &[("authorization", bearer.as_str()), ("cookie", &cookie(&other))][..],
        &[("cookie", &own), ("x-access-token", &other)],
        &[("cookie", &twice)],
        &[("cookie", &emptied)],
        &[("cookie", &own), ("cookie", &own)],
        &[("x-access-token", &token), ("x-access-token", &token)],
    ] {
        let answer = it.ask(fields).await;
        let challenge = answer.header("www-authenticate");
        assert_eq!((answer.status, challenge), (400, Some("Bearer error=\"invalid_request\"")), "{fields:?}");
    }
    for fields in [&[][..], &[("cookie", "__Host-s=")], &[("cookie", "__host-s=x; a=b")]] {
        let answer = it.ask(fields).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer realm=\"gateway\"")));
    }
    let query = format!("GET /orders?__Host-s={token}&access_token={token} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    assert_eq!(it.gateway.ask(query).await.status, 401);
    let forged = Issuer::new("k1").token(&json!({}));
    let answer = it.ask(&[("cookie", &cookie(&forged))]).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
}

#[tokio::test]
async fn only_the_places_that_are_written_are_looked_at() {
    let it = world("{ providers = ['main'] }", "token_from = ['cookie:__Host-s']").await;
    let token = it.token();
    assert_eq!(it.ask(&[("authorization", &format!("Bearer {token}"))]).await.status, 401);
    assert_eq!(it.ask(&[("cookie", &format!("\"__Host-s\"={token}; s={token}"))]).await.status, 401);
    assert_eq!(it.ask(&[("cookie", &format!("__Host-s=\"{token}\""))]).await.status, 200, "quotes are not its own");
}

#[tokio::test]
async fn a_token_goes_on_in_its_cookie_where_that_is_configured() {
    let it = world("{ providers = ['main'] }", &format!("{PLACES}\nforward_token = true")).await;
    let token = it.token();
    let sent = format!("a=1;{};b=2", cookie(&token));
    let echo = it.ask(&[("cookie", &sent), ("x-access-token", &token)]).await.echo();
    assert_eq!((echo.header("cookie"), echo.header("x-access-token")), (Some(&*sent), Some(&*token)));
}

#[tokio::test]
async fn a_token_in_a_cookie_is_known_like_another() {
    let it = world("{ providers = ['main'], single_use = false }", PLACES).await;
    let cached = async |result: &str| {
        it.gateway.metric(&format!("gateway_token_cache_total{{result=\"{result}\"}}")).await.unwrap_or(0.0)
    };
    let token = it.token();
    let ask = async |client: &mut Client, fields: &[(&str, &str)]| client.ask(request(fields)).await.status;
    let (mut one, mut two) = (it.gateway.client().await, it.gateway.client().await);
    assert_eq!(ask(&mut one, &[("cookie", &cookie(&token))]).await, 200);
    assert_eq!(ask(&mut one, &[("cookie", &cookie(&token))]).await, 200);
    assert_eq!(ask(&mut one, &[("authorization", &format!("Bearer {token}"))]).await, 200);
    assert_eq!(ask(&mut two, &[("cookie", &cookie(&token))]).await, 200);
    assert_eq!([cached("miss").await, cached("connection").await, cached("hit").await], [1.0, 2.0, 1.0]);
    let bad = it.issuer.token(&json!({ "aud": "x" }));
    for _ in 0..2 {
        assert_eq!(ask(&mut two, &[("cookie", &cookie(&bad))]).await, 401);
    }
    assert_eq!(cached("negative").await, 1.0);
}

#[tokio::test]
async fn a_token_that_holds_once_does_so_in_whichever_place() {
    let it = world("{ providers = ['main'], single_use = true }", PLACES).await;
    let token = it.issuer.token(&json!({ "jti": "1" }));
    assert_eq!(it.ask(&[("cookie", &cookie(&token))]).await.status, 200);
    assert_eq!(it.ask(&[("x-access-token", &token)]).await.status, 401);
    assert_eq!(it.ask(&[("authorization", &format!("Bearer {token}"))]).await.status, 401);
}

#[tokio::test]
async fn what_a_provider_that_was_not_asked_would_have_read_goes_no_further() {
    let (upstream, people, browsers) = (echo().await, Issuer::new("k1"), Issuer::new("b1"));
    let sessions = browsers
        .provider("token_from = ['cookie:__Host-s']")
        .replace("providers.main", "providers.sessions")
        .replace(ISSUER, "https://bff.test");
    let route = one_route("", "auth = { providers = ['main', 'sessions'] }", upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{}{sessions}", people.provider("forward_token = true"))).await;
    let (theirs, session) =
        (people.token(&json!({})), browsers.token(&json!({ "iss": "https://bff.test", "sub": "bob" })));
    let (bearer, own) = (format!("Bearer {theirs}"), format!("a=1; {}", cookie(&session)));
    let echo = gateway.ask(request(&[("authorization", &bearer), ("cookie", &own)])).await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.header("cookie")), (Some("ada"), Some("a=1")));
    assert_eq!(echo.header("authorization"), Some(&*bearer));
    let echo = gateway.ask(request(&[("cookie", &own)])).await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-provider")), (Some("bob"), Some("sessions")));
    let crossed = cookie(&theirs);
    assert_eq!(gateway.ask(request(&[("cookie", &crossed)])).await.status, 401, "people's tokens are in no cookie");
}

#[tokio::test]
async fn an_opaque_token_may_be_in_a_cookie_too() {
    let (upstream, server) = (echo().await, MockServer::start().await);
    let says = json!({ "active": true, "sub": "ada", "exp": now() + 60 });
    let about = Mock::given(method("POST")).and(body_string_contains("token=opaque-1&"));
    about.respond_with(ResponseTemplate::new(200).set_body_json(says)).expect(1).mount(&server).await;
    let provider = format!(
        "[identity.providers.opaque]\nkind = 'introspection'\nurl = '{}/'\nclient_id = 'gateway'\n\
         client_secret_env = 'PATH'\ntoken_from = ['cookie:__Host-s', 'header']\n",
        server.uri()
    );
    let route = one_route("", "auth = { providers = ['opaque'] }", upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{provider}")).await;
    for _ in 0..2 {
        let echo = gateway.ask(request(&[("cookie", "__Host-s=opaque-1; b=2")])).await.echo();
        assert_eq!((echo.header("x-auth-subject"), echo.header("cookie")), (Some("ada"), Some("b=2")));
    }
    assert_eq!(gateway.ask(request(&[("authorization", "Bearer opaque-1")])).await.status, 200, "the same token");
}

/// A page's handshake to open a WebSocket, with these fields beside.
fn handshake(fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "GET /ws HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

#[tokio::test]
async fn h_no_page_of_another_site_opens_a_websocket_by_the_cookie() {
    let cors = "\n[routes.cors]\norigins = ['https://app.test']\ncredentials = true\n";
    for cors in ["", cors] {
        let it = world(&format!("{{ providers = ['main'] }}{cors}"), PLACES).await;
        let (token, cookie) = (it.token(), cookie(&it.token()));
        let open = async |fields: &[(&str, &str)]| it.gateway.ask(handshake(fields)).await;
        let own = cookie.as_str();
        for (origin, status) in [
            ("http://a.test", 101),
            ("https://a.test", 101),
            ("https://app.test", if cors.is_empty() { 403 } else { 101 }),
            ("https://evil.test", 403),
            ("null", 403),
        ] {
            let answer = open(&[("cookie", own), ("origin", origin)]).await;
            assert_eq!(answer.status, status, "{origin}");
            let asked = format!("/explain?url=ws://a.test/ws&headers=origin:{origin}%0Acookie:{own}");
            let told = it.gateway.admin("GET", &asked).await.json();
            assert_eq!(told["status"].as_u64(), (status == 403).then_some(403), "`explain` says the same: {told:#}");
            if status == 403 {
                assert_eq!(answer.code(), "forbidden");
                assert!(!String::from_utf8_lossy(&answer.body).contains("cors"), "that is for operators");
            }
        }
        assert_eq!(open(&[("cookie", own)]).await.status, 101, "who says no origin is no browser");
        let bearer = format!("Bearer {token}");
        assert_eq!(
            open(&[("authorization", &bearer), ("origin", "https://evil.test")]).await.status,
            101,
            "it wrote that"
        );
        assert_eq!(open(&[("origin", "https://evil.test")]).await.status, 401, "nobody asks");
        // What pages may read otherwise is as before.
        assert_eq!(it.ask(&[("cookie", own), ("origin", "https://evil.test")]).await.status, 200);
    }
}

#[tokio::test]
async fn h_nor_by_a_stream_of_http_2_and_a_route_without_websockets_is_asked_nothing() {
    let it = world("{ providers = ['main'] }", PLACES).await;
    let cookie = cookie(&it.token());
    let mut client = H2Client::connect(it.gateway.address).await;
    client.takes_extended_connect().await;
    for (origin, status) in [("https://evil.test", 403), ("https://a.test", 200)] {
        let request = http::Request::builder().method("CONNECT").uri("http://a.test/ws");
        let request = request.header("sec-websocket-version", "13").header("origin", origin).header("cookie", &cookie);
        let request = request.extension(h2::ext::Protocol::from_static("websocket")).body(()).unwrap();
        let (answer, _reads) = head(client.begin(request, false).await.answer).await.unwrap();
        assert_eq!(answer.status, status, "{origin}");
    }
    let it = world("{ providers = ['main'] }\nupgrades = []", PLACES).await;
    let cookie = self::cookie(&it.token());
    let fields = [("cookie", cookie.as_str()), ("origin", "https://evil.test")];
    assert_eq!(it.gateway.ask(handshake(&fields)).await.status, 426, "the service answers it");
}
