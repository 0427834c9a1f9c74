//! TLS to upstreams: who is believed, what is asked for, and that everything passes through it. Tests of security.md's
//! group G carry its letter.

use gateway::telemetry::metrics::UpstreamHandshake;
use mocks::Mock;

use crate::support::{Authority, Front, Gateway, Order, Process, Shaken, echo, eventually, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// One route to one upstream that speaks TLS so.
fn text(tls: &str, upstream: &str, address: &str) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{address}']\ntls = {{ {tls} }}\n{upstream}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nupgrades = ['websocket']\n"
    )
}

/// A mock behind TLS as `up.test`, and a gateway that believes it.
async fn world(upstream: &str) -> (Mock, Front, Gateway) {
    let (mock, authority) = (echo().await, Authority::new());
    let front = Front::start(authority.server(&["up.test"]), mock.addr()).await;
    let tls = format!("ca = {}, sni = 'up.test'", quoted(&authority.file()));
    let gateway = Gateway::start(&text(&tls, upstream, &front.address.to_string())).await;
    (mock, front, gateway)
}

fn handshakes(gateway: &Gateway, result: UpstreamHandshake) -> u64 {
    gateway.inner().upstreams()[0].series.handshakes(result)
}

fn full(name: Option<&str>) -> Shaken {
    Shaken { resumed: false, name: name.map(str::to_owned), client: false }
}

#[tokio::test]
async fn requests_share_a_connection_that_has_proven_its_name() {
    let (mock, front, gateway) = world("").await;
    let mut client = gateway.client().await;
    for _ in 0..5 {
        let echo = client.ask(GET).await.echo();
        assert_eq!(echo.header("x-forwarded-proto"), Some("http"), "that is about the client's connection");
    }
    assert_eq!(front.shaken(), [full(Some("up.test"))]);
    assert_eq!(mock.counters().accepts, 1);
    let sample = "gateway_upstream_tls_handshakes_total{upstream=\"up\",result=\"full\"}";
    assert_eq!(gateway.metric(sample).await, Some(1.0));
    let shown = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][0]["tls"].clone();
    let expected = serde_json::json!({
        "insecure": false, "believes": "ca", "own_certificate": false, "name": "up.test", "failed": null
    });
    assert_eq!(shown, expected);
    let shown = gateway.admin("GET", "/config").await.json()["upstreams_tls"].clone();
    let expected = serde_json::json!({ "up": { "insecure": false, "believes": "ca", "own_certificate": false } });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn an_address_has_to_prove_itself_as_an_address_and_a_name_as_that_name() {
    let (mock, authority) = (echo().await, Authority::new());
    let ca = format!("ca = {}", quoted(&authority.file()));
    for (certified, asked_for) in [("127.0.0.1", None), ("localhost", Some("localhost"))] {
        let front = Front::start(authority.server(&[certified]), mock.addr()).await;
        for (host, believed) in [("127.0.0.1", certified == "127.0.0.1"), ("localhost", certified == "localhost")] {
            let address = format!("{host}:{}", front.address.port());
            let gateway = Gateway::start(&text(&ca, "", &address)).await;
            assert_eq!(gateway.get("/").await.status, if believed { 200 } else { 502 }, "{certified} at {address}");
            assert_eq!(handshakes(&gateway, UpstreamHandshake::WrongName), u64::from(!believed));
        }
        assert_eq!(front.shaken().iter().find(|shaken| shaken.name.as_deref() == asked_for), Some(&full(asked_for)));
    }
}

#[tokio::test]
async fn a_route_that_writes_https_speaks_tls_and_shares_what_upstreams_share() {
    let (mock, authority) = (echo().await, Authority::new());
    let front = Front::start(authority.server(&["127.0.0.1"]), mock.addr()).await;
    let text = format!(
        "[defaults.upstream]\ntls = {{ ca = {} }}\n[[routes]]\npath = '/s/{{*rest}}'\nupstream = 'https://{}'\n\
         [[routes]]\npath = '/c/{{*rest}}'\nupstream = 'http://{}'\n",
        quoted(&authority.file()),
        front.address,
        mock.addr(),
    );
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/s/1").await.echo().path(), "/s/1");
    assert_eq!(front.shaken(), [full(None)]);
    assert_eq!(gateway.get("/c/1").await.echo().path(), "/c/1", "http:// says otherwise");
    assert_eq!(front.shaken().len(), 1);
}

