//! Breakers over real sockets: what fails is left alone, found well again, and every step is told.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Mock, Reset, Rule};
use serde_json::Value;

use crate::support::{Events, Gateway, echo, eventually, nowhere};

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An upstream `up` with these keys, and one route to it.
pub(crate) fn text(mock: &Mock, keys: &str) -> String {
    let endpoints: Vec<String> = mock.addrs().iter().map(|address| format!("'{address}'")).collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\n{keys}\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        endpoints.join(", ")
    )
}

/// Three failures in a row open it, for a time that no test waits for.
pub(crate) const TRIPS_AT_3: &str = "breaker = { consecutive_failures = 3, open_for = '60s' }";
/// The same, and it is tried soon.
const RECOVERS_SOON: &str =
    "breaker = { consecutive_failures = 3, open_for = '20ms', max_open_for = '20ms', probes = 2 }";

pub(crate) async fn endpoints(count: usize) -> Mock {
    Mock::builder().service("up").endpoints(count).start().await.unwrap()
}

/// What `/breakers` says of the upstream's n-th endpoint.
pub(crate) async fn breaker(gateway: &Gateway, endpoint: usize) -> Value {
    gateway.admin("GET", "/breakers").await.json()["breakers"][0]["endpoints"][endpoint].clone()
}

pub(crate) fn state(gateway: &Gateway, endpoint: usize) -> &'static str {
    gateway.inner().upstreams()[0].active().endpoints[endpoint].standing.guard.state().as_str()
}

#[tokio::test]
async fn what_fails_is_left_alone_and_every_place_says_why() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    let mut events = Events::of(&gateway, "").await;
    let labels = format!("upstream=\"up\",endpoint=\"{}\"", upstream.addr());
    let tripped = format!("gateway_breaker_trips_total{{{labels},cause=\"consecutive_failures\"}}");
    assert_eq!(gateway.metric(&tripped).await, Some(0.0), "an increase shows only from something");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.echo_status(), 503, "the upstream's own answer");
    }
    let refused = gateway.get("/").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "breaker_open"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((59..=60).contains(&wait), "{wait}");
    assert_eq!(upstream.counters().requests, 3, "nothing reaches it while the breaker is open");

    let records = gateway.records(4).await;
    assert_eq!(records[2]["breaker"], "closed");
    assert_eq!((&records[3]["breaker"], &records[3]["attempts"]), (&"open".into(), &0.into()));
    assert_eq!((&records[3]["code"], &records[3]["fault"]), (&"breaker_open".into(), &"upstream".into()));

    assert_eq!(gateway.metric(&format!("gateway_breaker_state{{{labels}}}")).await, Some(2.0));
    assert_eq!(gateway.metric(&tripped).await, Some(1.0));
    assert_eq!(gateway.metric("gateway_ejections{upstream=\"up\"}").await, Some(1.0));

    let told = events.next(2).await;
    assert_eq!(
        (&told[0]["kind"], &told[0]["from"], &told[0]["to"]),
        (&"breaker".into(), &"closed".into(), &"open".into())
    );
    assert_eq!((&told[0]["cause"], &told[0]["window"]["failures"]), (&"consecutive_failures".into(), &3.into()));
    assert_eq!(
        (&told[1]["kind"], &told[1]["ejected"], &told[1]["reason"]),
        (&"ejection".into(), &true.into(), &"breaker".into())
    );

    let shown = gateway.admin("GET", "/breakers").await.json();
    assert_eq!(shown["breakers"][0]["state"], "open", "with every endpoint open, the upstream's breaker is");
    let endpoint = &shown["breakers"][0]["endpoints"][0];
    assert_eq!((&endpoint["state"], &endpoint["cause"]), (&"open".into(), &"consecutive_failures".into()));
    assert_eq!((&endpoint["trips"], &endpoint["last_trip"]["window"]["failures"]), (&1.into(), &3.into()));
    assert!((1..=60_000).contains(&endpoint["next_probe_in_ms"].as_u64().unwrap()), "{endpoint}");
}

#[tokio::test]
async fn a_sick_endpoint_gets_nothing_more_and_the_others_get_all() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    let statuses = gateway.statuses(30).await;
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 3);
    assert!(statuses[6..].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!((upstream.counters_of(0).requests, upstream.counters_of(1).requests), (3, 27));
}

