//! A consistent hash in a run: which key went where, as the gateway tells it.

mod worlds;

use worlds::run_of;

const SCENARIO: &str = r#"
name = "homes"
warm_up = "100ms"

[gateway]
config = "gateway.toml"

[mocks.orders]
endpoints = 3

[[load]]
name = "main"
model = "open"
arrivals = "constant"
rate = "200/s"
duration = "2s"
connections = 4
request = { path = "/a/{int(1, 20)}" }

[[faults]]
at = "500ms"
for = "500ms"
on = "orders/1"
act = { status = 503 }
"#;

const GATEWAY: &str = r#"
[upstreams.orders]
endpoints = ["mock://orders/0", "mock://orders/1", "mock://orders/2"]
balance = { policy = "consistent_hash", key = "path", bound_min = 64 }
breaker = { consecutive_failures = 3, open_for = "200ms" }

[[routes]]
path = "/{*rest}"
upstream = "orders"
"#;

#[test]
fn keys_leave_a_failing_home_and_no_other() {
    let result = run_of(SCENARIO, GATEWAY);
    let balance = &result.balance["orders"];
    assert_eq!(balance.moved_keys, Some(0.0), "{balance:?}");
    assert!(balance.share.values().all(|share| *share > 0.0), "{balance:?}");
    let by_turns =
        GATEWAY.replace("policy = \"consistent_hash\", key = \"path\", bound_min = 64", "policy = \"random\"");
    assert_eq!(run_of(SCENARIO, &by_turns).balance["orders"].moved_keys, None, "no key has a home there");
}
