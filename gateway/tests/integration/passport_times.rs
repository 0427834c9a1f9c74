//! Passports of requests that take long, in virtual time: each is of the moment in which it is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::passport::pem;
use crate::support::Issuer;
use crate::support::inside::{Inside, Memory};

/// When stories begin: the clock of a gateway inside a test.
const BEGIN: i64 = 1_700_000_000;
/// Longer than a passport holds.
const LONG: Duration = Duration::from_secs(40);

type Heads = Arc<Mutex<Vec<String>>>;

/// A gateway whose upstreams are all the same, a token for it, and the heads that upstreams were sent.
struct World {
    inside: Inside<Memory>,
    token: String,
    heads: Heads,
}

/// Routes with these keys, of upstreams `up` and `other`. The first request is given no answer, after a long time,
/// where that is wanted.
fn world(routes: &str, first_fails: bool) -> World {
    let (issuer, folder) = (Issuer::new("k1"), tempfile::tempdir().unwrap());
    let key = folder.path().join("passport.pem");
    std::fs::write(&key, pem()).unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['up:1', 'up:2']\n[upstreams.other]\nendpoints = ['other:1']\n{routes}\n\
         [identity]\npassport = {{ key = '{}', lifetime = '30s' }}\n{}",
        key.display(),
        issuer.provider("")
    );
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    let inside = Inside::in_memory(&text, move |stream| serve(stream, Arc::clone(&seen), first_fails));
    World { inside, token: issuer.token(&json!({ "exp": BEGIN + 3600 })), heads }
}

/// Reads one request, and answers.
async fn serve(mut stream: DuplexStream, heads: Heads, first_fails: bool) {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_whole(&String::from_utf8_lossy(&read)) {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let is_first = {
        let mut heads = heads.lock().unwrap();
        heads.push(String::from_utf8(read).unwrap());
        heads.len() == 1
    };
    if is_first && first_fails {
        // virtual time
        return tokio::time::sleep(LONG).await;
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let is_open = head.contains("\r\ntransfer-encoding: chunked");
    length.map_or(!is_open || body.ends_with("0\r\n\r\n"), |length| body.len() >= length.parse().unwrap())
}

/// A body that takes long.
fn slow_body() -> Body {
    let parts = futures_util::stream::iter(["{\"type\":", "\"refund\"", "}"]).then(|part| async move {
        // virtual time
        tokio::time::sleep(LONG / 3).await;
        Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes()))
    });
    Body::from_stream(parts)
}

impl World {
    /// Asks with its token; the status, and how many seconds have gone by since the beginning.
    async fn ask(&self, request: http::request::Builder, body: Body) -> (u16, i64) {
        let request = request.header("host", "a").header("authorization", format!("Bearer {}", self.token));
        let status = self.inside.ask(request.body(body).unwrap()).await.status().as_u16();
        let clock = &self.inside.gateway.shared().clock;
        (status, clock.unix_seconds(clock.now()) - BEGIN)
    }

    /// The passports that upstreams were shown, in order: for whom, and from which second on.
    fn passports(&self) -> Vec<(String, i64)> {
        self.heads.lock().unwrap().iter().map(|head| shown(head)).collect()
    }
}

fn shown(head: &str) -> (String, i64) {
    let all: Vec<&str> = head.split("\r\n").filter_map(|line| line.strip_prefix("x-auth-passport: ")).collect();
    assert_eq!(all.len(), 1, "{head}");
    let claims = URL_SAFE_NO_PAD.decode(all[0].split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    (claims["aud"].as_str().unwrap().to_owned(), claims["iat"].as_i64().unwrap() - BEGIN)
}

const ROUTE: &str = "[[routes]]\npath = '/{*rest}'\nupstream = 'up'\nauth = { providers = ['main'] }\ntimeout = '5m'\n";

#[tokio::test(start_paused = true)]
async fn an_attempt_after_a_long_one_has_a_passport_that_holds() {
    let world = world(&format!("{ROUTE}retry = {{ attempts = 2, backoff = '0ms' }}"), true);
    assert_eq!(world.ask(http::Request::get("/"), Body::empty()).await, (200, 40));
    assert_eq!(world.passports(), [("up".to_owned(), 0), ("up".to_owned(), 40)]);
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_after_a_long_attempt_is_shown_a_passport_that_holds() {
    let keys = "retry = { attempts = 1 }\nfallback = { upstream = 'other' }";
    let world = world(&format!("{ROUTE}{keys}"), true);
    assert_eq!(world.ask(http::Request::get("/"), Body::empty()).await, (200, 40));
    assert_eq!(world.passports(), [("up".to_owned(), 0), ("other".to_owned(), 40)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_route_hangs_on_a_slow_body_has_a_passport_that_holds() {
    let world = world(&format!("{ROUTE}body = {{ '/type' = 'refund' }}\nbody_match_limit = '1KiB'"), false);
    let (status, passed) = world.ask(http::Request::post("/"), slow_body()).await;
    assert_eq!((status, passed >= 39), (200, true), "{passed}");
    assert_eq!(world.passports(), [("up".to_owned(), passed)]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_waits_for_a_slow_body_has_a_passport_that_holds() {
    let world = world(&format!("{ROUTE}mirror = {{ upstream = 'other' }}"), false);
    let (status, passed) = world.ask(http::Request::post("/"), slow_body()).await;
    assert_eq!((status, passed >= 39), (200, true), "{passed}");
    while world.heads.lock().unwrap().len() < 2 {
        // virtual time
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut passports = world.passports();
    passports.sort();
    assert_eq!(passports, [("other".to_owned(), passed), ("up".to_owned(), 0)]);
}
