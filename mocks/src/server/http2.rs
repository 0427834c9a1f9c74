//! HTTP/2 by prior knowledge (h2c): a connection whose first bytes are the preface.
//!
//! The frames are h2's. What a request gets is decided where HTTP/1.1 decides it, so rules, queues, calls and the
//! journal are the same. What has no place in HTTP/2 becomes its nearest: a reset is that of the stream, `garbage` is
//! a reset with PROTOCOL_ERROR, `close` is GOAWAY after the n-th answer, and a head cannot be cut.
//!
//! - `wire`: the socket, with what was read of it already; `request`: heads and bodies as the rest of the server knows
//!   them; `exchange`: one request; `sender`: bodies under flow control;
//! - `grpc`: Echo and the health check; `messages`: their framing.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU64};

use bytes::Bytes;
use tokio::sync::Notify;

use self::exchange::Exchange;
use self::wire::Wire;
use super::shared::spawn;
use super::site::Site;
use super::stream::Stream;
use crate::http1::head::MAX_HEAD;

mod exchange;
mod grpc;
mod messages;
mod request;
mod sender;
mod wire;

/// What every client by prior knowledge sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests that one connection may have open.
const STREAMS: u32 = 1000;
/// What a client may send ahead on one stream.
const STREAM_WINDOW: u32 = 1 << 20;
/// What a client may send ahead on one connection.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// What a request does to its connection; the greater stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    None,
    /// No more requests: GOAWAY.
    GoAway,
    /// The connection is closed (FIN).
    Close,
    /// The connection is reset (RST).
    Reset,
}

/// What requests have ordered.
#[derive(Debug, Default)]
struct Orders {
    order: AtomicU8,
    given: Notify,
}

impl Orders {
    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, SeqCst);
        self.given.notify_one();
    }

    fn get(&self) -> Order {
        match self.order.load(SeqCst) {
            0 => Order::None,
            1 => Order::GoAway,
            2 => Order::Close,
            _ => Order::Reset,
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: Stream, read_already: Vec<u8>, site: Site) {
    let orders = Arc::new(Orders::default());
    let wire = Wire::new(stream, read_already, site.endpoint.clone(), orders.clone());
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let answered = Arc::new(AtomicU64::new(0));
    let Ok(mut connection) = builder.handshake::<_, Bytes>(wire).await else { return refuse(&site) };
    loop {
        tokio::select! {
            biased;
            () = orders.given.notified() => match orders.get() {
                Order::None => {}
                Order::GoAway => connection.graceful_shutdown(),
                // The wire knows how it is to end.
                Order::Close | Order::Reset => return,
            },
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let exchange = Exchange::new(site.clone(), orders.clone(), respond, answered.clone());
                    spawn(exchange.run(request));
                }
                // A client that broke the connection off left; one that broke the protocol was told by h2.
                Some(Err(error)) if error.is_io() || error.is_remote() => return,
                Some(Err(_)) => return refuse(&site),
                None => return,
            },
        }
    }
}

fn refuse(site: &Site) {
    site.endpoint.live.bad_requests.fetch_add(1, Relaxed);
    site.world.progressed();
}
