//! Headers (security.md, group B): what belongs to one connection, what a client may not say, what the gateway says.

use mocks::raw::{Raw, Script};

use crate::support::{Echo, Gateway, echo};

async fn sent(gateway: &Gateway, fields: &str) -> Echo {
    gateway.ask(format!("GET /h HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")).await.echo()
}

#[tokio::test]
async fn b1_what_belongs_to_the_clients_connection_ends_at_the_gateway() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let echo = sent(
        &gateway,
        "connection: x-mine, keep-alive\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
         te: trailers, gzip\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nx-end-to-end: stays\r\n",
    )
    .await;
    for gone in ["x-mine", "keep-alive", "proxy-connection", "upgrade", "http2-settings"] {
        assert_eq!(echo.all(gone), [""; 0], "{gone}");
    }
    assert_eq!(echo.header("te"), Some("trailers"), "trailers pass, codings do not");
    assert_eq!(echo.all("connection"), ["te"], "the gateway's own word on its own connection");
    assert_eq!(echo.header("x-end-to-end"), Some("stays"));
}

#[tokio::test]
async fn b1_what_belongs_to_the_upstreams_connection_ends_at_the_gateway() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=9\r\nproxy-connection: x\r\n\
                  upgrade: h2c\r\nx-outer: 2\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    for gone in ["connection", "x-inner", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!((answer.header("x-outer"), &answer.body[..]), (Some("2"), &b"ok"[..]));
}

#[tokio::test]
async fn b2_a_client_cannot_name_the_gateways_own_headers_away() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let names = "connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded, x-request-id, \
                 traceparent, host, content-length, close\r\n";
    let echo = sent(&gateway, names).await;
    assert_eq!(echo.header("x-forwarded-for"), Some("127.0.0.1"));
    for there in ["x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id", "traceparent", "host"] {
        assert!(echo.header(there).is_some(), "{there}");
    }
}

#[tokio::test]
async fn b3_what_strangers_say_in_a_proxys_name_is_not_believed() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let echo = sent(
        &gateway,
        "x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\nforwarded: for=6.6.6.6\r\n\
         x-real-ip: 6.6.6.6\r\nx-original-url: /admin\r\nx-rewrite-url: /admin\r\nx-gw-timeout: 9\r\n\
         x-request-id: chosen\r\nx-auth-subject: root\r\nx-auth-scopes: all\r\nx-auth-anything: 1\r\n",
    )
    .await;
    assert_eq!(echo.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(echo.header("x-forwarded-proto"), Some("http"));
    assert_eq!(echo.header("x-forwarded-host"), Some("a.test"));
    assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=http");
    assert_ne!(echo.header("x-request-id"), Some("chosen"));
    for gone in ["x-real-ip", "x-original-url", "x-rewrite-url", "x-gw-timeout"] {
        assert_eq!(echo.all(gone), [""; 0], "{gone}");
    }
    for gone in ["x-auth-subject", "x-auth-scopes", "x-auth-anything"] {
        assert_eq!(echo.all(gone), [""; 0], "{gone}");
    }
    assert_eq!(gateway.record().await["client"], "127.0.0.1");
}

#[tokio::test]
async fn b3_a_trusted_proxy_is_believed_but_never_about_identity() {
    let upstream = echo().await;
    let gateway = Gateway::with("trusted_proxies = ['127.0.0.0/8']", upstream.addr()).await;
    let echo = sent(
        &gateway,
        "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.test\r\n\
         x-request-id: abc-123\r\nx-auth-subject: root\r\n",
    )
    .await;
    assert_eq!(echo.header("x-forwarded-for"), Some("6.6.6.6, 203.0.113.9, 127.0.0.1"));
    assert_eq!(echo.header("x-forwarded-proto"), Some("https"));
    assert_eq!(echo.header("x-forwarded-host"), Some("shop.test"));
    let forwarded = "for=6.6.6.6, for=203.0.113.9;host=shop.test;proto=https, for=127.0.0.1";
    assert_eq!(echo.forwarded(), forwarded, "whichever of both a service reads, the client came by TLS");
    assert_eq!(echo.header("x-request-id"), Some("abc-123"));
    assert_eq!(echo.all("x-auth-subject"), [""; 0], "no identity from outside, whoever says it");
    let record = gateway.record().await;
    assert_eq!(record["client"], "203.0.113.9", "the nearest that no proxy of ours is");
    assert_eq!(record["request_id"], "abc-123");
}

#[tokio::test]
async fn b3_a_trusted_proxy_that_speaks_the_newer_header_alone_is_believed_as_well() {
    let upstream = echo().await;
    let gateway = Gateway::with("trusted_proxies = ['127.0.0.0/8']", upstream.addr()).await;
    let told = "for=6.6.6.6, for=203.0.113.9;proto=https;host=shop.test";
    let echo = sent(&gateway, &format!("forwarded: {told}\r\n")).await;
    assert_eq!(echo.header("x-forwarded-for"), Some("6.6.6.6, 203.0.113.9, 127.0.0.1"));
    assert_eq!(echo.header("x-forwarded-proto"), Some("https"));
    assert_eq!(echo.header("x-forwarded-host"), Some("shop.test"));
    let forwarded = echo.header("forwarded").unwrap();
    assert!(forwarded.starts_with(&format!("{told}, for=127.0.0.1;host=")), "{forwarded}");
    assert_eq!(gateway.record().await["client"], "203.0.113.9");
}

