//! Keys that are fetched (security.md, H9 and H10): rotation, key servers that are slow, down or wrong.

use std::net::SocketAddr;

use gateway::config::{Purpose, load};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Client, Events, Gateway, ISSUER, Issuer, Process, echo, guarded, one_route};

/// A gateway that fetches its keys, and an upstream.
struct World {
    gateway: Gateway,
    upstream: mocks::Mock,
}

async fn world(jwks: &str) -> World {
    let upstream = echo().await;
    World { gateway: Gateway::start(&text(jwks, upstream.addr())).await, upstream }
}

fn text(jwks: &str, upstream: SocketAddr) -> String {
    let provider = format!(
        "[identity.providers.main]\nkind = 'jwt'\nissuer = '{ISSUER}'\naudiences = ['api']\njwks = {{ {jwks} }}\n"
    );
    format!("{}\n{provider}", one_route("", "auth = { providers = ['main'] }", upstream))
}

fn request(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n")
}

impl World {
    async fn status(&self, issuer: &Issuer) -> u16 {
        let request = request(&issuer.token(&json!({})));
        self.gateway.client().await.ask_until_let_in(request).await.status
    }
}

fn set(issuers: &[&Issuer]) -> Value {
    json!({ "keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>() })
}

/// Answers with these keys from now on.
async fn publish(server: &MockServer, issuers: &[&Issuer]) {
    server.reset().await;
    let answer = ResponseTemplate::new(200).set_body_json(set(issuers));
    Mock::given(method("GET")).and(path("/keys")).respond_with(answer).mount(server).await;
}

async fn fetches(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_rotation_refuses_no_valid_token_and_ends_those_of_keys_that_are_gone() {
    let (server, first, second) = (MockServer::start().await, Issuer::new("k1"), Issuer::new("k2"));
    publish(&server, &[&first]).await;
    let world = world(&format!("url = '{}/keys', cooldown = '1s'", server.uri())).await;
    assert_eq!(world.status(&first).await, 200, "the first request waits for the first fetch");
    let mut client = world.gateway.client().await;
    let old = request(&first.token(&json!({})));
    assert_eq!(client.ask(&old).await.status, 200);
    publish(&server, &[&second]).await;
    // Many at once bring the new key: one fetch is made for all.
    let asked = (0..20).map(|_| world.status(&second));
    assert_eq!(futures_util::future::join_all(asked).await, [200; 20]);
    assert_eq!(fetches(&server).await, 1);
    assert_eq!(client.ask(&old).await.status, 401, "also on the connection that knew it");
    assert_eq!(world.status(&second).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_under_load_refuses_nobody_and_makes_one_fetch() {
    let (old, new, server) = (Issuer::new("old"), Issuer::new("new"), MockServer::start().await);
    publish(&server, &[&old]).await;
    let world = world(&format!("url = '{}/keys', cooldown = '1s'", server.uri())).await;
    let load = |issuers: &[&Issuer], requests: usize| {
        let token = |client: usize, at: usize| {
            issuers[at % issuers.len()].token(&json!({ "jti": format!("{client} {at} {}", issuers.len()) }))
        };
        let address = world.gateway.address;
        let clients = (0..16).map(|client| {
            let tokens: Vec<String> = (0..requests).map(|at| token(client, at)).collect();
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                for token in tokens {
                    let answer = client.ask_until_let_in(request(&token)).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            })
        });
        futures_util::future::join_all(clients.collect::<Vec<_>>())
    };
    for ended in load(&[&old], 20).await {
        ended.unwrap();
    }
    // What was asked before is forgotten here.
    publish(&server, &[&old, &new]).await;
    for ended in load(&[&old, &new], 40).await {
        ended.unwrap();
    }
    assert_eq!(fetches(&server).await, 1, "for all who had a token of the new key");
}

#[tokio::test]
async fn h9_a_flood_of_unknown_keys_makes_one_fetch_and_others_are_served() {
    let (server, issuer) = (MockServer::start().await, Issuer::new("k1"));
    publish(&server, &[&issuer]).await;
    let world = world(&format!("url = '{}/keys', cooldown = '1h', refresh = '2h'", server.uri())).await;
    let first = world.gateway.ask(request(&issuer.token(&json!({})))).await;
    assert_eq!(first.status, 200, "{first:?} {}", world.gateway.record().await);
    let strangers: Vec<Issuer> = (0..40).map(|number| Issuer::new(&format!("x{number}"))).collect();
    let asked = strangers.iter().map(|stranger| world.status(stranger));
    assert_eq!(futures_util::future::join_all(asked).await, [401; 40]);
    assert_eq!(world.status(&issuer).await, 200);
    assert_eq!(fetches(&server).await, 2, "the one at the start and one for all of them; another is an hour away");
}

#[tokio::test]
async fn h10_the_gateway_starts_without_its_key_server_and_finds_it_later() {
    let issuer = Issuer::new("k1");
    // Bound, so that it is nobody else's, and not listening yet.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = reserved.local_addr().unwrap();
    let world = world(&format!("url = 'http://{address}/keys', cooldown = '1s'")).await;
    let answer = world.gateway.ask(request(&issuer.token(&json!({})))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "it may hold: nobody can say");
    assert_eq!(answer.code(), "identity_unavailable");
    let listener = reserved.listen(64).unwrap().into_std().unwrap();
    let server = MockServer::builder().listener(listener).start().await;
    publish(&server, &[&issuer]).await;
    let mut status = 0;
    while status != 200 {
        status = world.status(&issuer).await;
    }
    let result = |result: &str| format!("gateway_auth_total{{provider=\"main\",result=\"{result}\"}}");
    assert!(world.gateway.metric(&result("no_keys")).await >= Some(1.0));
    assert!(world.gateway.metric("gateway_keys_age_seconds{provider=\"main\"}").await.is_some());
}

/// Takes a fetch and answers it when it is told to.
async fn fetch(server: &TcpListener) -> impl AsyncFnOnce(Value) {
    let (mut stream, _) = server.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0);
    }
    async move |set: Value| {
        let set = set.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{set}", set.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_fetch_that_began_before_a_token_came_says_nothing_against_its_key() {
    let (old, next, server) =
        (Issuer::new("old"), Issuer::new("next"), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("url = 'http://{}/keys', cooldown = '1s'", server.local_addr().unwrap());
    let world = world(&url).await;
    let first = guarded("the first fetch", fetch(&server)).await;
    first(set(&[&old])).await;
    let [mut stranger, mut early, mut known] =
        [world.gateway.client().await, world.gateway.client().await, world.gateway.client().await];
    assert_eq!(known.ask(request(&old.token(&json!({})))).await.status, 200);
    stranger.send(request(&Issuer::new("stranger").token(&json!({})))).await;
    let answer = guarded("a fetch for the stranger", fetch(&server)).await;
    // The server has made its answer, which is on its way, when the issuer begins to use the next key.
    early.send(request(&next.token(&json!({})))).await;
    assert_eq!(known.ask(request(&old.token(&json!({})))).await.status, 200);
    answer(set(&[&old])).await;
    assert_eq!(stranger.answer().await.status, 401);
    let answer = guarded("a fetch for the next key", fetch(&server)).await;
    answer(set(&[&old, &next])).await;
    assert_eq!(early.answer().await.status, 200);
}

#[tokio::test]
async fn h10_a_key_of_which_its_server_could_not_be_asked_is_neither_good_nor_bad() {
    let (server, old, next) = (MockServer::start().await, Issuer::new("old"), Issuer::new("next"));
    publish(&server, &[&old]).await;
    let world = world(&format!("url = '{}/keys', cooldown = '1s'", server.uri())).await;
    assert_eq!(world.status(&old).await, 200);
    // The issuer has a new key, and its server is down.
    server.reset().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let token = request(&next.token(&json!({})));
    for asked in ["which waits for the fetch", "which knows that it failed"] {
        let answer = world.gateway.ask(&token).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{asked}: {answer:?}");
    }
    assert_eq!(world.status(&old).await, 200);
    let unavailable = "gateway_auth_total{provider=\"main\",result=\"unavailable\"}";
    assert_eq!(world.gateway.metric(unavailable).await, Some(2.0));
    publish(&server, &[&old, &next]).await;
    let served = async {
        while world.gateway.ask(&token).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    guarded("the new key is found", served).await;
    assert_eq!(world.status(&Issuer::new("other")).await, 401, "its server has been asked, and it is not there");
}

#[tokio::test]
async fn h10_what_is_no_key_set_changes_nothing() {
    let (server, issuer) = (MockServer::start().await, Issuer::new("k1"));
    publish(&server, &[&issuer]).await;
    let world = world(&format!("url = '{}/keys', refresh = '1s', cooldown = '1s'", server.uri())).await;
    assert_eq!(world.status(&issuer).await, 200);
    let secret = json!({ "kty": "oct", "k": "MTIzNDU2NzgxMjM0NTY3ODEyMzQ1Njc4MTIzNDU2NzgxMjM0NTY3OA" });
    let wrong = [
        ResponseTemplate::new(500),
        ResponseTemplate::new(302).insert_header("location", format!("{}/elsewhere", server.uri())),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [] })),
        ResponseTemplate::new(200).set_body_json(set(&[&issuer, &issuer])),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [issuer.jwk(), secret] })),
        ResponseTemplate::new(200).set_body_string(format!("{{\"keys\":[]{}}}", " ".repeat(300_000))),
    ];
    for answer in wrong {
        server.reset().await;
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let asked = async {
            while fetches(&server).await == 0 {
                tokio::task::yield_now().await;
            }
        };
        guarded("it is asked", asked).await;
        assert_eq!(world.status(&issuer).await, 200, "the keys before are used on");
    }
    let asked = server.received_requests().await.unwrap();
    assert!(asked.iter().all(|request| request.url.path() == "/keys"), "a redirect is not followed");
}

