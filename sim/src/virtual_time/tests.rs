//! Worlds, from file to history.

mod flap;
mod overload;

use super::*;
use crate::history::{Ended, Ending, EventKind, Outcome};
use crate::oracle;

/// A scenario with one service of two endpoints, and these lines beside; the gateway's configuration with these.
fn scenario(lines: &str, gateway: &str) -> Scenario {
    let config = format!(
        "[server]\nworkers = 2\ntrusted_proxies = [\"192.168.0.0/16\"]\n[telemetry.access_log]\noutput = \"stdout\"\n\
         [upstreams.orders]\nendpoints = [\"mock://orders/0\", \"mock://orders/1\"]\nbalance = \"round_robin\"\n\
         [[routes]]\npath = \"/api/{{*rest}}\"\nupstream = \"orders\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         retry = {{ attempts = 1 }}\n{gateway}"
    );
    let text = format!(
        "name = \"story\"\nseed = 7\n[gateway]\nconfig = \"story.gateway.toml\"\n[mocks.orders]\nendpoints = 2\n\
         service_time = \"2ms\"\n{lines}"
    );
    loaded(&text, &config)
}

/// The scenario of this text; it calls its gateway's configuration `story.gateway.toml`.
fn loaded(text: &str, config: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("story.gateway.toml"), config).unwrap();
    let file = folder.path().join("story.toml");
    std::fs::write(&file, text).unwrap();
    crate::scenario::load(&file).unwrap_or_else(|error| panic!("{error}"))
}

const STEADY: &str = "[[load]]\nname = \"steady\"\nmodel = \"open\"\nrate = \"200/s\"\nduration = \"2s\"\n\
                      request = { method = \"GET\", path = \"/api/bytes/700\" }\n";
const EXAMINE: Options = Options { examine: true, idle_timeout_ns: 70_000_000_000, for_result: false };

fn world(lines: &str, gateway: &str) -> Observed {
    run(&scenario(lines, gateway), EXAMINE).unwrap()
}

#[test]
fn requests_pass_and_everything_about_them_is_written_down() {
    let seen = world(STEADY, "");
    assert_eq!(seen.anomalies, []);
    let history = &seen.history;
    let sent = history.clients.len();
    assert!((330..470).contains(&sent), "{sent}");
    assert!(history.clients.iter().all(|request| request.outcome == Outcome::Ok && request.status == Some(200)));
    assert_eq!((history.attempts.len(), history.records.len()), (sent, sent));
    assert!(history.attempts.iter().all(|attempt| attempt.ending == Ending::Answered(200)));
    assert!(history.records.iter().all(|record| record.ended == Ended::Complete && record.attempts == 1));
    let score = oracle::answers::judge(history);
    assert_eq!((score.requests, score.violations()), (sent as u64, 0), "{score:?}");
    let of_the_first = history.attempts.iter().filter(|attempt| attempt.endpoint.index == 0).count();
    assert!((of_the_first as f64 / sent as f64 - 0.5).abs() < 0.01, "{of_the_first} of {sent}");
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let faults = "[[faults]]\nat = \"500ms\"\nfor = \"1s\"\non = \"orders/1\"\nact = { status = 503 }\nshare = 0.5\n";
    let text = format!("{STEADY}{faults}");
    let (first, second) = (world(&text, ""), world(&text, ""));
    assert_eq!(first, second);
    let mut other = scenario(&text, "");
    other.seed = 8;
    assert_ne!(run(&other, EXAMINE).unwrap().trace, first.trace);
}

#[test]
fn faults_do_what_they_say_in_their_time() {
    for (act, status, ending) in [
        ("status = 503", Some(503), Ending::Answered(503)),
        ("reset = \"before_headers\"", Some(502), Ending::Broken),
        ("garbage = \"bytes\"", Some(502), Ending::Invalid),
        // Once its client saw nothing but a closed connection, took it for a stale one, and sent the request again.
        ("truncate = true", Some(200), Ending::Invalid),
        ("hang = true", Some(504), Ending::Abandoned),
    ] {
        let fault = format!("[[faults]]\nat = \"500ms\"\nfor = \"500ms\"\non = \"orders/1\"\nact = {{ {act} }}\n");
        let seen = world(&format!("{STEADY}{fault}"), "timeout = \"300ms\"\n");
        let hit: Vec<_> =
            seen.history.attempts.iter().filter(|attempt| attempt.hit != crate::history::Hit::None).collect();
        assert!(!hit.is_empty() && hit.iter().all(|attempt| attempt.ending == ending), "{act}: {hit:?}");
        assert!(hit.iter().all(|attempt| attempt.endpoint.index == 1));
        let failed: Vec<_> = seen.history.clients.iter().filter(|one| one.outcome != Outcome::Ok).collect();
        assert!(!failed.is_empty() && failed.iter().all(|one| one.status == status), "{act}: {failed:?}");
        assert_eq!((seen.anomalies, oracle::answers::judge(&seen.history).violations()), (vec![], 0), "{act}");
    }
}

