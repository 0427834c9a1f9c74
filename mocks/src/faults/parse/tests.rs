//! The rules of the module above, one story each.

use super::*;
use crate::faults::{Caching, Effect, Etag, Garbage, Reset};
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
            {"act":{"status":99,"reset":"later","flap":"1s","etag":"a b","headers":{"Content-Length":"1"}}},
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
            "rules[1].act.etag",
            "rules[1].act.headers",
            "rules[2].act",
            "rules[3].act.refuse",
            "rules[4].act",
        ]
    );
    let text = problems.to_string();
    assert!(text.contains("did you mean `path`?") && text.contains("period = ") && text.contains("exclude each other"));
}

#[test]
fn a_flap_without_another_act_closes_the_listener() {
    let read = |act: &str| Rule::from_toml(&format!("[[rules]]\nact = {act}")).unwrap().remove(0);
    assert_eq!(read("{ flap = { period = '2s' } }"), Rule::any().flap(Duration::from_secs(2), 0.5));
    let failing = read("{ status = 503, flap = { period = '2s', duty = 0.1 } }");
    assert_eq!((failing.act.effect, failing.act.flap.unwrap().duty), (Effect::None, 0.1));
}

/// `refuse` and `flap` take no share, and this is none.
#[test]
fn a_share_of_one_is_every_request() {
    let whole = br#"{"rules":[{"match":{"service":"a","share":1.0},"act":{"refuse":true}}]}"#;
    let rules = Rule::from_json(whole).unwrap();
    assert_eq!(rules[0].matches.share, None);
    let some = br#"{"rules":[{"match":{"service":"a","share":0.5},"act":{"refuse":true}}]}"#;
    assert!(Rule::from_json(some).is_err());
}

#[test]
fn a_header_is_matched_by_its_own_name() {
    let slip = br#"{"rules":[{"match":{"header":{"name":"x-a","value":"1"}},"act":{"status":503}}]}"#;
    let problems = Rule::from_json(slip).unwrap_err();
    assert_eq!(problems.0[0].key, "rules[0].match.header");
    assert!(problems.0[0].message.contains(r#"as in `{ "x-a" = "1" }`"#), "{}", problems.0[0].message);
}

#[test]
fn the_header_holds_an_act() {
    let act = act_from_header("delay=50ms; status=503;close").unwrap();
    let expected = Rule::any().delay(Duration::from_millis(50)).status(503).close(1);
    assert_eq!(act, expected.act);
    assert_eq!(act_from_header("garbage=bad_chunk").unwrap().effect, Effect::Garbage(Garbage::BadChunk));
    let cached = act_from_header("cache_control=max-age=60, public;etag=v1;age=5;grpc_status=14").unwrap();
    assert_eq!(cached.caching.cache_control.as_deref(), Some("max-age=60, public"));
    assert_eq!((cached.caching.etag, cached.caching.age), (Some(Etag::Is("v1".into())), Some(5)));
    assert_eq!(cached.grpc_status, Some(14));
    assert_eq!(act_from_header("truncate=10").unwrap().effect, Effect::Truncate(Some(10)));
    for bad in [
        "",
        "status=600",
        "status=503;status=500",
        "refuse",
        "delay",
        "delay=queue(1, 2ms)",
        "grpc_status=17",
        "colour=red",
    ] {
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
        let rule = if ms % 2 == 0 { rule.flap(Duration::from_millis(ms + 1), 0.25) } else { rule };
        let tag = if ms % 3 == 0 { Etag::OfTarget } else { Etag::Is(format!("v{ms}")) };
        let caching = Caching {
            cache_control: (ms % 5 == 0).then(|| "max-age=60".into()),
            etag: (ms % 7 != 0).then_some(tag),
            age: (ms % 11 == 0).then_some(ms),
            vary: (ms % 13 == 0).then(|| "accept".into()),
        };
        let queue = Delay::parse(&format!("queue({close}, lognormal(2ms, 0.4), {ms})")).unwrap();
        let rule = if ms % 17 == 0 { rule.drawn_delay(queue) } else { rule };
        let rule = if ms % 19 == 0 { rule.body(&format!("{{\"n\": \"{ms}\u{e9}\"}}\n")) } else { rule };
        rule.caching(caching).effect(effect).close(close).slow_body(ms + 1).share(0.25).requests(close..close + 7)
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