#[tokio::test]
async fn h10_a_reload_that_changes_how_often_keys_are_fetched_refuses_nobody() {
    let (server, issuer) = (MockServer::start().await, Issuer::new("k1"));
    publish(&server, &[&issuer]).await;
    let url = format!("url = '{}/keys'", server.uri());
    let world = world(&url).await;
    assert_eq!(world.status(&issuer).await, 200);
    // It is down when the times change.
    server.reset().await;
    world.gateway.rewrite(&text(&format!("{url}, refresh = '1h', cooldown = '1m'"), world.upstream.addr()));
    assert!(world.gateway.reload().await.ok);
    assert_eq!(world.status(&issuer).await, 200, "the keys in force stay");
}

#[tokio::test]
async fn the_first_request_after_a_reload_waits_for_keys_as_the_first_of_all_does() {
    let (server, elsewhere, issuer) = (MockServer::start().await, MockServer::start().await, Issuer::new("k1"));
    publish(&server, &[]).await;
    publish(&elsewhere, &[&issuer]).await;
    let world = world(&format!("url = '{}/keys'", server.uri())).await;
    let other = text(&format!("url = '{}/keys'", elsewhere.uri()), world.upstream.addr());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, format!("{other}\n[telemetry.access_log]\noutput = 'off'\n")).unwrap();
    // What a reload does before it says that it has been.
    world.gateway.inner().apply(load(&file, Purpose::Run).unwrap().config).unwrap();
    assert_eq!(world.status(&issuer).await, 200);
}

