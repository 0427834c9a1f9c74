//! Limits: how many requests a key may make, and what those beyond are told.
//!
//! A route names rules. Each rule finds a request's key, and takes its tokens from the key's bucket
//! ([`crate::algorithms::gcra`]). Either every rule lets a request through, or none is charged. Rules that hang on no
//! identity run before identity, so that a flood never buys a signature check; the others after it.
//!
//! `stage.rs` is what the pipeline calls. `rule.rs` is one rule, compiled; `route.rs` those of a route; `applied.rs`
//! what they came to for one request. `registry.rs` keeps over reloads what belongs to a rule's name: `cells.rs`, its
//! buckets, and `busiest.rs`, its busiest keys. `key.rs` says who a request counts as. `shared.rs` and `leases.rs` take
//! tokens from a store (`crate::store`), where gateways share one; `tabs.rs` remembers what was let through while it
//! did not answer, `flight.rs` what became of calls that were answered too late, and `floors.rs` of what a store that
//! was away has been told; `house.rs` does what no request waits for. `in_flight.rs` limits requests at once, of a
//! route and of a key, whose counts are in `places.rs`.

mod applied;
mod busiest;
mod cells;
mod flight;
mod floors;
mod house;
mod in_flight;
mod key;
mod leases;
mod places;
mod registry;
mod route;
mod rule;
mod shared;
pub mod stage;
mod tabs;

pub use applied::{Applied, Fields};
pub use busiest::{Busiest, Shown};
pub use cells::{Cells, Fill, Place, Taken};
pub use house::keep_house;
pub use in_flight::{Holding, InFlightRule, RoutePlaces};
pub use key::{Key, ShortId, stable_id};
pub use leases::take as take_leased;
pub use registry::{Registry, RuleState};
pub use route::RouteLimits;
pub use rule::{Rule, Tier};

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before anybody's identity is proven.
    Edge,
    /// After it.
    Proven,
}
