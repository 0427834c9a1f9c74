//! Retries and deadlines over real sockets: what goes again, where to, how often, and for how long.

use std::time::Duration;

use mocks::raw::{Raw, Script};
use mocks::{Effect, Mock, Reset, Rule};

use crate::support::{Gateway, echo, eventually, nowhere};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn endpoints(count: usize) -> Mock {
    Mock::builder().service("up").endpoints(count).start().await.unwrap()
}

/// Round robin over the mock's endpoints; breakers that never trip; these keys for the upstream and for `retry`.
fn text(mock: &Mock, keys: &str, retry: &str) -> String {
    let endpoints: Vec<String> = mock.addrs().iter().map(|address| format!("'{address}'")).collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\n\
         breaker = {{ consecutive_failures = 0, min_requests = 1000000000 }}\n{keys}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ {retry} }}\n",
        endpoints.join(", ")
    )
}

#[tokio::test]
async fn a_failure_goes_again_to_another_endpoint() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503)]);
    let gateway = Gateway::start(&text(&upstream, "", "")).await;
    let mut client = gateway.client().await;
    for _ in 0..10 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert_eq!((upstream.counters_of(0).requests, upstream.counters_of(1).requests), (5, 10));
    let attempts: u64 = gateway.records(10).await.iter().map(|record| record["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 15);
    assert_eq!(gateway.metric("gateway_retries_total{upstream=\"up\",result=\"ok\"}").await, Some(5.0));
}

/// Whoever is asked in another one's place is asked for its own name: where nobody has said another, as HTTP/1.0 may,
/// and where the route says so.
#[tokio::test]
async fn whom_a_request_goes_to_again_is_asked_by_its_own_name() {
    let (hangs, other) = (endpoints(1).await, endpoints(1).await);
    hangs.set_rules([Rule::any().effect(Effect::Hang)]);
    let (gone, hangs, own_name) = (nowhere(), hangs.addr(), other.addr().to_string());
    let both = |first| format!("[upstreams.up]\nendpoints = ['{first}', '{own_name}']\nbalance = 'round_robin'\n");
    let apart = format!("[upstreams.up]\nendpoints = ['{gone}']\n[upstreams.other]\nendpoints = ['{own_name}']\n");
    for (upstreams, way) in [
        (both(gone), "retry = {}"),
        (both(hangs), "hedge = { after = '10ms' }\nretry = { attempts = 1 }"),
        (apart, "fallback = { upstream = 'other' }\nretry = { attempts = 1 }"),
    ] {
        let own = own_name.as_str();
        for (host, without, with) in [("client", own, "a"), ("upstream", own, own), ("b.test", "b.test", "b.test")] {
            let route = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nhost = '{host}'\n{way}\n");
            let gateway = Gateway::start(&format!("{upstreams}{route}")).await;
            for (head, expected) in [("GET / HTTP/1.0\r\n\r\n", without), (GET, with)] {
                let answer = gateway.ask(head).await;
                assert_eq!(
                    (answer.status, answer.echo().header("host")),
                    (200, Some(expected)),
                    "{way}, {host}: {head}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_again_whatever_the_method_and_what_was_does_not() {
    let upstream = echo().await;
    let gone = nowhere();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{gone}', '{}']\nbalance = 'round_robin'\n[[routes]]\npath = '/{{*rest}}'\n\
         upstream = 'up'\nretry = {{}}\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let post = "POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    for _ in 0..4 {
        let echo = gateway.ask(post).await.echo();
        assert_eq!((echo.get("method"), echo.get("body_bytes")), (&"POST".into(), &3.into()));
    }
    upstream.reset();
    upstream.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let gateway = Gateway::with_route("retry = {}", upstream.addr()).await;
    assert_eq!(gateway.ask(post).await.code(), "upstream_reset");
    assert_eq!(upstream.counters().requests, 1, "nobody pays twice");
    assert_eq!(gateway.get("/").await.code(), "upstream_reset");
    assert_eq!(upstream.counters().requests, 3, "a GET is sent again, to the same endpoint where there is no other");
}

#[tokio::test]
async fn a_body_goes_again_byte_for_byte_and_beyond_the_buffer_it_is_sent_once() {
    let upstream = endpoints(2).await;
    let keys = "retry_budget = { ratio = 10.0, min_per_second = 100 }";
    let gateway = Gateway::start(&text(&upstream, keys, "buffer = '10000B'")).await;
    for (length, expected) in [(1, 200), (9_999, 200), (10_000, 200), (10_001, 503), (300_000, 503)] {
        let body: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
        for chunked in [false, true] {
            // The next request of this endpoint fails, and the one after it does not.
            upstream.set_rules([Rule::any().endpoint(0).status(503)]);
            let head =
                if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {length}") };
            let mut bytes = format!("PUT /x HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n").into_bytes();
            if chunked {
                for part in body.chunks(4_000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                    bytes.extend_from_slice(part);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            } else {
                bytes.extend_from_slice(&body);
            }
            // Round robin: one of two goes to the failing one first.
            let answers = [gateway.ask(&bytes).await, gateway.ask(&bytes).await];
            let sums: Vec<_> = answers
                .iter()
                .filter(|answer| answer.status == 200)
                .map(|answer| (answer.json()["body_bytes"].clone(), answer.json()["body_sha256"].clone()))
                .collect();
            let good = if expected == 200 { 2 } else { 1 };
            assert_eq!(sums.len(), good, "{length} bytes, chunked: {chunked}");
            assert!(sums.iter().all(|sum| *sum == sums[0] && sum.0 == length), "{sums:?}");
        }
    }
}

#[tokio::test]
async fn the_budget_bounds_what_an_outage_costs() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().status(503)]);
    let keys = "retry_budget = { ratio = 0.2, min_per_second = 3 }";
    let gateway = Gateway::start(&text(&upstream, keys, "attempts = 10, backoff = '0ms', max_backoff = '0ms'")).await;
    let began = gateway.inner().shared().clock.now();
    let mut client = gateway.client().await;
    for _ in 0..200 {
        assert_eq!(client.ask(GET).await.status, 503);
    }
    let seconds = (gateway.inner().shared().clock.now() - began).as_secs_f64();
    let asked = upstream.counters().requests as f64;
    assert!(asked <= 200.0 * 1.2 + 3.0 * (seconds + 1.0), "{asked} in {seconds} s");
    assert!(asked > 200.0, "some are tried again");
    let refused = gateway.metric("gateway_retries_total{upstream=\"up\",result=\"no_budget\"}").await;
    assert!(refused.unwrap() >= 100.0, "{refused:?}");
}

#[tokio::test]
async fn retry_after_is_waited_for_within_the_deadline() {
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::scripts([Script::new().read_request().send(busy), Script::always(ok)]).await.unwrap();
    let gateway = Gateway::with_route("retry = {}", upstream.addr()).await;
    let clock = gateway.inner().shared().clock.clone();
    let began = clock.now();
    assert_eq!(gateway.get("/").await.status, 200);
    assert!(clock.now() - began >= Duration::from_secs(1));

    let late = "HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::scripts([Script::new().read_request().send(late), Script::always(ok)]).await.unwrap();
    let gateway = Gateway::with_route("retry = {}", upstream.addr()).await;
    assert_eq!(gateway.get("/").await.echo_status(), 503, "it is told at once what cannot be had in time");
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn who_has_no_deadline_waits_no_longer_than_the_policy_for_a_retry_after() {
    let late = "HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    for retry in ["", "max_backoff = '3599s'"] {
        let upstream = Raw::script(Script::always(late)).await.unwrap();
        let gateway = Gateway::with_route(&format!("timeout = '0s'\nretry = {{ {retry} }}"), upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3600")), "{retry}");
        assert_eq!(upstream.accepted(), 1, "{retry}");
    }
}

#[tokio::test]
async fn a_retry_after_that_is_a_date_or_larger_than_any_number_is_heeded_as_well() {
    for far in ["Fri, 01 Jan 2100 00:00:00 GMT", "999999999999999999999"] {
        let busy = format!("HTTP/1.1 503 Busy\r\nretry-after: {far}\r\ncontent-length: 0\r\n\r\n");
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let upstream = Raw::scripts([Script::new().read_request().send(busy), Script::always(ok)]).await.unwrap();
        let gateway = Gateway::with_route("retry = {}", upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some(far)));
        assert_eq!(upstream.accepted(), 1, "{far}");
    }
    // One that is past asks for no more than the policy does.
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::scripts([Script::new().read_request().send(busy), Script::always(ok)]).await.unwrap();
    let gateway = Gateway::with_route("retry = {}", upstream.addr()).await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn who_waits_for_the_next_attempt_has_no_place_in_flight() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let busy = |fields: &str| format!("HTTP/1.1 503 Busy\r\n{fields}content-length: 0\r\n\r\n");
    let started = async |fields: &str| {
        let upstream =
            Raw::scripts([Script::new().read_request().send(busy(fields)), Script::always(ok)]).await.unwrap();
        let text = format!(
            "[upstreams.up]\nendpoints = ['{}']\nconcurrency = {{ max_in_flight = 1 }}\n[[routes]]\npath = '/{{*rest}}'\n\
             upstream = 'up'\ntimeout = '0s'\nretry = {{ backoff = '0ms', max_backoff = '60s' }}\n",
            upstream.addr()
        );
        (Gateway::start(&text).await, upstream)
    };
    let (gateway, upstream) = started("retry-after: 60\r\n").await;
    let mut waits = gateway.client().await;
    waits.send(GET).await;
    upstream.wait_for_accepts(1).await;
    let endpoint = std::sync::Arc::clone(&gateway.inner().upstreams()[0].active().endpoints[0]);
    eventually("it waits", || endpoint.in_flight.count() == 0).await;
    assert_eq!(gateway.get("/").await.status, 200, "nobody is shed for one that waits");
    drop(waits);
    gateway.at_rest().await;

    // Nor does a request's own place keep its next attempt out.
    let (gateway, upstream) = started("").await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_made_elsewhere() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", "per_try_timeout = '500ms'")).await;
    let mut client = gateway.client().await;
    for _ in 0..4 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert_eq!(upstream.counters_of(0).requests, 2);
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_failed_probes_request_is_made_good_elsewhere() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503)]);
    let endpoints: Vec<String> = upstream.addrs().iter().map(|address| format!("'{address}'")).collect();
    let text = format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\nretry_budget = {{ ratio = 0.0, min_per_second = 0 }}\n\
         breaker = {{ consecutive_failures = 1, open_for = '5ms', max_open_for = '5ms', probes = 1 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        endpoints.join(", ")
    );
    let gateway = Gateway::start(&text).await;
    let mut client = gateway.client().await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(client.ask(GET).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 1, "the one that trips it: {statuses:?}");
    for _ in 0..10 {
        let is_open = || gateway.inner().upstreams()[0].active().endpoints[0].standing.guard.has_room_for_a_probe();
        eventually("half-open", is_open).await;
        let before = upstream.counters_of(0).requests;
        while upstream.counters_of(0).requests == before {
            assert_eq!(client.ask(GET).await.status, 200, "no client pays for a probe");
        }
    }
}

