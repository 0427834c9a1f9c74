//! What a request is called: the cost of its id, and the bytes that it and the trace take.

use std::hint::black_box;

use gateway::algorithms::rng::Draws;
use gateway::context::RequestId;
use serde_json::{Value, json};

use super::ns_each;
use crate::study::experiment::Terms;

/// A trace context of version 0 (W3C Trace Context, 3.2.2): version, trace, parent, flags.
const TRACEPARENT: usize = "traceparent: ".len() + 2 + 1 + 32 + 1 + 16 + 1 + 2;
/// What ends a line.
const LINE_END: usize = 2;

/// Nanoseconds to mint an id, and bytes that a request carries of ids.
pub(in crate::study) fn measured(terms: &Terms) -> Result<Value, String> {
    let mut draws = Draws::new(terms.seed);
    let ns = ns_each(1_000_000, |_| {
        black_box(RequestId::mint(black_box([draws.next_u64(), draws.next_u64()])));
    });
    let id = RequestId::mint([draws.next_u64(), draws.next_u64()]);
    let is_version_4 = id.as_str().as_bytes()[14] == b'4';
    let bytes = "x-request-id: ".len() + id.as_str().len() + TRACEPARENT + 2 * LINE_END;
    Ok(json!({ "ns": ns, "bytes": bytes, "is_version_4": u8::from(is_version_4) }))
}
