//! Upstreams: which endpoints there are, which one a request gets, and the connections to them.
//!
//! State here outlives configuration: it is keyed by the upstream's name and the endpoint's address, so a reload keeps
//! in-flight counts and connections.

pub mod budget;
pub mod connection;
pub mod dial;
pub mod discovery;
pub mod endpoint;
pub mod guard;
pub mod health;
pub mod hedging;
pub mod in_flight;
mod judgement;
mod limiter;
pub mod pool;
pub mod registry;
pub mod scope;
pub mod selection;
pub mod stage;
pub mod standing;
pub mod state;
mod sync;
mod transport;
pub mod watch;
pub mod way;

pub use connection::Connection;
pub use endpoint::Endpoint;
pub use registry::Registry;
pub use selection::Selected;
pub use state::Upstream;
pub use transport::Transport;
