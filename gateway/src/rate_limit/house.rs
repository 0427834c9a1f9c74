//! What happens beside requests: memory is given back, stores are watched, leases that nobody uses are ended.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::registry::Registry;
use super::rule::Rule;
use crate::clock::Clock;
use crate::config::settings::rate_limit::Mode;
use crate::store::{Stores, watch};

/// Between two looks at leases and stores.
const TURN: Duration = Duration::from_millis(100);
/// Turns between two sweeps of all buckets: memory that a flood of keys took is given back when it is over.
const SWEEP: u64 = 100;

/// Keeps house for as long as it is polled. `rules` are those in force.
pub async fn keep_house(limits: &Registry, stores: &Stores, clock: &Clock, rules: impl Fn() -> Vec<Arc<Rule>>) {
    let id = own_id();
    for turn in 1_u64.. {
        watch::start(stores, &id);
        tokio::time::sleep(TURN).await;
        let now = clock.monotonic_ns(clock.now());
        for rule in rules() {
            super::leases::end_idle(&rule, now);
            if let (Some(store), Some(Mode::Exact)) =
                (&rule.store, rule.settings.shared.as_ref().map(|shared| shared.mode))
            {
                super::flight::pay_tabs(&rule, store);
            }
        }
        if turn.is_multiple_of(SWEEP) {
            limits.sweep(now);
        }
    }
}

/// What this gateway is called among those that share a store. Not by the seed of its random choices, which two may
/// have in common.
fn own_id() -> Arc<str> {
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word()).into()
}
