//! The gateway over real sockets, as stories. Tests of security.md's requirements carry their ids in their names.

mod support;

mod bodies;
mod forwarding;
mod framing;
mod headers;
mod paths;
mod routing;
