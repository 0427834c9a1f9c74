//! Whatever a client sends is a request with its body, or refused; the codec never panics, and what is taken has one
//! length.

use std::task::{Context, Poll, Waker};

use gateway::context::survey::Survey;
use gateway::context::target::check_framing;
use gateway::http1::{HeadLimits, Next, Server};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

const LIMITS: HeadLimits = HeadLimits { fields: 20, target: 256, bytes: 2048, keep_names: false };

/// The bytes of a connection. Where names are kept, heads are read in another way.
pub fn check(data: &[u8]) {
    for keep_names in [false, true] {
        check_with(HeadLimits { keep_names, ..LIMITS }, data);
    }
}

fn check_with(limits: HeadLimits, data: &[u8]) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut server = Server::new(tokio::io::empty(), data, limits, |_| false);
    if matches!(server.poll_next(&mut cx), Poll::Ready(Next::Request)) {
        let (headers, version) = (std::mem::take(&mut server.request().headers), server.request().version);
        assert!(headers.len() <= LIMITS.fields);
        if check_framing(&Survey::of(&headers), version).is_err() {
            assert!(!server.stays_open(), "nothing may follow a request whose framing is in doubt");
            return;
        }
        let lengths = headers.get_all(&CONTENT_LENGTH).iter().count();
        let codings = headers.get_all(&TRANSFER_ENCODING).iter().count();
        assert!(lengths + codings <= 1, "the length is in doubt");
        let (mut taken, declared) = (0, server.body_left());
        while let Poll::Ready(Some(frame)) = server.poll_body(&mut cx) {
            let Ok(frame) = frame else { return };
            taken += frame.data_ref().map_or(0, |data| data.len() as u64);
            assert!(taken <= data.len() as u64 && declared.is_none_or(|declared| taken <= declared));
        }
    }
}
