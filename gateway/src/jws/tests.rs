//! Attacks and oddities, each with the id of its requirement (security.md, H), beside what must pass.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples::{self, SECRET};
use super::{Algorithm, Key, KeyError, KeySet, KeySetError, Refusal, base64url::encode, verify};

fn one(jwk: &Value) -> KeySet {
    KeySet::single(Key::from_jwk(jwk).expect("a key"))
}

fn judge(token: &str, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
    verify(token.as_bytes(), keys, Algorithm::ALL, 8192).map(|verified| verified.payload)
}

fn rs256() -> (KeySet, String) {
    (one(&samples::jwk(Algorithm::Rs256)), samples::token(Algorithm::Rs256, None, &json!({ "sub": "ada" })))
}

/// A token with this header, signed with the right key.
fn with_header(header: &str) -> Result<Vec<u8>, Refusal> {
    let token = samples::token_of(Algorithm::Es256, header.as_bytes(), b"{}");
    judge(&token, &one(&samples::jwk(Algorithm::Es256)))
}

#[test]
fn every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let keys = one(&samples::published(*algorithm, "k1"));
        let token = samples::token(*algorithm, Some("k1"), &json!({ "sub": "ada" }));
        assert_eq!(judge(&token, &keys).as_deref(), Ok(&br#"{"sub":"ada"}"#[..]), "{algorithm}");
        let without_alg = one(&samples::jwk(*algorithm));
        assert!(judge(&token, &without_alg).is_ok(), "{algorithm}: a key without kid and alg");
        for other in Algorithm::ALL.iter().filter(|other| *other != algorithm) {
            let header = json!({ "alg": other.as_str(), "kid": "k1" }).to_string();
            let swapped = samples::token_of(*algorithm, header.as_bytes(), b"{}");
            assert_eq!(judge(&swapped, &keys), Err(Refusal::AlgorithmOfKey), "{other} with a key of {algorithm}");
        }
    }
}

#[test]
fn every_bit_of_a_token_matters() {
    let keys = one(&samples::jwk(Algorithm::EdDsa));
    let token = samples::token(Algorithm::EdDsa, None, &json!({ "a": 1 }));
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1 << bit;
            assert!(verify(&changed, &keys, Algorithm::ALL, 8192).is_err(), "bit {bit} of byte {at}");
        }
    }
    for end in 0..token.len() {
        assert!(judge(&token[..end], &keys).is_err(), "cut at {end}");
    }
}

