//! More load than services can take, in virtual time: goodput stays, who matters is served, and afterwards all is as it
//! was before.

use super::*;
use crate::history::ClientRequest;

/// Two endpoints that work on two requests each, for 20 ms: 200 requests a second.
const CAPACITY: f64 = 200.0;

/// What they can do in a world whose clock moves by whole milliseconds: the next request follows in the next one.
const IN_STEPS: f64 = CAPACITY * 20.0 / 21.0;

/// A load of half the capacity, of twice as much from 4 to 10 s, and of half again; with these keys of the upstream.
fn overloaded(upstream: &str, routes: &str, loads: &str) -> Observed {
    let config = format!(
        "[server]\nworkers = 2\n[telemetry.access_log]\noutput = \"stdout\"\n\
         [upstreams.orders]\nendpoints = [\"mock://orders/0\", \"mock://orders/1\"]\n{upstream}\n{routes}"
    );
    let text = format!(
        "name = \"overload\"\nseed = 11\n[gateway]\nconfig = \"story.gateway.toml\"\n[mocks.orders]\nendpoints = 2\n\
         service_time = \"20ms\"\nservers = 2\n{loads}"
    );
    let seen = run(&loaded(&text, &config), Options { examine: false, ..EXAMINE }).unwrap();
    assert_eq!((&seen.anomalies[..], oracle::answers::judge(&seen.history).violations()), (&[][..], 0));
    seen
}

fn load(name: &str, path: &str, share: f64) -> String {
    let (base, peak) = (0.5 * CAPACITY * share, 2.0 * CAPACITY * share);
    format!(
        "[[load]]\nname = \"{name}\"\nmodel = \"open\"\narrivals = \"spike({base}/s, {peak}/s, 4s, 6s)\"\n\
         duration = \"16s\"\nconnections = 64\nmax_in_flight = 4096\noverload = true\nrequest = {{ path = \"{path}\" }}\n"
    )
}

const ROUTE: &str =
    "[[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\ntimeout = \"2s\"\nretry = { attempts = 1 }\n";

/// The requests that were planned between these seconds.
fn between(seen: &Observed, from: f64, until: f64) -> impl Iterator<Item = &ClientRequest> {
    let window = (from * 1e9) as u64..(until * 1e9) as u64;
    seen.history.clients.iter().filter(move |request| window.contains(&request.intended_ns))
}

/// Those that were answered well, those that the gateway refused, and those that failed in another way.
fn ends(seen: &Observed, from: f64, until: f64) -> (usize, usize, usize) {
    between(seen, from, until).fold((0, 0, 0), |(ok, refused, failed), request| {
        match (request.outcome, request.status) {
            (Outcome::Ok, _) => (ok + 1, refused, failed),
            (_, Some(503)) => (ok, refused + 1, failed),
            _ => (ok, refused, failed + 1),
        }
    })
}

/// Good answers that came between these seconds.
fn answered(seen: &Observed, from: f64, until: f64) -> usize {
    let window = (from * 1e9) as u64..(until * 1e9) as u64;
    let good = seen.history.clients.iter().filter(|request| request.outcome == Outcome::Ok);
    good.filter(|request| request.end_ns.is_some_and(|end| window.contains(&end))).count()
}

/// The longest that an answer of these seconds took, milliseconds.
fn longest(seen: &Observed, from: f64, until: f64) -> u64 {
    let took = |request: &ClientRequest| request.end_ns.map(|end| (end - request.intended_ns) / 1_000_000);
    between(seen, from, until).filter(|request| request.outcome == Outcome::Ok).filter_map(took).max().unwrap_or(0)
}

#[test]
fn with_an_adaptive_limit_goodput_at_twice_the_capacity_is_capacity() {
    let seen = overloaded("concurrency = { adaptive = true }", ROUTE, &load("all", "/api", 1.0));
    // By when the answers came: what waited when the limit came into force is served too.
    let ok = answered(&seen, 5.0, 10.0);
    assert!(ok as f64 >= 0.95 * IN_STEPS * 5.0, "{ok} of {}", IN_STEPS * 5.0);
    let (_, refused, failed) = ends(&seen, 5.0, 10.0);
    assert!(refused > 500 && failed == 0, "{refused} refused, {failed} failed: nobody runs into a time-out");
    // No refusal but in the overload, and a moment after it.
    for (from, until) in [(0.0, 4.0), (11.5, 16.0)] {
        let (_, refused, failed) = ends(&seen, from, until);
        assert_eq!((refused, failed), (0, 0), "{from} to {until} s");
    }
    assert!(longest(&seen, 7.0, 10.0) < 250, "{} ms", longest(&seen, 7.0, 10.0));
    let (before, after) = (longest(&seen, 0.0, 4.0), longest(&seen, 11.5, 16.0));
    assert!(after <= 2 * before, "{before} ms before, {after} ms after");
}

#[test]
fn without_a_limit_the_same_load_runs_into_time_outs() {
    // What the test above is worth.
    let seen = overloaded("", ROUTE, &load("all", "/api", 1.0));
    let timed_out = between(&seen, 4.0, 10.0).filter(|request| request.status == Some(504)).count();
    assert!(timed_out >= 10, "{timed_out}");
}

#[test]
fn who_matters_is_served_while_the_least_is_refused() {
    let route = |class: &str| {
        format!(
            "[[routes]]\npath = \"/{class}\"\nupstream = \"orders\"\ncriticality = \"{class}\"\ntimeout = \"2s\"\n\
             retry = {{ attempts = 1 }}\n"
        )
    };
    // High alone is a fifth of the capacity at its peak, low nine times as much.
    let loads = load("low", "/low", 0.9) + &load("high", "/high", 0.1);
    // What is kept free for high is two fifths of the limit: more than what is in flight of it, but for chance, which
    // weighs more in a small limit.
    for (limit, least) in [("concurrency = { max_in_flight = 40 }", 0.99), ("concurrency = { adaptive = true }", 0.9)] {
        let seen = overloaded(limit, &["low", "high"].map(route).concat(), &loads);
        let of = |load: &str, outcome| {
            let these = between(&seen, 5.5, 10.0).filter(|one| &*one.load == load);
            these.filter(|one| (one.outcome == Outcome::Ok) == outcome).count() as f64
        };
        let (high, low) = ((of("high", true), of("high", false)), (of("low", true), of("low", false)));
        assert!(high.0 >= least * (high.0 + high.1), "{limit}: {high:?} of high");
        assert!(low.1 > 0.8 * low.0, "{limit}: {low:?} of low");
        assert!(high.0 + low.0 >= 0.93 * IN_STEPS * 4.5, "{limit}: {high:?}, {low:?}");
        assert_eq!(ends(&seen, 11.5, 16.0).1, 0, "{limit}");
    }
}
