//! Opaque tokens, asked about at their issuer (RFC 7662), and tokens that hold once.

use serde_json::{Value, json};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Answer, Client, Gateway, Issuer, Process, echo, guarded, one_route};

struct World {
    gateway: Gateway,
    server: MockServer,
    _upstream: mocks::Mock,
}

fn request(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// The environment of the tests has no secrets; this variable is everywhere.
const SECRET_ENV: &str = "PATH";

async fn world(auth: &str, more: &str) -> World {
    let (upstream, server) = (echo().await, MockServer::start().await);
    let provider = format!(
        "[identity.providers.opaque]\nkind = 'introspection'\nurl = '{}/introspect'\nclient_id = 'gateway'\n\
         client_secret_env = '{SECRET_ENV}'\n{more}\n",
        server.uri()
    );
    let route = one_route("", &format!("auth = {auth}"), upstream.addr());
    World { gateway: Gateway::start(&format!("{route}\n{provider}")).await, server, _upstream: upstream }
}

impl World {
    async fn says(&self, token: &str, answer: ResponseTemplate) {
        let about = body_string_contains(format!("token={token}&"));
        Mock::given(method("POST")).and(path("/introspect")).and(about).respond_with(answer).mount(&self.server).await;
    }

    async fn ask(&self, token: &str) -> Answer {
        self.gateway.ask(request(token)).await
    }

    async fn asked(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }

    /// Waits until its issuer has been asked so often.
    async fn is_asked(&self, times: usize) {
        let asked = async {
            while self.asked().await < times {
                tokio::task::yield_now().await;
            }
        };
        guarded("the issuer is asked", asked).await;
    }
}

#[tokio::test]
async fn an_opaque_token_is_asked_about_once() {
    let world = world("{ providers = ['opaque'], scopes = ['a'] }", "").await;
    let active = json!({ "active": true, "sub": "ada", "scope": "a b" });
    world.says("good", ResponseTemplate::new(200).set_body_json(active)).await;
    world.says("bad", ResponseTemplate::new(200).set_body_json(json!({ "active": false }))).await;
    let asked = (0..10).map(|_| world.ask("good"));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.echo().header("x-auth-subject"), Some("ada"));
    }
    assert_eq!(world.asked().await, 1, "ten at once ask once");
    for _ in 0..3 {
        let answer = world.ask("bad").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
    }
    assert_eq!(world.asked().await, 2, "a refusal is believed for a while too");
    let requests = world.server.received_requests().await.unwrap();
    let credentials = requests[0].headers["authorization"].to_str().unwrap();
    assert!(credentials.starts_with("Basic Z2F0ZXdheT"), "{credentials}");
    let text = String::from_utf8_lossy(&requests[0].body).into_owned();
    assert_eq!(text, "token=good&token_type_hint=access_token");
}

#[tokio::test]
async fn an_issuer_that_fails_is_left_alone() {
    let world = world("{ providers = ['opaque'] }", "timeout = '200ms'").await;
    Mock::given(header("accept", "application/json"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&world.server)
        .await;
    for number in 0..20 {
        let answer = world.ask(&format!("t{number}")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "nobody can say");
    }
    let asked = world.asked().await;
    assert!(asked < 10, "its breaker is open after five failures: {asked}");
}

/// Closes every connection before it has read anything.
async fn hangs_up() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    address
}