#[tokio::test]
async fn upstreams_are_told_how_much_time_is_left() {
    let upstream = echo().await;
    let gateway = Gateway::with_route("timeout = '2s'", upstream.addr()).await;
    let left = |answer: &crate::support::Answer| -> u64 {
        answer.echo().header("x-request-timeout-ms").unwrap().parse().unwrap()
    };
    let answer = gateway.get("/").await;
    assert!((1_500..=2_000).contains(&left(&answer)));
    let ask = async |fields: &str| gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
    let less = ask("x-request-timeout-ms: 700\r\n").await;
    assert!((1..=700).contains(&left(&less)), "a client may ask for less");
    let more = ask("x-request-timeout-ms: 90000\r\n").await;
    assert!(left(&more) <= 2_000, "and not for more");
    let nonsense = ask("x-request-timeout-ms: soon\r\n").await;
    assert!((1_500..=2_000).contains(&left(&nonsense)));
    let call = "content-type: application/grpc+proto\r\ngrpc-timeout: 500m\r\ncontent-length: 0\r\n";
    let grpc = gateway.ask(format!("POST / HTTP/1.1\r\nhost: a\r\n{call}\r\n")).await;
    let told = grpc.echo().header("grpc-timeout").unwrap().trim_end_matches('m').parse::<u64>().unwrap();
    assert!((1..=500).contains(&told) && left(&grpc) == told);

    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    assert_eq!(ask("x-request-timeout-ms: 50\r\n").await.code(), "upstream_timeout");
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_time_that_its_client_gave_is_its_clients_fault_and_the_routes_is_the_upstreams() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    for (route, fields, fault) in [
        ("timeout = '10s'", "x-request-timeout-ms: 50\r\n", "client"),
        ("timeout = '0s'", "x-request-timeout-ms: 50\r\n", "client"),
        ("timeout = '50ms'", "", "upstream"),
        ("timeout = '50ms'", "x-request-timeout-ms: 60000\r\n", "upstream"),
        // It was not that time which ran out.
        (
            "timeout = '10m'\nretry = { attempts = 1, per_try_timeout = '50ms' }",
            "x-request-timeout-ms: 500000\r\n",
            "upstream",
        ),
        ("timeout = '10s'\nfallback = { status = 503, body = 'later' }", "x-request-timeout-ms: 50\r\n", "client"),
    ] {
        let gateway = Gateway::with_route(route, upstream.addr()).await;
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
        assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
        let record = gateway.record().await;
        // Where the machine is slow, all of it may be over before anybody is asked.
        assert!(matches!(record["code"].as_str(), Some("upstream_timeout" | "overloaded")), "{record}");
        assert_eq!(record["fault"], fault, "{route} {fields}");
    }
}

