//! Why a token is refused: a fixed list, for metrics, logs and `verify-jws`. A client is never told.

use crate::labelled::labelled;

labelled! {
    /// Why a token is refused.
    pub enum Refusal, "As written in metrics, logs and answers of `verify-jws`.";
    /// It is longer than tokens may be.
    TooLarge = "too_large";
    /// It is not three parts with two dots: JSON serialisation, JWE, or no token at all.
    NotCompact = "not_compact";
    /// A part is not canonical base64url.
    Base64 = "base64";
    /// The header is not one JSON object, names a member twice, or nests too deep.
    Header = "header";
    /// The header says something with a name that must be understood and is not (`crit`, `b64`).
    Critical = "critical";
    /// `alg` is missing, `none`, unknown, or not allowed here.
    Algorithm = "algorithm";
    /// `alg` is not one for which the key may be used.
    AlgorithmOfKey = "algorithm_of_key";
    /// No key has this `kid`.
    UnknownKey = "unknown_key";
    /// There is no `kid`, and more than one key would fit.
    AmbiguousKey = "ambiguous_key";
    /// There is no signature.
    NoSignature = "no_signature";
    /// The signature does not have the length that its algorithm gives it.
    SignatureLength = "signature_length";
    /// The signature is not one of this key over this token.
    Signature = "signature";
    /// `typ` is not one that is accepted.
    Type = "typ";
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Refusal {}
