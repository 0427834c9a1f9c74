//! Active checks, ejection by them, and slow start, over real sockets.

use mocks::raw::{Raw, Script};
use mocks::{Effect, Mock, Rule};
use serde_json::Value;

use crate::support::{Events, Gateway, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// Checks that decide soon.
const CHECKS: &str =
    "health = { path = '/healthz?full=1', interval = '100ms', timeout = '1s', healthy_after = 2, unhealthy_after = 2 }";

fn text(mock: &Mock, endpoints: std::ops::Range<usize>, keys: &str) -> String {
    let endpoints: Vec<String> = mock.addrs()[endpoints].iter().map(|address| format!("'{address}'")).collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\n{keys}\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        endpoints.join(", ")
    )
}

async fn endpoints(count: usize) -> Mock {
    Mock::builder().service("up").endpoints(count).start().await.unwrap()
}

fn is_healthy(gateway: &Gateway, endpoint: usize) -> bool {
    gateway.inner().upstreams()[0].active().endpoints[endpoint].health.is_healthy()
}

async fn shown(gateway: &Gateway, endpoint: usize) -> Value {
    gateway.admin("GET", "/upstreams").await.json()["upstreams"][0]["endpoints"][endpoint].clone()
}

/// Requests of clients that an endpoint got.
fn asked(mock: &Mock, endpoint: usize) -> usize {
    let port = mock.addrs()[endpoint].port();
    mock.journal().iter().filter(|entry| entry.endpoint == port && entry.path == "/").count()
}

#[tokio::test]
async fn an_endpoint_whose_checks_fail_leaves_and_comes_back() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/healthz").endpoint(0).status(500)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, CHECKS)).await;
    eventually("it is found unhealthy", || !is_healthy(&gateway, 0)).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!((asked(&upstream, 0), asked(&upstream, 1)), (0, 10));
    let endpoint = shown(&gateway, 0).await;
    assert_eq!(endpoint["balancing"], "ejected");
    assert_eq!(endpoint["reasons"], serde_json::json!(["its health checks fail (status 500)"]));

    let mut events = Events::of(&gateway, "?kinds=health,ejection").await;
    upstream.set_rules([]);
    let told = events.next(2).await;
    assert_eq!(
        (&told[0]["kind"], &told[0]["healthy"], &told[0]["detail"]),
        (&"health".into(), &true.into(), &"ok".into())
    );
    assert_eq!(
        (&told[1]["kind"], &told[1]["ejected"], &told[1]["reason"]),
        (&"ejection".into(), &false.into(), &"recovered".into())
    );
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream, 0), 5);
}

#[tokio::test]
async fn the_last_endpoint_stays_whatever_its_checks_say() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/healthz").status(503)]);
    let gateway =
        Gateway::start(&text(&upstream, 0..2, &format!("{CHECKS}\nejection = {{ max_percent = 100 }}"))).await;
    eventually("both are found unhealthy", || !is_healthy(&gateway, 0) && !is_healthy(&gateway, 1)).await;
    assert_eq!(gateway.statuses(10).await, [200; 10], "one stays in");
    let places = [shown(&gateway, 0).await, shown(&gateway, 1).await].map(|shown| shown["balancing"].to_string());
    assert!(places.contains(&"\"capped\"".to_owned()), "{places:?}");
    for (state, endpoints) in [("unhealthy", 2.0), ("in", 0.0), ("capped", 0.0)] {
        let sample = format!("gateway_endpoints{{upstream=\"up\",state=\"{state}\"}}");
        assert_eq!(gateway.metric(&sample).await, Some(endpoints), "{state}: an alert counts both as down");
    }
    assert_eq!(asked(&upstream, 0).min(asked(&upstream, 1)), 0);
}

