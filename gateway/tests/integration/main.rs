//! The gateway over real sockets, as stories. Tests of security.md's requirements carry their ids in their names.

mod support;

mod aborts;
mod admin;
mod bodies;
mod forwarding;
mod framing;
mod headers;
mod paths;
mod process;
mod limits;
mod metrics;
mod records;
mod reload;
mod routing;
mod shutdown;
mod timeouts;
mod upstream_faults;
mod upstream_strictness;
mod websocket;
