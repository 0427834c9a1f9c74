//! Scenario files as a user writes them, and what is said of those that do not hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::gateway::Filling;
use super::model::{EventAct, LoadModel, Scenario};
use super::{LoadError, load};

mod answers;
mod outward;
mod simulated;

const GATEWAY: &str = r#"
[upstreams.orders]
endpoints = ["mock://orders/0", { address = "mock://orders/1", weight = 3 }]

[[routes]]
path = "/{*rest}"
upstream = "orders"
"#;

const SCENARIO: &str = r#"
name = "small"
warm_up = "1s"

[gateway]
config = "gateway.toml"

[mocks.orders]
endpoints = 2

[[load]]
name = "steady"
model = "open"
rate = "100/s"
duration = "10s"
request = { path = "/api" }
"#;

fn written(scenario: &str, gateway: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    std::fs::write(folder.path().join("gateway.toml"), gateway).unwrap();
    folder
}

fn read(scenario: &str) -> Scenario {
    let folder = written(scenario, GATEWAY);
    load(&folder.path().join("s.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// The small scenario in virtual time.
fn simulated() -> String {
    format!("runtime = \"virtual\"\n{SCENARIO}")
}

/// What is said of a scenario, without the folder's name.
fn refused(scenario: &str, gateway: &str) -> String {
    let folder = written(scenario, gateway);
    match load(&folder.path().join("s.toml")) {
        Ok(_) => panic!("it is accepted:\n{scenario}"),
        Err(error) => error.to_string().replace(&format!("{}/", folder.path().display()), ""),
    }
}

#[track_caller]
fn says(more: &str, expected: &[&str]) {
    let text = refused(&format!("{SCENARIO}{more}"), GATEWAY);
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert_eq!(text.matches(": error: ").count(), expected.len(), "{text}");
}

#[test]
fn a_small_scenario_gets_the_rest_by_default() {
    let scenario = read(SCENARIO);
    assert_eq!((scenario.name.as_str(), scenario.seed, scenario.gateway.instances), ("small", 1, 1));
    assert_eq!(scenario.length(), Duration::from_secs(10));
    assert!(matches!(scenario.loads[0].model, LoadModel::Open { rate, .. } if (rate - 100.0).abs() < 1e-9));
    assert_eq!(scenario.phases(), [("before".to_owned(), Duration::ZERO)]);
}

#[test]
fn phases_begin_with_faults_and_end_with_the_last() {
    let faults = "[[faults]]\nat = '6s'\nfor = '1s'\non = 'orders'\nact = { status = 503 }\n\
                  [[faults]]\nat = '2s'\nfor = '3s'\non = 'orders/1'\nact = { delay = '300ms' }\n";
    let starts = |more: &str| -> Vec<(String, u64)> {
        let phases = read(&format!("{SCENARIO}{more}")).phases();
        phases.into_iter().map(|(name, at)| (name, at.as_secs())).collect()
    };
    let named = |list: &[(&str, u64)]| list.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect::<Vec<_>>();
    assert_eq!(starts(faults), named(&[("before", 0), ("fault_1", 2), ("fault_2", 6), ("healed", 7)]));
    // Together is one phase; a fault from the start leaves no time before; one to the end leaves none to heal.
    let from_start = "[[faults]]\nat = '0s'\non = 'orders/0'\nact = { hang = true }\n\
                      [[faults]]\nat = '0s'\nfor = '2s'\non = 'orders/1'\nact = { hang = true }\n";
    assert_eq!(starts(from_start), named(&[("fault_1", 0)]));
}

#[test]
fn an_outage_of_redis_is_a_phase_too() {
    let with = |more: &str| read(&format!("{SCENARIO}[redis]\ninstances = 1\n{more}"));
    let event = |at: &str, act: &str| format!("[[events]]\nat = '{at}'\ndo = '{act}'\n");
    let starts = |more: &str| -> Vec<(String, u64)> {
        with(more).phases().into_iter().map(|(name, at)| (name, at.as_secs())).collect()
    };
    let named = |list: &[(&str, u64)]| list.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect::<Vec<_>>();
    let healed = named(&[("before", 0), ("fault_1", 2), ("healed", 5)]);
    assert_eq!(starts(&(event("2s", "pause:redis") + &event("5s", "heal:redis"))), healed);
    let promoted = event("2s", "kill:redis") + &event("3s", "cut:redis:gateway/0") + &event("5s", "promote:redis");
    assert_eq!(starts(&promoted), healed, "worse and worse is one outage");
    assert_eq!(starts(&event("2s", "cut:redis")), named(&[("before", 0), ("fault_1", 2)]));
    assert_eq!(starts(&event("2s", "heal:redis")), named(&[("before", 0)]), "nothing was wrong");
    assert_eq!(with(&event("2s", "cut:redis:gateway/0")).events[0].act, EventAct::CutRedis(Some(0)));
    says(&event("2s", "promote:redis"), &["the scenario has no Redis"]);
    says(&format!("[redis]\ninstances = 1\n{}", event("2s", "cut:redis:gateway/7")), &["is no gateway"]);
}

#[test]
fn an_expectation_may_be_on_how_far_a_figure_is_above_another() {
    let expect = |above: &str| format!("[[expect]]\nfigure = 'load.steady.requests'\nabove = '{above}'\nmax = 1\n");
    let scenario = read(&format!("{SCENARIO}{}", expect("load.steady.phases.before.latency_us.p99")));
    assert_eq!(scenario.expectations[0].above.as_deref(), Some("load.steady.phases.before.latency_us.p99"));
    says(&expect("load.steady.nothing"), &["no figure `load.steady.nothing`"]);
}

#[test]
fn an_expectation_may_be_on_a_figure_per_another() {
    let expect = |more: &str| format!("[[expect]]\nfigure = 'load.steady.requests'\n{more}\nmax = 1\n");
    let scenario = read(&format!("{SCENARIO}{}", expect("per = 'accounting.requests'")));
    assert_eq!(scenario.expectations[0].per.as_deref(), Some("accounting.requests"));
    says(&expect("per = 'load.steady.nothing'"), &["no figure `load.steady.nothing`"]);
    says(&expect("per = 'accounting.requests'\nabove = 'accounting.requests'"), &["not both"]);
}

#[test]
fn events_are_sorted_by_time() {
    let events = "[[events]]\nat = '5s'\ndo = 'restart'\n[[events]]\nat = '4s'\ndo = 'reload:gateway/0'\n";
    let scenario = read(&format!("{SCENARIO}{events}"));
    let acts: Vec<EventAct> = scenario.events.iter().map(|event| event.act).collect();
    assert_eq!(acts, [EventAct::Reload(Some(0)), EventAct::Restart(0)]);
}

#[test]
fn a_clock_may_be_fast_or_slow() {
    let of = |by: &str| {
        let scenario = read(&format!("{SCENARIO}[[events]]\nat = '1s'\ndo = 'skew:gateway/0:{by}'\n"));
        scenario.events[0].act
    };
    assert_eq!(of("50ms"), EventAct::Skew(0, 50_000));
    assert_eq!(of("-2h"), EventAct::Skew(0, -7_200_000_000));
}

#[test]
fn a_search_for_capacity_has_defaults_and_figures() {
    let expect = "[[expect]]\nfigure = 'capacity.steady.knee_rps.ci_low'\nmin = 1\n";
    let coverage = "[[expect]]\nfigure = 'capacity.steady.coverage'\nmin = 0.95\n";
    let scenario = read(&format!("{SCENARIO}[capacity]\np99 = '5ms'\n{expect}{coverage}"));
    let part = scenario.capacity.unwrap();
    assert_eq!((part.load, part.p99, part.repeats), (0, Duration::from_millis(5), 6));
    assert_eq!((part.success, part.step, part.most_rps), (0.999, Duration::from_secs(1), 100_000.0));
    assert!(refused(&format!("{SCENARIO}{expect}"), GATEWAY).contains("capacity.steady"), "no search, no figure");
    let spike = SCENARIO.replace("rate = \"100/s\"", "arrivals = \"spike(1/s, 9/s, 1s, 1s)\"");
    assert!(refused(&format!("{spike}[capacity]\np99 = '5ms'\n"), GATEWAY).contains("one rate to raise"));
}

#[test]
fn every_figure_of_the_result_can_be_expected() {
    let figures = [
        "load.steady.requests",
        "load.steady.phases.before.latency_us.p999",
        "load.steady.phases.before.status.503",
        "load.steady.phases.before.failures.closed",
        "load.steady.phases.before.failures.reset",
        "gateway.0.rss_bytes.peak",
        "balance.orders.share.orders/1",
        "accounting.missing",
        "retries.amplification",
        "breakers.orders/1.trip_ms",
        "alone.steady.cpu_us_per_request",
        "routes./{*rest}.over_slowest_us.p50",
        "prometheus.0.gateway_batch_size_sum",
    ];
    let expect: String = figures.map(|figure| format!("[[expect]]\nfigure = '{figure}'\nmax = 1\n")).concat();
    assert_eq!(read(&format!("{SCENARIO}{expect}")).expectations.len(), figures.len());
}

#[test]
fn a_problem_stands_with_its_line_and_a_caret() {
    let text = refused(&SCENARIO.replace("rate = ", "rat = "), GATEWAY);
    let expected = "\
s.toml:11:1: error: `rate` is missing
   |
11 | [[load]]
   | ^^^^^^^^
   = help: an open load says how many requests it sends, as in \"2000/s\"

s.toml:14:1: error: unknown key `rat`
   |
14 | rat = \"100/s\"
   | ^^^
   = help: did you mean `rate`?

2 problems";
    assert_eq!(text, expected);
}

#[test]
fn all_problems_are_found_at_once() {
    let text = refused(
        "name = 'a b'\nrunntime = 'virtual'\nwarm_up = 3\nseed = -1\n[gateway]\nconfig = 'gateway.toml'\ninstances = 9\n\
         [mocks.orders]\nendpoints = 2\nservice_time = 'weibull(1ms, 2)'\n[redis]\ninstances = 2\n\
         [[load]]\nmodel = 'closed'\nrate = '5/s'\nduration = '0s'\ntimeout = '0s'\n\
         request = { path = 'api', methd = 'GET' }\n",
        GATEWAY,
    );
    for expected in [
        "1:8: error: a name is made of",
        "2:1: error: unknown key `runntime`",
        "did you mean `runtime`?",
        "3:11: error: `warm_up` is a number without its unit",
        "4:8: error: `seed` is a whole number from 0",
        "7:13: error: `instances` is a whole number from 1 to 8",
        "10:16: error: `weibull` is no distribution",
        "12:13: error: `instances` is a whole number from 0 to 1",
        "15:8: error: a closed load has no `rate`",
        "16:12: error: from a moment to a day",
        "17:11: error: a request takes some time",
        "18:20: error: a path starts with `/`",
        "18:27: error: unknown key `methd`",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn what_is_no_toml_is_all_that_is_told() {
    let text = refused(&SCENARIO.replace("[mocks.", "[mocks.'"), GATEWAY);
    assert!(!text.contains("is missing") && text.contains("s.toml"), "{text}");
    says("[[expect]]\nfigure = 'load.steady.requests'\nmax = nan\n", &["`max` is a finite number, not NaN"]);
}

#[test]
fn what_cannot_happen_is_refused() {
    says("[[faults]]\nat = '1s'\non = 'orders/2'\nact = { status = 503 }\n", &["there is no endpoint `orders/2`"]);
    says("[[faults]]\nat = '1s'\non = 'order'\nact = { status = 503 }\n", &["there is no endpoint `order`"]);
    says("[[faults]]\nat = '10s'\non = 'orders'\nact = { status = 503 }\n", &["so this never happens"]);
    says("[[faults]]\nat = '1s'\non = 'orders'\nact = { statsu = 503 }\n", &["did you mean `status`?"]);
    says(
        "[[faults]]\nat = '1s'\non = 'orders'\nact = { status = 99 }\nshare = 2\n",
        &["no final status", "a share is"],
    );
    says("[[events]]\nat = '1s'\ndo = 'reload:gateway/1'\n", &["`gateway/1` is no gateway"]);
    says("[[events]]\nat = '1s'\ndo = 'relaod'\n", &["`relaod` is no event"]);
    says("[[events]]\nat = '1s'\ndo = 'pause:redis'\n", &["the scenario has no Redis"]);
    says("[[events]]\nat = '1s'\ndo = 'skew:gateway/0'\n", &["say by how much"]);
    says("[[events]]\nat = '1s'\ndo = 'skew:gateway/4:50ms'\n", &["`gateway/4` is no gateway"]);
    let capacity = "[capacity]\nload = 'stedy'\nrepeats = 0\nmost = '10/s'\n";
    says(capacity, &["`p99` is missing", "there is no load `stedy`", "`repeats` is a whole number from 1 to 100"]);
    says("[capacity]\np99 = '5ms'\nmost = '10/s'\nstep = '1ms'\n", &["from the load's own rate, 100/s", "from 200ms"]);
}

#[test]
fn headers_of_calls_are_told_where_they_stand() {
    let with = |calls: &str| {
        let scenario = SCENARIO.replace("endpoints = 2\n", &format!("endpoints = 2\n{calls}\n"));
        refused(&scenario, GATEWAY)
    };
    let text = with("call_headers = { a = 'b' }");
    assert!(text.contains("s.toml:10:16: error: headers of calls without `calls`"), "{text}");
    let text = with("calls = ['/a']\ncall_headers = { a = '{b' }");
    assert!(text.contains("s.toml:11:1: error: `{b`: a brace begins the name of the request's header"), "{text}");
    let text = with("calls = ['/a']\ncall_headers = { a = 1 }");
    assert!(text.contains("`call_headers` is a table of names and strings"), "{text}");
}

#[test]
fn a_figure_that_cannot_exist_is_refused() {
    says(
        "[[expect]]\nfigure = 'load.steady.phases.healed.success_ratio'\nmin = 1\n",
        &["the result will hold no figure `load.steady.phases.healed.success_ratio`"],
    );
    says("[[expect]]\nfigure = 'load.stedy.requests'\nmin = 1\n", &["no figure `load.stedy.requests`"]);
    says("[[expect]]\nfigure = 'load.steady.phases.before.status.1000'\nmax = 0\n", &["status.1000"]);
    says("[[expect]]\nfigure = 'limiters.public.offered'\nmax = 0\n", &["no rate limit that is scored"]);
    says("[[expect]]\nfigure = 'breakers.orders/2.trips'\nmax = 0\n", &["no figure `breakers.orders/2.trips`"]);
    says("[[expect]]\nfigure = 'load.steady.requests'\n", &["`max` is missing"]);
    says("[[expect]]\nfigure = 'load.steady.requests'\nmin = 2\nmax = 1\n", &["the least is above the most"]);
}

#[test]
fn the_breakers_of_several_gateways_are_not_mixed_up() {
    let several = SCENARIO.replace("config =", "instances = 2\nconfig =");
    let text = refused(&format!("{several}[[expect]]\nfigure = 'breakers.orders/1.trips'\nmax = 0\n"), GATEWAY);
    assert!(text.contains("breakers are scored where there is one gateway"), "{text}");
}

#[test]
fn what_is_not_followed_beyond_a_restart_is_refused_before_it() {
    let limit = "[rate_limits.each]\nkey = 'header:x-who'\nrate = '9/s'\nburst = 9\n";
    let gateway = &format!("{GATEWAY}rate_limits = ['each']\n{limit}");
    let expect = |figure: &str| format!("[[expect]]\nfigure = '{figure}'\nmax = 1\n");
    let restart = "[[events]]\nat = '1s'\ndo = 'restart'\n";
    for figure in ["breakers.orders/1.trips", "limiters.each.false_admits"] {
        let text = refused(&format!("{SCENARIO}{restart}{}", expect(figure)), gateway);
        assert!(text.contains("s.toml:21:10: error") && text.contains("leave the event `restart` out"), "{text}");
        let folder = written(&format!("{SCENARIO}{}", expect(figure)), gateway);
        assert!(load(&folder.path().join("s.toml")).is_ok(), "{figure} without a restart");
    }
    let other = expect("load.steady.requests");
    let scenario = read(&format!("{SCENARIO}{restart}{other}"));
    assert!(!scenario.scores_breakers, "they are not shown as scored either");
}

#[test]
fn single_decisions_of_a_shared_store_are_not_judged_and_whoever_expects_it_is_told() {
    let limit = "[rate_limits.each]\nkey = 'header:x-who'\nrate = '9/s'\nburst = 9\nstore = 'shared'\n\
                 [stores.shared]\nurl = 'mock://redis'\n";
    let gateway = &format!("{GATEWAY}rate_limits = ['each']\n{limit}");
    let scenario =
        |figure: &str| format!("{SCENARIO}[[expect]]\nfigure = '{figure}'\nmax = 1\n[redis]\ninstances = 1\n");
    for figure in ["limiters.each.false_admits", "limiters.each.false_refusals"] {
        let text = refused(&scenario(figure), gateway);
        assert!(text.contains("decides later than it is asked") && text.contains("each.bound_violation"), "{text}");
    }
    let folder = written(&scenario("limiters.each.bound_violation"), gateway);
    load(&folder.path().join("s.toml")).unwrap();
}

#[test]
fn placeholders_that_mean_nothing_are_refused_where_they_stand() {
    let text = refused(SCENARIO, &GATEWAY.replace("mock://orders/1", "mock://order/1"));
    assert!(text.contains("gateway.toml:3:45: error: no mock has the endpoint `order/1`"), "{text}");
    assert!(text.contains("did you mean `orders/1`?"), "{text}");
    let text = refused(SCENARIO, &format!("{GATEWAY}\n[stores.shared]\nurl = 'mock://redis'\n"));
    assert!(text.contains("the scenario has no Redis"), "{text}");
}

#[test]
fn what_the_gateway_refuses_is_told_in_its_words() {
    let text = refused(SCENARIO, &GATEWAY.replace("upstream = ", "upstrem = "));
    assert!(text.contains("the gateway refuses its configuration"), "{text}");
    assert!(text.contains("gateway.toml:7:1: error:"), "{text}");
}

#[test]
fn a_configuration_is_filled_in_place() {
    let gateway = "[[listeners]]\naddress = '0.0.0.0:80' # ours\n[server]\nworkers = 1\n";
    let scenario = {
        let folder = written(SCENARIO, &format!("{gateway}{GATEWAY}"));
        load(&folder.path().join("s.toml")).unwrap_or_else(|error| panic!("{error}"))
    };
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let filling = Filling {
        endpoints: BTreeMap::from([("orders/0".to_owned(), address(11)), ("orders/1".to_owned(), address(12))]),
        listeners: vec![address(13)],
        access_log: "/tmp/a \"b\".log".to_owned(),
        ..Filling::default()
    };
    let text = scenario.gateway.template.fill(&filling);
    assert!(text.starts_with("[[listeners]]\naddress = \"127.0.0.1:13\" # ours\n"), "{text}");
    let read: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(read["upstreams"]["orders"]["endpoints"][0].as_str(), Some("127.0.0.1:11"));
    assert_eq!(read["upstreams"]["orders"]["endpoints"][1]["address"].as_str(), Some("127.0.0.1:12"));
    assert_eq!(read["admin"]["address"].as_str(), Some("127.0.0.1:0"), "what was not written is added");
    assert_eq!(read["telemetry"]["access_log"]["output"].as_str(), Some("/tmp/a \"b\".log"));
}

#[test]
fn a_bound_that_every_value_holds_or_none_is_refused() {
    let expect = |figure: &str, bound: &str| format!("{SCENARIO}[[expect]]\nfigure = '{figure}'\n{bound}\n");
    let (success, share) = ("load.steady.phases.before.success_ratio", "balance.orders.share.orders/1");
    for (figure, bound, told) in [
        (success, "min = 99.9", "a ratio is between 0 and 1"),
        (success, "min = 99.9", "help: write min = 0.999"),
        (success, "max = -0.5", "a ratio is between 0 and 1"),
        (success, "min = 200", "help: 1 is all of them"),
        (share, "min = 50", "help: write min = 0.5"),
        ("breakers.orders/1.trip_ms", "max = -5", "never below 0"),
        ("accounting.missing", "max = -1", "never below 0"),
        ("load.steady.requests", "min = 9\nper = 'accounting.records'\nmax = -1", "never below 0"),
    ] {
        let text = refused(&expect(figure, bound), GATEWAY);
        assert!(text.contains(told) && text.starts_with("s.toml:"), "{bound}: {text}");
    }
    for (figure, bound) in [
        (success, "min = 0\nmax = 1"),
        (success, "min = -0.01\nabove = 'load.steady.phases.before.success_ratio'"),
        ("breakers.orders/1.trip_error", "min = -1"),
        ("load.steady.requests", "min = 99"),
    ] {
        assert_eq!(read(&expect(figure, bound)).expectations.len(), 1, "{figure} {bound}");
    }
}

#[test]
fn a_number_without_its_unit_is_told_once_and_with_the_right_form() {
    let says = |written: &str, instead: &str, told: &str| {
        let text = refused(&SCENARIO.replace(written, instead), GATEWAY);
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
        assert_eq!(text.matches(": error: ").count(), 1, "{text}");
    };
    says("\"100/s\"", "200", "help: write rate = \"200/s\"");
    says("\"10s\"", "6", "help: write duration = \"6s\"");
    says("\"10s\"", "\"6\"", "`6`");
}

#[test]
fn what_is_not_toml_or_not_there_is_told() {
    assert!(refused("name = \n", GATEWAY).starts_with("s.toml:1:"));
    assert!(refused(&SCENARIO.replace("gateway.toml", "other.toml"), GATEWAY).contains("cannot read other.toml"));
    assert!(matches!(load(Path::new("/no/such/scenario.toml")), Err(LoadError::Unreadable { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_brings_the_reader_down(cut in 0usize..400, junk in "\\PC{0,12}") {
        // A whole scenario with something strange in its middle.
        let mut text = format!("{SCENARIO}[[faults]]\nat = '1s'\non = 'orders/1'\nact = {{ status = 503 }}\n");
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &junk);
        let folder = written(&text, GATEWAY);
        if let Err(error) = load(&folder.path().join("s.toml")) {
            proptest::prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn a_load_says_how_it_reaches_its_gateways() {
    let way = |more: &str| read(&SCENARIO.replace("request =", &format!("{more}\nrequest ="))).loads[0].way.clone();
    assert!(way("").is_plain());
    let one = way("http2 = true\nstreams = 7");
    assert_eq!((one.protocol, one.listener), (loadgen::request::Protocol::Http2 { streams: 7 }, 0));
    let says = |more: &str, expected: &str| {
        let text = refused(&SCENARIO.replace("request =", &format!("{more}\nrequest =")), GATEWAY);
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    };
    says("listener = 1", "the gateway's configuration has 1 listeners, counted from 0");
    says("proxy_protocol = \"v1\"", "the listener takes no PROXY protocol");
    says("proxy_protocol = \"v3\"", "`v3` is no proxy_protocol");
    says("streams = 7", "need `http2 = true`");
    says("tls = { ca = \"none.pem\" }", "cannot read");
    says("tls = { ca = \"gateway.toml\" }", "there is no CERTIFICATE block");
    says("tls = {}", "`ca` is missing");
    let closes = SCENARIO.replace(
        "request = { path = \"/api\" }",
        "http2 = true\nrequest = { path = \"/api\", headers = { Connection = \"close\" } }",
    );
    assert!(refused(&closes, GATEWAY).contains("HTTP/2 has no header `connection`"));
}

#[test]
fn hostile_clients_have_a_name_an_act_and_a_time_within_the_run() {
    let scenario = read(&format!("{SCENARIO}[[hostile]]\nname = \"a\"\nact = \"slow_head\"\nfrom = \"2s\"\n"));
    let part = &scenario.hostile[0];
    assert_eq!((part.duration, part.hold, part.connections), (Duration::from_secs(8), Duration::from_secs(5), 1));
    says("[[hostile]]\nname = \"a\"\nact = \"slow\"\n", &["`slow` is no act"]);
    says("[[hostile]]\nact = \"silent\"\n", &["`name` is missing"]);
    says("[[hostile]]\nname = \"a\"\nact = \"silent\"\nduration = \"11s\"\n", &["hostile clients with them"]);
    let held = "`hold` is 11s, and these clients are there for 10s: no connection could be held that long";
    says("[[hostile]]\nname = \"a\"\nact = \"silent\"\nhold = \"11s\"\n", &[held]);
    let unwritten = "`hold` is 5s where it is not written, and these clients are there for 2s";
    says("[[hostile]]\nname = \"a\"\nact = \"silent\"\nduration = \"2s\"\n", &[unwritten]);
    says("[[hostile]]\nname = \"a\"\nact = \"silent\"\nlistener = 3\n", &["1 listeners, counted from 0"]);
    says("[[hostile]]\nname = \"a\"\nact = \"silent\"\npath = \"a b\"\n", &["a path starts with `/`"]);
}

#[test]
fn figures_of_what_is_beside_the_loads_are_known() {
    let hostile = "[[hostile]]\nname = \"a\"\nact = \"rapid_reset\"\n";
    let expect = |figure: &str| format!("{hostile}[[expect]]\nfigure = '{figure}'\nmax = 1\n");
    for figure in [
        "hostile.a.ended_by_client",
        "hostile.a.status.408",
        "hostile.a.goaway.ENHANCE_YOUR_CALM",
        "hostile.a.held_ms.p99",
        "prometheus.0.gateway_shed_total{reason=\"h2_flood\"}",
        "prometheus.0.process_open_fds",
    ] {
        assert_eq!(read(&format!("{SCENARIO}{}", expect(figure))).expectations.len(), 1, "{figure}");
    }
    says(&expect("hostile.b.status.408"), &["the result will hold no figure"]);
    says(&expect("hostile.a.goaway.CALM"), &["the result will hold no figure"]);
    says(&expect("prometheus.1.gateway_shed_total"), &["there is no gateway 1"]);
    says(&expect("prometheus.0.gateway_shed"), &["has no metric `gateway_shed`"]);
    says(&expect("rest.0.descriptors.grown"), &["the result will hold no figure"]);
    says(&expect("retries.whatever"), &["there are retries.amplification, retries.budget_refused, "]);
    let resting = format!("rest = \"1s\"\n{SCENARIO}[[expect]]\nfigure = \"rest.0.descriptors.grown\"\nmax = 0\n");
    assert_eq!(read(&resting).rest, Duration::from_secs(1));
}