#[tokio::test]
async fn it_is_tried_by_time_alone_and_closes_when_probes_do_well() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, RECOVERS_SOON)).await;
    assert_eq!(gateway.statuses(3).await, [503; 3]);
    upstream.set_rules([]);
    eventually("half-open, without a request", || state(&gateway, 0) == "half_open").await;
    assert_eq!(upstream.counters().requests, 3, "nobody was sent to find out");
    assert_eq!(gateway.statuses(2).await, [200; 2]);
    assert_eq!(state(&gateway, 0), "closed");
    let shown = breaker(&gateway, 0).await;
    assert_eq!((&shown["cause"], &shown["balancing"]), (&"probes_passed".into(), &"in".into()));
    let met: Vec<Value> = gateway.records(5).await.into_iter().map(|mut record| record["breaker"].take()).collect();
    assert_eq!(met, ["closed", "closed", "closed", "half_open", "half_open"]);
}

#[tokio::test]
async fn a_probe_that_hangs_never_wedges_it() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let keys = "breaker = { consecutive_failures = 1, open_for = '10ms', max_open_for = '10ms', probes = 1, probe_timeout = '30ms' }";
    let gateway = Gateway::start(&text(&upstream, keys)).await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    assert_eq!(gateway.statuses(1).await, [503]);
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    eventually("half-open", || state(&gateway, 0) == "half_open").await;
    let mut hanging = gateway.client().await;
    hanging.send(GET).await;
    let causes = events.causes(3).await;
    assert_eq!(causes, ["consecutive_failures", "timer", "probe_timeout"]);
    upstream.set_rules([]);
    eventually("half-open again", || state(&gateway, 0) == "half_open").await;
    assert_eq!(gateway.statuses(1).await, [200]);
    assert_eq!(state(&gateway, 0), "closed", "while the first probe still hangs");
}

#[tokio::test]
async fn where_nothing_is_a_failure_nothing_trips() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, "breaker = { failures = [], consecutive_failures = 3 }")).await;
    assert_eq!(gateway.statuses(50).await, [503; 50]);
    assert_eq!((state(&gateway, 0), upstream.counters_of(0).requests), ("closed", 50));
}

#[tokio::test]
async fn too_many_requests_is_no_failure_and_no_recovery() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(429)]);
    let gateway = Gateway::start(&text(&upstream, RECOVERS_SOON)).await;
    assert_eq!(gateway.statuses(30).await, [429; 30]);
    upstream.set_rules([Rule::any().status(503)]);
    assert_eq!(gateway.statuses(3).await, [503; 3]);
    upstream.set_rules([Rule::any().status(429)]);
    eventually("half-open", || state(&gateway, 0) == "half_open").await;
    assert_eq!(gateway.statuses(10).await, [429; 10]);
    assert_eq!(state(&gateway, 0), "half_open");
}

#[tokio::test]
async fn a_bug_that_answers_500_ejects_nothing_by_default() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(500)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    assert_eq!(gateway.statuses(30).await, [500; 30]);
    let gateway = Gateway::start(&text(&upstream, "breaker = { failures = ['500'], consecutive_failures = 3 }")).await;
    let expected = [500, 500, 500, 503, 503];
    assert_eq!(gateway.statuses(5).await, expected, "where it is configured, it does");
}

#[tokio::test]
async fn connections_that_fail_and_answers_that_break_off_count() {
    let gone = nowhere();
    let text = |address: std::net::SocketAddr, keys: &str| {
        format!(
            "[upstreams.up]\nendpoints = ['{address}']\nbreaker = {{ {keys} }}\n[[routes]]\npath = '/{{*rest}}'\n\
             upstream = 'up'\nretry = {{ attempts = 1 }}\n"
        )
    };
    let gateway = Gateway::start(&text(gone, "consecutive_failures = 3, open_for = '60s'")).await;
    assert_eq!(gateway.statuses(4).await, [502, 502, 502, 503]);

    let reset = echo().await;
    reset.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let gateway = Gateway::start(&text(reset.addr(), "consecutive_failures = 3, open_for = '60s'")).await;
    assert_eq!(gateway.statuses(4).await, [502, 502, 502, 503]);

    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let cut = Raw::script(Script::new().read_request().send(half)).await.unwrap();
    let gateway = Gateway::start(&text(cut.addr(), "min_requests = 4, open_for = '60s'")).await;
    for _ in 0..4 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        client.rest().await;
    }
    eventually("open", || state(&gateway, 0) == "open").await;
    assert_eq!(breaker(&gateway, 0).await["cause"], "failure_ratio");

    let gateway = Gateway::start(&text(cut.addr(), "consecutive_failures = 3, open_for = '60s'")).await;
    for _ in 0..3 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        client.rest().await;
    }
    eventually("open", || state(&gateway, 0) == "open").await;
    assert_eq!(breaker(&gateway, 0).await["cause"], "consecutive_failures", "one after another, however few they are");
}