#[test]
fn a_refused_endpoint_refuses() {
    let fault = "[[faults]]\nat = \"500ms\"\nfor = \"500ms\"\non = \"orders/1\"\nact = { refuse = true }\n";
    let seen = world(&format!("{STEADY}{fault}"), "");
    let failed: Vec<_> = seen.history.clients.iter().filter(|one| one.outcome == Outcome::Failed).collect();
    assert_eq!(failed.len(), 10, "then the endpoint's breaker has seen enough");
    assert!(failed.iter().all(|one| one.status == Some(502)), "{failed:?}");
    let last = seen.history.clients.last().unwrap();
    assert_eq!(last.outcome, Outcome::Ok);
}

#[test]
fn a_503_of_the_service_is_a_failure_and_one_of_the_gateway_a_refusal() {
    let fault = "[[faults]]\nat = \"500ms\"\nfor = \"1s\"\non = \"orders\"\nact = { status = 503 }\n";
    let seen = world(&format!("{STEADY}{fault}"), "");
    let asked: Vec<_> = seen.history.attempts.iter().filter_map(|attempt| attempt.request_id.as_ref()).collect();
    let (mut failed, mut refused) = (0, 0);
    for one in seen.history.clients.iter().filter(|one| one.status == Some(503)) {
        let was_asked = one.request_id.as_ref().is_some_and(|id| asked.contains(&id));
        assert_eq!(one.outcome, if was_asked { Outcome::Failed } else { Outcome::Rejected }, "{one:?}");
        *(if was_asked { &mut failed } else { &mut refused }) += 1;
    }
    assert!(failed > 0 && refused > 0, "{failed} failed, then both breakers refused {refused}");
}

#[test]
fn a_long_outage_uses_up_no_ports() {
    // Once each refused connection took a port for good, of 16,384: then the gateway could not connect to anybody.
    let load = "[[load]]\nname = \"steady\"\nmodel = \"open\"\nrate = \"3000/s\"\nduration = \"6s\"\n\
        request = { path = \"/api/a\" }\n";
    let fault = "[[faults]]\nat = \"0s\"\nfor = \"5900ms\"\non = \"orders\"\nact = { refuse = true }\n";
    let never = "[defaults.upstream]\nbreaker = { consecutive_failures = 0, min_requests = 1000000000 }\n";
    let seen = world(&format!("{load}{fault}"), never);
    let refused = seen.history.clients.iter().filter(|one| one.status == Some(502)).count();
    assert!(refused > 16_384, "{refused}");
    assert_eq!(seen.history.clients.last().unwrap().outcome, Outcome::Ok);
}

#[test]
fn a_client_that_leaves_is_on_record() {
    let fault = "[[faults]]\nat = \"0s\"\non = \"orders\"\nact = { delay = \"400ms\" }\nshare = 0.2\n";
    let seen = world(&format!("{STEADY}timeout = \"100ms\"\n{fault}"), "");
    let left: Vec<_> = seen.history.clients.iter().filter(|one| one.outcome == Outcome::ClientError).collect();
    let recorded = seen.history.records.iter().filter(|record| record.ended == Ended::ClientLeft);
    assert!(left.len() > 20 && recorded.count() == left.len());
    assert_eq!((seen.anomalies, oracle::answers::judge(&seen.history).violations()), (vec![], 0));
}

#[test]
fn limits_decide_as_an_exact_limiter_does() {
    let limits = "rate_limits = [\"all\", \"each\", \"watched\"]\n\
        [rate_limits.each]\nrate = \"20/s\"\nburst = 5\nkey = \"header:x-who\"\n\
        [rate_limits.all]\nrate = \"70/s\"\nburst = 10\nkey = \"global\"\ncost = 2\n\
        [rate_limits.watched]\nrate = \"1/s\"\nburst = 1\nkey = \"global\"\nshadow = true\n";
    let load = "[[load]]\nname = \"steady\"\nmodel = \"open\"\nrate = \"200/s\"\nduration = \"4s\"\n\
        request = { path = \"/api/a\", headers = { x-who = \"{choice(ann, bob, cid)}\" } }\n";
    let scenario = scenario(load, limits);
    let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints()).unwrap();
    let limits = crate::scenario::policy::limits(&checked.config);
    let seen = run(&scenario, EXAMINE).unwrap();
    let policies = oracle::policy::Policies { limits, ..Default::default() };
    let scores = oracle::limiter::judge(&seen.history, &policies, Tolerance::default());
    let refused = seen.history.clients.iter().filter(|one| one.status == Some(429)).count() as u64;
    assert!(refused > 300, "{refused} of {}", seen.history.clients.len());
    for (rule, score) in &scores {
        assert_eq!((score.false_admits, score.false_refusals), (Some(0), Some(0)), "{rule}: {score:?}");
        assert!(score.bound_violation.is_none_or(|over| over <= 0.0), "{rule}: {score:?}");
        assert_eq!(score.oracle_admitted, score.admitted, "{rule}: {score:?}");
    }
    assert_eq!(scores["all"].offered, seen.history.clients.len() as u64);
    assert_eq!(scores["all"].offered - scores["all"].admitted, refused);
    assert!(scores["each"].fairness_jain.unwrap() > 0.9, "{scores:?}");
}

