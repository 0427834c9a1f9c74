//! Whatever a key server sends is a set of keys that can be used, or an error, without a panic.

use gateway::jws::KeySet;

/// What a key server answers.
pub fn check(data: &[u8]) {
    if let Ok((set, _)) = KeySet::parse(data) {
        for key in set.keys() {
            assert!(key.algorithms().count() > 0, "a key that is kept verifies something");
        }
    }
}
