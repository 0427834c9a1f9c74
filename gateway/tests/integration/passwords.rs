//! Names and passwords (RFC 7617) at the edge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Answer, Gateway, Issuer, echo, eventually, one_route};

const CHALLENGE: &str = "Basic realm=\"internal tools\", charset=\"UTF-8\"";

struct World {
    gateway: Gateway,
    folder: tempfile::TempDir,
    upstream: mocks::Mock,
}

/// A line of the file, with a cost that tests can wait for.
fn line(name: &str, password: &str, cost: u32) -> String {
    format!("{name}:{}\n", bcrypt::hash_with_salt(password, cost, [9; 16]).unwrap())
}

async fn world(users: &str, provider: &str, more: &str) -> World {
    let (upstream, folder) = (echo().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("users.htpasswd");
    std::fs::write(&file, users).unwrap();
    let provider = format!(
        "[identity.providers.staff]\nkind = 'basic'\nrealm = 'internal tools'\nusers_file = '{}'\n{provider}\n{more}\n",
        file.display()
    );
    let auth = if more.is_empty() { "['staff']" } else { "['main', 'staff']" };
    let open =
        format!("[[routes]]\nname = 'open'\npath = '/open'\nauth = false\nupstream = 'http://{}'\n", upstream.addr());
    let route = one_route("", &format!("auth = {{ providers = {auth} }}"), upstream.addr());
    World { gateway: Gateway::start(&format!("{route}\n{open}\n{provider}")).await, folder, upstream }
}

fn request(fields: &str) -> String {
    format!("GET /tools HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

fn basic(name: &str, password: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

impl World {
    async fn ask(&self, fields: &str) -> Answer {
        self.gateway.ask(request(fields)).await
    }

    async fn cached(&self, result: &str) -> f64 {
        self.gateway.metric(&format!("gateway_token_cache_total{{result=\"{result}\"}}")).await.unwrap_or(0.0)
    }

    async fn count(&self, result: &str) -> f64 {
        let sample = format!("gateway_auth_total{{provider=\"staff\",result=\"{result}\"}}");
        self.gateway.metric(&sample).await.unwrap_or(0.0)
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, challenge: &str) {
    assert_eq!((answer.status, answer.header("www-authenticate")), (status, Some(challenge)), "{answer:?}");
}

#[tokio::test]
async fn who_has_the_password_passes_and_it_goes_no_further() {
    let it = world(&line("ada", "pw: 1", 4), "", "").await;
    let echo = it.ask(&format!("{}x-auth-subject: root\r\n", basic("ada", "pw: 1"))).await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-provider")), (Some("ada"), Some("staff")));
    assert_eq!((echo.all("authorization"), echo.all("x-auth-scopes")), (vec![], vec![]));
    refused(&it.ask("").await, 401, CHALLENGE);
    refused(&it.ask(&basic("ada", "pw: 2")).await, 401, CHALLENGE);
    refused(&it.ask(&basic("eve", "pw: 1")).await, 401, CHALLENGE);
    refused(&it.ask("authorization: Bearer abc\r\n").await, 401, CHALLENGE);
    assert_eq!(it.upstream.counters().requests, 1);
    let records = it.gateway.records(5).await;
    let told: Vec<_> = records.iter().map(|record| (&record["auth"], &record["subject"])).collect();
    assert_eq!(told[0].1, "ada");
    let whys: Vec<_> = told[1..].iter().map(|(auth, _)| auth.as_str().unwrap()).collect();
    assert_eq!(whys, ["missing", "password", "password", "missing"], "an unknown name is told as a wrong password");
    let log = it.gateway.log_text(5).await;
    for secret in ["pw: 1", &STANDARD.encode("ada:pw: 1"), "eve"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert_eq!([it.count("granted").await, it.count("password").await, it.count("missing").await], [1.0, 2.0, 2.0]);
}

#[tokio::test]
async fn h8_what_is_not_one_name_and_password_is_400() {
    let it = world(&line("ada", "pw", 4), "", "").await;
    let good = basic("ada", "pw");
    for odd in [
        format!("{good}{good}"),
        "authorization: Basic\r\n".into(),
        "authorization: Basic YWRhOnB3=\r\n".into(),
        "authorization: Basic YWRh\r\n".into(),
        "authorization: Basic YWRhOnB3 x\r\n".into(),
        basic("ada", "p\u{0}w"),
    ] {
        refused(&it.ask(&odd).await, 400, CHALLENGE);
    }
    refused(&it.ask(&basic("ada", &"x".repeat(2000))).await, 401, CHALLENGE);
    assert_eq!(it.cached("miss").await, 0.0, "none of that was hashed");
    assert_eq!(it.upstream.counters().accepts, 0);
}

#[tokio::test]
async fn a_password_is_hashed_once_for_all_who_bring_it_and_a_wrong_one_too() {
    let it = world(&line("ada", "pw", 6), "", "").await;
    let good = request(&basic("ada", "pw"));
    let answers = futures_util::future::join_all((0..8).map(|_| it.gateway.ask(&good))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let mut client = it.gateway.client().await;
    for _ in 0..3 {
        assert_eq!(client.ask(&good).await.status, 200);
    }
    assert_eq!((it.cached("miss").await, it.cached("hit").await), (1.0, 10.0));
    for _ in 0..3 {
        assert_eq!(client.ask(request(&basic("ada", "no"))).await.status, 401);
    }
    assert_eq!((it.cached("miss").await, it.cached("negative").await), (2.0, 2.0));
}

#[tokio::test]
async fn a_changed_file_is_in_force_at_once_also_for_those_who_are_known() {
    let it = world(&line("ada", "old", 4), "", "").await;
    let file = it.folder.path().join("users.htpasswd");
    let (old, new) = (request(&basic("ada", "old")), request(&basic("ada", "new")));
    let mut client = it.gateway.client().await;
    assert_eq!(client.ask(&old).await.status, 200);
    assert_eq!(client.ask(&new).await.status, 401);
    let changed = line("ada", "new", 4);
    // The watcher starts beside the gateway; a change that it makes nothing of is made again.
    let mut n = 0;
    eventually("the users are read anew", || {
        if n % 500 == 0 {
            std::fs::write(&file, format!("{changed}{}", "\n".repeat(n / 500))).unwrap();
        }
        n += 1;
        it.gateway.inner().snapshot().version > 1
    })
    .await;
    assert_eq!(client.ask(&new).await.status, 200);
    assert_eq!(client.ask(&old).await.status, 401, "on the connection that knew it");
    // A file that nobody could use changes nothing.
    std::fs::write(&file, "ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").unwrap();
    assert_ne!(it.gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(client.ask(&new).await.status, 200);
}

/// A password that is not known takes a thread for a while, and no worker.
#[tokio::test]
async fn a_flood_of_wrong_passwords_costs_others_nothing_but_their_turn() {
    let it = world(&format!("{}{}", line("ada", "pw", 4), line("bob", "pw", 10)), "", "").await;
    let known = request(&basic("ada", "pw"));
    assert_eq!(it.gateway.ask(&known).await.status, 200);
    let flood = async {
        let wrong: Vec<String> = (0..40).map(|n| request(&basic("bob", &format!("guess {n}")))).collect();
        futures_util::future::join_all(wrong.iter().map(|guess| it.gateway.ask(guess))).await
    };
    let user = async {
        let mut client = it.gateway.client().await;
        for _ in 0..20 {
            assert_eq!(client.ask(&known).await.status, 200, "who is known waits for nobody");
            assert_eq!(client.ask("GET /open HTTP/1.1\r\nhost: a.test\r\n\r\n").await.status, 200);
        }
    };
    let (answers, ()) = tokio::join!(flood, user);
    for answer in answers {
        let waits = answer.status == 503 && answer.header("retry-after").is_some();
        assert!(waits || answer.status == 401, "{answer:?}");
    }
    assert_eq!(it.count("password").await + it.count("unavailable").await, 40.0);
    assert_eq!(it.gateway.ask(request(&basic("bob", "pw"))).await.status, 200);
}

#[tokio::test]
async fn tokens_and_passwords_share_a_route_and_a_401_asks_for_both() {
    let issuer = Issuer::new("k1");
    let it = world(&line("ada", "pw", 4), "", &issuer.provider("")).await;
    let both = format!("Bearer realm=\"gateway\", {CHALLENGE}");
    refused(&it.ask("").await, 401, &both);
    let token = format!("authorization: Bearer {}\r\n", issuer.token(&json!({ "sub": "zoe" })));
    assert_eq!(it.ask(&token).await.echo().header("x-auth-subject"), Some("zoe"));
    assert_eq!(it.ask(&basic("ada", "pw")).await.echo().header("x-auth-subject"), Some("ada"));
    refused(&it.ask("authorization: Bearer x\r\n").await, 401, "Bearer error=\"invalid_token\"");
    refused(&it.ask(&basic("ada", "no")).await, 401, CHALLENGE);
}

#[tokio::test]
async fn a_password_goes_on_where_that_is_configured() {
    let it = world(&line("ada", "pw", 4), "forward_credentials = true", "").await;
    let echo = it.ask(&basic("ada", "pw")).await.echo();
    let sent = format!("Basic {}", STANDARD.encode("ada:pw"));
    assert_eq!(echo.header("authorization"), Some(&*sent));
}