#[test]
fn a_reload_fails_nothing() {
    let events: String = (1..20).map(|at| format!("[[events]]\nat = \"{}ms\"\ndo = \"reload\"\n", at * 100)).collect();
    let seen = world(&format!("{STEADY}{events}"), "");
    let reloads = seen.history.events.iter().filter(|event| matches!(event.kind, EventKind::Reload { ok: true, .. }));
    assert_eq!(reloads.count(), 19);
    assert!(seen.history.clients.iter().all(|request| request.outcome == Outcome::Ok));
    assert_eq!((seen.anomalies, oracle::answers::judge(&seen.history).violations()), (vec![], 0));
}

/// One slow endpoint in twenty, one route that hedges and one that does not: the first one's tail is cut by half at
/// least, for at most one attempt in twenty more.
#[test]
fn hedging_halves_the_tail_for_a_twentieth_more_load() {
    for (after, delay_ms) in [("p95", 200), ("p95", 80), ("20ms", 200)] {
        let endpoints: String = (0..20).map(|index| format!("\"mock://orders/{index}\", ")).collect();
        let route = |name: &str, keys: &str| {
            format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"orders\"\n{keys}\n")
        };
        let config = format!(
            "[server]\nworkers = 2\ntrusted_proxies = [\"192.168.0.0/16\"]\n[telemetry.access_log]\noutput = \"stdout\"\n\
             [upstreams.orders]\nendpoints = [{endpoints}]\nbalance = \"round_robin\"\n{}{}",
            route("plain", ""),
            route("hedged", &format!("hedge = {{ after = \"{after}\" }}")),
        );
        let load = |name: &str| {
            format!(
                "[[load]]\nname = \"{name}\"\nmodel = \"open\"\nrate = \"300/s\"\nduration = \"10s\"\n\
                 request = {{ method = \"GET\", path = \"/{name}/bytes/700\" }}\n"
            )
        };
        let text = format!(
            "name = \"story\"\nseed = 7\n[gateway]\nconfig = \"story.gateway.toml\"\n[mocks.orders]\nendpoints = 20\n\
             service_time = \"lognormal(4ms, 0.3)\"\n{}{}[[faults]]\nat = \"0s\"\non = \"orders/7\"\n\
             act = {{ delay = \"{delay_ms}ms\" }}\n",
            load("plain"),
            load("hedged"),
        );
        let seen = run(&loaded(&text, &config), EXAMINE).unwrap();
        let of = |load: &str| {
            let clients: Vec<_> = seen.history.clients.iter().filter(|one| &*one.load == load).collect();
            let mut took: Vec<u64> = clients.iter().map(|one| one.end_ns.unwrap() - one.intended_ns).collect();
            took.sort_unstable();
            let ids: std::collections::HashSet<_> = clients.iter().filter_map(|one| one.request_id.as_ref()).collect();
            let attempts = seen.history.attempts.iter();
            let attempts = attempts.filter(|one| one.request_id.as_ref().is_some_and(|id| ids.contains(id))).count();
            (took[took.len() * 99 / 100] as f64 / 1e6, attempts as f64 / clients.len() as f64)
        };
        let (plain, hedged) = (of("plain"), of("hedged"));
        assert!(plain.0 >= f64::from(delay_ms), "{plain:?}");
        assert!(hedged.0 <= plain.0 / 2.0, "{after}: {hedged:?} beside {plain:?}");
        assert!(hedged.1 <= 1.055, "{after}: {hedged:?}");
        assert!(seen.history.clients.iter().all(|one| one.outcome == Outcome::Ok));
        assert_eq!((seen.anomalies, oracle::answers::judge(&seen.history).violations()), (vec![], 0));
    }
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let text = format!("{STEADY}[[events]]\nat = \"1s\"\ndo = \"sigterm\"\n");
    assert_eq!(run(&scenario(&text, ""), EXAMINE), Err(SimulateError::Lacks("event but `reload`")));
}
