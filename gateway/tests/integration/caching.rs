//! `cache`: what is kept is given for as long as it holds, to whom it may be given, and to nobody else. In virtual
//! time, with an upstream that remembers what it was asked.

mod bounds;
mod changes;
mod errors;
mod operators;
mod whose;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::inside::{Inside, Memory};
use crate::support::{Answer, Client};

type Says = Box<dyn Fn(&str) -> String + Send>;

/// An upstream that says what the story wants.
#[derive(Clone)]
struct Origin(Arc<Told>);

struct Told {
    /// The heads that came.
    asked: Mutex<Vec<String>>,
    /// What is answered to a head; nothing: the connection closes.
    says: Mutex<Says>,
    /// How long that takes.
    delay: Mutex<Duration>,
}

impl Origin {
    fn new(says: impl Fn(&str) -> String + Send + 'static) -> Self {
        let (says, delay): (Says, _) = (Box::new(says), Mutex::default());
        Self(Arc::new(Told { asked: Mutex::default(), says: Mutex::new(says), delay }))
    }

    fn always(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::new(move |_| answer.clone())
    }

    fn says(&self, answer: &str) {
        let answer = answer.to_owned();
        *self.0.says.lock().unwrap() = Box::new(move |_| answer.clone());
    }

    fn takes(&self, delay: Duration) {
        *self.0.delay.lock().unwrap() = delay;
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn last(&self) -> String {
        self.0.asked.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Serves a connection.
    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            head.extend_from_slice(&buffer[..read]);
            if !head.windows(4).any(|end| end == b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
            let mut answer = (self.0.says.lock().unwrap())(&text);
            if text.starts_with("HEAD ") {
                answer.truncate(answer.find("\r\n\r\n").map_or(0, |end| end + 4));
            }
            let is_whole = text.starts_with("HEAD ") || is_whole(&answer);
            self.0.asked.lock().unwrap().push(text);
            let delay = *self.0.delay.lock().unwrap();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await; // virtual time
            }
            if stream.write_all(answer.as_bytes()).await.is_err() || !is_whole {
                return;
            }
        }
    }
}

/// Whether a connection goes on behind this answer.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    head.contains("transfer-encoding") || head.contains(" 304 ") || length == Some(&body.len().to_string())
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

/// A gateway with one route for everything.
struct World {
    inside: Inside<Memory>,
}

impl World {
    /// With these lines in the route, and more of a configuration behind it.
    fn with(route: &str, more: &str, origin: &Origin) -> Self {
        let text = format!(
            "[upstreams.up]\nendpoints = ['up:9']\nbreaker = {{ consecutive_failures = 1000, failure_ratio = 1.0 }}\n\
             [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n{route}\n{more}\n"
        );
        let serving = origin.clone();
        let inside = Inside::in_memory(&text, move |stream| serving.clone().serve(stream));
        Self { inside }
    }

    fn new(origin: &Origin) -> Self {
        Self::with("cache = true", "", origin)
    }

    async fn ask(&self, line: &str, fields: &str) -> Answer {
        let request = format!("{line} HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
        Client::on(self.inside.connect()).ask(request).await
    }

    /// The head of what HEAD is answered: nothing follows it.
    async fn head(&self, path: &str) -> Answer {
        self.head_with(path, "").await
    }

    async fn head_with(&self, path: &str, fields: &str) -> Answer {
        let mut client = Client::on(self.inside.connect());
        client.send(format!("HEAD {path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n{fields}\r\n")).await;
        let answer = client.head().await;
        assert_eq!(client.rest().await, b"");
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "").await
    }
}

fn told(answer: &Answer) -> &str {
    answer.header("cache-status").unwrap_or("nothing")
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await; // virtual time
}

