//! A corpus of valid tokens and of attacks on them, and how fast each algorithm is verified.

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::algorithms::rng::Draws;
use gateway::jws::{Algorithm, Key, KeySet, Signer, verify};
use loadgen::request::{Dice, Text};
use serde_json::{Value, json};

use super::ns_each;
use crate::run::RunKeys;
use crate::scenario::model::{TokenAlgorithm, TokenPart};
use crate::study::experiment::Terms;

/// A private key of Ed25519 for this alone: the scenario's, whose public half anybody may know.
const ED25519: &str = include_str!("../../../scenarios/identity-hops.passport.pem");
/// Longer tokens are refused.
const MOST_BYTES: usize = 8 * 1024;
/// Valid tokens of each algorithm.
const TOKENS: u64 = 50;

/// One algorithm: its key set, and tokens that it verifies.
struct Kind {
    algorithm: Algorithm,
    keys: KeySet,
    /// What an attacker who knows the public key has of it.
    public: String,
    tokens: Vec<String>,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn by_issuer(algorithm: TokenAlgorithm) -> Result<Kind, String> {
    let part = TokenPart {
        algorithm,
        issuer: Some("https://idp.example".to_owned()),
        audience: Some("api".to_owned()),
        lifetime: Duration::from_secs(3_600),
        keys: Vec::new(),
    };
    let made = RunKeys::make(&part).map_err(|error| error.to_string())?;
    let public = made.set().to_owned();
    let (keys, _) = KeySet::parse(public.as_bytes()).map_err(|error| format!("{error:?}"))?;
    let token = |number: u64| {
        let mut text = Text::parse(&format!("{{token(subject=user-{number}, scope=read)}}")).ok()?;
        text.mint(Some(&made.signing)).ok()?;
        Some(text.render(&mut Dice::new(1, number), &Default::default()))
    };
    let tokens = (0..TOKENS).map(token).collect::<Option<Vec<_>>>().ok_or("no token could be signed")?;
    let algorithm = if algorithm == TokenAlgorithm::Es256 { Algorithm::Es256 } else { Algorithm::Rs256 };
    Ok(Kind { algorithm, keys, public, tokens })
}

fn ed25519() -> Result<Kind, String> {
    let signer = Signer::from_pem(ED25519)?.into_iter().next().ok_or("no key")?;
    let key = Key::from_jwk(signer.jwk()).map_err(|error| format!("{error:?}"))?;
    let claims = |number: u64| json!({ "sub": format!("user-{number}"), "iss": "https://idp.example", "aud": "api" });
    let tokens = (0..TOKENS).map(|number| signer.sign("JWT", &claims(number))).collect::<Option<Vec<_>>>();
    let tokens = tokens.ok_or("no token could be signed")?;
    Ok(Kind { algorithm: Algorithm::EdDsa, keys: KeySet::single(key), public: signer.jwk().to_string(), tokens })
}

fn hs256(seed: u64) -> Result<Kind, String> {
    let mut draws = Draws::new(seed);
    let secret: Vec<u8> = (0..4).flat_map(|_| draws.next_u64().to_le_bytes()).collect();
    let key = Key::from_secret(&secret, &[Algorithm::Hs256]).map_err(|error| format!("{error:?}"))?;
    let tokens = (0..TOKENS).map(|number| hmac_token(&secret, &format!("user-{number}"))).collect();
    Ok(Kind { algorithm: Algorithm::Hs256, keys: KeySet::single(key), public: String::new(), tokens })
}

fn hmac_token(secret: &[u8], subject: &str) -> String {
    let header = encode(json!({ "alg": "HS256", "typ": "JWT" }).to_string());
    let payload = encode(json!({ "sub": subject, "iss": "https://idp.example", "aud": "api" }).to_string());
    let signed = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encode(tag.as_ref()))
}

fn kinds(seed: u64) -> Result<Vec<Kind>, String> {
    Ok(vec![hs256(seed)?, by_issuer(TokenAlgorithm::Rs256)?, by_issuer(TokenAlgorithm::Es256)?, ed25519()?])
}

fn is_let_in(kind: &Kind, token: &str) -> bool {
    verify(token.as_bytes(), &kind.keys, &[kind.algorithm], MOST_BYTES).is_ok()
}

