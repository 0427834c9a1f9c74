//! What a route gives where its upstream cannot: a fixed answer, or another upstream's.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Mock, Reset, Rule};

use crate::support::{Answer, Gateway, echo, eventually, nowhere};

/// A route to the first, with another upstream `cache` beside it, and these keys.
fn text(up: std::net::SocketAddr, cache: std::net::SocketAddr, keys: &str) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{up}']\nbreaker = {{ consecutive_failures = 3, open_for = '60s' }}\n\
         [upstreams.cache]\nendpoints = ['{cache}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n{keys}\n"
    )
}

fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

const FIXED: &str = "fallback = { status = 200, body = '{\"items\":[]}', content_type = 'application/json' }\n\
                     retry = { attempts = 1 }";
const OTHER: &str = "fallback = { upstream = 'cache' }\nretry = { attempts = 1, per_try_timeout = '200ms' }";

async fn counted(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!("gateway_fallbacks_total{{route=\"all\",result=\"{result}\"}}")).await
}

#[tokio::test]
async fn a_fixed_answer_covers_a_failure_that_the_record_still_names() {
    let gateway = Gateway::start(&text(nowhere(), nowhere(), FIXED)).await;
    for n in 0..5 {
        let answer = gateway.get("/items").await;
        assert_eq!((answer.status, body(&answer)), (200, "{\"items\":[]}"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("x-request-id").is_some() && answer.header("retry-after").is_none());
        // Three attempts fail; then the breaker is open, and nothing is asked.
        let record = &gateway.records(n + 1).await[n];
        let (code, attempts) = if n < 3 { ("upstream_connect", 1) } else { ("breaker_open", 0) };
        assert_eq!((&record["status"], &record["code"]), (&200.into(), &code.into()));
        assert_eq!((&record["fault"], &record["attempts"]), (&"upstream".into(), &attempts.into()));
    }
    assert_eq!(counted(&gateway, "fixed").await, Some(5.0));
    let covered = "gateway_requests_total{route=\"all\",status_class=\"2xx\",code=\"breaker_open\"}";
    assert_eq!(gateway.metric(covered).await, Some(2.0));
}

#[tokio::test]
async fn head_has_the_length_and_no_body_and_a_503_says_when_to_come_back() {
    let keys = "fallback = { status = 503, body = 'later' }\nretry = { attempts = 1 }\n\
                response_headers = { set = { x-from = 'fallback' } }";
    let gateway = Gateway::start(&text(nowhere(), nowhere(), keys)).await;
    let mut client = gateway.client().await;
    let head = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n";
    for _ in 0..4 {
        client.send(head).await;
        let answer = client.head().await;
        assert_eq!((answer.status, answer.header("content-length")), (503, Some("5")));
        assert_eq!(answer.header("x-from"), Some("fallback"));
    }
    let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, body(&answer)), (503, "later"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((59..=60).contains(&wait), "{wait}");

    let keys = "fallback = { status = 204 }\nretry = { attempts = 1 }";
    let gateway = Gateway::start(&text(nowhere(), nowhere(), keys)).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (204, None, 0));
    }
}

#[tokio::test]
async fn what_the_upstream_answers_and_what_the_client_does_wrong_is_not_covered() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text(upstream.addr(), nowhere(), &format!("{FIXED}\nmax_body = '10B'"))).await;
    for status in [404, 429, 500, 503] {
        upstream.set_rules([Rule::any().status(status)]);
        assert_eq!(gateway.get("/").await.echo_status(), status, "an answer is an answer");
    }
    upstream.set_rules([]);
    let large = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello world";
    assert_eq!(gateway.ask(large).await.code(), "body_too_large");
    let chunked = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n";
    assert_eq!(gateway.ask(chunked).await.code(), "body_too_large");
    let bad = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(gateway.ask(bad).await.code(), "bad_request");
    assert_eq!(counted(&gateway, "fixed").await, None);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_and_never_replaced() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let upstream = Raw::script(Script::new().read_request().send(half).reset()).await.unwrap();
    let gateway = Gateway::start(&text(upstream.addr(), nowhere(), FIXED)).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let text = String::from_utf8(client.rest().await).unwrap();
    assert!(!text.contains("items"), "{text}");
    assert_eq!(gateway.record().await["ended"], "upstream_cut");
}

