//! More load than services can take, in virtual time: goodput stays, who matters is served, and afterwards all is as it
//! was before.

use super::*;
use crate::history::ClientRequest;

/// Two endpoints that work on four requests each, for 20 ms: 400 requests a second.
const CAPACITY: f64 = 400.0;

/// A load of half the capacity, of twice as much from 5 to 15 s, and of half again; with these keys of the upstream.
fn overloaded(upstream: &str, routes: &str, loads: &str) -> Observed {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\nworkers = 2\n[telemetry.access_log]\noutput = \"stdout\"\n\
         [upstreams.orders]\nendpoints = [\"mock://orders/0\", \"mock://orders/1\"]\n{upstream}\n{routes}"
    );
    let text = format!(
        "name = \"overload\"\nseed = 11\n[gateway]\nconfig = \"overload.gateway.toml\"\n[mocks.orders]\nendpoints = 2\n\
         service_time = \"20ms\"\nservers = 4\n{loads}"
    );
    std::fs::write(folder.path().join("overload.gateway.toml"), config).unwrap();
    let file = folder.path().join("overload.toml");
    std::fs::write(&file, text).unwrap();
    let scenario = crate::scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let seen = run(&scenario, Options { examine: false, ..EXAMINE }).unwrap();
    assert_eq!((&seen.anomalies[..], oracle::answers::judge(&seen.history).violations()), (&[][..], 0));
    seen
}

fn load(name: &str, path: &str, share: f64) -> String {
    let (base, peak) = (0.5 * CAPACITY * share, 2.0 * CAPACITY * share);
    format!(
        "[[load]]\nname = \"{name}\"\nmodel = \"open\"\narrivals = \"spike({base}/s, {peak}/s, 5s, 10s)\"\n\
         duration = \"25s\"\nconnections = 64\nmax_in_flight = 4096\noverload = true\nrequest = {{ path = \"{path}\" }}\n"
    )
}

const ROUTE: &str = "[[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\ntimeout = \"2s\"\nretry = { attempts = 1 }\n";

/// The requests that were planned between these seconds.
fn between(seen: &Observed, from: f64, until: f64) -> impl Iterator<Item = &ClientRequest> {
    let window = (from * 1e9) as u64..(until * 1e9) as u64;
    seen.history.clients.iter().filter(move |request| window.contains(&request.intended_ns))
}

fn count(seen: &Observed, (from, until): (f64, f64), outcome: Outcome) -> usize {
    between(seen, from, until).filter(|request| request.outcome == outcome).count()
}

/// The longest that an answer of these seconds took, milliseconds.
fn longest(seen: &Observed, from: f64, until: f64) -> u64 {
    let took = |request: &ClientRequest| request.end_ns.map(|end| (end - request.intended_ns) / 1_000_000);
    between(seen, from, until).filter(|request| request.outcome == Outcome::Ok).filter_map(took).max().unwrap_or(0)
}

#[test]
fn with_an_adaptive_limit_goodput_at_twice_the_capacity_is_capacity() {
    let seen = overloaded("concurrency = { adaptive = true }", ROUTE, &load("all", "/api", 1.0));
    let ok = count(&seen, (6.0, 15.0), Outcome::Ok) as f64;
    assert!(ok >= 0.95 * CAPACITY * 9.0, "{ok} of {}", CAPACITY * 9.0);
    assert_eq!(count(&seen, (0.0, 25.0), Outcome::Failed), 0, "nobody runs into a time-out");
    // No refusal but in the overload, and a moment after it.
    let refused = [(0.0, 5.0), (17.0, 25.0)].map(|window| count(&seen, window, Outcome::Rejected));
    assert_eq!(refused, [0, 0]);
    assert!(longest(&seen, 8.0, 15.0) < 200, "{} ms", longest(&seen, 8.0, 15.0));
    let (before, after) = (longest(&seen, 0.0, 5.0), longest(&seen, 17.0, 25.0));
    assert!(after <= 2 * before, "{before} ms before, {after} ms after");
}

#[test]
fn without_a_limit_the_same_load_is_answered_too_late() {
    // What the test above is worth: the queue grows until every answer runs out of time.
    let seen = overloaded("", ROUTE, &load("all", "/api", 1.0));
    assert!(count(&seen, (6.0, 15.0), Outcome::Failed) > 1_000);
    assert!(longest(&seen, 8.0, 15.0) > 1_000);
}

#[test]
fn with_an_exact_limit_who_matters_is_served_and_the_least_is_refused() {
    let route = |class: &str| {
        format!(
            "[[routes]]\npath = \"/{class}\"\nupstream = \"orders\"\ncriticality = \"{class}\"\ntimeout = \"2s\"\n\
             retry = {{ attempts = 1 }}\n"
        )
    };
    let classes = ["low", "high"];
    // High alone is half of the capacity at its peak, low one and a half.
    let loads = load("low", "/low", 0.75) + &load("high", "/high", 0.25);
    for limit in ["concurrency = { max_in_flight = 20 }", "concurrency = { adaptive = true }"] {
        let seen = overloaded(limit, &classes.map(route).concat(), &loads);
        let of = |load: &str, outcome| {
            between(&seen, 6.5, 15.0).filter(|one| &*one.load == load && one.outcome == outcome).count() as f64
        };
        let high = of("high", Outcome::Ok) / (of("high", Outcome::Ok) + of("high", Outcome::Rejected));
        assert!(high > 0.999, "{limit}: {high} of high is served");
        assert!(of("low", Outcome::Rejected) > 0.4 * of("low", Outcome::Ok), "{limit}");
        let ok = of("high", Outcome::Ok) + of("low", Outcome::Ok);
        assert!(ok >= 0.93 * CAPACITY * 8.5, "{limit}: {ok} of {}", CAPACITY * 8.5);
        assert_eq!(count(&seen, (17.0, 25.0), Outcome::Rejected), 0, "{limit}");
    }
}
