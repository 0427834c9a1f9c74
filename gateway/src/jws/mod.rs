//! The verifier: compact JWS (RFC 7515) against keys (RFC 7517, 7518, 8037), by the rules of RFC 8725.
//!
//! Nothing here knows time, network or files, and nothing here reads a claim: a payload is bytes. What a token says is
//! looked at only by who has its [`Verified`].
//!
//! Invariants, each with tests beside it: a header never chooses what the key does not allow; a key in the header is
//! never looked at; one token has one form, so that a changed character is another token; what is refused is refused
//! before a signature is computed, wherever that is possible.

mod algorithm;
mod base64url;
mod compact;
mod header;
mod json;
mod key;
mod key_set;
mod material;
mod refusal;
mod roca;
mod signer;

pub use algorithm::Algorithm;
pub use base64url::decode as decode_base64url;
pub use compact::{Compact, Verified, verify};
pub use header::Header;
pub use json::{JsonError, parse as parse_json};
pub use key::{Key, KeyError};
pub use key_set::{KeySet, KeySetError, LeftOut, MAX_KEY_SET_BYTES, MAX_KEYS};
pub use refusal::Refusal;
pub use signer::Signer;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
