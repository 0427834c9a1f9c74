//! TLS to upstreams that fails: each way is told to operators, none to clients, and nothing goes out in the clear.

use std::net::SocketAddr;

use gateway::telemetry::metrics::UpstreamHandshake;
use mocks::raw::{Raw, Script};
use rustls::ServerConfig;
use serde_json::Value;

use crate::support::{Authority, Front, Gateway, echo, eventually, quoted};

/// One route to these endpoints; TLS as `up.test`.
fn text(tls: &str, upstream: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\ntls = {{ sni = 'up.test', {tls} }}\n{upstream}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n",
        endpoints.join(", ")
    )
}

fn ca(authority: &Authority) -> String {
    format!("ca = {}", quoted(&authority.file()))
}

async fn endpoint(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][0].clone()
}

/// The endpoint fails so, and everybody gets to know what is theirs to know.
async fn fails(address: SocketAddr, tls: &str, kind: UpstreamHandshake, code: &str) -> Gateway {
    let gateway = Gateway::start(&text(tls, "pool = { connect_timeout = '300ms' }", &[address])).await;
    let answer = gateway.get("/secret").await;
    let status = if code == "connect_timeout" { 504 } else { 502 };
    assert_eq!((answer.status, &*answer.code()), (status, code), "{}", kind.as_str());
    let told = String::from_utf8(answer.body).unwrap();
    for inside in ["TLS", "ertificate", "127.0.0.1", "up.test"] {
        assert!(!told.contains(inside), "a client is not told of {inside}: {told}");
    }
    let record = gateway.record().await;
    assert_eq!((&record["code"], &record["fault"]), (&code.into(), &"upstream".into()));
    let sample = format!("gateway_upstream_tls_handshakes_total{{upstream=\"up\",result=\"{}\"}}", kind.as_str());
    assert_eq!(gateway.metric(&sample).await, Some(1.0));
    let outcome = if code == "connect_timeout" { "connect_timeout" } else { "connect" };
    let sample = format!("gateway_upstream_attempts_total{{upstream=\"up\",outcome=\"{outcome}\"}}");
    assert_eq!(gateway.metric(&sample).await, Some(1.0));
    let failed = &endpoint(&gateway).await["tls"]["failed"];
    assert_eq!(failed["reason"], kind.as_str());
    assert!(failed["detail"].as_str().unwrap().starts_with(&format!("TLS: {}", kind.explained())), "{failed}");
    let breakers = gateway.admin("GET", "/breakers").await.json();
    assert_eq!(breakers["breakers"][0]["endpoints"][0]["window"]["failures"], 1, "{breakers}");
    gateway
}