#[tokio::test]
async fn a_probe_that_breaks_off_when_its_head_has_closed_the_breaker_opens_it_again() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let cut = Raw::script(Script::new().read_request().send(half)).await.unwrap();
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}']\n\
         breaker = {{ consecutive_failures = 1, open_for = '10ms', max_open_for = '60s', probes = 1 }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        cut.addr()
    ))
    .await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    for _ in 0..2 {
        eventually("somebody may ask", || ["closed", "half_open"].contains(&state(&gateway, 0))).await;
        let mut client = gateway.client().await;
        client.send(GET).await;
        client.rest().await;
    }
    let causes = events.causes(4).await;
    assert_eq!(causes, ["consecutive_failures", "timer", "probes_passed", "probe_failed"]);
}

#[tokio::test]
async fn a_request_that_met_a_stale_connection_is_not_sent_again_to_who_is_left_alone_by_now() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for (opens, expected) in [(false, (200, 2)), (true, (502, 1))] {
        let gate = Gate::new();
        let script = Script::new().read_request().send(ok).read_request().wait(&gate).reset();
        let upstream = Raw::script(script).await.unwrap();
        let keys = format!("[upstreams.up]\nendpoints = ['{}']\n{TRIPS_AT_3}\n", upstream.addr());
        let route = "[[routes]]\npath = '/{*rest}'\nupstream = 'up'\nretry = { attempts = 1 }\n";
        let gateway = Gateway::start(&format!("{keys}{route}")).await;
        assert_eq!(gateway.get("/").await.status, 200);
        let mut client = gateway.client().await;
        client.send(GET).await;
        let twice = || upstream.received().first().is_some_and(|bytes| bytes.windows(4).filter(is_end).count() == 2);
        eventually("the second request on the same connection", twice).await;
        if opens {
            let open = format!("/breakers/up/{}/open", upstream.addr());
            assert_eq!(gateway.admin("POST", &open).await.status, 200);
        }
        gate.open();
        assert_eq!((client.answer().await.status, upstream.accepted()), expected, "opened meanwhile: {opens}");
    }
}

fn is_end(bytes: &&[u8]) -> bool {
    *bytes == b"\r\n\r\n"
}

#[tokio::test]
async fn slow_answers_open_it_where_that_is_asked_for() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().delay(std::time::Duration::from_millis(20))]);
    let keys = "breaker = { slow_call = '10ms', slow_ratio = 0.5, min_requests = 4, open_for = '60s' }";
    let gateway = Gateway::start(&text(&upstream, keys)).await;
    assert_eq!(gateway.statuses(5).await, [200, 200, 200, 200, 503]);
    assert_eq!(breaker(&gateway, 0).await["cause"], "slow_ratio");
}