#[test]
fn h1_none_in_every_spelling_is_refused() {
    for alg in
        ["none", "None", "NONE", "nOnE", "", " ", "none ", "hs256", "rs256", "RS256 ", "HS1", "RS1", "ES256\\u0000"]
    {
        assert_eq!(with_header(&format!(r#"{{"alg":"{alg}"}}"#)), Err(Refusal::Algorithm), "{alg:?}");
    }
    for header in [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":["ES256"]}"#, r#"{"alg":1}"#, r#"{"ALG":"ES256"}"#] {
        assert_eq!(with_header(header), Err(Refusal::Algorithm), "{header}");
    }
    let (keys, token) = rs256();
    let payload = token.split('.').nth(1).unwrap();
    let none = format!("{}.{payload}.", encode(br#"{"alg":"none"}"#));
    assert_eq!(judge(&none, &keys), Err(Refusal::Algorithm));
}

#[test]
fn h1_an_algorithm_that_is_not_allowed_here_is_refused_though_the_key_would_take_it() {
    let (keys, token) = rs256();
    assert_eq!(verify(token.as_bytes(), &keys, &[Algorithm::Ps256], 8192).unwrap_err(), Refusal::Algorithm);
}

#[test]
fn h2_a_public_key_is_no_secret() {
    // The classic: HMAC with the bytes of the public key, in each form in which they are known.
    let jwk = samples::jwk(Algorithm::Rs256);
    let keys = one(&jwk);
    let modulus = super::base64url::decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap();
    for secret in [jwk.to_string().into_bytes(), modulus, jwk["n"].as_str().unwrap().as_bytes().to_vec()] {
        let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(br#"{"sub":"admin"}"#));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let token = format!("{signed}.{}", encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()));
        assert_eq!(judge(&token, &keys), Err(Refusal::AlgorithmOfKey));
    }
}

fn refused(jwk: &Value) -> KeyError {
    Key::from_jwk(jwk).expect_err(&jwk.to_string())
}

/// A key with some members replaced.
fn changed(algorithm: Algorithm, members: &Value) -> Value {
    let mut jwk = samples::jwk(algorithm);
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn h2_weak_and_impossible_keys_are_refused() {
    let oct = |length: usize| json!({ "kty": "oct", "k": encode(&vec![1; length]) });
    assert_eq!(refused(&oct(0)), KeyError::Weak);
    assert_eq!(refused(&oct(31)), KeyError::Weak);
    let algorithms = |jwk: &Value| Key::from_jwk(jwk).unwrap().algorithms().collect::<Vec<_>>();
    assert_eq!(algorithms(&oct(32)), [Algorithm::Hs256]);
    assert_eq!(algorithms(&oct(48)), [Algorithm::Hs256, Algorithm::Hs384]);
    assert_eq!(algorithms(&oct(64)), [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]);
    let short = json!({ "kty": "oct", "k": encode(&[1; 32]), "alg": "HS512" });
    assert_eq!(refused(&short), KeyError::Weak, "a secret shorter than its own hash");

    let rsa = |n: Vec<u8>, e: &[u8]| json!({ "kty": "RSA", "n": encode(&n), "e": encode(e) });
    let modulus = |length: usize| vec![0xff; length];
    assert_eq!(refused(&rsa(modulus(128), &[1, 0, 1])), KeyError::Weak);
    let mut almost = modulus(256);
    almost[0] = 0x7f;
    assert_eq!(refused(&rsa(almost, &[1, 0, 1])), KeyError::Weak, "2047 bits");
    assert_eq!(refused(&rsa(modulus(1025), &[1, 0, 1])), KeyError::TooLarge);
    assert_eq!(refused(&rsa(modulus(256), &[1, 0, 0, 0, 1])), KeyError::TooLarge);
    assert_eq!(refused(&rsa(modulus(256), &[1])), KeyError::Invalid);
    assert_eq!(refused(&rsa(modulus(256), &[2])), KeyError::Invalid);
    assert_eq!(refused(&rsa(modulus(256), &[])), KeyError::Encoding);
    assert_eq!(refused(&rsa(modulus(256), &[0, 1, 0, 1])), KeyError::Encoding);
    assert_eq!(refused(&rsa([vec![0], modulus(256)].concat(), &[1, 0, 1])), KeyError::Encoding);
    let mut even = modulus(256);
    even[255] = 0xfe;
    assert_eq!(refused(&rsa(even, &[1, 0, 1])), KeyError::Invalid);
}

#[test]
fn h2_a_point_must_be_on_the_curve_that_it_names() {
    let y = samples::jwk(Algorithm::Es256)["y"].clone();
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "x": y }))), KeyError::Invalid);
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "crv": "secp256k1" }))), KeyError::Invalid);
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "crv": "P-384" }))), KeyError::Encoding);
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "crv": "p-256" }))), KeyError::Unknown);
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "crv": null }))), KeyError::Malformed);
    let zero = encode(&[0; 32]);
    assert_eq!(refused(&changed(Algorithm::Es256, &json!({ "x": zero, "y": zero }))), KeyError::Invalid);
    let field = encode(&[0xff; 32]);
    assert_eq!(
        refused(&changed(Algorithm::Es256, &json!({ "x": field }))),
        KeyError::Invalid,
        "above the field's prime"
    );
    assert_eq!(refused(&changed(Algorithm::Es512, &json!({ "x": encode(&[1; 65]) }))), KeyError::Encoding);
    for x in [
        [0; 32],
        {
            let mut one = [0; 32];
            one[0] = 1;
            one
        },
        {
            let mut p = [0xff; 32];
            p[0] = 0xec;
            p
        },
    ] {
        assert_eq!(refused(&json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&x) })), KeyError::Invalid);
    }
    assert_eq!(refused(&json!({ "kty": "OKP", "crv": "X25519", "x": encode(&[9; 32]) })), KeyError::Unknown);
    assert_eq!(refused(&json!({ "kty": "OKP", "crv": "Ed448", "x": encode(&[9; 57]) })), KeyError::Unknown);
}

