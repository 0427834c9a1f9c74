//! The compact serialisation (RFC 7515, section 7.1), and the verification of one token.

use super::{Algorithm, Header, KeySet, Refusal, base64url};

/// A token taken apart. Nothing of it is verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compact<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    /// Header and payload with the dot between: what is signed.
    signed: &'a [u8],
}

/// A token whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What its header says.
    pub header: Header,
    /// Its payload, as it was signed.
    pub payload: Vec<u8>,
    /// Index of the key that it was verified with.
    pub key: usize,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is longer than `max_bytes`, or is not three parts.
    pub fn split(token: &'a [u8], max_bytes: usize) -> Result<Self, Refusal> {
        if token.len() > max_bytes {
            return Err(Refusal::TooLarge);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Refusal::NotCompact);
        };
        let header = &token[..first];
        if header.is_empty() {
            return Err(Refusal::NotCompact);
        }
        let (payload, signature) = (&token[first + 1..second], &token[second + 1..]);
        Ok(Self { header, payload, signature, signed: &token[..second] })
    }
}

/// Verifies a token: its header by itself, then its key, then its signature. No claim is read.
///
/// # Errors
/// Why it is refused. Of several reasons, the cheapest to find.
pub fn verify(token: &[u8], keys: &KeySet, allowed: &[Algorithm], max_bytes: usize) -> Result<Verified, Refusal> {
    let compact = Compact::split(token, max_bytes)?;
    let header = Header::decode(compact.header)?;
    if !allowed.contains(&header.algorithm) {
        return Err(Refusal::Algorithm);
    }
    if compact.signature.is_empty() {
        return Err(Refusal::NoSignature);
    }
    let signature = base64url::decode(compact.signature).ok_or(Refusal::Base64)?;
    let payload = base64url::decode(compact.payload).ok_or(Refusal::Base64)?;
    let key = keys.select(&header)?;
    keys.keys()[key].verify(header.algorithm, compact.signed, &signature)?;
    Ok(Verified { header, payload, key })
}
