//! Whatever a client says of its trace, the gateway goes on with a context that the next one accepts.

use gateway::config::settings::telemetry::{Tracing, TrustTrace};
use gateway::context::{TraceContext, TracePolicy};
use gateway::request_fields::RequestFields;
use http::HeaderValue;

/// The first byte says whether the peer is trusted; then `traceparent`, and behind the first line end `tracestate`.
pub fn check(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let mut headers = RequestFields::new();
    for name in ["traceparent", "tracestate"] {
        if let Some(value) = lines.next().and_then(|value| HeaderValue::from_bytes(value).ok()) {
            headers.insert(name, value);
        }
    }
    let policy = TracePolicy::new(&Tracing { sample_ratio: 0.5, trust_incoming: TrustTrace::Always, export: None });
    let here = TraceContext::continue_or_start(&headers, &policy, first & 1 != 0, [1, 2, 3]);
    let sent = RequestFields::from_iter([("traceparent", here.as_bytes())]);
    let there = TraceContext::continue_or_start(&sent, &policy, true, [4, 5, 6]);
    assert_eq!(here.trace_id_text(), there.trace_id_text());
    assert_eq!(here.sampled(), there.sampled());
}