#[test]
fn h3_a_key_for_something_else_verifies_nothing() {
    for members in [
        json!({ "use": "enc" }),
        json!({ "use": "Sig" }),
        json!({ "use": "" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "key_ops": ["encrypt", "wrapKey"] }),
        json!({ "use": "sig", "key_ops": ["sign"] }),
        json!({ "use": "enc", "key_ops": ["verify"] }),
    ] {
        assert_eq!(refused(&changed(Algorithm::Rs256, &members)), KeyError::Purpose, "{members}");
    }
    for members in [
        json!({ "use": 1 }),
        json!({ "key_ops": "verify" }),
        json!({ "key_ops": ["verify", 1] }),
        json!({ "key_ops": ["verify", "verify"] }),
        json!({ "kty": 1 }),
        json!({ "kid": 1 }),
        json!({ "alg": ["RS256"] }),
        json!({ "n": 5 }),
        json!({ "n": null }),
    ] {
        assert_eq!(refused(&changed(Algorithm::Rs256, &members)), KeyError::Malformed, "{members}");
    }
    for alg in ["none", "RSA-OAEP", "HS256", "ES256", "rs256", ""] {
        assert_eq!(refused(&changed(Algorithm::Rs256, &json!({ "alg": alg }))), KeyError::Algorithm, "{alg}");
    }
    let es512 = one(&changed(Algorithm::Es512, &json!({ "alg": "ES521" })));
    assert!(
        judge(&samples::token(Algorithm::Es512, None, &json!({})), &es512).is_ok(),
        "a key's alg, misspelt by many"
    );
    for kty in ["rsa", "EC2", "none", ""] {
        assert_eq!(refused(&changed(Algorithm::Rs256, &json!({ "kty": kty }))), KeyError::Unknown, "{kty}");
    }
    for jwk in [json!(null), json!("x"), json!([]), json!({}), json!({ "kty": "RSA" }), json!({ "kty": "oct" })] {
        assert_eq!(refused(&jwk), KeyError::Malformed, "{jwk}");
    }
}

#[test]
fn h5_numbers_of_keys_have_one_text() {
    let n = samples::jwk(Algorithm::Rs256)["n"].as_str().unwrap().to_owned();
    for odd in [format!("{n}=="), format!("{n} "), format!(" {n}"), n.replace(['-', '_'], "+") + "+", format!("{n}\n")]
    {
        assert_eq!(refused(&changed(Algorithm::Rs256, &json!({ "n": odd }))), KeyError::Encoding);
    }
    assert_eq!(refused(&json!({ "kty": "oct", "k": format!("{}=", encode(SECRET)) })), KeyError::Encoding);
}

