//! Tokens in scenarios: the run signs them, and the gateway proves them with the run's key set.

mod worlds;

use std::path::Path;

use reports::result::Verdict;
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

/// What the scenario of replays asks is not met by refusing everybody.
#[test]
fn a_gateway_that_refuses_every_token_fails_the_scenario_of_replays() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let read = |name: &str| std::fs::read_to_string(scenarios.join(name)).unwrap();
    let (scenario, gateway) = (read("identity-replay.toml"), read("identity-replay.gateway.toml"));
    let scenario = scenario.replace("identity-replay.gateway.toml", "gateway.toml");
    let strange = scenario.replace("[redis]", "[tokens]\nissuer = \"https://nobody.example\"\n\n[redis]");
    assert_ne!(strange, scenario);
    let result = run_of(&strange, &gateway);
    let admitted = result.expectations.iter().find(|one| one.figure.ends_with(".status.200")).unwrap();
    assert_eq!((admitted.value, admitted.holds), (Some(0.0), false), "{:?}", result.expectations);
}

const ROTATION: &str = r#"
name = "rotation"
warm_up = "100ms"

[gateway]
config = "gateway.toml"

[tokens]
keys = [{ name = "old", until = "2s" }, { name = "next", from = "1s" }]

[mocks.orders]
endpoints = 1

[mocks.jwks]

[[load]]
name = "old"
model = "open"
arrivals = "constant"
rate = "100/s"
duration = "2s"
connections = 2
request = { path = "/a", headers = { authorization = "Bearer {token(subject=user-{zipf(20)})}" } }

[[load]]
name = "next"
model = "open"
arrivals = "constant"
rate = "100/s"
from = "1s"
duration = "2s"
connections = 2
request = { path = "/a", headers = { authorization = "Bearer {token(key=next, subject=user-{zipf(20)})}" } }

[[load]]
name = "gone"
model = "open"
arrivals = "constant"
rate = "100/s"
from = "3100ms"
duration = "400ms"
connections = 2
request = { path = "/a", headers = { authorization = "Bearer {token(subject=user-{zipf(20)})}" }, expect = [401] }

[[faults]]
at = "1500ms"
for = "1s"
on = "jwks"
act = { cache_control = "max-age=1" }
"#;

