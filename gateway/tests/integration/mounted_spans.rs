//! Whose request it was: ids for what the program logs itself, and the spans of the crate `tracing` (feature `tracing`)
//! around its handlers, stages and providers.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::get;
use gateway::gateway::Gateway;
use gateway::prelude::{
    Denied, EndedRequest, Granted, IdentityProvider, IdentityRequest, LimitRequest, RequestInfo, Stage, StageRequest,
};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What was said, each with the fields of the spans around it, outermost first.
#[derive(Default)]
struct Heard {
    next: AtomicU64,
    spans: Mutex<HashMap<u64, String>>,
    entered: Mutex<Vec<u64>>,
    said: Mutex<Vec<String>>,
}

/// Hears all of one thread.
#[derive(Clone)]
struct Hears(Arc<Heard>);

/// The fields of a span or an event, as text.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {}={value}", field.name());
    }
}

impl Subscriber for Hears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "gateway" || metadata.target().ends_with("mounted_spans")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        let id = self.0.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.spans.lock().unwrap().insert(id, fields.0);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let spans = self.0.spans.lock().unwrap();
        let around: Vec<&str> = self.0.entered.lock().unwrap().iter().map(|id| &*spans[id]).collect();
        self.0.said.lock().unwrap().push(format!("{}:{}", around.join(" > "), fields.0));
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.entered.lock().unwrap().pop(), Some(span.into_u64()), "spans are left as they were entered");
    }
}

/// Says where it is, and waits within, as what asks others does.
struct Says;

impl Stage for Says {
    async fn request(&self, _: &mut StageRequest<'_>) -> ControlFlow<Response> {
        tokio::task::yield_now().await;
        tracing::info!("before");
        ControlFlow::Continue(())
    }

    async fn response(&self, _: &RequestInfo, response: Response) -> Response {
        tokio::task::yield_now().await;
        tracing::info!("after");
        response
    }

    fn ended(&self, _: &RequestInfo, ended: &EndedRequest) {
        tracing::info!(status = ended.status.as_u16(), "ended");
    }
}

/// Notes for whom it is asked.
struct Tickets(Arc<Mutex<Vec<String>>>);

impl IdentityProvider for Tickets {
    async fn identify(&self, _: &str) -> Result<Granted, Denied> {
        Err(Denied::Invalid)
    }

    async fn identify_for(&self, ticket: &str, request: &IdentityRequest<'_>) -> Result<Granted, Denied> {
        tracing::info!("asked");
        self.0.lock().unwrap().push(format!("{} {} {}", request.request_id, request.trace_id, request.route));
        Ok(Granted::to(ticket))
    }
}

/// The ids that a handler finds.
async fn found(Extension(info): Extension<RequestInfo>) -> String {
    tokio::task::yield_now().await;
    tracing::info!("handled");
    format!("{} {} {}", info.request_id, info.trace_id(), info.route)
}

const TEXT: &str = "
    [telemetry.access_log]
    output = 'off'
    [identity.providers.tickets]
    kind = 'custom'
    name = 'tickets'
    [rate_limits.each]
    rate = '1/h'
    burst = 9
    key = 'custom:noted'
    [[routes]]
    name = 'own'
    path = '/'
    handler = 'found'
    stages = ['says']
    auth = { providers = ['tickets'] }
    rate_limits = ['each']
";

#[tokio::test]
async fn what_the_programs_code_says_and_finds_names_request_trace_and_route() {
    let heard = Hears(Arc::default());
    let _hears = tracing::subscriber::set_default(heard.clone());
    let (asked, counted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let counts = Arc::clone(&counted);
    let gateway = Gateway::builder()
        .config_text(TEXT)
        .handler("found", get(found))
        .stage("says", Says)
        .identity("tickets", Tickets(Arc::clone(&asked)))
        .limit_key("noted", move |request: &LimitRequest<'_>| {
            counts.lock().unwrap().push(format!("{} {} {}", request.request_id, request.trace_id, request.route));
            None
        })
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let request = http::Request::get("/").header("host", "a").header("authorization", "Bearer ada");
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-00")).body(Body::empty()).unwrap();
    let answer = gateway.into_service().oneshot(request).await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = to_bytes(Body::new(answer.into_body()), 1 << 10).await.unwrap();
    let whose = format!("{id} {TRACE} own");
    assert_eq!(body, whose.as_bytes());
    assert_eq!((&asked.lock().unwrap()[..], &counted.lock().unwrap()[..]), (&[whose.clone()][..], &[whose][..]));
    let fields = |name: &str| format!("name={name} request_id={id} trace_id={TRACE} route=own");
    assert_eq!(
        *heard.0.said.lock().unwrap(),
        [
            format!("identity {}: message=asked", fields("tickets")),
            format!("stage_request {}: message=before", fields("says")),
            format!("handler {}: message=handled", fields("found")),
            format!("stage_response {}: message=after", fields("says")),
            format!("stage_ended {}: message=ended status=200", fields("says")),
        ]
    );
    assert!(heard.0.entered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_without_a_trace_is_the_first_of_its_own() {
    let text = "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/'\nhandler = 'found'\nstages = ['says']\n";
    let builder = Gateway::builder().config_text(text).handler("found", get(found)).stage("says", Says);
    let service = builder.build().unwrap_or_else(|error| panic!("{error}")).into_service();
    let mut traces = Vec::new();
    for _ in 0..2 {
        let request = http::Request::get("/").header("host", "a").body(Body::empty()).unwrap();
        let body =
            to_bytes(Body::new(service.clone().oneshot(request).await.unwrap().into_body()), 1 << 10).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        traces.push(body.split(' ').nth(1).unwrap().to_owned());
    }
    assert!(traces.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{traces:?}");
    assert_ne!(traces[0], traces[1]);
}