#[tokio::test]
async fn a_megabyte_passes_each_way_and_workers_share_connections() {
    let (_mock, front, gateway) = world("").await;
    let body = vec![b'x'; 1 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut client = gateway.client().await;
    assert_eq!(client.ask([head.as_bytes(), &body].concat()).await.echo().get("body_bytes"), &body.len());
    let answer = client.ask("GET /bytes/1048576 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (200, 1 << 20, true));
    let chunked = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    let answer = client.ask([chunked.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await;
    assert_eq!(answer.echo().get("body_bytes"), &body.len());
    assert_eq!(front.shaken().len(), 1);
}

#[tokio::test]
async fn workers_borrow_encrypted_connections_from_each_other() {
    let (_mock, front, gateway) = world("[server]\nworkers = 4\n").await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(gateway.client().await);
    }
    for client in clients.iter_mut().chain(&mut [gateway.client().await]) {
        for _ in 0..3 {
            assert_eq!(client.ask(GET).await.status, 200);
            eventually("the connection is back in its pool", || gateway.upstream_connections() == (1, 1)).await;
        }
    }
    assert_eq!(front.shaken().len(), 1, "27 requests on four workers, one connection");
}

#[tokio::test]
async fn a_session_is_resumed_by_the_next_connection() {
    let (_mock, front, gateway) = world("pool = { max_idle_per_worker = 0 }").await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    let resumed: Vec<bool> = front.shaken().iter().map(|shaken| shaken.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
    let counted = [UpstreamHandshake::Full, UpstreamHandshake::Resumed].map(|result| handshakes(&gateway, result));
    assert_eq!(counted, [1, 2]);
}

#[tokio::test]
async fn what_tls_says_on_an_idle_connection_is_no_answer_and_no_end() {
    let (_mock, front, gateway) = world("").await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 200);
        eventually("it is idle", || gateway.upstream_connections() == (1, 1)).await;
        front.order(Order::Rekey).await;
    }
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(front.shaken().len(), 1, "the connection is as good as before");
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_is_nobodys_failure() {
    let (_mock, front, gateway) = world("").await;
    for (closed, order) in [Order::Close, Order::Cut, Order::Close].into_iter().enumerate() {
        let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(gateway.ask(post).await.status, 200);
        eventually("it is idle", || gateway.upstream_connections() == (1, 1)).await;
        front.order(order).await;
        assert_eq!(front.shaken().len(), closed + 1);
    }
    assert_eq!(gateway.get("/").await.status, 200);
    let failed = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"reset\"}";
    assert_eq!(gateway.metric(failed).await, None);
}

#[tokio::test]
async fn websockets_pass_through_tls() {
    let (_mock, front, gateway) = world("").await;
    let handshake = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut client = gateway.client().await;
    assert_eq!(client.ask(handshake).await.status, 101);
    for text in ["one", "two"] {
        client.send([&[0x81, 0x83, 0, 0, 0, 0], text.as_bytes()].concat()).await;
        assert_eq!(client.bytes(5).await, [&[0x81, 3], text.as_bytes()].concat());
    }
    client.send([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.bytes(2).await, [0x88, 0]);
    client.finish().await;
    client.closed().await;
    assert_eq!(gateway.record().await["status"], 101);
    assert_eq!(front.shaken().len(), 1);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole_only_if_tls_says_so() {
    use mocks::raw::{Raw, Script};
    let authority = Authority::new();
    let answer = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    let mock = Raw::script(Script::new().read_request().send(answer).hang()).await.unwrap();
    let front = Front::start(authority.server(&["up.test"]), mock.addr()).await;
    let tls = format!("ca = {}, sni = 'up.test'", quoted(&authority.file()));
    let gateway = Gateway::start(&text(&tls, "", &front.address.to_string())).await;
    for (order, whole) in [(Order::Close, true), (Order::Cut, false)] {
        let mut client = gateway.client().await;
        client.send(GET).await;
        let mut answer = client.head().await;
        assert_eq!(answer.status, 200);
        front.order(order).await;
        client.body_of(&mut answer).await;
        assert_eq!(answer.whole, whole, "{order:?}");
    }
}

#[tokio::test]
async fn g_the_systems_certificates_are_believed_where_no_ca_is_named() {
    let (mock, authority, stranger) = (echo().await, Authority::new(), Authority::new());
    let front = Front::start(authority.server(&["127.0.0.1"]), mock.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let config = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n[telemetry.access_log]\n\
         output = 'off'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'https://{}'\nretry = {{ attempts = 1 }}\n",
        front.address
    );
    std::fs::write(&path, config).unwrap();
    for (trusted, status) in [(&authority, 200), (&stranger, 502)] {
        let file = trusted.file();
        let variables = [("SSL_CERT_FILE", file.to_str().unwrap())];
        let process = Process::start_with(&path, &variables).await;
        let mut client = crate::support::Client::connect(process.address).await;
        assert_eq!(client.ask(GET).await.status, status);
    }
    let nothing = folder.path().join("nothing.pem");
    std::fs::write(&nothing, "").unwrap();
    let variables = [("SSL_CERT_FILE", nothing.to_str().unwrap()), ("SSL_CERT_DIR", "")];
    let (code, _, told) = Process::run_with(&["run", "--config", "gateway.toml"], folder.path(), &variables).await;
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("gateway.toml:9:12: error: no certificate of an endpoint can be checked"), "{told}");
}
