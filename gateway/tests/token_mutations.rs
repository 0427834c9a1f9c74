//! A bounded fuzzer of the token path: what others made (`data/jose`) is cut, spliced, doubled and flipped, from a
//! seed, and whatever comes out is refused without a panic unless it is a token that holds, byte for byte.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::algorithms::rng::Draws;
use gateway::jws::{Algorithm, KeySet, parse_json, verify};
use serde_json::Value;

/// Mutants of each run; a run takes seconds.
const MUTANTS: usize = 20_000;
/// Bytes that parsers of tokens look at.
const TELLING: &[u8] = b".=-_+/ \t\n\0\"\\{}[]:,0AeyJ\xc3\xff";

struct Corpus {
    tokens: Vec<Vec<u8>>,
    keys: Vec<Value>,
}

fn corpus() -> Corpus {
    let (mut tokens, mut keys) = (Vec::new(), Vec::new());
    for file in ["rfc.jsonl", "wycheproof.jsonl"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jose").join(file);
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            tokens.push(line["jws"].as_str().unwrap().as_bytes().to_vec());
            if !keys.contains(&line["jwk"]) {
                keys.push(line["jwk"].take());
            }
        }
    }
    Corpus { tokens, keys }
}

/// Decides by a seed.
struct Dice(Draws);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.below(count as u64)).unwrap()
    }

    fn span(&mut self, length: usize) -> std::ops::Range<usize> {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        one.min(other)..one.max(other)
    }

    /// Changes a text once.
    fn change(&mut self, text: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(text.len() + 1);
        match self.below(7) {
            0 if !text.is_empty() => {
                let at = at.min(text.len() - 1);
                text[at] ^= 1 << self.below(8);
            }
            1 => text.insert(at, TELLING[self.below(TELLING.len())]),
            2 => drop(text.drain(self.span(text.len()))),
            3 => {
                let piece = text[self.span(text.len())].to_vec();
                text.splice(at..at, piece);
            }
            4 => {
                let other = &others[self.below(others.len())];
                let piece = other[self.span(other.len())].to_vec();
                text.splice(at..at, piece);
            }
            5 => {
                // Parts of two tokens.
                let other = &others[self.below(others.len())];
                let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
                let theirs: Vec<&[u8]> = other.split(|byte| *byte == b'.').collect();
                let (mine, their) = (self.below(parts.len()), self.below(theirs.len()));
                parts[mine] = theirs[their];
                *text = parts.join(&b'.');
            }
            _ => {
                // Inside a part, and encoded again.
                let mut parts: Vec<Vec<u8>> = text.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
                let part = self.below(parts.len());
                if let Ok(mut inner) = URL_SAFE_NO_PAD.decode(&parts[part]) {
                    let at = self.below(inner.len() + 1);
                    inner.insert(at, TELLING[self.below(TELLING.len())]);
                    parts[part] = URL_SAFE_NO_PAD.encode(inner).into_bytes();
                    *text = parts.join(&b'.');
                }
            }
        }
        text.truncate(20_000);
    }
}

#[test]
fn no_mutant_of_a_token_holds() {
    let corpus = corpus();
    let sets: Vec<KeySet> =
        corpus.keys.iter().filter_map(|key| Some(KeySet::single(gateway::jws::Key::from_jwk(key).ok()?))).collect();
    let holds = |set: &KeySet, token: &[u8]| verify(token, set, Algorithm::ALL, 8192).is_ok();
    let mut good: Vec<HashSet<&[u8]>> = vec![HashSet::new(); sets.len()];
    for (set, good) in sets.iter().zip(&mut good) {
        good.extend(corpus.tokens.iter().map(Vec::as_slice).filter(|token| holds(set, token)));
    }
    assert!(good.iter().map(HashSet::len).sum::<usize>() >= 15, "the corpus has tokens that hold");
    let (mut dice, mut unchanged) = (Dice(Draws::new(7)), 0);
    for _ in 0..MUTANTS {
        let mut token = corpus.tokens[dice.below(corpus.tokens.len())].clone();
        for _ in 0..=dice.below(4) {
            dice.change(&mut token, &corpus.tokens);
        }
        for (set, good) in sets.iter().zip(&good) {
            let is_known = good.contains(token.as_slice());
            assert_eq!(holds(set, &token), is_known, "{}", String::from_utf8_lossy(&token));
            unchanged += usize::from(is_known);
        }
    }
    assert!(unchanged < MUTANTS / 2, "mutants are mostly no copies: {unchanged}");
}

#[test]
fn mutants_of_headers_and_key_sets_mean_what_they_mean_to_others_or_are_refused() {
    let corpus = corpus();
    let mut texts: Vec<Vec<u8>> = corpus.keys.iter().map(|key| key.to_string().into_bytes()).collect();
    for token in &corpus.tokens {
        let parts = token.split(|byte| *byte == b'.');
        texts.extend(parts.filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok()).filter(|part| part.starts_with(b"{")));
    }
    let set = serde_json::json!({ "keys": corpus.keys }).to_string().into_bytes();
    texts.push(set);
    let mut dice = Dice(Draws::new(8));
    let mut taken = 0;
    for _ in 0..MUTANTS {
        let mut text = texts[dice.below(texts.len())].clone();
        for _ in 0..=dice.below(3) {
            dice.change(&mut text, &texts);
        }
        let _ = KeySet::parse(&text);
        let Ok(ours) = parse_json(&text) else { continue };
        taken += 1;
        let theirs: Value = serde_json::from_slice(&text).expect("what we take, others take");
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&text));
    }
    assert!(taken > MUTANTS / 100, "some mutants are JSON still: {taken}");
}