#[tokio::test]
async fn what_is_no_call_of_grpc_keeps_its_grpc_timeout_and_has_the_routes_time() {
    let upstream = echo().await;
    let gateway = Gateway::with_route("timeout = '60s'", upstream.addr()).await;
    for told in ["1n", "50m", "soon"] {
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\ngrpc-timeout: {told}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{told}");
        assert_eq!(answer.echo().all("grpc-timeout"), [told], "it is the service's to read");
        let left: u64 = answer.echo().header("x-request-timeout-ms").unwrap().parse().unwrap();
        assert!(left > 1_000, "{told}: {left} ms");
    }
}

#[tokio::test]
async fn one_deadline_holds_for_all_attempts() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let text = text(&upstream, "", "attempts = 10, per_try_timeout = '300ms'");
    let gateway = Gateway::start(&text.replace("name = 'all'", "name = 'all'\ntimeout = '1s'")).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
    let asked = upstream.counters().requests;
    assert!((2..=4).contains(&asked), "{asked} attempts of 300 ms in a second, and not ten");
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_retries() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", "attempts = 10, per_try_timeout = '10s'")).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    upstream.wait_for_requests(1).await;
    drop(client);
    gateway.at_rest().await;
    assert_eq!(upstream.counters().requests, 1);
    assert_eq!(gateway.record().await["ended"], "client_left");
}