#[test]
fn h3_a_set_that_says_two_things_is_refused() {
    let set = |keys: &[Value]| KeySet::from_json(&json!({ "keys": keys }));
    let (rsa, ec) = (samples::published(Algorithm::Rs256, "a"), samples::published(Algorithm::Es256, "a"));
    assert_eq!(set(&[rsa.clone(), ec]).unwrap_err(), KeySetError::Duplicate("a".into()));
    assert_eq!(set(&[rsa.clone(), samples::jwk(Algorithm::Hs256)]).unwrap_err(), KeySetError::Mixed);
    let private = changed(Algorithm::Es256, &json!({ "d": encode(&[1; 32]), "kid": "p" }));
    assert_eq!(set(&[rsa.clone(), private]).unwrap_err(), KeySetError::Private("p".into()));
    assert_eq!(set(&vec![rsa; 101]).unwrap_err(), KeySetError::TooMany);
    assert_eq!(set(&[]).unwrap_err(), KeySetError::Unusable(Vec::new()));
    assert_eq!(KeySet::parse(b"{}").unwrap_err(), KeySetError::NoKeys);
    assert_eq!(KeySet::parse(&vec![b' '; 256 << 10 | 1]).unwrap_err(), KeySetError::TooLarge);
    assert!(matches!(KeySet::parse(b"<html>").unwrap_err(), KeySetError::Json(_)));
    assert!(matches!(KeySet::parse(br#"{"keys":[],"keys":[]}"#).unwrap_err(), KeySetError::Json(_)));
}

#[test]
fn h3_a_key_for_others_is_left_out_and_the_rest_of_the_set_stands() {
    let encryption = changed(Algorithm::Rs256, &json!({ "use": "enc", "alg": "RSA-OAEP", "kid": "enc" }));
    let future = json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AA" });
    let keys = json!({ "keys": [encryption, samples::published(Algorithm::Es256, "sig"), future] });
    let (set, left_out) = KeySet::from_json(&keys).unwrap();
    assert_eq!(
        left_out.iter().map(|key| (key.index, key.error)).collect::<Vec<_>>(),
        [(0, KeyError::Purpose), (2, KeyError::Unknown)]
    );
    assert!(judge(&samples::token(Algorithm::Es256, Some("sig"), &json!({})), &set).is_ok());
    let token = samples::token(Algorithm::Rs256, Some("enc"), &json!({}));
    assert_eq!(judge(&token, &set), Err(Refusal::UnknownKey), "the key of another purpose is not there");
}

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
    let bytes = super::base64url::decode(s.as_bytes()).unwrap();
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

/// The order of P-256's group.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn psychic_and_malformed_ecdsa_signatures_are_refused() {
    let keys = one(&samples::jwk(Algorithm::Es256));
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256"}"#), encode(b"{}"));
    let judge = |signature: &[u8]| judge(&format!("{signed}.{}", encode(signature)), &keys);
    let good = samples::sign(Algorithm::Es256, signed.as_bytes());
    assert!(judge(&good).is_ok());
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };
    for (r, s) in [
        (&zero, &zero),
        (&N, &N),
        (&zero, &one),
        (&one, &zero),
        (&N, &one),
        (&one, &N),
        (&one, &one),
        (&[0xff; 32], &[0xff; 32]),
    ] {
        assert_eq!(judge(&[&r[..], &s[..]].concat()), Err(Refusal::Signature), "{r:?} {s:?}");
    }
    assert_eq!(judge(&[s, r].concat()), Err(Refusal::Signature));
    // DER, as other protocols have it; too short, too long, with leading zeros.
    let der = |number: &[u8]| [&[2, 33, 0][..], number].concat();
    let sequence = [&[0x30, 70][..], &der(r), &der(s)].concat();
    for odd in [sequence, good[..63].to_vec(), [&good[..], &[0]].concat(), [&[0], r, &[0], s].concat(), r.to_vec()] {
        assert_eq!(judge(&odd), Err(Refusal::SignatureLength));
    }
}

#[test]
fn an_rsa_signature_is_as_long_as_its_modulus_and_pss_has_its_own_salt() {
    let keys = one(&samples::jwk(Algorithm::Ps256));
    for (algorithm, alg) in [(Algorithm::Ps384, "PS256"), (Algorithm::Rs256, "PS256"), (Algorithm::Ps256, "RS256")] {
        let token = samples::token_of(algorithm, json!({ "alg": alg }).to_string().as_bytes(), b"{}");
        assert_eq!(judge(&token, &keys), Err(Refusal::Signature), "{algorithm} said to be {alg}");
    }
    let signed = format!("{}.{}", encode(br#"{"alg":"RS256"}"#), encode(b"{}"));
    let signature = samples::sign(Algorithm::Rs256, signed.as_bytes());
    for odd in [
        [&[0][..], &signature].concat(),
        signature[1..].to_vec(),
        vec![0; 256],
        vec![0xff; 256],
        vec![0],
        vec![1; 2000],
    ] {
        assert_eq!(judge(&format!("{signed}.{}", encode(&odd)), &keys), Err(Refusal::Signature));
    }
}

#[test]
fn an_eddsa_signature_has_one_form() {
    // S + L is the same number modulo the group's order, and must not be the same signature.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let keys = one(&samples::jwk(Algorithm::EdDsa));
    let signed = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(b"{}"));
    let mut signature = samples::sign(Algorithm::EdDsa, signed.as_bytes());
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(judge(&format!("{signed}.{}", encode(&signature)), &keys), Err(Refusal::Signature));
}

#[test]
fn a_private_key_verifies_as_its_public_half_and_says_so() {
    let jwk = changed(Algorithm::Es256, &json!({ "d": encode(&[1; 32]) }));
    let key = Key::from_jwk(&jwk).unwrap();
    assert!(key.is_private);
    assert!(!format!("{key:?}").contains(jwk["x"].as_str().unwrap()), "no key material is shown");
    assert!(judge(&samples::token(Algorithm::Es256, None, &json!({})), &KeySet::single(key)).is_ok());
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
