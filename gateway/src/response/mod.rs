//! Answers on their way to the client. Only this module writes error bodies.

mod cross_origin;
mod grpc;
mod own;
pub mod problem;
mod relay;

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderValue, header};

use crate::exchange::Exchange;
use crate::network::Network;

pub use cross_origin::preflight;
pub use own::{client_left, fallback, options};
pub use relay::{relay, switch};

fn is_draining<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.shard.shared.draining.load(Ordering::Relaxed)
}

/// While the gateway drains, every answer is its connection's last.
fn close_while_draining<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if is_draining(exchange) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
