//! Read with the types that others made of the protocol's own files.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;

use super::super::resource::this_process;
use super::*;
use crate::clock::Clock;

#[test]
fn what_is_written_others_read() {
    let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
    let began = clock.now();
    let (root, call) = (SpanId::new(0x0102).unwrap(), SpanId::new(u64::MAX).unwrap());
    let mut first = Span::new(Kind::Server, Value::Fixed("GET /a"), root, SpanId::new(9), began);
    (first.parent_is_remote, first.ended) = (true, Some(began + Duration::from_micros(1500)));
    first.attributes = vec![("url.path", Value::text("/a")), ("gateway.route", Value::Name("r".into()))];
    let mut second = Span::new(Kind::Client, Value::Fixed("GET"), call, Some(root), began);
    second.failed = true;
    second.link = Some(Link { trace_id: [8; 16], span: root });
    second.attributes.push(("http.response.status_code", Value::Number(503)));
    let trace = Trace { trace_id: [7; 16], state: Some("a=1".into()), spans: vec![first, second] };
    let unix_ns = |at| u64::try_from(clock.unix_us(at)).unwrap() * 1000;
    let (bytes, count) = encode(vec![trace], this_process("edge", "one"), unix_ns);
    assert_eq!(count, 2);

    let read = ExportTraceServiceRequest::decode(&*bytes).unwrap();
    let [whole] = &read.resource_spans[..] else { panic!("{read:?}") };
    let text = |key: &str| {
        let attributes = &whole.resource.as_ref().unwrap().attributes;
        let value = attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone()?.value);
        if let Some(any_value::Value::StringValue(text)) = value { text } else { format!("{value:?}") }
    };
    assert_eq!((text("service.name"), text("service.instance.id")), ("edge".to_owned(), "one".to_owned()));
    assert_eq!(text("service.version"), build::VERSION);
    assert!(!text("host.name").is_empty() && text("process.pid").contains(&std::process::id().to_string()));

    let scope = &whole.scope_spans[0];
    assert_eq!((&*scope.scope.as_ref().unwrap().name, &*scope.schema_url), ("portcullis", CONVENTIONS));
    let [server, client] = &scope.spans[..] else { panic!("{scope:?}") };
    assert_eq!((&server.trace_id[..], &server.span_id[..]), (&[7; 16][..], &[0, 0, 0, 0, 0, 0, 1, 2][..]));
    assert_eq!((&server.parent_span_id[..], &*server.trace_state), (&[0, 0, 0, 0, 0, 0, 0, 9][..], "a=1"));
    assert_eq!((&*server.name, server.kind, server.flags), ("GET /a", 2, 0x301));
    assert_eq!(server.start_time_unix_nano / 1_000_000_000, 1_700_000_000);
    assert_eq!(server.end_time_unix_nano - server.start_time_unix_nano, 1_500_000);
    assert_eq!(server.status, None, "unset");
    let paths: Vec<_> = server.attributes.iter().map(|it| (&*it.key, it.value.clone().unwrap().value)).collect();
    let said = |text: &str| Some(any_value::Value::StringValue(text.to_owned()));
    assert_eq!(paths, [("url.path", said("/a")), ("gateway.route", said("r"))]);
    assert_eq!((client.kind, client.flags, &client.parent_span_id), (3, 0x101, &server.span_id));
    assert_eq!(client.status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(client.start_time_unix_nano, client.end_time_unix_nano, "without an end it has no length");
    let link = &client.links[0];
    assert_eq!((&link.trace_id[..], &link.span_id, server.links.len()), (&[8; 16][..], &server.span_id, 0));
    let number = client.attributes[0].value.clone().unwrap().value;
    assert_eq!(number, Some(any_value::Value::IntValue(503)));
}
