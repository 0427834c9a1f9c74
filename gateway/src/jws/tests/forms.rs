//! The one form of a token and its header, and what a header may not decide (security.md, H4, H5).

use super::*;

#[test]
fn h4_a_token_does_not_bring_its_key() {
    // Each is signed with a key that it brings along; ours is another.
    let ours = one(&samples::jwk(Algorithm::Es384));
    let jwk = samples::jwk(Algorithm::Es256);
    for member in [
        json!({ "jwk": jwk }),
        json!({ "jku": "http://127.0.0.1:1/keys" }),
        json!({ "x5u": "http://127.0.0.1:1/chain" }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        let mut header = json!({ "alg": "ES256" });
        for (name, value) in member.as_object().unwrap() {
            header[name] = value.clone();
        }
        let token = samples::token_of(Algorithm::Es256, header.to_string().as_bytes(), b"{}");
        assert_eq!(judge(&token, &ours), Err(Refusal::AlgorithmOfKey));
        // They are passed over, not a reason to refuse what our key has signed.
        assert!(judge(&token, &one(&jwk)).is_ok(), "{member}");
    }
}

#[test]
fn h4_kid_is_looked_up_among_the_keys_and_nowhere_else() {
    let keys = one(&samples::published(Algorithm::Es256, "k1"));
    let huge = "k".repeat(5_000);
    for kid in ["../../../../dev/null", "' OR '1'='1", "k1\\u0000", "K1", "k1 ", "", "k2", &huge] {
        let header = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
        let token = samples::token_of(Algorithm::Es256, header.as_bytes(), b"{}");
        assert_eq!(judge(&token, &keys), Err(Refusal::UnknownKey), "{kid}");
    }
    for kid in ["1", "null", "[\"k1\"]"] {
        let token = samples::token_of(Algorithm::Es256, format!(r#"{{"alg":"ES256","kid":{kid}}}"#).as_bytes(), b"{}");
        assert_eq!(judge(&token, &keys), Err(Refusal::Header), "{kid}");
    }
    let two = json!({ "keys": [samples::jwk(Algorithm::Es256), samples::published(Algorithm::Rs256, "r")] });
    let (two, _) = KeySet::from_json(&two).unwrap();
    assert!(judge(&samples::token(Algorithm::Es256, None, &json!({})), &two).is_ok(), "one key fits");
    assert!(judge(&samples::token(Algorithm::Es256, Some("any"), &json!({})), &two).is_ok(), "a key without kid");
    assert!(judge(&samples::token(Algorithm::Ps256, Some("r"), &json!({})), &two).is_err(), "one key, one algorithm");
    let same =
        json!({ "keys": [samples::published(Algorithm::Es256, "a"), samples::published(Algorithm::Es256, "b")] });
    let (same, _) = KeySet::from_json(&same).unwrap();
    assert_eq!(judge(&samples::token(Algorithm::Es256, None, &json!({})), &same), Err(Refusal::AmbiguousKey));
}

#[test]
fn h4_what_must_be_understood_and_is_not_is_refused() {
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":true}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","b64":"x"}"#,
    ] {
        assert_eq!(with_header(header), Err(Refusal::Critical), "{header}");
    }
}

#[test]
fn h5_headers_are_one_object_with_each_name_once() {
    for header in [
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","\u0061lg":"ES256"}"#,
        r#"["ES256"]"#,
        r#""ES256""#,
        "",
        "{",
        r#"{"alg":"ES256"} {}"#,
        "\u{feff}{\"alg\":\"ES256\"}",
        r#"{"alg":"ES256","typ":1}"#,
        r#"{'alg':'ES256'}"#,
    ] {
        let expected = if header.is_empty() { Refusal::NotCompact } else { Refusal::Header };
        assert_eq!(with_header(header), Err(expected), "{header}");
    }
    let deep = format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    assert_eq!(with_header(&deep), Err(Refusal::Header));
    for header in [
        r#" {"alg" : "ES256" } "#,
        "{\"alg\":\r\n\t\"ES256\"}",
        r#"{"\u0061lg":"\u0045S256"}"#,
        r#"{"alg":"ES256","typ":"JWT","cty":"x","unknown":{"a":[1]}}"#,
        r#"{"alg":"ES256","kid":"any"}"#,
    ] {
        assert!(with_header(header).is_ok(), "{header}");
    }
}

#[test]
fn h5_a_token_has_three_parts_and_one_text() {
    let (keys, token) = rs256();
    let parts: Vec<&str> = token.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let bytes = crate::jws::base64url::decode(s.as_bytes()).unwrap();
    let json = json!({ "protected": h, "payload": p, "signature": s }).to_string();
    for (odd, expected) in [
        (format!("{h}.{p}"), Refusal::NotCompact),
        (format!("{h}.{p}.{s}."), Refusal::NotCompact),
        (format!("{h}.{p}.{s}.{s}.{s}"), Refusal::NotCompact),
        (format!(".{p}.{s}"), Refusal::NotCompact),
        (String::new(), Refusal::NotCompact),
        ("..".into(), Refusal::NotCompact),
        (json, Refusal::NotCompact),
        (format!("{h}.{p}."), Refusal::NoSignature),
        (format!("{h}.{p}.{s}="), Refusal::Base64),
        (format!("{h}.{p}.{s}\n"), Refusal::Base64),
        (format!(" {token}"), Refusal::Base64),
        (format!("{h}.{p}=.{s}"), Refusal::Base64),
        (format!("{h}=.{p}.{s}"), Refusal::Base64),
        (format!("{p}.{h}.{s}"), Refusal::Algorithm),
        (format!("{h}.{s}.{p}"), Refusal::Signature),
        (format!("{h}.{h}.{s}"), Refusal::Signature),
        (format!("{h}..{s}"), Refusal::Signature),
        (format!("{h}.{p}.{}", encode(&bytes[..255])), Refusal::Signature),
        (format!("{h}.{p}.{}", encode(&[&bytes[..], &[0]].concat())), Refusal::Signature),
        (format!("{h}.{p}.{}", s.replace('_', "/").replace('-', "+") + "/"), Refusal::Base64),
    ] {
        assert_eq!(judge(&odd, &keys), Err(expected), "{odd}");
    }
    assert_eq!(verify(token.as_bytes(), &keys, Algorithm::ALL, token.len() - 1).unwrap_err(), Refusal::TooLarge);
    assert!(verify(token.as_bytes(), &keys, Algorithm::ALL, token.len()).is_ok());
}

#[test]
fn a_payload_is_bytes() {
    for payload in [&b""[..], b"\xff\x00", b"[]", b"not json", b"{\"a\":1,\"a\":2}"] {
        let token = samples::token_of(Algorithm::EdDsa, br#"{"alg":"EdDSA"}"#, payload);
        assert_eq!(judge(&token, &one(&samples::jwk(Algorithm::EdDsa))).as_deref(), Ok(payload));
    }
}

#[test]
fn typ_is_a_media_type() {
    let header = |typ: &str| {
        let token =
            samples::token_of(Algorithm::EdDsa, json!({ "alg": "EdDSA", "typ": typ }).to_string().as_bytes(), b"");
        verify(token.as_bytes(), &one(&samples::jwk(Algorithm::EdDsa)), Algorithm::ALL, 8192).unwrap().header
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "application/AT+jwt"] {
        assert!(header(typ).is_typ("at+jwt"), "{typ}");
    }
    for typ in ["JWT", "at+jwt ", "text/at+jwt", "", "x/at+jwt"] {
        assert!(!header(typ).is_typ("at+jwt"), "{typ}");
    }
}

proptest! {
    /// Whatever is sent is refused, and nothing panics; the shape of a token makes it go deeper.
    #[test]
    fn anything_is_refused(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..5),
        header in "\\{(\"alg\":\"(ES256|none|RS256)\"(,\"[a-z]{0,4}\":[\\[\\]{}\"0-9a-z,:]{0,12})?)?\\}?",
        encoded in any::<bool>(),
    ) {
        let (keys, _) = KeySet::from_json(&json!({ "keys": [samples::published(Algorithm::Es256, "k")] })).unwrap();
        let raw = |part: &Vec<u8>| String::from_utf8_lossy(part).into_owned();
        let rest = parts.iter().map(|part| if encoded { encode(part) } else { raw(part) });
        let token = std::iter::once(encode(header.as_bytes())).chain(rest).collect::<Vec<_>>().join(".");
        prop_assert!(judge(&token, &keys).is_err());
    }

    /// So are keys: what is not one is an error, and nothing panics.
    #[test]
    fn any_numbers_make_a_key_or_an_error(
        kty in "RSA|EC|OKP|oct",
        crv in "P-256|P-384|P-521|secp256k1|Ed25519",
        a in proptest::collection::vec(any::<u8>(), 0..70),
        b in proptest::collection::vec(any::<u8>(), 0..70),
    ) {
        let [first, second] = [&a, &b].map(|number| encode(number));
        let jwk = json!({
            "kty": kty, "crv": crv, "x": first, "y": second, "n": first, "e": second, "k": first,
        });
        if let Ok(key) = Key::from_jwk(&jwk) {
            prop_assert!(key.algorithms().count() > 0);
        }
        let _ = KeySet::parse(&a);
    }
}
