//! Upstreams: which endpoints there are, which one a request gets, and the connections to them.
//!
//! State here outlives configuration: it is keyed by the upstream's name and the endpoint's address, so a reload keeps
//! in-flight counts and connections.

mod belonging;
pub mod budget;
mod carrier;
pub(crate) mod carriers;
mod check_http2;
pub mod closed;
pub mod connection;
pub mod dial;
pub mod discovery;
pub mod document;
pub mod endpoint;
mod far;
pub mod guard;
pub mod health;
pub mod hedging;
pub mod in_flight;
mod judgement;
pub mod leg;
mod limiter;
pub mod lookup;
mod naming;
pub(crate) mod open;
pub mod pool;
pub mod registry;
pub mod scope;
pub mod selection;
pub mod silence;
pub mod split;
pub mod stage;
pub mod standing;
pub mod state;
mod sync;
mod transport;
mod trouble;
pub mod watch;
pub mod way;

pub use connection::Connection;
pub use endpoint::Endpoint;
pub use far::Far;
pub use judgement::Waited;
pub use leg::Leg;
pub use registry::Registry;
pub use selection::{Selected, Selection};
pub use state::Upstream;
pub use transport::Transport;
