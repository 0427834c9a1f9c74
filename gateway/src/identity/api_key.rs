//! API keys. Only hashes of them are known: a key has so many random bits that nobody finds it from its hash.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::claims::Claims;
use crate::config::settings::identity::ApiKey;
use crate::telemetry::metrics::AuthResult;

/// A longer key is none.
const MAX_KEY_BYTES: usize = 1024;

/// Who has this key. The hash is computed whatever is presented, and looked up; so the time that it takes tells of the
/// hash, not of the key, and the hash that is found is compared in constant time all the same.
///
/// # Errors
/// Nobody has it.
pub(super) fn find(keys: &BTreeMap<[u8; 32], ApiKey>, presented: &[u8]) -> Result<Claims, AuthResult> {
    let presented = &presented[..presented.len().min(MAX_KEY_BYTES + 1)];
    let hash: [u8; 32] = digest(&SHA256, presented).as_ref().try_into().map_err(|_| AuthResult::UnknownApiKey)?;
    let (known, key) = keys.get_key_value(&hash).ok_or(AuthResult::UnknownApiKey)?;
    if presented.len() > MAX_KEY_BYTES || verify_slices_are_equal(known, &hash).is_err() {
        return Err(AuthResult::UnknownApiKey);
    }
    let mut all = Map::new();
    all.insert("sub".into(), Value::from(&*key.subject));
    Ok(Claims {
        all,
        subject: Some(key.subject.clone()),
        scopes: key.scopes.iter().cloned().collect(),
        until: i64::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_alone() {
        let hash: [u8; 32] = digest(&SHA256, b"demo-key").as_ref().try_into().unwrap();
        let key = ApiKey { subject: "job".into(), scopes: vec!["a".into()] };
        let keys = BTreeMap::from([(hash, key)]);
        assert_eq!(find(&keys, b"demo-key").unwrap().subject.as_deref(), Some("job"));
        for other in [&b""[..], b"demo-key ", b"Demo-key", &hash, &[b'x'; 5000]] {
            assert_eq!(find(&keys, other), Err(AuthResult::UnknownApiKey));
        }
    }
}
