//! Collectors of traces that speak OTLP as its specification says, with the types that others made of its files: one
//! over HTTP, one over gRPC.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::eventually;

/// Lines of `[telemetry.tracing]`: every trace is sampled and goes to this collector.
pub(crate) fn traced(endpoint: &str) -> String {
    format!("[telemetry.tracing]\notlp_endpoint = '{endpoint}'\nsample_ratio = 1.0\n")
}

/// A span that came, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) span: Span,
    resource: Vec<KeyValue>,
}

fn said(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|it| it.key == key)?.value.clone()?.value?;
    Some(match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Seen {
    /// An attribute as text; empty where there is none.
    pub(crate) fn get(&self, key: &str) -> String {
        said(&self.span.attributes, key).unwrap_or_default()
    }

    /// The same of who sent it.
    pub(crate) fn resource(&self, key: &str) -> String {
        said(&self.resource, key).unwrap_or_default()
    }

    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub(crate) fn name(&self) -> &str {
        &self.span.name
    }

    pub(crate) fn is_server(&self) -> bool {
        self.span.kind == 2
    }

    pub(crate) fn is_client(&self) -> bool {
        self.span.kind == 3
    }

    pub(crate) fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }

    /// Whether it lies within the other one's time.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let (a, b) = (&self.span, &other.span);
        a.start_time_unix_nano >= b.start_time_unix_nano && a.end_time_unix_nano <= b.end_time_unix_nano
    }
}

/// What came, and what is answered next.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    spans: Vec<Seen>,
    /// Fields of the last head.
    pub(crate) head: Vec<(String, String)>,
    messages: usize,
    statuses: VecDeque<u16>,
}

impl Kept {
    fn keep(&mut self, request: ExportTraceServiceRequest) {
        self.messages += 1;
        for whole in request.resource_spans {
            let resource = whole.resource.unwrap_or_default().attributes;
            let spans = whole.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.extend(spans.map(|span| Seen { span, resource: resource.clone() }));
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Kept>>);

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    async fn spans(&self, count: usize) -> Vec<Seen> {
        let mut spans = Vec::new();
        eventually(&format!("{count} spans"), || {
            spans = self.with(|kept| kept.spans.clone());
            spans.len() >= count
        })
        .await;
        assert_eq!(spans.len(), count, "{spans:#?}");
        // The order of their beginnings; a call follows what it is a part of.
        spans.sort_by_key(|seen| (seen.span.start_time_unix_nano, seen.span.kind));
        spans
    }
}

impl Respond for Shared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let message = ExportTraceServiceRequest::decode(&*request.body).expect("OTLP");
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        self.with(|kept| {
            let fields =
                request.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            kept.head = fields.collect();
            match kept.statuses.pop_front() {
                None | Some(200) => kept.keep(message),
                Some(status) => {
                    kept.messages += 1;
                    return ResponseTemplate::new(status);
                }
            }
            let answer = ExportTraceServiceResponse::default().encode_to_vec();
            ResponseTemplate::new(200).set_body_raw(answer, "application/x-protobuf")
        })
    }
}

/// A collector over HTTP.
pub(crate) struct Collector {
    server: MockServer,
    kept: Shared,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let (server, kept) = (MockServer::start().await, Shared::default());
        Mock::given(method("POST")).and(path("/v1/traces")).respond_with(kept.clone()).mount(&server).await;
        Self { server, kept }
    }

    /// What `otlp_endpoint` says.
    pub(crate) fn endpoint(&self) -> String {
        self.server.uri()
    }

    /// The next messages are answered with these.
    pub(crate) fn will_answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.kept.with(|kept| kept.statuses.extend(statuses));
    }

    /// All spans that came, once there are so many; more is a failure.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Seen> {
        self.kept.spans(count).await
    }

    /// All spans that have come.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.kept.with(|kept| kept.spans.clone())
    }

    /// Messages that came, refused ones too.
    pub(crate) fn messages(&self) -> usize {
        self.kept.with(|kept| kept.messages)
    }

    /// A field of the last message's head.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.kept.with(|kept| kept.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }
}

/// A collector over gRPC.
pub(crate) struct GrpcCollector {
    address: SocketAddr,
    kept: Shared,
    task: JoinHandle<()>,
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let fields: Vec<(String, String)> = request
            .metadata()
            .iter()
            .filter_map(|field| match field {
                tonic::metadata::KeyAndValueRef::Ascii(name, value) => {
                    Some((name.to_string(), value.to_str().ok()?.to_owned()))
                }
                tonic::metadata::KeyAndValueRef::Binary(..) => None,
            })
            .collect();
        self.with(|kept| {
            kept.head = fields;
            match kept.statuses.pop_front() {
                None | Some(200) => {
                    kept.keep(request.into_inner());
                    Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
                }
                Some(_) => {
                    kept.messages += 1;
                    Err(tonic::Status::unavailable("not now"))
                }
            }
        })
    }
}

impl GrpcCollector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, kept) = (listener.local_addr().unwrap(), Shared::default());
        let service = TraceServiceServer::new(kept.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, kept, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn will_be_unavailable(&self, times: usize) {
        self.kept.with(|kept| kept.statuses.extend(std::iter::repeat_n(503, times)));
    }

    pub(crate) async fn spans(&self, count: usize) -> Vec<Seen> {
        self.kept.spans(count).await
    }

    pub(crate) fn messages(&self) -> usize {
        self.kept.with(|kept| kept.messages)
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.kept.with(|kept| kept.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }
}

impl Drop for GrpcCollector {
    fn drop(&mut self) {
        self.task.abort();
    }
}
