//! Traces as one message of OTLP.

use std::time::Instant;

use prost::Message as _;

use super::message::{
    AnyValue, KeyValue, LinkMessage, Resource, ResourceSpans, Said, Scope, ScopeSpans, SpanMessage, SpanStatus, Traces,
};
use super::span::{Kind, Link, Span, SpanId, Value};
use super::trail::Trace;
use crate::build;

/// The conventions that names of attributes follow.
const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";
/// The trace is sampled.
const SAMPLED: u32 = 0x01;
/// It is known whether the parent is another process's.
const KNOWS_REMOTE: u32 = 0x100;
/// It is.
const IS_REMOTE: u32 = 0x200;
/// A span's status.
const ERROR: i32 = 2;

/// The message, and how many spans are in it. `unix_ns` tells wall-clock time of an instant.
pub(super) fn encode(traces: Vec<Trace>, resource: Resource, unix_ns: impl Fn(Instant) -> u64) -> (Vec<u8>, u64) {
    let mut spans = Vec::with_capacity(traces.iter().map(|trace| trace.spans.len()).sum());
    for trace in traces {
        let state = trace.state.map(String::from).unwrap_or_default();
        spans.extend(trace.spans.into_iter().map(|span| message(span, (&trace.trace_id, &state), &unix_ns)));
    }
    let count = spans.len() as u64;
    let scope = Scope { name: "portcullis".to_owned(), version: build::VERSION.to_owned() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: CONVENTIONS.to_owned() }];
    let whole = ResourceSpans { resource: Some(resource), scope_spans, schema_url: CONVENTIONS.to_owned() };
    (Traces { resource_spans: vec![whole] }.encode_to_vec(), count)
}

fn message(span: Span, (trace_id, state): (&[u8], &str), unix_ns: impl Fn(Instant) -> u64) -> SpanMessage {
    let began = unix_ns(span.began);
    SpanMessage {
        trace_id: trace_id.to_vec(),
        span_id: id(span.id),
        trace_state: state.to_owned(),
        parent_span_id: span.parent.map(id).unwrap_or_default(),
        name: span.name.as_str().unwrap_or_default().to_owned(),
        kind: match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
        start_time_unix_nano: began,
        // The wall clock may have been set back meanwhile; nothing ends before it begins.
        end_time_unix_nano: span.ended.map_or(began, unix_ns).max(began),
        attributes: span.attributes.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        links: span.link.map(link).into_iter().collect(),
        status: span.failed.then(|| SpanStatus { message: String::new(), code: ERROR }),
        flags: SAMPLED | KNOWS_REMOTE | if span.parent_is_remote { IS_REMOTE } else { 0 },
    }
}

fn link(link: Link) -> LinkMessage {
    LinkMessage { trace_id: link.trace_id.to_vec(), span_id: id(link.span), flags: SAMPLED | KNOWS_REMOTE }
}

fn id(id: SpanId) -> Vec<u8> {
    id.get().to_be_bytes().to_vec()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let said = match value {
        Value::Fixed(text) => Said::Text(text.to_owned()),
        Value::Name(text) => Said::Text(text.to_string()),
        Value::Text(text) => Said::Text(text.into()),
        Value::Number(number) => Said::Number(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(said) }) }
}

#[cfg(test)]
mod tests;