#[tokio::test]
async fn an_operator_opens_closes_and_lets_go() {
    let upstream = endpoints(2).await;
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    let path = |action: &str| format!("/breakers/up/{}/{action}", upstream.addrs()[0]);
    let shown = gateway.admin("POST", &path("open")).await.json();
    assert_eq!(shown["breakers"][0]["endpoints"][0]["mode"], "open");
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(upstream.counters_of(0).requests, 0);
    assert_eq!(breaker(&gateway, 0).await["cause"], "operator");

    assert_eq!(gateway.admin("POST", &path("auto")).await.status, 200);
    assert_eq!(state(&gateway, 0), "half_open", "it is tried before it gets its share");
    assert_eq!(gateway.statuses(20).await, [200; 20]);
    assert_eq!(state(&gateway, 0), "closed");

    assert_eq!(gateway.admin("POST", &path("close")).await.status, 200);
    upstream.set_rules([Rule::any().status(503)]);
    gateway.statuses(10).await;
    assert_eq!((state(&gateway, 0), state(&gateway, 1)), ("closed", "open"), "held closed, it never trips");

    for path in
        ["/breakers/up/10.0.0.1:1/open", "/breakers/nobody/10.0.0.1:1/open", &path("burn"), &path("open?route=x")]
    {
        assert_eq!(gateway.admin("POST", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_reload_keeps_it_open() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    gateway.statuses(6).await;
    assert_eq!(state(&gateway, 0), "open");
    gateway.rewrite(&text(&upstream, "breaker = { consecutive_failures = 4, open_for = '50s' }"));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(upstream.counters_of(0).requests, 3);
    let shown = breaker(&gateway, 0).await;
    assert_eq!((&shown["state"], &shown["trips"], &shown["balancing"]), (&"open".into(), &1.into(), &"ejected".into()));
}

#[tokio::test]
async fn a_reload_that_turns_breakers_off_leaves_nothing_alone() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    assert_eq!(gateway.statuses(3).await, [503; 3]);
    assert_eq!((state(&gateway, 0), upstream.counters_of(0).requests), ("open", 3));
    upstream.set_rules([]);
    gateway.rewrite(&text(&upstream, "breaker = { failures = [], open_for = '60s' }"));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.statuses(3).await, [200; 3]);
    let shown = breaker(&gateway, 0).await;
    assert_eq!(
        (&shown["state"], &shown["cause"], &shown["balancing"]),
        (&"closed".into(), &"operator".into(), &"in".into())
    );
}

#[tokio::test]
async fn a_routes_own_breaker_ejects_no_endpoint_for_others() {
    let upstream = endpoints(1).await;
    upstream.set_rules([Rule::on("/bad").status(503)]);
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [[routes]]\nname = 'bad'\npath = '/bad'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n\
         breaker = {{ consecutive_failures = 3, open_for = '60s' }}\n\
         [[routes]]\nname = 'good'\npath = '/good'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/bad").await.status, 503);
    }
    assert_eq!(gateway.get("/bad").await.code(), "breaker_open");
    assert_eq!(gateway.get("/good").await.status, 200);
    let shown = gateway.admin("GET", "/breakers").await.json();
    assert_eq!((&shown["breakers"][0]["state"], &shown["breakers"][1]["state"]), (&"closed".into(), &"open".into()));
    assert_eq!(shown["breakers"][1]["route"], "bad");
    let of_endpoint = format!("gateway_breaker_state{{upstream=\"up\",endpoint=\"{}\"}}", upstream.addr());
    let of_route =
        format!("gateway_route_breaker_state{{upstream=\"up\",route=\"bad\",endpoint=\"{}\"}}", upstream.addr());
    assert_eq!((gateway.metric(&of_endpoint).await, gateway.metric(&of_route).await), (Some(0.0), Some(2.0)));
    let reasons = gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][0]["reasons"].take();
    assert_eq!(
        reasons,
        serde_json::json!(["its breaker for route bad is open (consecutive_failures; last failure 503)"])
    );

    let close = format!("/breakers/up/{}/close?route=bad", upstream.addr());
    assert_eq!(gateway.admin("POST", &close).await.status, 200);
    assert_eq!(gateway.get("/bad").await.echo_status(), 503, "it is asked again");
}

#[tokio::test]
async fn too_many_sick_endpoints_are_capped_and_say_so() {
    let upstream = endpoints(3).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503), Rule::any().endpoint(1).status(503)]);
    let gateway = Gateway::start(&text(&upstream, TRIPS_AT_3)).await;
    let mut events = Events::of(&gateway, "?kinds=ejection").await;
    gateway.statuses(60).await;
    let moves: Vec<(bool, bool)> = events
        .next(2)
        .await
        .iter()
        .map(|event| (event["ejected"].as_bool().unwrap(), event["capped"].as_bool().unwrap()))
        .collect();
    assert_eq!(moves, [(true, false), (false, true)], "half of three is one");
    let places = [breaker(&gateway, 0).await, breaker(&gateway, 1).await].map(|shown| shown["balancing"].to_string());
    assert!(places.contains(&"\"ejected\"".to_owned()) && places.contains(&"\"capped\"".to_owned()), "{places:?}");
    assert_eq!(gateway.metric("gateway_ejections{upstream=\"up\"}").await, Some(1.0));
    let asked = [upstream.counters_of(0).requests, upstream.counters_of(1).requests];
    assert!(asked.contains(&3) && asked.iter().any(|asked| *asked > 10), "{asked:?}");
}

#[tokio::test]
async fn all_are_used_where_too_few_are_well() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, &format!("{TRIPS_AT_3}\npanic_below = 0.4"))).await;
    assert_eq!(gateway.statuses(30).await, [503; 30]);
    assert_eq!(upstream.counters().requests, 30, "rather than to refuse everything");
    upstream.set_rules([]);
    assert_eq!(gateway.statuses(5).await, [200; 5], "and what heals is used at once");
}
