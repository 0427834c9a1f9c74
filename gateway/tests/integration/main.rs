//! The gateway over real sockets, as stories. Tests of security.md's requirements carry their ids in their names.

mod support;

mod aborts;
mod admin;
mod balancing;
mod bodies;
mod breakers;
mod dozing;
mod duplex;
mod embedding;
mod events;
mod forwarding;
mod framing;
mod headers;
mod health;
mod idle_connections;
mod limits;
mod metrics;
mod mutations;
mod paths;
mod pooling;
mod pressure;
mod process;
mod rate_limits;
mod records;
mod reload;
mod retries;
mod routing;
mod shutdown;
mod simulated;
mod simulated_breaker;
mod sizes;
mod timeouts;
mod upstream_faults;
mod upstream_strictness;
mod websocket;