/// As Firefox says with each request over HTTP/2: it would take trailers, and does without them like any other.
#[tokio::test(start_paused = true)]
async fn who_would_take_trailers_is_given_what_is_kept() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    let world = World::new(&origin);
    for expected in ["portcullis; fwd=uri-miss; ttl=60; stored", "portcullis; hit; ttl=60"] {
        assert_eq!(told(&world.ask("GET /a", "te: trailers\r\n").await), expected);
    }
    assert_eq!((told(&world.get("/a").await), origin.asked()), ("portcullis; hit; ttl=60", 1));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_given_without_asking_and_says_how_old_it_is() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\nx-own: 1\r\n", "hello"));
    let world = World::new(&origin);
    let first = world.get("/a?b=c").await;
    assert_eq!((first.status, told(&first)), (200, "portcullis; fwd=uri-miss; ttl=60; stored"));
    assert_eq!(first.header("age"), None);
    seconds(5).await;
    let second = world.get("/a?b=c").await;
    assert_eq!((second.status, &second.body[..], second.header("x-own")), (200, &b"hello"[..], Some("1")));
    assert_eq!((told(&second), second.header("age")), ("portcullis; hit; ttl=55", Some("5")));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"), "each has its own id");
    assert!(second.header("date").is_some(), "of when it was made");
    assert_eq!(origin.asked(), 1);
    seconds(55).await;
    assert_eq!(told(&world.get("/a?b=c").await), "portcullis; fwd=stale; ttl=60; stored");
    assert_eq!(told(&world.get("/a").await), "portcullis; fwd=uri-miss; ttl=60; stored", "another query");
    assert_eq!(origin.asked(), 3);
    let records = world.inside.records();
    let came_by: Vec<_> = records.iter().map(|record| record["cache"].as_str().unwrap()).collect();
    assert_eq!(came_by, ["miss", "hit", "miss", "miss"]);
    assert_eq!(
        (&records[1]["attempts"], records[1].get("upstream"), &records[1]["bytes_out"]),
        (&0.into(), None, &5.into())
    );
}