/// The same gateway, which asks a server for its keys.
fn fetching() -> String {
    GATEWAY.replace(r#"inline = "mock://jwks""#, r#"url = "mock://jwks", refresh = "1s", cooldown = "1s""#)
}

/// A scenario is refused, with all these words.
fn refused(scenario: &str, gateway: &str, words: &[&str]) {
    let folder = written(scenario, gateway);
    let output = sim(&["run", "--check", text(&folder.path().join("s.toml"))]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = words.iter().all(|word| said.contains(word));
    assert!(output.status.code() == Some(1) && told, "{words:?} {said}");
}

#[test]
fn keys_come_and_go_at_a_server_and_loads_begin_with_them() {
    let result = run_of(ROTATION, &fetching());
    let phases = |load: &str| &result.load[load].phases;
    for (load, requests) in [("old", 200), ("next", 200), ("gone", 40)] {
        assert_eq!(result.load[load].requests, requests, "{load}");
        let ok: u64 = phases(load).values().map(|phase| phase.outcome.get("ok").copied().unwrap_or(0)).sum();
        assert_eq!(ok, requests, "{load}: {:?}", result.load[load]);
    }
    assert_eq!(phases("next")["before"].status["200"], 50, "it began at 1 s of 1.5");
    let keys = &result.other["keys"];
    // Three and a half seconds, and a fetch every second of them. On a busy machine one comes late to the server, and
    // the next in time.
    let (fetches, most) = (keys["fetches"].as_u64().unwrap(), keys["most_in_cooldown"].as_u64().unwrap());
    assert!((3..=4).contains(&fetches) && (1..=2).contains(&most), "{keys}");
    assert!(keys["failed"] == 0 && keys["phases"]["fault_1"]["fetches"].as_u64() >= Some(1), "{keys}");
    // What the gateway asks for itself is nothing that clients caused.
    assert!((0.85..=0.95).contains(&result.retries.as_ref().unwrap().amplification), "{:?}", result.retries);
}

#[test]
fn what_a_key_server_lacks_is_told_where_it_stands() {
    let fetching = fetching();
    let fetching = fetching.as_str();
    let change = |from: &str, to: &str| {
        assert!(ROTATION.contains(from), "{from}");
        ROTATION.replace(from, to)
    };
    let without = change("[mocks.jwks]\n", "").replace("on = \"jwks\"", "on = \"orders\"");
    refused(&without, fetching, &["gateway.toml:6:16: error: the scenario has no key server", "[mocks.jwks]"]);
    refused(ROTATION, GATEWAY, &["no provider asks it", "keys come and go at a key server, and none is asked"]);
    refused(&change("[mocks.jwks]", "[mocks.jwks]\nendpoints = 2"), fetching, &["which has one address"]);
    refused(&change("[mocks.jwks]", "[mocks.jwks]\ncalls = [\"/a\"]"), fetching, &["calls nobody"]);
    let asked = fetching.replace("mock://orders/0", "mock://jwks/0");
    refused(ROTATION, &asked, &["`jwks` is the key server", "and by nobody else"]);
    let elsewhere = fetching.replace("\"mock://orders/0\"", "\"mock://jwks\"");
    refused(ROTATION, &elsewhere, &["are nothing that can stand here"]);
    refused(&change("key=next", "key=nxt"), fetching, &["no key is called `nxt`", "did you mean `next`?"]);
    let nameless = SCENARIO.replace("ALGORITHM", "ES256").replace("token(subject=user", "token(key=next, subject=user");
    refused(&nameless, GATEWAY, &["keys = [{ name = \"next\" }]"]);
    refused(&change("name = \"next\", from", "name = \"old\", from"), fetching, &["two keys called `old`"]);
    refused(&change("from = \"1s\" }", "from = \"9s\" }"), fetching, &["so this never happens"]);
    refused(&change("from = \"1s\" }", "from = \"1s\", until = \"1s\" }"), fetching, &["a key goes after it has come"]);
    refused(&change("name = \"next\", from", "nam = \"next\", from"), fetching, &["`name` is missing", "`nam`"]);
    let closed = change("arrivals = \"constant\"\nrate = \"100/s\"\nfrom", "from").replace("\"open\"", "\"closed\"");
    refused(&closed, fetching, &["a closed load begins with the run"]);
    let capacity = format!("{ROTATION}[capacity]\nload = \"old\"\np99 = \"5ms\"\n");
    refused(&capacity, fetching, &["where loads that begin later are not"]);
    refused(&change("warm_up", "runtime = \"virtual\"\nwarm_up"), fetching, &["the virtual runtime has no key server"]);
    let none = format!("{ROTATION}[[expect]]\nfigure = \"breakers.jwks/0.trips\"\nmax = 0\n");
    refused(&none, fetching, &["no figure `breakers.jwks/0.trips`"]);
}

#[test]
fn keys_are_for_algorithms_that_can_be_signed_with() {
    refused(&SCENARIO.replace("ALGORITHM", "HS256"), GATEWAY, &["`HS256` is no algorithm"]);
}

#[test]
fn in_virtual_time_tokens_are_signed_and_proved_at_the_time_of_the_world() {
    let scenario = SCENARIO.replace("ALGORITHM", "ES256").replace("warm_up", "runtime = \"virtual\"\nwarm_up");
    let result = run_of(&scenario, GATEWAY);
    assert_eq!(result.verdict, Verdict::Pass, "{:?} {:?}", result.expectations, result.validity.reasons);
    assert_eq!(result.load["late"].phases["before"].status["401"], 100);
}
