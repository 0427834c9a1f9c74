//! Tokens in scenarios: the run signs them, and the gateway proves them with the run's key set.

mod worlds;

use worlds::{run_of, sim, text, written};

const SCENARIO: &str = r#"
name = "tokens"
warm_up = "100ms"

[gateway]
config = "gateway.toml"

[tokens]
algorithm = "ALGORITHM"

[mocks.orders]
endpoints = 1

[[load]]
name = "known"
model = "open"
arrivals = "constant"
rate = "100/s"
duration = "2s"
connections = 2
request = { path = "/a", headers = { authorization = "Bearer {token(subject=user-{zipf(20)})}" } }

[[load]]
name = "late"
model = "open"
arrivals = "constant"
rate = "50/s"
duration = "2s"
connections = 2
request = { path = "/a", headers = { authorization = "Bearer {token(subject=a, issuer=somebody)}" }, expect = [401] }

[[expect]]
figure = "load.known.phases.before.success_ratio"
min = 1
[[expect]]
figure = "load.late.phases.before.success_ratio"
min = 1
"#;

const GATEWAY: &str = r#"
[identity.providers.people]
kind = "jwt"
issuer = "https://idp.example"
audiences = ["api"]
jwks = { inline = "mock://jwks" }

[[routes]]
path = "/{*rest}"
upstream = "orders"
auth = { providers = ["people"] }

[upstreams.orders]
endpoints = ["mock://orders/0"]
"#;

#[test]
fn the_gateway_proves_what_the_run_signs_and_nothing_else() {
    for algorithm in ["ES256", "RS256"] {
        let result = run_of(&SCENARIO.replace("ALGORITHM", algorithm), GATEWAY);
        assert!(result.expectations.iter().all(|one| one.holds), "{algorithm}: {:?}", result.expectations);
        assert_eq!(result.load["late"].phases["before"].status["401"], 100);
    }
}

#[test]
fn a_gateway_whose_clock_is_fast_takes_good_tokens_for_old_ones() {
    let event = "[[events]]\nat = \"500ms\"\ndo = \"skew:gateway/0:48h\"\n";
    let longer = SCENARIO.replace("ALGORITHM", "ES256").replace("duration = \"2s\"", "duration = \"3s\"");
    let result = run_of(&format!("{longer}{event}"), GATEWAY);
    assert_eq!(result.other["events"]["failed"], 0, "{}", result.other["events"]);
    let known = &result.load["known"].phases["before"].status;
    // It is told after half a second of three.
    assert!(known["200"] >= 40 && known["401"] >= 200, "{known:?}");
}

#[test]
fn keys_have_one_place_and_virtual_time_signs_nothing() {
    let refused = |scenario: &str, gateway: &str, word: &str| {
        let folder = written(scenario, gateway);
        let output = sim(&["run", "--check", text(&folder.path().join("s.toml"))]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(word), "{said}");
    };
    let scenario = SCENARIO.replace("ALGORITHM", "ES256");
    refused(&scenario, &GATEWAY.replace("inline", "url"), "jwks = { inline = \"mock://jwks\" }");
    refused(&scenario.replace("ES256", "HS256"), GATEWAY, "`HS256` is no algorithm");
    let in_virtual = scenario.replace("warm_up", "runtime = \"virtual\"\nwarm_up");
    refused(&in_virtual, GATEWAY, "signs no tokens");
}
