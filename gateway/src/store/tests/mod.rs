//! What tests of stores stand on.

mod against_redis;
mod busy;
pub(crate) mod double;
mod held_up;
pub(crate) mod scripts;

use std::sync::Arc;
use std::time::Duration;

use super::{Store, Stores, Surroundings};
use crate::clock::Clock;
use crate::config::settings;
use crate::config::settings::store::Servers;
use crate::telemetry::metrics::Registry as Metrics;

/// A store of this name, and what it is in.
pub(crate) fn store(servers: Servers, command_timeout: Duration) -> (Arc<Store>, Stores) {
    let clock = Clock::starting_at(Duration::from_secs(1_800_000_000));
    let surroundings = Surroundings { clock, events: Arc::default(), metrics: Arc::new(Metrics::new(1)), workers: 1 };
    let stores = Stores::new(surroundings);
    stores.apply(&[Arc::new(settings::Store {
        name: "shared".into(),
        servers,
        tls: false,
        ca: None,
        access: settings::store::Access::default(),
        connect_timeout: Duration::from_secs(5),
        command_timeout,
        consecutive_failures: 3,
        open_for: Duration::from_secs(1),
    })]);
    (stores.find("shared").unwrap(), stores)
}

impl Store {
    /// Whether anybody has made this worker's way.
    pub(crate) fn has_way(&self, worker: usize) -> bool {
        super::lock(&self.couriers[worker]).is_some()
    }
}
