//! Keys that sign: for the gateway's own tokens. (The randomness that ECDSA needs comes from the library.)

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Algorithm;
use super::base64url::encode;

/// A private key that signs with the one algorithm of its type.
pub struct Signer {
    pair: Pair,
    kid: String,
    jwk: Value,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    P256(Box<EcdsaKeyPair>),
}

impl fmt::Debug for Signer {
    /// Names no key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer {
    /// Every private key of a PEM text (RFC 7468), in order: PKCS #8, Ed25519 or P-256.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn from_pem(pem: &str) -> Result<Vec<Self>, &'static str> {
        const BEGIN: &str = "-----BEGIN ";
        let mut signers = Vec::new();
        let mut rest = pem;
        while let Some(at) = rest.find(BEGIN) {
            let block = &rest[at + BEGIN.len()..];
            let (label, block) = block.split_once("-----").ok_or("a PEM block has no label")?;
            let (text, after) = block.split_once("-----END ").ok_or("a PEM block does not end")?;
            rest = after;
            match label {
                "PRIVATE KEY" => {}
                // openssl writes them before keys of curves.
                "EC PARAMETERS" | "PUBLIC KEY" => continue,
                "EC PRIVATE KEY" => return Err("the key is not PKCS #8: `openssl pkcs8 -topk8 -nocrypt` makes it so"),
                _ => return Err("a block is neither PRIVATE KEY nor PUBLIC KEY"),
            }
            let text: String = text.split_ascii_whitespace().collect();
            let der = STANDARD.decode(text).map_err(|_| "a block is not base64")?;
            signers.push(Self::from_pkcs8(&der)?);
        }
        if signers.is_empty() { Err("there is no PRIVATE KEY in it") } else { Ok(signers) }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, &'static str> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let x = encode(pair.public_key().as_ref());
            // The members of a thumbprint, in its order (RFC 7638, section 3.2; RFC 8037, section 2).
            let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            return Ok(Self::new(Pair::Ed25519(Box::new(pair)), &members, jwk));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            let point = pair.public_key().as_ref();
            let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
            let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
            return Ok(Self::new(Pair::P256(Box::new(pair)), &members, jwk));
        }
        Err("the key is neither Ed25519 nor P-256")
    }

    fn new(pair: Pair, members: &str, mut jwk: Value) -> Self {
        let kid = encode(digest(&SHA256, members.as_bytes()).as_ref());
        let algorithm = match &pair {
            Pair::Ed25519(_) => Algorithm::EdDsa,
            Pair::P256(_) => Algorithm::Es256,
        };
        jwk["kid"] = kid.as_str().into();
        jwk["alg"] = algorithm.as_str().into();
        jwk["use"] = "sig".into();
        Self { pair, kid, jwk }
    }

    /// The thumbprint of its public key (RFC 7638), which is its `kid`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// A token with this `typ` over these claims; `None` where the system has no randomness.
    pub fn sign(&self, typ: &str, claims: &Value) -> Option<String> {
        let header = json!({ "alg": self.jwk["alg"], "typ": typ, "kid": self.kid }).to_string();
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(signed.as_bytes()),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()),
        };
        Some(format!("{signed}.{}", encode(signature.ok()?.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::{KeySet, verify};

    /// `openssl genpkey -algorithm ed25519`; RFC 8410, section 10.3.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";

    fn p256() -> String {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
    }

    #[test]
    fn what_it_signs_its_published_key_verifies() {
        let signers = Signer::from_pem(&format!("{ED25519}{}", p256())).unwrap();
        let set = json!({ "keys": signers.iter().map(|signer| signer.jwk().clone()).collect::<Vec<_>>() });
        let (keys, left_out) = KeySet::from_json(&set).unwrap();
        assert!(left_out.is_empty());
        for signer in &signers {
            let token = signer.sign("passport+jwt", &json!({ "sub": "ada" })).unwrap();
            let verified = verify(token.as_bytes(), &keys, Algorithm::ALL, 8192).unwrap();
            assert_eq!(verified.payload, br#"{"sub":"ada"}"#);
            assert!(verified.header.is_typ("passport+jwt"));
        }
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3, has the thumbprint of this public key.
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let members = r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let pair = Pair::Ed25519(Box::new(Ed25519KeyPair::generate().unwrap()));
        assert_eq!(Signer::new(pair, members, jwk).kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_such_key_is_named() {
        for (pem, why) in [
            ("", "there is no PRIVATE KEY in it"),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----", "there is no PRIVATE KEY in it"),
            ("-----BEGIN PRIVATE KEY-----\nAA==", "a PEM block does not end"),
            ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", "a block is not base64"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "the key is neither Ed25519 nor P-256"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                "a block is neither PRIVATE KEY nor PUBLIC KEY",
            ),
        ] {
            assert_eq!(Signer::from_pem(pem).unwrap_err(), why);
        }
        assert!(!format!("{:?}", Signer::from_pem(ED25519).unwrap()).contains("d4ee72db"));
    }
}