#[tokio::test]
async fn another_upstream_stands_in_with_breaker_and_body_of_its_own() {
    let cache = Mock::builder().service("cache").start().await.unwrap();
    let gateway = Gateway::start(&text(nowhere(), cache.addr(), OTHER)).await;
    let post = "POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    for n in 0..5 {
        // Nothing was sent to who cannot be reached: also a POST is safe.
        let echo = gateway.ask(post).await.echo();
        assert_eq!(
            (echo.get("service"), echo.get("body_bytes"), echo.get("method")),
            (&"cache".into(), &5.into(), &"POST".into())
        );
        let record = &gateway.records(n + 1).await[n];
        let (code, attempts) = if n < 3 { ("upstream_connect", 2) } else { ("breaker_open", 1) };
        assert_eq!(
            (&record["status"], &record["code"], &record["attempts"]),
            (&200.into(), &code.into(), &attempts.into())
        );
        assert_eq!((&record["upstream"], &record["fault"]), (&"cache".into(), &"upstream".into()));
        assert_eq!(record["endpoint"], cache.addr().to_string());
        assert_eq!(record["breaker"], "closed", "the one that the stand-in's endpoint has");
    }
    assert_eq!(counted(&gateway, "upstream").await, Some(5.0));
    let attempts = |upstream: &str, outcome: &str| {
        format!("gateway_upstream_attempts_total{{upstream=\"{upstream}\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(gateway.metric(&attempts("cache", "ok")).await, Some(5.0));
    assert_eq!(gateway.metric(&attempts("up", "connect")).await, Some(3.0));
    gateway.at_rest().await;
}

#[tokio::test]
async fn where_the_stand_in_fails_too_the_first_problem_is_told() {
    let cache = Mock::builder().service("cache").start().await.unwrap();
    let gateway = Gateway::start(&text(nowhere(), cache.addr(), OTHER)).await;
    cache.set_rules([Rule::any().status(500)]);
    assert_eq!(gateway.get("/").await.code(), "upstream_connect", "its 5xx is none of the client's business");
    cache.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    assert_eq!(gateway.get("/").await.code(), "upstream_connect");
    cache.set_rules([Rule::any().effect(Effect::Hang)]);
    assert_eq!(gateway.get("/").await.code(), "upstream_connect");
    // Its breaker is open by now, and so is the route's own.
    let refused = gateway.get("/").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "breaker_open"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(cache.counters().requests, 3);
    let records = gateway.records(4).await;
    assert!(
        records.iter().take(3).all(|record| record["upstream"] == "cache" && record["status"] == 502),
        "{records:#?}"
    );
    assert_eq!(records[3]["attempts"], 0);
    assert_eq!(counted(&gateway, "failed").await, Some(4.0));
    cache.set_rules([Rule::any().status(404)]);
    gateway.at_rest().await;
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_not_sent_to_another_upstream() {
    let up = echo().await;
    let cache = Mock::builder().service("cache").start().await.unwrap();
    up.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let keys = "fallback = { upstream = 'cache' }\n\
                retry = { attempts = 1, per_try_timeout = '200ms', buffer = '10B' }";
    let gateway = Gateway::start(&text(up.addr(), cache.addr(), keys)).await;
    assert_eq!(gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.code(), "upstream_reset");
    let put = |body: &str| format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(gateway.ask(put("hello world, this is long")).await.code(), "upstream_reset");
    assert_eq!(cache.counters().requests, 0);
    assert_eq!(counted(&gateway, "unsent").await, Some(2.0));
    let echo = gateway.ask(put("short")).await.echo();
    assert_eq!((echo.get("service"), echo.get("body_bytes")), (&"cache".into(), &5.into()), "what is kept goes again");
}

#[tokio::test]
async fn a_stand_in_gets_what_is_left_of_the_time_and_none_where_none_is() {
    let gate = Gate::new();
    let hangs = Raw::script(Script::new().read_request().wait(&gate)).await.unwrap();
    let cache = Mock::builder().service("cache").start().await.unwrap();
    let gateway = Gateway::start(&text(hangs.addr(), cache.addr(), &format!("{OTHER}\ntimeout = '10s'"))).await;
    let clock = gateway.inner().shared().clock.clone();
    let began = clock.now();
    let echo = gateway.get("/").await.echo();
    let took = clock.now().saturating_duration_since(began).as_millis() as u64;
    let left: u64 = echo.header("x-request-timeout-ms").unwrap().parse().unwrap();
    // What the first attempt took is gone, and no more than all that has passed.
    assert!((9_999_u64.saturating_sub(took)..=9_800).contains(&left), "{left} after {took} ms");
    assert_eq!(gateway.record().await["code"], "upstream_timeout");

    let keys = "fallback = { upstream = 'cache' }\nretry = { attempts = 1 }\ntimeout = '100ms'";
    let gateway = Gateway::start(&text(hangs.addr(), cache.addr(), keys)).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
    assert_eq!(counted(&gateway, "unsent").await, Some(1.0));
    gate.open();
}

#[tokio::test]
async fn a_grpc_client_gets_no_answer_that_is_no_grpc() {
    let gateway = Gateway::start(&text(nowhere(), nowhere(), FIXED)).await;
    let call = "POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";
    let answer = gateway.ask(call).await;
    assert_eq!((answer.header("grpc-status"), answer.body.len()), (Some("14"), 0), "it is not covered");
    assert_eq!(gateway.record().await["code"], "upstream_connect");
    let keys = "fallback = { status = 200, content_type = 'application/grpc' }\nretry = { attempts = 1 }";
    let gateway = Gateway::start(&text(nowhere(), nowhere(), keys)).await;
    let answer = gateway.ask(call).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
}

#[tokio::test]
async fn a_limit_of_the_upstreams_is_covered_and_the_gateways_own_is_not() {
    let gate = Gate::new();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(ok)).await.unwrap();
    let keys = format!("{FIXED}\n[defaults.upstream]\npool = {{ max_connections = 1 }}");
    let gateway = Gateway::start(&text(slow.addr(), nowhere(), &keys)).await;
    let mut held = gateway.client().await;
    held.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("one is held", || slow.accepted() == 1).await;
    assert_eq!(gateway.get("/").await.status, 200, "no connection is left: the fixed answer");
    assert_eq!(gateway.record().await["code"], "overloaded");
    gate.open();
    assert_eq!(held.answer().await.status, 200);

    let gate = Gate::new();
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(ok)).await.unwrap();
    let server = format!("[server]\nmax_in_flight = 1\n{}", text(slow.addr(), nowhere(), FIXED));
    let gateway = Gateway::start(&server).await;
    let mut held = gateway.client().await;
    held.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("one is held", || slow.accepted() == 1).await;
    assert_eq!(gateway.get("/").await.code(), "overloaded", "it is the gateway that refuses");
    gate.open();
    assert_eq!(held.answer().await.status, 200);
}

