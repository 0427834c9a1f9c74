//! What is signed, by whom, and with which algorithm (security.md, H1).

use super::*;

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