#[tokio::test]
async fn who_is_down_by_its_checks_leaves_whatever_the_share_of_ejection_is() {
    let upstream = endpoints(3).await;
    let down = |endpoint| Rule::on("/healthz").endpoint(endpoint).status(503);
    upstream.set_rules([down(0), down(1)]);
    let gateway = Gateway::start(&text(&upstream, 0..3, CHECKS)).await;
    eventually("two are found unhealthy", || !is_healthy(&gateway, 0) && !is_healthy(&gateway, 1)).await;
    assert_eq!(gateway.statuses(12).await, [200; 12]);
    assert_eq!([asked(&upstream, 0), asked(&upstream, 1), asked(&upstream, 2)], [0, 0, 12], "half of three is one");
}

#[tokio::test]
async fn a_check_asks_for_its_path_and_one_that_hangs_fails() {
    let upstream = endpoints(2).await;
    let keys = "health = { path = '/healthz?full=1', interval = '100ms', timeout = '20ms', unhealthy_after = 1 }";
    upstream.set_rules([Rule::on("/healthz").endpoint(1).effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, keys)).await;
    eventually("it is found unhealthy", || !is_healthy(&gateway, 1)).await;
    assert_eq!(shown(&gateway, 1).await["reasons"], serde_json::json!(["its health checks fail (no answer in time)"]));
    let entry = upstream.journal().remove(0);
    assert_eq!((entry.method.as_str(), entry.path.as_str()), ("GET", "/healthz"));
    let most = (0..2).map(|endpoint| upstream.counters_of(endpoint).concurrent_max).max();
    assert_eq!(most, Some(1), "checks of an endpoint never overlap");
}

fn last_check(gateway: &Gateway) -> Option<String> {
    gateway.inner().upstreams()[0].active().endpoints[0].health.last().map(|last| last.to_string())
}

#[tokio::test]
async fn a_check_asks_for_the_host_that_is_written_and_takes_the_statuses_that_are_written() {
    let elsewhere = "HTTP/1.1 301 Moved Permanently\r\nlocation: /en/\r\ncontent-length: 0\r\n\r\n";
    for (more, host, comes_to) in [
        ("", None, "status 301"),
        (", host = 'shop.example'", Some("shop.example"), "status 301"),
        (", host = 'shop.example', status = ['204', '300-399']", Some("shop.example"), "ok"),
        (", host = '[::1]:8443', status = ['200-300']", Some("[::1]:8443"), "status 301"),
    ] {
        let site = Raw::script(Script::always(elsewhere)).await.unwrap();
        let gateway = Gateway::start(&format!(
            "[upstreams.up]\nendpoints = ['{}']\nhealth = {{ path = '/', interval = '100ms'{more} }}\n\
             [[routes]]\npath = '/'\nupstream = 'up'\n",
            site.addr()
        ))
        .await;
        eventually("it was checked", || last_check(&gateway).is_some()).await;
        assert_eq!(last_check(&gateway).as_deref(), Some(comes_to), "{more}");
        let asked = String::from_utf8(site.received().remove(0)).unwrap();
        let host = host.map_or_else(|| site.addr().to_string(), str::to_owned);
        assert!(asked.contains(&format!("\r\nhost: {host}\r\n")), "{more}: {asked}");
    }
}

#[tokio::test]
async fn checks_come_before_probes() {
    let upstream = endpoints(1).await;
    let keys = "health = { path = '/healthz', interval = '5s', timeout = '1s', unhealthy_after = 1000 }\n\
                breaker = { consecutive_failures = 1, open_for = '10ms', max_open_for = '10ms', probes = 1 }";
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, 0..1, keys)).await;
    upstream.wait_for_requests(1).await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    assert_eq!(gateway.statuses(1).await, [503]);
    let causes = events.causes(5).await;
    assert_eq!(causes, ["consecutive_failures", "timer", "check_failed", "timer", "check_failed"]);
    assert_eq!(asked(&upstream, 0), 1, "no request is spent on what is still down");
    upstream.set_rules([]);
    let closed = || gateway.inner().upstreams()[0].active().endpoints[0].standing.guard.has_room_for_a_probe();
    eventually("a check did well", closed).await;
    assert_eq!(gateway.statuses(1).await, [200]);
}