#[tokio::test]
async fn an_operator_sees_it_and_a_reload_keeps_the_stand_ins_breaker() {
    let cache = Mock::builder().service("cache").start().await.unwrap();
    cache.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(nowhere(), cache.addr(), OTHER)).await;
    let shown = gateway.admin("GET", "/routes").await.json()["routes"][0]["fallback"].clone();
    assert_eq!(shown, "upstream cache");
    let explained = gateway.admin("GET", "/explain?method=GET&url=/x").await.json()["policies"]["fallback"].clone();
    assert_eq!(explained, "upstream cache");
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.code(), "upstream_connect");
    }
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/").await.code(), "upstream_connect");
    assert_eq!(cache.counters().requests, 2, "its breaker opened before the reload");
}

#[tokio::test]
async fn who_is_answered_by_a_fallback_has_paid_its_limit_and_is_told() {
    let keys = format!("{FIXED}\nrate_limits = ['few']\n[rate_limits.few]\nrate = '1/m'\nburst = 1\nkey = 'global'");
    let gateway = Gateway::start(&text(nowhere(), nowhere(), &keys)).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.header("ratelimit").is_some()), (200, true));
    assert_eq!(gateway.get("/").await.code(), "rate_limited", "a limit is none of the upstream's failures");
}

#[tokio::test]
async fn a_websocket_finds_the_stand_in_too() {
    let cache = Mock::builder().service("cache").start().await.unwrap();
    let gateway = Gateway::start(&text(nowhere(), cache.addr(), OTHER)).await;
    for _ in 0..4 {
        let mut client = gateway.client().await;
        client
            .send(
                "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
            )
            .await;
        assert_eq!(client.answer().await.status, 101);
    }
}