#[tokio::test(start_paused = true)]
async fn head_and_conditions_are_answered_from_what_is_kept() {
    let fields = "cache-control: max-age=60\r\netag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                  content-type: text/plain\r\n";
    let origin = Origin::always(&ok(fields, "hello"));
    let world = World::new(&origin);
    world.get("/a").await;
    let head = world.head("/a").await;
    assert_eq!((head.status, head.header("content-length"), told(&head)), (200, Some("5"), "portcullis; hit; ttl=60"));
    let known = world.ask("GET /a", "if-none-match: \"x\", W/\"v1\"\r\n").await;
    assert_eq!((known.status, known.header("etag"), known.body.len()), (304, Some("\"v1\""), 0));
    assert_eq!((known.header("cache-control"), known.header("content-type")), (Some("max-age=60"), None));
    assert!(known.header("date").is_some() && known.header("age").is_some());
    let since = world.ask("GET /a", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").await;
    assert_eq!(since.status, 304);
    let other = world.ask("GET /a", "if-none-match: \"v2\"\r\n").await;
    assert_eq!((other.status, &other.body[..]), (200, &b"hello"[..]));
    assert_eq!(origin.asked(), 1);
    assert_eq!(world.head("/b").await.status, 200);
    assert_eq!(told(&world.head("/b").await), "portcullis; fwd=uri-miss; detail=method", "no body, nothing kept");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_is_asked_for_each_time() {
    let plain = |fields: &str| ok(fields, "x");
    for (answer, why) in [
        (plain(""), "no-lifetime"),
        (plain("cache-control: max-age=60, private\r\n"), "private"),
        (plain("cache-control: no-store\r\n"), "no-store"),
        (plain("cache-control: no-cache=\"x\", max-age=60\r\n"), "no-cache"),
        (plain("cache-control: public, max-age=60\r\nset-cookie: a=b\r\n"), "set-cookie"),
        (plain("cache-control: max-age=60\r\nvary: *\r\n"), "vary"),
        (plain("cache-control: max-age=60\r\ncontent-type: text/event-stream\r\n"), "stream"),
        ("HTTP/1.1 206 Partial\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx".to_owned(), "status"),
        ("HTTP/1.1 400 Bad\r\ncache-control: max-age=60\r\ncontent-length: 1\r\n\r\nx".to_owned(), "status"),
        ("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nx".to_owned(), "length"),
    ] {
        let origin = Origin::always(&answer);
        let world = World::new(&origin);
        for asked in 1..=2 {
            let given = world.get("/a").await;
            assert_eq!(told(&given), format!("portcullis; fwd=uri-miss; detail={why}"), "{answer}");
            assert_eq!(origin.asked(), asked, "{answer}");
        }
    }
    let origin = Origin::always(&ok("", "x"));
    let world = World::with("cache = { default_ttl = '10s', max_ttl = '20s' }", "", &origin);
    assert_eq!(told(&world.get("/a").await), "portcullis; fwd=uri-miss; ttl=10; stored", "the route gives it a time");
    origin.says(&ok("cache-control: max-age=999\r\n", "x"));
    assert_eq!(told(&world.get("/b").await), "portcullis; fwd=uri-miss; ttl=20; stored", "and none has more");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_varies_is_for_who_says_the_same() {
    let says = |head: &str| {
        let language = if head.contains("accept-language: de") { "hallo" } else { "hello" };
        ok("cache-control: max-age=60\r\nvary: accept-language\r\n", language)
    };
    let origin = Origin::new(says);
    let world = World::new(&origin);
    let get = async |language: &str| {
        let answer = world.ask("GET /a", &format!("accept-language: {language}\r\nuser-agent: {language}\r\n")).await;
        (String::from_utf8(answer.body.clone()).unwrap(), told(&answer).to_owned())
    };
    assert_eq!(get("en").await.0, "hello");
    assert_eq!(get("de").await, ("hallo".to_owned(), "portcullis; fwd=vary-miss; ttl=60; stored".to_owned()));
    assert_eq!(get(" de ").await, ("hallo".to_owned(), "portcullis; hit; ttl=60".to_owned()));
    assert_eq!(get("en").await, ("hello".to_owned(), "portcullis; hit; ttl=60".to_owned()));
    assert_eq!(origin.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_confirmed_and_what_is_said_anew_holds() {
    let origin =
        Origin::always(&ok("cache-control: max-age=10\r\netag: \"v1\"\r\nx-a: old\r\ncontent-type: a/b\r\n", "hello"));
    let world = World::new(&origin);
    world.get("/a").await;
    seconds(10).await;
    origin.says("HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncache-control: max-age=20\r\nx-a: new\r\ncontent-type: x/y\r\n\r\n");
    let confirmed = world.ask("GET /a", "if-none-match: \"mine\"\r\n").await;
    assert!(origin.last().contains("if-none-match: \"v1\"") && !origin.last().contains("mine"), "{}", origin.last());
    assert_eq!((confirmed.status, &confirmed.body[..]), (200, &b"hello"[..]));
    assert_eq!(told(&confirmed), "portcullis; fwd=stale; fwd-status=304; ttl=20; stored");
    let kept = world.get("/a").await;
    assert_eq!((told(&kept), kept.header("x-a")), ("portcullis; hit; ttl=20", Some("new")));
    assert_eq!(
        (kept.header("content-type"), &kept.body[..]),
        (Some("a/b"), &b"hello"[..]),
        "the body's own words stay"
    );
    assert_eq!(world.ask("GET /a", "if-none-match: \"v1\"\r\n").await.status, 304);
    // One that has changed takes its place.
    seconds(20).await;
    origin.says(&ok("cache-control: max-age=10\r\netag: \"v2\"\r\n", "other"));
    assert_eq!(world.get("/a").await.body, b"other");
    assert_eq!(told(&world.get("/a").await), "portcullis; hit; ttl=10");
    assert_eq!(origin.asked(), 3);
    // One that may not be kept any more goes, and stands in for nothing.
    seconds(10).await;
    origin.says("HTTP/1.1 304 Not Modified\r\netag: \"v2\"\r\ncache-control: private\r\n\r\n");
    assert_eq!(world.get("/a").await.body, b"other");
    assert_eq!(world.inside.gateway.shared().cache.fill().answers, 0);
    let came_by: Vec<_> = world.inside.records().iter().map(|it| it["cache"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came_by, ["miss", "revalidated", "hit", "hit", "miss", "hit", "revalidated"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_given_while_a_new_one_is_asked_for() {
    let origin = Origin::always(&ok("cache-control: max-age=10\r\n", "old"));
    let world = World::with("cache = { stale_while_revalidate = '30s' }", "", &origin);
    world.get("/a").await;
    seconds(15).await;
    origin.says(&ok("cache-control: max-age=10\r\n", "new"));
    origin.takes(Duration::from_secs(2));
    for _ in 0..3 {
        let stale = world.get("/a").await;
        assert_eq!((&stale.body[..], told(&stale)), (&b"old"[..], "portcullis; hit; ttl=-5"));
    }
    seconds(3).await;
    assert_eq!(origin.asked(), 2, "once for all of them");
    assert_eq!(world.get("/a").await.body, b"new");
    // One that is not kept leaves the old one no longer than it may stay.
    seconds(10).await;
    origin.takes(Duration::ZERO);
    origin.says("");
    assert_eq!(world.get("/a").await.body, b"new");
    seconds(31).await;
    assert_eq!(world.get("/a").await.status, 502);
    let came_by: Vec<_> = world.inside.records().iter().map(|it| it["cache"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came_by, ["miss", "stale", "stale", "stale", "hit", "stale", "miss"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_obeyed_unless_the_route_says_otherwise() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    let world = World::new(&origin);
    let absent = world.ask("GET /a", "cache-control: only-if-cached\r\n").await;
    assert_eq!((absent.status, absent.code(), origin.asked()), (504, "not_cached".to_owned(), 0));
    assert_eq!(told(&absent), "portcullis; fwd=uri-miss; detail=only-if-cached");
    for passes_by in ["range: bytes=0-1\r\n", "if-match: \"a\"\r\n", "cache-control: no-store\r\n"] {
        let absent = world.ask("GET /a", &format!("cache-control: only-if-cached\r\n{passes_by}")).await;
        assert_eq!((absent.status, origin.asked()), (504, 0), "{passes_by}");
    }
    world.get("/a").await;
    assert_eq!(world.ask("GET /a", "cache-control: only-if-cached\r\n").await.status, 200);
    seconds(10).await;
    for (fields, expected) in [
        ("cache-control: no-cache\r\n", "portcullis; fwd=request; ttl=60; stored"),
        ("pragma: no-cache\r\n", "portcullis; fwd=request; ttl=60; stored"),
        ("cache-control: max-age=0\r\n", "portcullis; hit; ttl=60"),
        ("cache-control: min-fresh=61\r\n", "portcullis; fwd=request; ttl=60; stored"),
        ("cache-control: no-store\r\n", "portcullis; fwd=bypass; detail=no-store"),
        ("range: bytes=0-1\r\n", "portcullis; fwd=bypass; detail=range"),
        ("if-match: \"a\"\r\n", "portcullis; fwd=bypass; detail=condition"),
    ] {
        assert_eq!(told(&world.ask("GET /a", fields).await), expected, "{fields}");
    }
    seconds(70).await;
    assert_eq!(told(&world.ask("GET /a", "cache-control: max-stale=30\r\n").await), "portcullis; hit; ttl=-10");
    let body = world.ask("GET /a", "content-length: 1\r\n\r\nx").await;
    assert_eq!((body.status, told(&body)), (200, "nothing"), "a GET with a body is not for a cache");
    let world = World::with("cache = { ignore_client_directives = true }", "", &origin);
    world.get("/a").await;
    seconds(10).await;
    for fields in ["cache-control: no-cache", "pragma: no-cache", "cache-control: max-age=0", "cache-control: no-store"]
    {
        assert_eq!(told(&world.ask("GET /a", &format!("{fields}\r\n")).await), "portcullis; hit; ttl=50", "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_a_resource_takes_away_what_is_kept_of_it() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    let world = World::new(&origin);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        world.get("/a").await;
        world.get("/b").await;
        assert_eq!(told(&world.get("/a").await), "portcullis; hit; ttl=60");
        let changed = world.ask(&format!("{method} /a"), "").await;
        assert_eq!((changed.status, told(&changed)), (200, "nothing"), "{method}");
        assert_eq!(told(&world.get("/a").await), "portcullis; fwd=uri-miss; ttl=60; stored", "{method}");
        assert_eq!(told(&world.get("/b").await), "portcullis; hit; ttl=60", "{method}");
    }
    origin.says("HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(world.ask("POST /a", "").await.status, 409);
    assert_eq!(told(&world.get("/a").await), "portcullis; hit; ttl=60", "nothing has changed");
    // What was asked for before a change is not kept after it.
    origin.says(&ok("cache-control: max-age=60\r\n", "before"));
    origin.takes(Duration::from_secs(2));
    let change = async {
        seconds(1).await;
        origin.takes(Duration::ZERO);
        world.ask("PUT /c", "").await;
    };
    let (before, ()) = tokio::join!(world.get("/c"), change);
    assert_eq!(before.body, b"before");
    assert_eq!(told(&world.get("/c").await), "portcullis; fwd=uri-miss; ttl=60; stored");
}

#[tokio::test(start_paused = true)]
async fn what_changes_a_resource_by_another_route_takes_away_what_is_kept_of_it_too() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    // Both read what the third writes, one of them by another path.
    let more = "[[routes]]\nname = 'api'\npath = '/api/{*rest}'\nmethods = ['GET']\nupstream = 'up'\ncache = true\n\
                rewrite = { path = '/v2/{rest}' }\n\
                [[routes]]\nname = 'write'\npath = '/{*rest}'\nmethods = ['POST', 'DELETE']\nupstream = 'up'\n";
    let world = World::with("methods = ['GET']\ncache = true", more, &origin);
    let hits = async |path: &str| told(&world.get(path).await).contains("hit");
    let paths = ["/a", "/a?q=1", "/b", "/api/a"];
    for method in ["POST", "DELETE"] {
        for path in paths {
            hits(path).await;
            assert!(hits(path).await, "{path}");
        }
        assert_eq!(world.ask(&format!("{method} /%61"), "").await.status, 200);
        assert_eq!(world.ask(&format!("{method} /api/a"), "").await.status, 200);
        let [gone, other_query, other, of_api] =
            [hits("/a").await, hits("/a?q=1").await, hits("/b").await, hits("/api/a").await];
        assert!(!gone && !of_api, "{method}");
        assert!(other_query && other, "{method}: of no other URL");
    }
    origin.says("HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(world.ask("POST /a", "").await.status, 409);
    assert!(hits("/a").await, "nothing has changed");
    let mut elsewhere = Client::on(world.inside.connect());
    origin.says(&ok("", "done"));
    assert_eq!(elsewhere.ask("POST /a HTTP/1.1\r\nhost: b.test\r\ncontent-length: 0\r\n\r\n").await.status, 200);
    assert!(hits("/a").await, "another host's is another's");
}

#[tokio::test(start_paused = true)]
async fn edits_and_compression_are_each_requests_own() {
    let page = "hello ".repeat(500);
    let fields =
        "cache-control: max-age=60\r\ncontent-type: text/plain\r\netag: \"v1\"\r\nserver: secret\r\nx-gone: 1\r\n";
    let origin = Origin::always(&ok(fields, &page));
    let route = "cache = true\ncompress = true\n\
                 response_headers = { set = { x-edge = '{request_id}', cache-control = 'no-store' }, remove = ['x-gone'] }";
    let world = World::with(route, "", &origin);
    for (n, coding) in [None, Some("gzip"), Some("zstd"), None].into_iter().enumerate() {
        let accept = coding.map(|coding| format!("accept-encoding: {coding}\r\n")).unwrap_or_default();
        let answer = world.ask("GET /a", &accept).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{n}");
        assert_eq!(answer.header("x-edge"), answer.header("x-request-id"), "its own");
        assert_eq!((answer.header("server"), answer.header("x-gone")), (None, None));
        assert_eq!(
            (answer.header("cache-control"), answer.header("vary")),
            (Some("no-store"), Some("accept-encoding"))
        );
        match coding {
            None => assert_eq!(answer.body, page.as_bytes()),
            Some(_) => assert!(answer.body.len() < page.len() / 4 && answer.header("etag") == Some("W/\"v1\"")),
        }
        assert_eq!(told(&answer).contains("hit"), n > 0, "{n}");
    }
    let known = world.ask("GET /a", "accept-encoding: gzip\r\nif-none-match: W/\"v1\"\r\n").await;
    assert_eq!((known.status, known.header("etag")), (304, Some("W/\"v1\"")));
    for tag in ["\"v1\"", "W/\"v1\""] {
        let known = world.ask("GET /a", &format!("if-none-match: {tag}\r\n")).await;
        assert_eq!((known.status, known.header("vary")), (304, Some("accept-encoding")), "as its 200: {tag}");
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_what_is_kept_however_its_clients_wrote_the_query() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "x"));
    let world = World::with("cache = true\nrequest_query = { keep = ['q'], set = { p = '{rest}' } }", "", &origin);
    for (target, asked) in [("/a?q=1&utm=x", 1), ("/a?utm=y&q=1&p=me", 1), ("/a?q=2", 2), ("/a", 3), ("/a?utm=z", 3)] {
        assert_eq!(world.get(target).await.status, 200);
        assert_eq!(origin.asked(), asked, "{target}");
    }
    assert!(origin.last().starts_with("GET /a?p=a HTTP/1.1\r\n"), "{}", origin.last());
    // What has changed goes, however the query was written then.
    assert_eq!(world.ask("POST /a?utm=w&q=1", "content-length: 0\r\n").await.status, 200);
    world.get("/a?q=1").await;
    world.get("/a?q=2").await;
    assert_eq!(origin.asked(), 5, "the POST, and what it changed");
}
