//! The rules of the module above, one story each.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn a_rule_file_reads_as_the_contract_shows_it() {
    let rules = Rule::from_toml(
        r#"
        [[rules]]
        match = { path = "/orders/*", method = "get", header = { X-User = "7" }, share = 0.5, from = "10s", until = "20s", requests = "100..200" }
        act = { delay = "lognormal(2ms, 0.4)", status = 503, slow_body = "1KiB/s" }
        [[rules]]
        act = { reset = "in_headers" }
        "#,
    )
    .unwrap();
    let expected = Rule::on("/orders/*")
        .method("GET")
        .header("x-user", "7")
        .share(0.5)
        .between(Duration::from_secs(10), Duration::from_secs(20))
        .requests(100..200)
        .status(503)
        .slow_body(1024);
    assert_eq!(rules[0].matches, expected.matches);
    assert_eq!(rules[0].act.delay, Some(Delay::Lognormal(Duration::from_millis(2), 0.4)));
    assert_eq!(rules[1], Rule::any().effect(Effect::Reset(Reset::InHeaders)));
}

#[test]
fn every_problem_is_found_and_names_its_key() {
    let problems = Rule::from_json(
        br#"{"rules":[
            {"match":{"pth":"/","share":2,"from":"5s","until":"1s","requests":"9..3"},"act":{"delay":"soon"}},
            {"act":{"status":99,"reset":"later","flap":"1s"}},
            {"act":{"hang":true,"truncate":5}},
            {"match":{"path":"/x"},"act":{"refuse":true}},
            {}
        ],"seed":1}"#,
    )
    .unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "seed",
            "rules[0].match.pth",
            "rules[0].match.share",
            "rules[0].match.requests",
            "rules[0].match.until",
            "rules[0].act.delay",
            "rules[1].act.reset",
            "rules[1].act.status",
            "rules[1].act.flap",
            "rules[2].act",
            "rules[3].act.refuse",
            "rules[4].act",
        ]
    );
    let text = problems.to_string();
    assert!(text.contains("did you mean `path`?") && text.contains("not yet") && text.contains("exclude each other"));
}

#[test]
fn the_header_holds_an_act() {
    let act = act_from_header("delay=50ms; status=503;close").unwrap();
    let expected = Rule::any().delay(Duration::from_millis(50)).status(503).close(1);
    assert_eq!(act, expected.act);
    assert_eq!(act_from_header("garbage=bad_chunk").unwrap().effect, Effect::Garbage(Garbage::BadChunk));
    assert_eq!(act_from_header("truncate=10").unwrap().effect, Effect::Truncate(Some(10)));
    for bad in ["", "status=600", "status=503;status=500", "refuse", "delay", "colour=red"] {
        assert!(act_from_header(bad).is_err(), "{bad}");
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![
        Just(Effect::None),
        Just(Effect::Hang),
        proptest::sample::select(Reset::ALL).prop_map(|(_, reset)| Effect::Reset(reset)),
        proptest::option::of(0u64..100).prop_map(Effect::Truncate),
        proptest::sample::select(Garbage::ALL).prop_map(|(_, garbage)| Effect::Garbage(garbage)),
    ];
    (effect, 0u64..10_000, 200u16..600, 1u64..5, "[a-z*/]{0,10}").prop_map(|(effect, ms, status, close, path)| {
        let rule = Rule::on(&format!("/{path}")).delay(Duration::from_millis(ms)).status(status);
        rule.effect(effect).close(close).slow_body(ms + 1).share(0.25).requests(close..close + 7)
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(rules in proptest::collection::vec(any_rule(), 0..4)) {
        let shown = serde_json::json!({ "rules": rules.iter().map(Rule::to_json).collect::<Vec<_>>() });
        prop_assert_eq!(Rule::from_json(shown.to_string().as_bytes()), Ok(rules));
    }

    #[test]
    fn no_header_panics(text in "[ -~]{0,40}") {
        let _ = act_from_header(&text);
    }
}