/// What an attacker makes of a valid token. None of it is that token.
fn attacks(kind: &Kind, token: &str, other: &str, draws: &mut Draws) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Vec::new() };
    let others: Vec<&str> = other.split('.').collect();
    let header_of = |alg: &str| encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
    let root = encode(json!({ "sub": "root", "iss": "https://idp.example", "aud": "api" }).to_string());
    let mut found = vec![
        ("signature stripped", format!("{header}.{payload}.")),
        ("signature and dot stripped", format!("{header}.{payload}")),
        ("algorithm none", format!("{}.{payload}.", header_of("none"))),
        ("algorithm None with a signature", format!("{}.{payload}.{signature}", header_of("None"))),
        ("payload of another token", format!("{header}.{}.{signature}", others[1])),
        ("payload of one's own", format!("{header}.{root}.{signature}")),
        ("signature of another token", format!("{header}.{payload}.{}", others[2])),
        ("padding", format!("{token}=")),
        ("space", format!("{token} ")),
        ("a fourth part", format!("{token}.{signature}")),
        ("cut short", token[..token.len() - 4].to_owned()),
        ("header of nothing", format!(".{payload}.{signature}")),
    ];
    for alg in ["HS256", "HS384", "RS256", "ES256", "EdDSA", "PS256"] {
        if alg != kind.algorithm.as_str() {
            found.push(("another algorithm named", format!("{}.{payload}.{signature}", header_of(alg))));
        }
    }
    if !kind.public.is_empty() {
        found.push(("the public key as a secret", hmac_token(kind.public.as_bytes(), "root")));
    }
    for _ in 0..20 {
        found.push(("a character changed", changed(token, draws)));
    }
    found
}

/// A token with one of its characters another one.
fn changed(token: &str, draws: &mut Draws) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = token.as_bytes().to_vec();
    loop {
        let at = draws.below(bytes.len() as u64) as usize;
        let letter = LETTERS[draws.below(LETTERS.len() as u64) as usize];
        if bytes[at] != b'.' && bytes[at] != letter {
            bytes[at] = letter;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

/// How many attacks are found, and how many valid tokens are refused.
pub(in crate::study) fn corpus(terms: &Terms) -> Result<Value, String> {
    let mut draws = Draws::new(terms.seed);
    let (mut valid, mut refused, mut tried, mut missed) = (0_u64, 0_u64, 0_u64, 0_u64);
    for kind in kinds(terms.seed)? {
        for (number, token) in kind.tokens.iter().enumerate() {
            valid += 1;
            refused += u64::from(!is_let_in(&kind, token));
            let other = &kind.tokens[(number + 1) % kind.tokens.len()];
            for (_, attack) in attacks(&kind, token, other, &mut draws) {
                tried += 1;
                missed += u64::from(is_let_in(&kind, &attack));
            }
        }
    }
    let detected = 1.0 - missed as f64 / tried.max(1) as f64;
    Ok(json!({ "valid": valid, "false_refusals": refused, "attacks": tried, "missed": missed, "detected": detected }))
}

/// How many tokens a core verifies in a second, by algorithm.
pub(in crate::study) fn speed(terms: &Terms) -> Result<Value, String> {
    let times = if terms.is_quick { 1_000 } else { 5_000 };
    let mut found = json!({});
    for kind in kinds(terms.seed)? {
        let ns = ns_each(times, |number| {
            let token = &kind.tokens[(number % TOKENS) as usize];
            black_box(is_let_in(&kind, black_box(token)));
        });
        found[kind.algorithm.as_str()] = json!({ "us": ns / 1e3, "per_second": 1e9 / ns });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_differs_from_the_token_and_is_found() {
        for kind in kinds(7).unwrap() {
            let (token, other) = (&kind.tokens[0], &kind.tokens[1]);
            assert!(is_let_in(&kind, token), "{:?}", kind.algorithm);
            for (name, attack) in attacks(&kind, token, other, &mut Draws::new(1)) {
                assert_ne!(&attack, token, "{name}");
                assert!(!is_let_in(&kind, &attack), "{:?}: {name}", kind.algorithm);
            }
        }
    }
}
