//! Whatever is sent as a token is refused without a panic: no signature of the examples' keys can be found by chance.

use std::sync::LazyLock;

use gateway::jws::{Algorithm, KeySet, parse_json, verify};

/// Tokens that others made: what holds among them is known.
const VECTORS: &str = include_str!("../../gateway/tests/data/jose/rfc.jsonl");

struct Known {
    sets: Vec<KeySet>,
    tokens: Vec<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (mut sets, mut tokens) = (Vec::new(), Vec::new());
    for line in VECTORS.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a vector");
        let key = gateway::jws::Key::from_jwk(&line["jwk"]).expect("a key");
        sets.push(KeySet::single(key));
        tokens.push(line["jws"].as_str().expect("a token").to_owned());
    }
    Known { sets, tokens }
});

/// A token, or one of its parts.
pub fn check(data: &[u8]) {
    for set in &KNOWN.sets {
        if verify(data, set, Algorithm::ALL, 8192).is_ok() {
            assert!(KNOWN.tokens.iter().any(|token| token.as_bytes() == data), "a token that nobody signed holds");
        }
    }
    // A header or a payload: what is taken means to others what it means here.
    if let Ok(ours) = parse_json(data) {
        let theirs: serde_json::Value = serde_json::from_slice(data).expect("what we take, others take");
        assert_eq!(ours, theirs);
    }
}
