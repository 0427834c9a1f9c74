//! Rate limits in a run: every decision of real gateways held against an exact limiter.

mod worlds;

use worlds::run_of;

const SCENARIO: &str = r#"
name = "limited"
warm_up = "100ms"

[gateway]
instances = 2
config = "gateway.toml"

[mocks.orders]
endpoints = 1

[[load]]
name = "main"
model = "open"
arrivals = "poisson"
rate = "300/s"
duration = "3s"
connections = 8
request = { path = "/a", headers = { x-who = "{choice(ann, bob, cid)}" }, expect = [200, 429] }

[[expect]]
figure = "limiters.each.false_admits"
max = 0
[[expect]]
figure = "limiters.each.false_refusals"
max = 0
[[expect]]
figure = "limiters.each.bound_violation"
max = 0
[[expect]]
figure = "limiters.each.retry_after_error_ms"
max = 1
[[expect]]
figure = "load.main.phases.before.status.429"
min = 100
"#;

const GATEWAY: &str = r#"
[upstreams.orders]
endpoints = ["mock://orders/0"]

[rate_limits.each]
rate = "20/s"
burst = 10
key = "header:x-who"

[[routes]]
path = "/{*rest}"
upstream = "orders"
# What is turned away last where the gateway gets too little of a busy machine.
criticality = "critical"
rate_limits = ["each"]
"#;

#[test]
fn real_gateways_decide_as_an_exact_limiter_does() {
    let result = run_of(SCENARIO, GATEWAY);
    assert!(result.expectations.iter().all(|one| one.holds), "{:?} {:?}", result.expectations, result.limiters);
    let score = &result.limiters["each"];
    let load = &result.load["main"];
    assert_eq!(score.offered, load.requests, "each request of both gateways was asked");
    let refused = load.phases["before"].status["429"];
    assert_eq!((score.offered - score.admitted, score.oracle_admitted), (refused, score.admitted), "{score:?}");
    // The warm-up has emptied the buckets, so that no burst is left: two gateways, three keys each, give 120 a second.
    assert!(score.sustained_error.unwrap().abs() < 0.2 && score.fairness_jain.unwrap() > 0.9, "{score:?}");
    assert!(result.timeline.iter().any(|moment| moment.limiter_refused.get("each").is_some_and(|share| *share > 0.1)));
}