#[tokio::test]
async fn g_an_endpoint_that_does_not_prove_its_name_gets_no_request() {
    let (mock, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let not_believed: [(ServerConfig, UpstreamHandshake); 3] = [
        (stranger.server(&["up.test"]), UpstreamHandshake::UnknownCa),
        (authority.expired_server(&["up.test"]), UpstreamHandshake::Expired),
        (authority.server(&["other.test", "127.0.0.1"]), UpstreamHandshake::WrongName),
    ];
    for (server, kind) in not_believed {
        let front = Front::start(server, mock.addr()).await;
        fails(front.address, &ca(&authority), kind, "upstream_connect").await;
        front.failed(1).await;
    }
    assert_eq!(mock.counters().requests, 0);
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_or_none_that_is_spoken_here_is_told_apart() {
    let authority = Authority::new();
    let plain = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    // An alert (RFC 8446, section 6): fatal, protocol_version.
    let alert = b"\x15\x03\x01\x00\x02\x02\x46";
    let closes = Script::new().read_bytes(1);
    let stalls = Script::new().hang();
    for (script, kind, code) in [
        (Script::new().read_bytes(1).send(plain).hang(), UpstreamHandshake::NotTls, "upstream_connect"),
        (Script::new().read_bytes(1).send(alert).hang(), UpstreamHandshake::Version, "upstream_connect"),
        (closes, UpstreamHandshake::Broken, "upstream_connect"),
        (stalls, UpstreamHandshake::Unfinished, "connect_timeout"),
    ] {
        let upstream = Raw::script(script).await.unwrap();
        fails(upstream.addr(), &ca(&authority), kind, code).await;
        let received = upstream.received().concat();
        assert!(
            received.starts_with(&[22]) && !received.windows(6).any(|part| part == b"secret"),
            "nothing in the clear"
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_wants_a_certificate_gets_the_gateways_or_refuses() {
    let (mock, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let front = Front::start(authority.server_for_clients(&["up.test"]), mock.addr()).await;
    let own = |signer: &Authority| {
        let (cert, key) = signer.write("client", &["gateway.test"]);
        format!("{}, cert = {}, key = {}", ca(&authority), quoted(&cert), quoted(&key))
    };
    let gateway = Gateway::start(&text(&own(&authority), "", &[front.address])).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert!(front.shaken()[0].client);
    assert_eq!(endpoint(&gateway).await["tls"]["own_certificate"], true);
    for tls in [ca(&authority), own(&stranger)] {
        fails(front.address, &tls, UpstreamHandshake::ClientCertificate, "upstream_connect").await;
    }
    front.failed(2).await;
    assert_eq!((front.shaken().len(), mock.counters().requests), (1, 1));
}

#[tokio::test]
async fn g_insecure_believes_anybody_and_everybody_sees_it() {
    let (mock, authority) = (echo().await, Authority::new());
    let front = Front::start(authority.expired_server(&["other.test"]), mock.addr()).await;
    let gateway = Gateway::start(&text("insecure = true", "", &[front.address])).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(front.shaken().len(), 1);
    assert_eq!(endpoint(&gateway).await["tls"]["insecure"], true);
    let config = gateway.admin("GET", "/config").await.json();
    assert_eq!(config["upstreams_tls"]["up"]["insecure"], true);
}

#[tokio::test]
async fn a_request_goes_to_another_endpoint_where_one_does_not_prove_itself() {
    let (mock, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let bad = Front::start(stranger.server(&["up.test"]), mock.addr()).await;
    let good = Front::start(authority.server(&["up.test"]), mock.addr()).await;
    let upstream = "balance = 'round_robin'";
    let retried = format!(
        "{}retry = {{ attempts = 2, on = ['connect'] }}\n",
        text(&ca(&authority), upstream, &[bad.address, good.address])
    );
    let gateway = Gateway::start(&retried).await;
    for _ in 0..4 {
        // Nothing of it has left: also what must not be sent twice goes elsewhere.
        let answer = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(answer.status, 200);
    }
    assert!(gateway.inner().upstreams()[0].series.handshakes(UpstreamHandshake::UnknownCa) > 0, "it was asked");
    assert_eq!(bad.shaken(), []);
    assert_eq!(mock.counters().requests, 4);
}

#[tokio::test]
async fn checks_of_health_speak_tls_and_say_what_is_wrong() {
    let (mock, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let front = Front::start(stranger.server(&["up.test"]), mock.addr()).await;
    let health =
        "health = { path = '/healthz', interval = '100ms', timeout = '1s', healthy_after = 1, unhealthy_after = 1 }";
    let gateway = Gateway::start(&text(&ca(&authority), health, &[front.address])).await;
    let is_healthy = || gateway.inner().upstreams()[0].active().endpoints[0].health.is_healthy();
    eventually("it is found unhealthy", || !is_healthy()).await;
    let reasons = endpoint(&gateway).await["reasons"].clone();
    let expected = "its health checks fail (TLS: nobody that is trusted here signed its certificate";
    assert!(reasons[0].as_str().unwrap().starts_with(expected), "{reasons}");
    front.change(authority.server(&["up.test"]));
    eventually("it is found well", is_healthy).await;
    let shown = endpoint(&gateway).await;
    assert_eq!((&shown["tls"]["failed"], &shown["last_check"]), (&Value::Null, &"ok".into()));
    assert_eq!(gateway.get("/").await.status, 200);
}
