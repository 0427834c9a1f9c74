//! The gateway over real sockets, as stories. Tests of security.md's requirements carry their ids in their names.

mod support;

mod aborts;
mod bodies;
mod forwarding;
mod framing;
mod headers;
mod paths;
mod limits;
mod metrics;
mod records;
mod routing;
mod timeouts;
mod upstream_faults;
mod upstream_strictness;
mod websocket;
