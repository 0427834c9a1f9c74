//! Whatever a client says of its trace, the gateway goes on with a context that the next one accepts.
//!
//! `cargo fuzz run -s none traceparent` on stable; `fuzz/README.md` says more.
#![no_main]

use gateway::config::settings::telemetry::{Tracing, TrustTrace};
use gateway::context::{TraceContext, TracePolicy};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&[u8], &[u8], bool)| {
    let (parent, state, trusted) = data;
    let mut headers = HeaderMap::new();
    for (name, value) in [("traceparent", parent), ("tracestate", state)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let policy = TracePolicy::new(&Tracing { sample_ratio: 0.5, trust_incoming: TrustTrace::Always });
    let here = TraceContext::continue_or_start(&headers, &policy, trusted, [1, 2, 3]);
    let sent = HeaderMap::from_iter([(HeaderName::from_static("traceparent"), here.to_header_value())]);
    let there = TraceContext::continue_or_start(&sent, &policy, true, [4, 5, 6]);
    assert_eq!(here.trace_id_text(), there.trace_id_text());
    assert_eq!(here.sampled, there.sampled);
});
