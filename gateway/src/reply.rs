//! An answer on its way to a client, whoever made it.

use http::{HeaderMap, StatusCode};

use crate::client::Tunnel;
use crate::http1::AnswerHead;
use crate::network::Network;
use crate::response_body::ResponseBody;

/// An answer.
pub struct Reply<N: Network> {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub head: AnswerHead,
    /// The body.
    pub body: ResponseBody<N>,
}

impl<N: Network> Reply<N> {
    /// An answer of the gateway's own.
    pub fn own(status: StatusCode, headers: HeaderMap, body: ResponseBody<N>) -> Self {
        Self { status, head: AnswerHead::Map(Box::new(headers)), body }
    }

    /// What is to begin once the head is written, where protocols are switched.
    #[inline]
    pub fn take_tunnel(&mut self) -> Option<Box<Tunnel<N>>> {
        if !matches!(self.body, ResponseBody::Switched(_)) {
            return None;
        }
        match std::mem::replace(&mut self.body, ResponseBody::Empty) {
            ResponseBody::Switched(tunnel) => Some(tunnel),
            _ => None,
        }
    }

    /// The same for who speaks `http`.
    pub fn into_response<B>(self, body: impl FnOnce(ResponseBody<N>) -> B) -> http::Response<B> {
        let mut response = http::Response::new(body(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.head.into_map();
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceContext;
    use crate::network::Sockets;

    #[test]
    fn what_is_handed_on_with_each_request_is_moved_without_a_call() {
        // Above 128 bytes a move is a call of `memcpy`: see docs/performance.md.
        assert!(size_of::<Reply<Sockets>>() <= 128, "{}", size_of::<Reply<Sockets>>());
        assert!(size_of::<TraceContext>() <= 128, "{}", size_of::<TraceContext>());
    }
}
