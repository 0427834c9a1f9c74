//! Keys and tokens for tests: each algorithm has a key that signs, and the JWK that verifies.

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as sig, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use serde_json::{Value, json};

use super::Algorithm;
use super::base64url::encode;

static RSA: LazyLock<sig::RsaKeyPair> = LazyLock::new(|| sig::RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));
static EC: LazyLock<[sig::EcdsaKeyPair; 4]> = LazyLock::new(|| {
    [
        &sig::ECDSA_P256_SHA256_FIXED_SIGNING,
        &sig::ECDSA_P384_SHA384_FIXED_SIGNING,
        &sig::ECDSA_P521_SHA512_FIXED_SIGNING,
        &sig::ECDSA_P256K1_SHA256_FIXED_SIGNING,
    ]
    .map(|algorithm| sig::EcdsaKeyPair::generate(algorithm).expect("a key"))
});
static ED: LazyLock<sig::Ed25519KeyPair> = LazyLock::new(|| sig::Ed25519KeyPair::generate().expect("a key"));
/// The secret of HS algorithms.
pub(crate) const SECRET: &[u8] = &[0x5a; 64];

fn ec(algorithm: Algorithm) -> &'static sig::EcdsaKeyPair {
    match algorithm {
        Algorithm::Es384 => &EC[1],
        Algorithm::Es512 => &EC[2],
        Algorithm::Es256k => &EC[3],
        _ => &EC[0],
    }
}

/// Signs bytes.
pub(crate) fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    use Algorithm::{EdDsa, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let rsa = |encoding: &'static dyn sig::RsaEncoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(encoding, &rand::SystemRandom::new(), message, &mut signature).expect("signed");
        signature
    };
    let mac = |hash| hmac::sign(&hmac::Key::new(hash, SECRET), message).as_ref().to_vec();
    match algorithm {
        Rs256 => rsa(&sig::RSA_PKCS1_SHA256),
        Rs384 => rsa(&sig::RSA_PKCS1_SHA384),
        Rs512 => rsa(&sig::RSA_PKCS1_SHA512),
        Ps256 => rsa(&sig::RSA_PSS_SHA256),
        Ps384 => rsa(&sig::RSA_PSS_SHA384),
        Ps512 => rsa(&sig::RSA_PSS_SHA512),
        Hs256 => mac(hmac::HMAC_SHA256),
        Hs384 => mac(hmac::HMAC_SHA384),
        Hs512 => mac(hmac::HMAC_SHA512),
        EdDsa | Algorithm::Ed25519 => ED.sign(message).as_ref().to_vec(),
        _ => ec(algorithm).sign(&rand::SystemRandom::new(), message).expect("signed").as_ref().to_vec(),
    }
}

/// The key that verifies, without `alg`.
pub(crate) fn jwk(algorithm: Algorithm) -> Value {
    let halves = |point: &[u8], crv: &str| {
        let half = (point.len() - 1) / 2;
        json!({ "kty": "EC", "crv": crv, "x": encode(&point[1..=half]), "y": encode(&point[half + 1..]) })
    };
    match algorithm {
        Algorithm::Es256 => halves(ec(algorithm).public_key().as_ref(), "P-256"),
        Algorithm::Es384 => halves(ec(algorithm).public_key().as_ref(), "P-384"),
        Algorithm::Es512 => halves(ec(algorithm).public_key().as_ref(), "P-521"),
        Algorithm::Es256k => halves(ec(algorithm).public_key().as_ref(), "secp256k1"),
        Algorithm::EdDsa | Algorithm::Ed25519 => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(ED.public_key().as_ref()) })
        }
        _ if algorithm.is_symmetric() => json!({ "kty": "oct", "k": encode(SECRET) }),
        _ => {
            let public = RSA.public_key();
            let (n, e) = (public.modulus(), public.exponent());
            let [n, e] = [n, e].map(|number| encode(number.big_endian_without_leading_zero()));
            json!({ "kty": "RSA", "n": n, "e": e })
        }
    }
}

/// The same with `kid` and `alg`, as key servers publish them.
pub(crate) fn published(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = jwk(algorithm);
    jwk["kid"] = kid.into();
    jwk["alg"] = algorithm.as_str().into();
    jwk
}

/// A token over this header and payload, as they are.
pub(crate) fn token_of(algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

/// A token over these claims.
pub(crate) fn token(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let mut header = json!({ "alg": algorithm.as_str() });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    token_of(algorithm, header.to_string().as_bytes(), claims.to_string().as_bytes())
}