#[tokio::test]
async fn of_an_issuer_that_fails_operators_hear_which_it_is_and_why() {
    let (upstream, refuses, gone) = (echo().await, MockServer::start().await, hangs_up().await);
    // It does not know the gateway, whatever token it is asked about.
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(401)).mount(&refuses).await;
    let mut text = format!(
        "[server]\nworkers = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['{}']\n",
        upstream.addr()
    );
    for (name, url) in [("refuses", refuses.uri()), ("gone", format!("http://{gone}"))] {
        text += &format!(
            "[identity.providers.{name}]\nkind = 'introspection'\nurl = '{url}/introspect'\nclient_id = 'gateway'\n\
             client_secret_env = '{SECRET_ENV}'\n\
             [[routes]]\nname = '{name}'\npath = '/{name}'\nupstream = 'up'\nauth = {{ providers = ['{name}'] }}\n"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let mut process = Process::start(&file).await;
    let mut reasons = Vec::new();
    for name in ["refuses", "gone"] {
        let mut client = Client::connect(process.address).await;
        for number in 0..6 {
            let asked = format!("GET /{name} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t{number}\r\n\r\n");
            assert_eq!(client.ask(asked).await.status, 503);
        }
        let told = process.event("issuer").await;
        assert_eq!((&told["provider"], &told["failing"]), (&json!(name), &json!(true)));
        reasons.push(told["detail"].as_str().unwrap().to_owned());
    }
    assert!(reasons[0].ends_with("/introspect: the server answered 401"), "{reasons:?}");
    // Nobody is there, or somebody who hangs up, which is mended otherwise: where that is, and one reason.
    let (place, reason) = reasons[1].split_once("/introspect: ").unwrap();
    assert!(place.starts_with("http://127.0.0.1:") && !reason.contains(": "), "{reasons:?}");
    let mut operator = Client::connect(process.admin).await;
    let admin = process.admin;
    let mut ask = async |path: &str| {
        let answer = operator.ask(format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\n\r\n")).await;
        String::from_utf8(answer.body).unwrap()
    };
    let metrics = ask("/metrics").await;
    for name in ["refuses", "gone"] {
        assert!(metrics.contains(&format!("gateway_issuer_failing{{provider=\"{name}\"}} 1\n")), "{metrics}");
        let listed: Value = serde_json::from_str(&ask(&format!("/requests?failed&route={name}")).await).unwrap();
        let id = listed["requests"][0]["request_id"].as_str().unwrap();
        let request: Value = serde_json::from_str(&ask(&format!("/requests/{id}")).await).unwrap();
        let cause = request["cause"].as_str().unwrap();
        let (whose, is_refused) = (format!("(the issuer of provider {name} does not say"), cause.contains(" 401)"));
        assert!(cause.contains(&whose) && is_refused == (name == "refuses"), "{cause}");
    }
}

#[tokio::test]
async fn an_issuer_that_answers_with_a_page_has_failed_and_is_not_told_to_be_well() {
    let world = world("{ providers = ['opaque'] }", "").await;
    let says = async |answer: ResponseTemplate| {
        world.server.reset().await;
        Mock::given(method("POST")).respond_with(answer).mount(&world.server).await;
    };
    let page = || ResponseTemplate::new(200).set_body_string("<html>We are back soon</html>");
    let problems = async || world.gateway.admin("GET", "/problems").await.json();
    says(page()).await;
    for number in 0..6 {
        assert_eq!(world.ask(&format!("t{number}")).await.status, 503);
    }
    let told = problems().await;
    assert_eq!((&told["problems"][0]["what"], &told["problems"][0]["name"]), (&json!("issuer"), &json!("opaque")));
    let why = told["problems"][0]["why"].as_str().unwrap();
    assert!(why.ends_with("its answer is no JSON object with `active`, true or false"), "{told}");
    assert_eq!(world.gateway.metric("gateway_issuer_failing{provider=\"opaque\"}").await, Some(1.0));
    // What it says of a token in words of its own is an answer.
    says(ResponseTemplate::new(200).set_body_json(json!({ "active": false }))).await;
    let is_back = async {
        let mut number = 10;
        while world.ask(&format!("t{number}")).await.status != 401 {
            number += 1;
        }
    };
    guarded("it is tried again", is_back).await;
    let told = problems().await;
    assert_eq!((&told["problems"], &told["healed"][0]["what"]), (&json!([]), &json!("issuer")), "{told}");
}

#[tokio::test]
async fn an_issuer_that_hangs_is_left_alone_also_where_no_client_waits_for_it() {
    let world = world("{ providers = ['opaque'] }", "timeout = '200ms'").await;
    let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(30));
    Mock::given(method("POST")).respond_with(slow).mount(&world.server).await;
    for number in 1..=6 {
        let mut client = world.gateway.client().await;
        client.send(request(&format!("left{number}"))).await;
        world.is_asked(number).await;
        client.reset();
    }
    world.gateway.at_rest().await;
    for number in 0..20 {
        assert_eq!(world.ask(&format!("t{number}")).await.status, 503);
    }
    // One that was asked about before the others had failed, and a probe now and then on a slow machine.
    let asked = world.asked().await - 6;
    assert!(asked < 5, "whoever left had asked too, and the issuer had failed them: {asked}");
}

#[tokio::test]
async fn a_token_whose_client_left_is_asked_about_once_all_the_same() {
    let world = world("{ providers = ['opaque'] }", "").await;
    let active = ResponseTemplate::new(200).set_body_json(json!({ "active": true, "sub": "ada" }));
    world.says("t", active.set_delay(std::time::Duration::from_millis(100))).await;
    let [mut leaves, mut stays] = [world.gateway.client().await, world.gateway.client().await];
    leaves.send(request("t")).await;
    world.is_asked(1).await;
    stays.send(request("t")).await;
    leaves.reset();
    assert_eq!(stays.answer().await.echo().header("x-auth-subject"), Some("ada"));
    assert_eq!(world.asked().await, 1, "the answer to who left is everybody's");
}

#[tokio::test]
async fn an_issuer_that_is_slow_is_waited_for_no_longer_than_is_configured() {
    let world = world("{ providers = ['opaque'] }", "timeout = '50ms'").await;
    let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(30));
    Mock::given(method("POST")).respond_with(slow).mount(&world.server).await;
    assert_eq!(world.ask("t").await.status, 503);
}

