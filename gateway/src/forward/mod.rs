//! The exchange with an upstream: pick an endpoint, get a connection, send, and wait for the answer's head.

mod acquire;
mod attempt;
mod attempt_told;
mod blameless;
pub mod body;
mod consult;
pub mod deadline;
pub mod fallback;
mod frames;
mod grpc_status;
mod grpc_web;
pub mod handler;
pub mod head;
mod hedge;
mod hints;
pub mod mirror;
mod remembered;
mod retry;
pub mod tunnel;
pub mod upgrade;

pub use attempt::{Failure, body_failure};
pub use consult::{Authority, Refused, consult};
pub(crate) use grpc_status::{failure as grpc_failure, name as grpc_name};
pub use retry::forward;
