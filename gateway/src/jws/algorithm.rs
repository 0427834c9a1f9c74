//! Signature algorithms (RFC 7518, section 3; RFC 8037; RFC 8812; RFC 9864), and what a key must be for each.

use aws_lc_rs::{hmac, signature as sig};

/// What kind of key an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `kty: RSA`.
    Rsa(&'static sig::RsaParameters),
    /// `kty: EC` on this curve; the length of a coordinate.
    Ec(&'static str, usize, &'static sig::EcdsaVerificationAlgorithm),
    /// `kty: OKP`, `crv: Ed25519`.
    Ed25519,
    /// `kty: oct`; the length of the hash.
    Hmac(hmac::Algorithm, usize),
}

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $family:expr;)*) => {
        /// A signature algorithm. `none` is not among them, so it cannot be allowed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Algorithm { $($(#[$doc])* $variant,)* }

        impl Algorithm {
            /// Every algorithm.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As written in `alg`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            pub(super) fn family(self) -> Family {
                match self { $(Self::$variant => $family,)* }
            }
        }
    };
}

algorithms! {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256", Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA256);
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384", Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA384);
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512", Family::Rsa(&sig::RSA_PKCS1_2048_8192_SHA512);
    /// RSASSA-PSS with SHA-256; the salt is as long as the hash (RFC 7518, section 3.5).
    Ps256 = "PS256", Family::Rsa(&sig::RSA_PSS_2048_8192_SHA256);
    /// RSASSA-PSS with SHA-384.
    Ps384 = "PS384", Family::Rsa(&sig::RSA_PSS_2048_8192_SHA384);
    /// RSASSA-PSS with SHA-512.
    Ps512 = "PS512", Family::Rsa(&sig::RSA_PSS_2048_8192_SHA512);
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256", Family::Ec("P-256", 32, &sig::ECDSA_P256_SHA256_FIXED);
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384", Family::Ec("P-384", 48, &sig::ECDSA_P384_SHA384_FIXED);
    /// ECDSA on P-521 with SHA-512.
    Es512 = "ES512", Family::Ec("P-521", 66, &sig::ECDSA_P521_SHA512_FIXED);
    /// ECDSA on secp256k1 with SHA-256 (RFC 8812).
    Es256k = "ES256K", Family::Ec("secp256k1", 32, &sig::ECDSA_P256K1_SHA256_FIXED);
    /// EdDSA, of which only Ed25519 is known here (RFC 8037).
    EdDsa = "EdDSA", Family::Ed25519;
    /// The same under its newer name (RFC 9864).
    Ed25519 = "Ed25519", Family::Ed25519;
    /// HMAC with SHA-256.
    Hs256 = "HS256", Family::Hmac(hmac::HMAC_SHA256, 32);
    /// HMAC with SHA-384.
    Hs384 = "HS384", Family::Hmac(hmac::HMAC_SHA384, 48);
    /// HMAC with SHA-512.
    Hs512 = "HS512", Family::Hmac(hmac::HMAC_SHA512, 64);
}

impl Algorithm {
    /// The algorithm of exactly this name: names are compared byte by byte (RFC 7515, section 4.1.1).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether both sides of it hold one secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Hmac(..))
    }

    /// The length of each of its signatures, where the algorithm alone decides that.
    pub(super) fn signature_len(self) -> Option<usize> {
        match self.family() {
            Family::Rsa(_) => None,
            Family::Ec(_, coordinate, _) => Some(2 * coordinate),
            Family::Ed25519 => Some(64),
            Family::Hmac(_, hash) => Some(hash),
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