/// Breakers that trip soon, and are left alone for so long.
fn soon(open_for: &str) -> String {
    format!(
        "{CHECKS}\nbreaker = {{ consecutive_failures = 2, open_for = '{open_for}', max_open_for = '{open_for}', \
         probes = 1 }}"
    )
}

async fn both_are_found_unhealthy(gateway: &Gateway) {
    eventually("both are found unhealthy", || !is_healthy(gateway, 0) && !is_healthy(gateway, 1)).await;
}

#[tokio::test]
async fn a_check_that_is_wrong_everywhere_keeps_no_breaker_open() {
    let upstream = endpoints(2).await;
    let wrong = || Rule::on("/healthz").status(404);
    upstream.set_rules([wrong(), Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, &soon("100ms"))).await;
    both_are_found_unhealthy(&gateway).await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    assert_eq!(gateway.statuses(4).await, [503; 4]);
    let causes = events.causes(2).await;
    assert_eq!(causes, ["consecutive_failures", "consecutive_failures"], "first one, then the other");
    upstream.set_rules([wrong()]);
    let standing = |endpoint: usize| gateway.inner().upstreams()[0].active().endpoints[endpoint].standing.clone();
    eventually("a probe may pass", || (0..2).any(|endpoint| standing(endpoint).guard.has_room_for_a_probe())).await;
    assert_eq!(gateway.statuses(10).await, [200; 10], "the service is well");
}

/// Who gets no requests says nothing of whether the checks of the others are right.
#[tokio::test]
async fn a_check_that_does_well_where_nobody_is_sent_holds_no_breaker_open() {
    let upstream = endpoints(2).await;
    let wrong = || Rule::on("/healthz").endpoint(0).status(404);
    upstream.set_rules([wrong(), Rule::any().endpoint(0).status(503)]);
    let endpoints = format!(
        "[{{ address = '{}', weight = 1 }}, {{ address = '{}', weight = 0 }}]",
        upstream.addrs()[0],
        upstream.addrs()[1]
    );
    let text = format!(
        "[upstreams.up]\nendpoints = {endpoints}\n{}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
        soon("100ms")
    );
    let gateway = Gateway::start(&text).await;
    eventually("it is found unhealthy", || !is_healthy(&gateway, 0)).await;
    let mut events = Events::of(&gateway, "?kinds=breaker").await;
    assert_eq!(gateway.statuses(2).await, [503; 2]);
    assert_eq!(events.causes(1).await, ["consecutive_failures"]);
    upstream.set_rules([wrong()]);
    let standing = || gateway.inner().upstreams()[0].active().endpoints[0].standing.clone();
    eventually("a probe may pass", || standing().guard.has_room_for_a_probe()).await;
    assert_eq!(gateway.statuses(5).await, [200; 5]);
}

#[tokio::test]
async fn in_an_outage_of_all_the_breaker_opens_though_checks_have_taken_endpoints_out() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, &soon("60s"))).await;
    both_are_found_unhealthy(&gateway).await;
    assert_eq!(gateway.statuses(20).await, [503; 20]);
    assert_eq!((asked(&upstream, 0), asked(&upstream, 1)), (2, 2), "as many as it takes to trip, and no more");
    let state = gateway.admin("GET", "/breakers").await.json()["breakers"][0]["state"].clone();
    assert_eq!(state, "open");
}

#[tokio::test]
async fn who_fails_requests_while_all_others_fail_their_checks_is_left_alone() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/healthz").endpoint(0).status(503), Rule::on("/").endpoint(1).status(503)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, &soon("60s"))).await;
    eventually("one is found unhealthy", || !is_healthy(&gateway, 0)).await;
    assert_eq!(gateway.statuses(20).await, [503; 20]);
    assert_eq!((asked(&upstream, 0), asked(&upstream, 1)), (0, 2), "its breaker is for that");
    upstream.set_rules([Rule::on("/").endpoint(1).status(503)]);
    eventually("its checks do well again", || is_healthy(&gateway, 0)).await;
    assert_eq!(gateway.statuses(5).await, [200; 5]);
}

