//! Examples of who may ask, how often, and who says so.

use gateway::explain::{Question, answer};

use crate::{example, repository};

#[test]
fn tools_are_for_who_has_a_password_as_the_comments_say() {
    let loaded = example("passwords.toml");
    let told = |credentials: &str| {
        let question = Question::parse("GET", "/tools/queue", &[&format!("authorization: Basic {credentials}")]);
        answer(&loaded.config, &question.expect("a question")).policies.expect("a route").auth.expect("it asks who")
    };
    let demo = told("ZGVtbzpkZW1vLXBhc3N3b3Jk");
    assert_eq!((demo.result, demo.subject.as_deref()), ("granted", Some("demo")));
    assert_eq!(demo.removed, ["authorization"]);
    assert_eq!(told("ZGVtbzpkZW1v").result, "password");
}

#[test]
fn the_shared_limits_say_what_holds_without_their_store() {
    use gateway::config::settings::rate_limit::{Mode, OnFailure};
    let loaded = example("rate-limits-shared.toml");
    let shared = |name: &str| {
        let rule = loaded.config.rate_limits.iter().find(|rule| &*rule.name == name).expect(name);
        rule.shared.clone().expect("a store")
    };
    assert_eq!(shared("per_client").mode, Mode::Exact);
    assert_eq!(shared("everything").mode, Mode::Leased(200));
    assert_eq!(shared("per_client").on_failure, OnFailure::LocalShare);
    assert_eq!(shared("password_resets").on_failure, OnFailure::Closed);
    assert!(loaded.config.stores[0].access.password.is_some());
}

#[test]
fn the_limits_example_watches_one_rule_and_weighs_another() {
    let loaded = example("rate-limits.toml");
    let rule = |name: &str| loaded.config.rate_limits.iter().find(|rule| &*rule.name == name).expect(name);
    assert!(rule("everything").shadow && !rule("per_client").shadow);
    assert_eq!((rule("reports").cost, rule("reports").rate.burst), (10, 60));
}

#[test]
fn the_identity_example_lets_in_whom_it_says() {
    let loaded = example("identity.toml");
    let judged = |method: &str, url: &str, headers: &[&str]| {
        let question = Question::parse(method, url, headers).expect("a question");
        let auth = answer(&loaded.config, &question).policies.expect("a route").auth.expect("it asks who it is");
        (auth.result, auth.status, auth.subject)
    };
    let granted = |subject: &str| ("granted", None, Some(subject.to_owned()));
    assert_eq!(judged("GET", "/orders/7", &["x-api-key: demo-key"]), granted("reporting-job"));
    assert_eq!(judged("GET", "/orders/7", &["x-api-key: other"]), ("unknown_api_key", Some(401), None));
    assert_eq!(judged("GET", "/orders/7", &[]), ("missing", Some(401), None));
    assert_eq!(judged("POST", "/orders/7", &["x-api-key: demo-key"]), ("missing", Some(401), None));
    assert_eq!(judged("GET", "/catalogue/1", &[]), ("anonymous", None, None));
    assert_eq!(judged("GET", "/catalogue/1", &["authorization: Bearer a.b.c"]).1, Some(401));
}

#[test]
fn the_services_take_no_other_token_for_a_passport_and_clocks_that_differ_by_seconds() {
    for (file, leeway) in [("examples/passport/service.py", "leeway=5"), ("gateway/examples/passport.rs", "leeway = 5")]
    {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains("\"passport+jwt\"") && text.contains(leeway) && text.contains("timeout"), "{file}");
    }
}

#[test]
fn the_python_service_is_python() {
    let service = repository().join("examples/passport/service.py");
    let check = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
    // Where there is no Python, nobody runs it either.
    let Ok(run) = std::process::Command::new("python3").args(["-c", check]).arg(&service).output() else { return };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn another_service_is_asked_as_the_comments_say() {
    let loaded = example("forward-auth.toml");
    let asked = loaded.config.routes[0].forward_auth.as_ref().expect("somebody is asked");
    assert_eq!(asked.to_string(), "authority/verify within 500ms, else it is refused");
    assert_eq!(asked.cache.map(|cache| cache.ttl.as_secs()), Some(5));
    let question = Question::parse("GET", "/api/orders/7", &["x-user: root"]).expect("a question");
    assert!(answer(&loaded.config, &question).policies.is_some_and(|policies| policies.forward_auth.is_some()));
}
