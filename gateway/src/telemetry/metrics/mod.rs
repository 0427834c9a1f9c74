//! The gateway's numbers (contract, records.md).
//!
//! Handles are resolved by name when a snapshot is built; a request then touches only its own worker's shard: plain
//! loads and stores of relaxed atomics where the worker's own thread counts (`own_thread`), additions where any other
//! does; no lock, no cache line that workers share, no formatting, and no allocation once the worker has used the
//! series. Whoever scrapes reads the shards as they are; workers never notice.
//!
//! Series are kept by name for the life of the process, so that they survive reloads; their number is bounded.

mod admin;
mod aggregate;
mod auth;
mod batch;
mod endpoint_state;
mod exemplar;
mod gateway;
mod histogram;
mod limit;
mod registry;
mod route;
mod route_results;
mod seldom;
mod shards;
mod share;
mod span;
mod store;
mod upstream;
mod upstream_handshake;

pub use admin::{AdminAction, AdminResult, AdminSeries};
pub use aggregate::{PartResult, PartSeries};
pub use auth::{AskedIssuer, AuthResult, AuthSeries, CacheResult, Keys, TokenCacheSeries};
pub use batch::{BatchSeries, BatchTotals};
pub use endpoint_state::{BackedUp, Discovered, EndpointState, EndpointStates};
pub use exemplar::Exemplar;
pub use gateway::{Announcement, GatewaySeries, HandshakeResult, ListenerSeries, ShedReason};
pub use histogram::{Histogram, HistogramTotals};
pub use limit::{LimitDecision, LimitSeries};
pub use registry::{Ejections, EndpointBreaker, EndpointInFlight, HeldPlaces, OVERFLOW, Registry, RouteBreaker};
pub use route::{CompressedTotals, RouteSeries, RouteTotals};
pub use route_results::{CacheUse, CoalesceResult, FallbackResult, MirrorResult, WordResult};
pub(crate) use shards::{is_own_thread, own_thread};
pub use share::ShareSeries;
pub use span::{SpanResult, SpanSeries};
pub use store::StoreSeries;
pub use upstream::{AttemptOutcome, ConnectionEvent, HedgeResult, RetryResult, UpstreamSeries, UpstreamTotals};
pub use upstream_handshake::UpstreamHandshake;

/// From 50 us to 26 s in half octaves: request and upstream times.
pub type DurationHistogram = Histogram<25_000, 40>;
/// From 5 us to 82 ms in half octaves: what the gateway itself adds, and how late a worker's loop is.
pub type OverheadHistogram = Histogram<2_500, 30>;
