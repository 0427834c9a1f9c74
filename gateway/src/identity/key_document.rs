//! What documents of keys say: where the keys of an issuer are, and which of them came and went.

use serde_json::Value;

use super::key_store::Fetched;
use super::remote;
use crate::jws::parse_json;

/// A key as text: the same in whatever order its members stand, which a server may write out anew each time.
pub(super) fn text_of(jwk: &Value) -> String {
    let mut jwk = jwk.clone();
    jwk.sort_all_objects();
    jwk.to_string()
}

/// The names of keys that tokens are verified with from now on, and of those that none is any more: `kid`s, empty for a
/// key without one. A key that was replaced under its name is both.
pub(super) fn moved(before: &Fetched, now: &Fetched) -> (Vec<String>, Vec<String>) {
    let beyond = |these: &Fetched, those: &Fetched| {
        let names = these.jwks.difference(&those.jwks).filter_map(|jwk| {
            let jwk = parse_json(jwk.as_bytes()).ok()?;
            let kid = jwk.get("kid").and_then(Value::as_str);
            these.set.keys().iter().any(|key| key.kid.as_deref() == kid).then(|| kid.unwrap_or("").to_owned())
        });
        names.collect()
    };
    (beyond(now, before), beyond(before, now))
}

/// Where the keys of an issuer are, by its own configuration (OpenID Connect Discovery 1.0, section 4.3): it must be
/// about this issuer, and name a place that may be asked.
pub(super) fn keys_of(issuer: &str, document: &[u8]) -> Result<String, String> {
    let document = parse_json(document).map_err(|error| format!("the issuer's configuration is not JSON: {error}"))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let says = text("issuer").unwrap_or("");
    if says.trim_end_matches('/') != issuer.trim_end_matches('/') {
        return Err(format!("the configuration is of the issuer {says:?}"));
    }
    let url = text("jwks_uri").ok_or("the issuer's configuration names no jwks_uri")?;
    let is_safe = remote::may_be_asked(url) && (url.starts_with("https://") || issuer.starts_with("http://"));
    if is_safe { Ok(url.to_owned()) } else { Err(format!("jwks_uri {url:?} is not https")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::jws::KeySet;

    /// What a server said, of these keys.
    fn fetched(keys: &[&str]) -> Fetched {
        let body = format!("{{\"keys\":[{}]}}", keys.join(","));
        let (set, _) = KeySet::parse(body.as_bytes()).unwrap();
        let jwks = keys.iter().map(|key| (*key).to_owned()).collect();
        Fetched { set, jwks, at: Clock::starting_at(Duration::ZERO).now() }
    }

    #[test]
    fn a_key_is_the_same_text_in_whatever_order_its_members_stand() {
        let text = |jwk: &str| text_of(&parse_json(jwk.as_bytes()).unwrap());
        let (one, other) = (r#"{"kid":"a","x5":{"a":1,"b":[2]}}"#, r#"{"x5":{"b":[2],"a":1},"kid":"a"}"#);
        assert_eq!(text(one), text(other));
        assert_ne!(text(one), text(r#"{"kid":"a","x5":{"a":2,"b":[1]}}"#));
    }

    #[test]
    fn a_rotation_names_the_keys_that_came_and_those_that_went() {
        let key = |more: &str| {
            let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
            format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"x\":\"{x}\"{more}}}")
        };
        let (k1, k2, nameless) = (key(",\"kid\":\"k1\""), key(",\"kid\":\"k2\""), key(""));
        let other_k1 = key(",\"kid\":\"k1\",\"use\":\"sig\"");
        let encrypts = r#"{"kty":"RSA","kid":"e1","use":"enc","n":"AQAB","e":"AQAB"}"#;
        for (before, now, came, went) in [
            (vec![&*k1], vec![&*k1, &k2], vec!["k2"], vec![]),
            (vec![&*k1, &k2], vec![&*k2], vec![], vec!["k1"]),
            (vec![&*k1], vec![&*k2], vec!["k2"], vec!["k1"]),
            (vec![&*k1], vec![&*other_k1], vec!["k1"], vec!["k1"]),
            (vec![&*k1], vec![&*nameless], vec![""], vec!["k1"]),
            (vec![&*k1], vec![&*k1, encrypts], vec![], vec![]),
        ] {
            let told = moved(&fetched(&before), &fetched(&now));
            let named = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(told, (named(came), named(went)), "{before:?} {now:?}");
        }
    }

    #[test]
    fn an_issuers_configuration_is_its_own_and_names_a_safe_place() {
        let of = |issuer: &str, document: &str| keys_of(issuer, document.as_bytes());
        let good = r#"{"issuer":"https://idp.test","jwks_uri":"https://keys.test/x"}"#;
        assert_eq!(of("https://idp.test", good).as_deref(), Ok("https://keys.test/x"));
        assert!(of("https://other.test", good).is_err());
        for bad in [
            "{}",
            "<html>",
            r#"{"issuer":"https://idp.test"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"http://keys.test/x"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"http://127.0.0.1/x"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://idp.test","issuer":"https://idp.test","jwks_uri":"https://a"}"#,
        ] {
            assert!(of("https://idp.test", bad).is_err(), "{bad}");
        }
        let local = r#"{"issuer":"http://127.0.0.1:9","jwks_uri":"http://127.0.0.1:9/keys"}"#;
        assert!(of("http://127.0.0.1:9", local).is_ok());
    }
}
