//! TLS to upstreams over reloads: new files count at once, what is in flight lives on, what is wrong changes nothing.

use mocks::raw::{Gate, Raw, Script};

use crate::support::{Authority, Front, Gateway, echo, eventually, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn text(tls: &str, address: std::net::SocketAddr) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{address}']\n{tls}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n"
    )
}

async fn reload(gateway: &Gateway) -> u16 {
    gateway.admin("POST", "/reload").await.status
}

async fn idle(gateway: &Gateway) {
    eventually("it is idle", || gateway.upstream_connections() == (1, 1)).await;
}

#[tokio::test]
async fn another_ca_is_asked_for_at_once_and_neither_connections_nor_sessions_get_around_it() {
    let (mock, authority, other) = (echo().await, Authority::new(), Authority::new());
    let front = Front::start(authority.server(&["up.test"]), mock.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let trust = |authority: &Authority| std::fs::copy(authority.file(), &ca).unwrap();
    trust(&authority);
    let gateway =
        Gateway::start(&text(&format!("tls = {{ sni = 'up.test', ca = {} }}", quoted(&ca)), front.address)).await;
    assert_eq!(gateway.get("/").await.status, 200);
    idle(&gateway).await;
    // The same once more changes nothing.
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(front.shaken().len(), 1);
    idle(&gateway).await;

    trust(&other);
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.get("/").await.status, 502, "the idle connection was believed under the old one");
    front.failed(1).await;
    eventually("the old connection is closed", || gateway.upstream_connections() == (0, 0)).await;

    front.change(other.server(&["up.test"]));
    assert_eq!(gateway.get("/").await.status, 200);
    trust(&authority);
    front.change(authority.server(&["up.test"]));
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    assert!(front.shaken().iter().all(|shaken| !shaken.resumed), "a session belongs to whom was believed");
}

#[tokio::test]
async fn an_exchange_in_flight_lives_on_and_its_connection_is_not_used_again() {
    let (gate, authority, other) = (Gate::new(), Authority::new(), Authority::new());
    let script = Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbe").wait(&gate);
    let mock = Raw::script(script.send("gun").hang()).await.unwrap();
    let front = Front::start(authority.server(&["up.test"]), mock.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(authority.file(), &ca).unwrap();
    let gateway =
        Gateway::start(&text(&format!("tls = {{ sni = 'up.test', ca = {} }}", quoted(&ca)), front.address)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let mut answer = client.head().await;
    std::fs::copy(other.file(), &ca).unwrap();
    assert_eq!(reload(&gateway).await, 200);
    gate.open();
    client.body_of(&mut answer).await;
    assert_eq!((&*answer.body, answer.whole), (&b"begu"[..], true));
    assert_eq!(gateway.get("/").await.status, 502);
    eventually("it is closed", || gateway.upstream_connections() == (0, 0)).await;
}

#[tokio::test]
async fn g_what_is_told_to_be_secured_uses_no_connection_in_the_clear() {
    let (mock, authority) = (echo().await, Authority::new());
    let gateway = Gateway::start(&text("", mock.addr())).await;
    assert_eq!(gateway.get("/").await.status, 200);
    idle(&gateway).await;
    let secured = format!("tls = {{ ca = {} }}", quoted(&authority.file()));
    gateway.rewrite(&text(&secured, mock.addr()));
    assert_eq!(reload(&gateway).await, 200);
    let before = mock.counters().requests;
    assert_eq!(gateway.get("/").await.status, 502, "the mock speaks no TLS, and is asked nothing in the clear");
    assert_eq!(mock.counters().requests, before);
    gateway.rewrite(&text("", mock.addr()));
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing_and_files_that_change_are_seen() {
    let (mock, authority, other) = (echo().await, Authority::new(), Authority::new());
    let front = Front::start(authority.server_for_clients(&["up.test"]), mock.addr()).await;
    let (cert, key) = authority.write("client", &["gateway.test"]);
    let tls = format!(
        "tls = {{ sni = 'up.test', ca = {}, cert = {}, key = {} }}",
        quoted(&authority.file()),
        quoted(&cert),
        quoted(&key)
    );
    let gateway = Gateway::start(&text(&tls, front.address)).await;
    assert_eq!(gateway.get("/").await.status, 200);
    // A renewal that is half done.
    let (_, others) = other.write("client", &["gateway.test"]);
    std::fs::copy(others, &key).unwrap();
    let refused = gateway.admin("POST", "/reload").await;
    assert_eq!(refused.status, 422);
    let problem = refused.json()["problems"][0].clone();
    assert!(problem["message"].as_str().unwrap().ends_with("it is not the key of the certificate"), "{problem}");
    assert_eq!(problem["line"].as_u64().map(|line| line > 1), Some(true));
    assert_eq!(gateway.get("/").await.status, 200);
    idle(&gateway).await;
    // The other half: the watcher sees it, nobody is told.
    let version = gateway.inner().snapshot().version;
    authority.write("client", &["gateway.test"]);
    eventually("the files are read anew", || gateway.inner().snapshot().version > version).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(front.shaken().len(), 2, "another certificate, another connection");
}
