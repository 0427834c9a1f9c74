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

/// The hash of what is presented; of what is too long to be a key, no key's.
pub(super) fn hash(presented: &[u8]) -> [u8; 32] {
    if presented.len() > MAX_KEY_BYTES {
        return [0; 32];
    }
    digest(&SHA256, presented).as_ref().try_into().unwrap_or_default()
}

/// Who has the key of this hash. The time that looking takes tells of the hash, not of the key; what is found is
/// compared in constant time all the same.
///
/// # Errors
/// Nobody has it.
pub(super) fn find(keys: &BTreeMap<[u8; 32], ApiKey>, hash: &[u8; 32]) -> Result<Claims, AuthResult> {
    let (known, key) = keys.get_key_value(hash).ok_or(AuthResult::UnknownApiKey)?;
    if *hash == [0; 32] || verify_slices_are_equal(known, hash).is_err() {
        return Err(AuthResult::UnknownApiKey);
    }
    let mut all = Map::new();
    all.insert("sub".into(), Value::from(&*key.subject));
    Ok(Claims {
        bound: None,
        all,
        subject: Some(key.subject.clone()),
        scopes: key.scopes.iter().cloned().collect(),
        until: i64::MAX,
        ends: i64::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_alone() {
        let demo = hash(b"demo-key");
        let key = ApiKey { subject: "job".into(), scopes: vec!["a".into()] };
        let keys = BTreeMap::from([(demo, key.clone()), ([0; 32], key)]);
        assert_eq!(find(&keys, &demo).unwrap().subject.as_deref(), Some("job"));
        for other in [&b""[..], b"demo-key ", b"Demo-key", &demo, &[b'x'; 5000]] {
            assert_eq!(find(&keys, &hash(other)), Err(AuthResult::UnknownApiKey));
        }
    }
}