#[tokio::test]
async fn an_issuers_configuration_says_where_its_keys_are() {
    let (server, issuer) = (MockServer::start().await, Issuer::new("k1"));
    let document = json!({ "issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri()) });
    let found = ResponseTemplate::new(200).set_body_json(document);
    Mock::given(path("/.well-known/openid-configuration")).respond_with(found).mount(&server).await;
    let keys = ResponseTemplate::new(200).set_body_json(set(&[&issuer]));
    Mock::given(path("/keys")).respond_with(keys).mount(&server).await;
    let world = world(&format!("discovery = '{}'", server.uri())).await;
    assert_eq!(world.status(&issuer).await, 200);
}

#[tokio::test]
async fn the_keys_events_say_what_happened() {
    let (server, issuer) = (MockServer::start().await, Issuer::new("k1"));
    publish(&server, &[&issuer]).await;
    let world = world(&format!("url = '{}/keys', refresh = '1s', cooldown = '1s'", server.uri())).await;
    assert_eq!(world.status(&issuer).await, 200, "there are keys that can grow stale");
    let mut events = Events::of(&world.gateway, "?kinds=keys").await;
    server.reset().await;
    let told = events.until(|event| event["what"] == "stale").await;
    let failed = told.iter().find(|event| event["ok"] == false).unwrap();
    let detail = format!("{}/keys: the server answered 404", server.uri());
    assert_eq!((&failed["provider"], &failed["detail"]), (&json!("main"), &json!(detail)));
    publish(&server, &[&Issuer::new("k2")]).await;
    let told = events.until(|event| event["what"] == "rotate").await;
    let rotated = told.iter().find(|event| event["what"] == "rotate").unwrap();
    assert_eq!(
        (&rotated["kids"], &rotated["came"], &rotated["went"]),
        (&json!(["k2"]), &json!(["k2"]), &json!(["k1"]))
    );
}

/// A key server behind TLS, on a thread of its own that ends with the process.
fn behind_tls(certified: &rcgen::CertifiedKey<rcgen::KeyPair>, set: String) -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = versions.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let (mut head, mut piece) = (Vec::new(), [0; 1024]);
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
                    // A client that does not trust the certificate leaves here.
                    _ => break,
                }
            }
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", set.len());
            let _ = stream.write_all((head + &set).as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn h10_a_key_server_with_tls_is_checked_against_the_systems_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(file("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let (issuer, upstream) = (Issuer::new("k1"), echo().await);
    let server = behind_tls(&certified, issuer.jwks());
    let route = one_route("", "auth = { providers = ['main'] }", upstream.addr());
    let provider = "[identity.providers.main]\nkind = 'jwt'\nissuer = 'https://idp.test'\naudiences = ['api']\n";
    let config = format!(
        "{route}\n{provider}jwks = {{ url = 'https://{server}/keys' }}\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [admin]\naddress = '127.0.0.1:0'\n[telemetry.access_log]\noutput = 'off'\n"
    );
    std::fs::write(file("gateway.toml"), config).unwrap();
    for (trusted, expected) in [("cert.pem", 200), ("key.pem", 503)] {
        let process =
            Process::start_with(&folder.path().join("gateway.toml"), &[("SSL_CERT_FILE", &file(trusted))]).await;
        let mut client = Client::connect(process.address).await;
        assert_eq!(client.ask(request(&issuer.token(&json!({})))).await.status, expected, "{trusted}");
    }
}

#[tokio::test]
async fn keys_that_were_never_fetched_are_a_source_that_fails() {
    let server = MockServer::start().await;
    let world = world(&format!("url = '{}/keys'", server.uri())).await;
    let told = async {
        while world.gateway.metric("gateway_keys_failing{provider=\"main\"}").await != Some(1.0) {
            tokio::task::yield_now().await;
        }
    };
    guarded("it is told", told).await;
    assert_eq!(world.gateway.metric("gateway_keys_age_seconds{provider=\"main\"}").await, None);
}

#[tokio::test]
async fn a_source_that_fails_for_another_reason_than_before_is_told_again_on_standard_error() {
    let (server, issuer, upstream) = (MockServer::start().await, Issuer::new("k1"), echo().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let around = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                  [telemetry.access_log]\noutput = 'off'\n";
    let text = text(&format!("url = '{}/keys'", server.uri()), upstream.addr());
    std::fs::write(&file, format!("{text}{around}")).unwrap();
    let mut process = Process::start(&file).await;
    let told = process.event("keys").await;
    let detail = |status: u16| json!(format!("{}/keys: the server answered {status}", server.uri()));
    assert_eq!((&told["failing"], &told["detail"]), (&json!(true), &detail(404)));
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let told = process.event("keys").await;
    assert_eq!((&told["failing"], &told["detail"]), (&json!(true), &detail(500)));
    publish(&server, &[&issuer]).await;
    assert_eq!(process.event("keys").await["failing"], false);
}

#[tokio::test]
async fn keys_that_came_and_went_are_named_on_standard_error() {
    let (server, issuer, upstream) = (MockServer::start().await, Issuer::new("k1"), echo().await);
    publish(&server, &[&issuer]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let around = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                  [telemetry.access_log]\noutput = 'off'\n";
    let source = format!("url = '{}/keys', refresh = '1s', cooldown = '1s'", server.uri());
    std::fs::write(&file, format!("{}{around}", text(&source, upstream.addr()))).unwrap();
    let mut process = Process::start(&file).await;
    let mut client = Client::connect(process.address).await;
    assert_eq!(client.ask(request(&issuer.token(&json!({})))).await.status, 200, "the first keys are no news");
    server.reset().await;
    publish(&server, &[&Issuer::new("k2")]).await;
    // A fetch between the two may have found nobody.
    let told = loop {
        let told = process.event("keys").await;
        if told["what"] == "rotate" {
            break told;
        }
    };
    assert_eq!((&told["came"], &told["went"]), (&json!(["k2"]), &json!(["k1"])), "{told}");
}

#[tokio::test]
async fn a_key_that_java_wrote_with_a_zero_byte_before_it_is_named_on_standard_error() {
    let (server, issuer, upstream) = (MockServer::start().await, Issuer::new("k1"), echo().await);
    let padded = json!({ "kty": "RSA", "kid": "java", "n": "AMHB", "e": "AQAB" });
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": [issuer.jwk(), padded] }));
    Mock::given(method("GET")).and(path("/keys")).respond_with(answer).mount(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let around = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                  [telemetry.access_log]\noutput = 'off'\n";
    let source = format!("url = '{}/keys'", server.uri());
    std::fs::write(&file, format!("{}{around}", text(&source, upstream.addr()))).unwrap();
    let mut process = Process::start(&file).await;
    let told = process.event("keys").await;
    assert_eq!(told["what"], "left_out", "{told}");
    let left_out = told["left_out"][0].as_str().unwrap();
    assert!(left_out.starts_with("\"java\": its n or e begins with a zero byte"), "{left_out}");
}

#[tokio::test]
async fn explain_without_a_gateway_does_not_call_keys_missing_that_it_does_not_fetch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text("url = 'http://127.0.0.1:9/keys'", "127.0.0.1:9".parse().unwrap())).unwrap();
    let token = format!("authorization: Bearer {}", Issuer::new("k1").token(&json!({})));
    let arguments = ["explain", "--config", file.to_str().unwrap(), "GET", "/x", "-H", &token];
    let (code, shown, _) = Process::run(&arguments, folder.path()).await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("identity   not_known_here by main\n") && !shown.contains("refused"), "{shown}");
    assert!(shown.contains("ask /explain at its admin address"), "{shown}");
}
