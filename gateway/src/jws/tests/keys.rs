//! Keys that must not verify anything, and what a set of them may say (security.md, H2, H3).

use super::*;

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
fn h2_a_public_key_is_no_secret() {
    // The classic: HMAC with the bytes of the public key, in each form in which they are known.
    let jwk = samples::jwk(Algorithm::Rs256);
    let keys = one(&jwk);
    let modulus = crate::jws::base64url::decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap();
    for secret in [jwk.to_string().into_bytes(), modulus, jwk["n"].as_str().unwrap().as_bytes().to_vec()] {
        let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(br#"{"sub":"admin"}"#));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let token = format!("{signed}.{}", encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()));
        assert_eq!(judge(&token, &keys), Err(Refusal::AlgorithmOfKey));
    }
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
    assert_eq!(refused(&rsa(modulus(256), &[0, 1, 0, 1])), KeyError::LeadingZero);
    assert_eq!(refused(&rsa([vec![0], modulus(256)].concat(), &[1, 0, 1])), KeyError::LeadingZero);
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
fn h3_a_published_secret_is_refused_whatever_it_is_for() {
    let set = |keys: &[Value]| KeySet::from_json(&json!({ "keys": keys })).map(drop);
    let good = samples::published(Algorithm::Es256, "a");
    let oct = |bytes: usize, members: &Value| {
        let mut jwk = json!({ "kty": "oct", "kid": "b", "k": encode(&vec![1; bytes]) });
        for (name, value) in members.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    for secret in [
        oct(32, &json!({ "use": "enc" })),
        oct(32, &json!({ "alg": "A256GCM" })),
        oct(1, &json!({})),
        oct(0, &json!({ "k": 1 })),
    ] {
        assert_eq!(set(&[good.clone(), secret.clone()]), Err(KeySetError::Mixed), "{secret}");
        assert_eq!(set(&[secret.clone(), good.clone()]), Err(KeySetError::Mixed), "{secret}");
    }
    let with = |members: &Value| {
        let mut jwk = changed(Algorithm::Rs256, members);
        jwk["kid"] = "p".into();
        jwk
    };
    for private in [
        with(&json!({ "use": "enc", "d": "AA" })),
        with(&json!({ "use": "enc", "alg": "RSA-OAEP", "dp": "AA" })),
        with(&json!({ "kty": "rsa", "d": 1 })),
        with(&json!({ "kty": 7, "d": "AA" })),
        json!({ "kid": "p", "n": "AA", "d": "AA" }),
    ] {
        assert_eq!(set(&[good.clone(), private.clone()]), Err(KeySetError::Private("p".into())), "{private}");
        assert_eq!(set(&[private]), Err(KeySetError::Private("p".into())));
    }
    assert_eq!(set(&[oct(32, &json!({})), oct(48, &json!({ "kid": "c", "use": "enc" }))]), Ok(()), "secrets alone");
    let encryption = changed(Algorithm::Rs256, &json!({ "use": "enc", "kid": "a" }));
    assert_eq!(set(&[encryption, good]), Ok(()), "one kid for both, as some servers have it");
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
fn a_private_key_verifies_as_its_public_half_and_says_so() {
    let jwk = changed(Algorithm::Es256, &json!({ "d": encode(&[1; 32]) }));
    let key = Key::from_jwk(&jwk).unwrap();
    assert!(key.is_private);
    assert!(!format!("{key:?}").contains(jwk["x"].as_str().unwrap()), "no key material is shown");
    assert!(judge(&samples::token(Algorithm::Es256, None, &json!({})), &KeySet::single(key)).is_ok());
}