#[tokio::test]
async fn b3_identity_headers_go_however_they_are_spelled() {
    let upstream = echo().await;
    let server = "underscores_in_headers = 'keep'";
    let gateway = Gateway::with(server, upstream.addr()).await;
    let echo =
        sent(&gateway, "X_Auth_Subject: root\r\nX.Auth.Scopes: all\r\nX-AUTH-Roles: a\r\nx_harmless: 1\r\n").await;
    for gone in ["X_Auth_Subject", "X.Auth.Scopes", "X-AUTH-Roles"] {
        assert_eq!(echo.all(gone), [""; 0], "{gone}");
    }
    assert_eq!(echo.header("x_harmless"), Some("1"));
}

#[tokio::test]
async fn b4_an_underscore_twin_is_refused_dropped_or_kept_as_configured() {
    let upstream = echo().await;
    let head = "GET / HTTP/1.1\r\nhost: a\r\nx_user_id: 7\r\n\r\n";

    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask(head).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    client.closed().await;
    assert_eq!(upstream.counters().requests, 0);

    let gateway = Gateway::with("underscores_in_headers = 'drop'", upstream.addr()).await;
    assert_eq!(gateway.ask(head).await.echo().all("x_user_id"), [""; 0]);

    let gateway = Gateway::with("underscores_in_headers = 'keep'", upstream.addr()).await;
    assert_eq!(gateway.ask(head).await.echo().header("x_user_id"), Some("7"));
}

#[tokio::test]
async fn b6_proxy_credentials_and_telltales_do_not_pass() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let echo = sent(&gateway, "proxy-authorization: Basic Zm9v\r\nauthorization: Bearer t\r\n").await;
    assert_eq!(echo.all("proxy-authorization"), [""; 0]);
    assert_eq!(echo.header("authorization"), Some("Bearer t"), "without identity configured it is the upstream's");

    let answer = "HTTP/1.1 200 OK\r\nserver: secretd/1.2\r\nx-powered-by: php\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.header("server"), answer.header("x-powered-by")), (None, None));
}

#[tokio::test]
async fn b7_a_client_cannot_set_the_gateways_policies() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let echo = sent(&gateway, "x-gw-timeout: 1ms\r\nx-gw-retries: 9\r\nX-Gw-Upstream: 127.0.0.1:1\r\n").await;
    for gone in ["x-gw-timeout", "x-gw-retries", "x-gw-upstream"] {
        assert_eq!(echo.all(gone), [""; 0], "{gone}");
    }
}

#[tokio::test]
async fn b8_h2c_is_never_forwarded_as_an_upgrade() {
    let upstream = Raw::script(Script::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n";
    assert_eq!(gateway.ask(head).await.status, 200);
    let sent = String::from_utf8(upstream.received().concat()).unwrap().to_ascii_lowercase();
    assert!(!sent.contains("upgrade") && !sent.contains("h2c") && !sent.contains("http2-settings"), "{sent}");
}

#[tokio::test]
async fn b9_a_value_that_would_split_the_answer_never_reaches_the_client() {
    for value in ["a\rset-cookie: s=1", "a\0b"] {
        let answer = format!("HTTP/1.1 200 OK\r\nx-bad: {value}\r\ncontent-length: 0\r\n\r\n");
        let upstream = Raw::script(Script::always(answer)).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "{value:?}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn a9_the_upstream_is_sent_one_well_formed_head() {
    let upstream = Raw::script(Script::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let odd = "POST /a HTTP/1.1\r\nHOST:   a.test  \r\nX-Odd:\t one \t\r\nTransfer-Encoding: CHUNKED\r\n\r\n\
               3;ext=\"1\"\r\nabc\r\n0\r\nx-auth-subject: root\r\ncontent-length: 9\r\nx-sum: 1\r\n\r\n";
    assert_eq!(gateway.ask(odd).await.status, 200);
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /a HTTP/1.1\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    let framing =
        lower.matches("\r\ntransfer-encoding: chunked").count() + lower.matches("\r\ncontent-length:").count();
    assert_eq!(framing, 1, "one field says how long the body is: {head}");
    assert!(lower.contains("\r\nhost: a.test\r\n") && lower.contains("\r\nx-odd: one"), "{head}");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n', '\0']));
    assert!(!body.contains("ext"), "chunk extensions end here: {body}");
    assert!(!body.contains("x-auth-subject") && !body.contains("content-length"), "{body}");
}

#[tokio::test]
async fn routes_edit_headers_both_ways() {
    let upstream = echo().await;
    let edits = "request_headers = { set = { x-tier = 'gold' }, remove = ['cookie'] }\n\
                 response_headers = { set = { x-served-by = 'edge' }, remove = ['x-mock-service'] }";
    let gateway = Gateway::with_route(edits, upstream.addr()).await;
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1\r\nx-tier: lead\r\n\r\n").await;
    let echo = answer.echo();
    assert_eq!((echo.header("x-tier"), echo.all("cookie").len()), (Some("gold"), 0));
    assert_eq!((answer.header("x-served-by"), answer.header("x-mock-service")), (Some("edge"), None));
}

#[tokio::test]
async fn a_route_decides_which_host_its_upstream_hears() {
    let upstream = echo().await;
    let address = upstream.addr().to_string();
    for (policy, expected) in [("client", "a.test"), ("upstream", address.as_str()), ("inner.test", "inner.test")] {
        let gateway = Gateway::with_route(&format!("host = '{policy}'"), upstream.addr()).await;
        let echo = gateway.get("/").await.echo();
        assert_eq!(echo.header("host"), Some(expected), "host = {policy}");
        assert_eq!(echo.header("x-forwarded-host"), Some("a.test"), "what the client asked for is never lost");
    }
}