#[tokio::test]
async fn checks_end_with_the_settings() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/healthz").endpoint(0).status(500)]);
    let gateway = Gateway::start(&text(&upstream, 0..2, CHECKS)).await;
    eventually("it is found unhealthy", || !is_healthy(&gateway, 0)).await;
    gateway.rewrite(&text(&upstream, 0..2, ""));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    eventually("nobody says anything against it", || is_healthy(&gateway, 0)).await;
    assert_eq!(gateway.statuses(10).await, [200; 10]);
    assert_eq!(asked(&upstream, 0), 5);
}

#[tokio::test]
async fn a_new_endpoint_begins_with_a_small_share() {
    let upstream = endpoints(2).await;
    let keys = "slow_start = '1h'";
    let gateway = Gateway::start(&text(&upstream, 0..1, keys)).await;
    assert_eq!(gateway.statuses(5).await, [200; 5], "the first set begins as a whole");
    gateway.rewrite(&text(&upstream, 0..2, keys));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.statuses(400).await, [200; 400]);
    let share = asked(&upstream, 1) as f64 / 400.0;
    assert!((0.01..0.12).contains(&share), "a tenth of its half: {share}");
}

#[tokio::test]
async fn who_stays_with_an_endpoint_of_weight_0_leaves_it_while_its_checks_fail() {
    let upstream = endpoints(2).await;
    let weighted = |weight: u32| {
        let first = format!("'{}'", upstream.addrs()[0]);
        let keys = format!("{CHECKS}\naffinity = {{ key_env = 'PATH' }}");
        text(&upstream, 0..2, &keys).replace(&first, &format!("{{ address = {first}, weight = {weight} }}"))
    };
    let gateway = Gateway::start(&weighted(1)).await;
    let mut client = gateway.client().await;
    let mut cookie = None;
    while asked(&upstream, 0) == 0 {
        cookie = client.ask(GET).await.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
    }
    let back = format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n\r\n", cookie.unwrap());
    gateway.rewrite(&weighted(0));
    assert!(gateway.reload().await.ok);
    client.ask(&back).await;
    assert_eq!(asked(&upstream, 0), 2, "it stays");
    let ejected = || gateway.inner().upstreams()[0].active().scopes[0].ejected();
    upstream.set_rules([Rule::on("/healthz").endpoint(0).status(500)]);
    eventually("it is out", || ejected() == 1).await;
    assert_eq!((client.ask(&back).await.status, asked(&upstream, 0)), (200, 2), "it goes elsewhere");
    upstream.set_rules([]);
    eventually("it is back", || ejected() == 0).await;
    client.ask(&back).await;
    assert_eq!(asked(&upstream, 0), 3);
}

#[tokio::test]
async fn an_endpoint_that_comes_back_while_a_request_still_holds_it_begins_with_a_small_share() {
    let upstream = endpoints(2).await;
    let named = |endpoints| text(&upstream, endpoints, "slow_start = '1h'");
    let gateway = Gateway::start(&named(0..2)).await;
    let _held = std::sync::Arc::clone(&gateway.inner().upstreams()[0].active().endpoints[1]);
    for endpoints in [0..1, 0..2] {
        gateway.rewrite(&named(endpoints));
        assert!(gateway.reload().await.ok);
    }
    gateway.statuses(100).await;
    assert!(asked(&upstream, 1) < 25, "{} of 100", asked(&upstream, 1));
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_told_of_on_standard_error() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::on("/healthz").endpoint(0).status(503)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let around = "\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                  [telemetry.access_log]\noutput = 'off'\n";
    std::fs::write(&file, format!("{}{around}", text(&upstream, 0..2, CHECKS))).unwrap();
    let mut process = crate::support::Process::start(&file).await;
    let told = process.event("upstream").await;
    assert_eq!((&told["about"], &told["upstream"], &told["healthy"]), (&"health".into(), &"up".into(), &false.into()));
    assert!(told["ts"].is_string() && told["detail"].as_str().unwrap().contains("503"), "{told}");
}