#[tokio::test]
async fn a_request_whose_time_is_gone_before_an_upstream_is_asked_is_the_gateways_own_matter() {
    let (upstream, server) = (echo().await, MockServer::start().await);
    let slow = ResponseTemplate::new(200).set_body_json(json!({ "active": true, "sub": "ada" }));
    let slow = slow.set_delay(std::time::Duration::from_millis(200));
    Mock::given(method("POST")).respond_with(slow).mount(&server).await;
    let text = format!(
        "[identity.providers.opaque]\nkind = 'introspection'\nurl = '{}'\nclient_id = 'gateway'\n\
         client_secret_env = '{SECRET_ENV}'\n\
         [upstreams.up]\nendpoints = ['{}']\nbreaker = {{ consecutive_failures = 1 }}\n\
         [[routes]]\nname = 'hasty'\npath = '/'\nupstream = 'up'\ntimeout = '20ms'\n\
         auth = {{ providers = ['opaque'] }}\n",
        server.uri(),
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let answer = gateway.ask(request("t1")).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let record = gateway.record().await;
    assert_eq!((&record["fault"], &record["attempts"]), (&"gateway".into(), &0.into()));
    assert_eq!(record.get("upstream").or(record.get("endpoint")), None, "nobody was asked, and nobody is blamed");
    assert_eq!(upstream.counters().requests, 0);
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"deadline\"}").await, Some(1.0));
    // Once its issuer has answered the token is known: the same request is in time, and no breaker stands in its way.
    let in_time = async { while gateway.ask(request("t1")).await.status != 200 {} };
    guarded("a request in time", in_time).await;
}

#[tokio::test]
async fn a_signed_token_and_an_opaque_one_go_to_their_own() {
    let issuer = Issuer::new("k1");
    let world = world("{ providers = ['main', 'opaque'] }", &issuer.provider("")).await;
    world.says("opaque-token", ResponseTemplate::new(200).set_body_json(json!({ "active": true, "sub": "bob" }))).await;
    assert_eq!(world.ask("opaque-token").await.echo().header("x-auth-subject"), Some("bob"));
    assert_eq!(world.ask(&issuer.token(&json!({}))).await.echo().header("x-auth-subject"), Some("ada"));
    assert_eq!(world.asked().await, 1, "a signed token is nobody's to be asked about");
}

#[tokio::test]
async fn a_token_of_a_single_use_route_holds_once() {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let auth = "auth = { providers = ['main'], single_use = true, scopes = ['orders:read'] }";
    let text = format!("{}\n{}", one_route("workers = 2", auth, upstream.addr()), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let token = request(&issuer.token(&json!({ "jti": "1" })));
    assert_eq!(gateway.ask(&token).await.status, 200);
    for _ in 0..4 {
        assert_eq!(gateway.ask(&token).await.status, 401, "on whatever connection and worker");
    }
    assert_eq!(gateway.ask(request(&issuer.token(&json!({ "jti": "2" })))).await.status, 200);
    assert_eq!(gateway.ask(request(&issuer.token(&json!({})))).await.status, 401, "without jti it cannot be told");
    // What is refused for something else is not used up.
    let poor = request(&issuer.token(&json!({ "jti": "3", "scope": "x" })));
    assert_eq!((gateway.ask(&poor).await.status, gateway.ask(&poor).await.status), (403, 403));
    // Many at once: one gets through.
    let race = request(&issuer.token(&json!({ "jti": "4" })));
    let all = futures_util::future::join_all((0..16).map(|_| gateway.ask(&race))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 1);
}
