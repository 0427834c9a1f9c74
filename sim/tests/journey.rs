//! A scenario whose load are journeys, on real programs.

use std::process::Command;

use loadgen::journey::users::find_program;
use reports::result::{ResultFile, Verdict};

const SCENARIO: &str = r#"
name = "shopping"
warm_up = "100ms"

[gateway]
instances = 2
config = "gateway.toml"

[mocks.shop]
endpoints = 1

[[load]]
name = "users"
model = "journey"
journey = "shop.journey.toml"
users = 6
duration = "2s"

[[load]]
name = "others"
model = "open"
arrivals = "constant"
rate = "50/s"
duration = "2s"
connections = 2
request = { path = "/other" }

[[expect]]
figure = "load.users.phases.before.success_ratio"
min = 1
[[expect]]
figure = "load.users.journeys.look.completed"
min = 10
[[expect]]
figure = "load.users.journeys.look.steps.page/part.outcome.ok"
min = 10
"#;

const GATEWAY: &str =
    "[[routes]]\npath = \"/{*rest}\"\nupstream = \"shop\"\n[upstreams.shop]\nendpoints = [\"mock://shop/0\"]\n";

const JOURNEYS: &str = "[[journeys]]\nname = \"look\"\n[[journeys.steps]]\nname = \"begin\"\nonce = true\npath = \"/begin\"\n\
    take = { session = \"/path\" }\n[[journeys.steps]]\nname = \"page\"\npath = \"{value(session)}/page\"\n\
    think = \"5ms..15ms\"\nparts = [{ name = \"part\", path = \"/part\" }]\n";

#[test]
fn users_go_their_journeys_through_all_gateways_beside_other_loads() {
    if let Err(error) = find_program(None) {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "journeys"]).status().unwrap();
        assert!(built.success(), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("s.toml", SCENARIO);
    write("gateway.toml", GATEWAY);
    write("shop.journey.toml", JOURNEYS);
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .arg("run")
        .arg(folder.path().join("s.toml"))
        .arg("--out")
        .arg(&out)
        .output();
    let said = output.unwrap();
    let result = ResultFile::read(&out.join("result.json")).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert!(result.expectations.iter().all(|one| one.holds), "{:?}", result.expectations);
    assert!(matches!(result.verdict, Verdict::Pass | Verdict::Invalid), "a busy machine may make it invalid");
    assert_eq!(result.load["others"].requests, 100);
    // Three users each, and the other load in turns.
    assert!(result.gateway.values().all(|gateway| gateway.cpu_us_per_request > Some(0.0)) && result.gateway.len() == 2);
    assert!(out.join("users.hlog").is_file() && out.join("others.hlog").is_file());
}

#[test]
fn what_is_wrong_in_journeys_is_a_problem_of_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("gateway.toml", GATEWAY);
    write("shop.journey.toml", &JOURNEYS.replace("take = { session", "take = { sesion"));
    let refused = |scenario: &str, words: &[&str]| {
        write("s.toml", scenario);
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["run", "--check"])
            .arg(folder.path().join("s.toml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(SCENARIO, &["shop.journey.toml:10: nobody has the value `session`"]);
    write("shop.journey.toml", JOURNEYS);
    refused(&SCENARIO.replace("users = 6", "users = 6\nrate = \"5/s\""), &["a load of journeys has no `rate`"]);
    refused(&SCENARIO.replace("name = \"others\"", "name = \"others\"\nusers = 3"), &["`users` is for the model"]);
    refused(&SCENARIO.replace("look.completed", "look.finished"), &["the result will hold no figure"]);
    let in_virtual = SCENARIO.replace("warm_up", "runtime = \"virtual\"\nwarm_up");
    refused(&in_virtual, &["goes no journeys"]);
}
