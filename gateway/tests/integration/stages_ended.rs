//! What stages are told at the end of a request: once for each on which they looked, whatever the end was, and what its
//! record says.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use gateway::prelude::{BalancePolicy, Candidates, EndedRequest, RequestInfo, Stage, StageRequest};
use http::StatusCode;
use mocks::{Effect, Rule};
use serde_json::Value;

use crate::support::{Gateway, echo, eventually, nowhere};

const GET: &str = "GET /a?secret HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// What an audit has written down: ids, what it had put beside the request, and the end.
type Told = (String, String, Option<&'static str>, EndedRequest);

/// What a stage puts beside a request.
#[derive(Clone)]
struct Mark(&'static str);

/// Writes down how requests ended, and counts those that began.
#[derive(Clone, Default)]
struct Audit(Arc<Mutex<Vec<Told>>>, Arc<AtomicUsize>);

impl Stage for Audit {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        request.extensions_mut().insert(Mark("seen"));
        self.1.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    }

    fn ended(&self, request: &RequestInfo, ended: &EndedRequest) {
        let mark = request.extension::<Mark>().map(|mark| mark.0);
        let ids = (request.request_id.to_string(), request.trace_id().to_owned());
        self.0.lock().unwrap().push((ids.0, ids.1, mark, ended.clone()));
    }
}

impl Audit {
    /// The only end that it was told of, once it was.
    async fn one(&self) -> Told {
        eventually("an end is told", || !self.0.lock().unwrap().is_empty()).await;
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

/// Gives requests and answers trouble.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Refuse,
    Panic,
    Hang,
    PanicBehind,
    HangBehind,
}

impl Stage for Trouble {
    async fn request(&self, _: &mut StageRequest<'_>) -> ControlFlow<Response> {
        match self {
            Self::Refuse => ControlFlow::Break((StatusCode::IM_A_TEAPOT, "no").into_response()),
            Self::Panic => panic!("a bug in the program"),
            Self::Hang => std::future::pending().await,
            _ => ControlFlow::Continue(()),
        }
    }

    async fn response(&self, _: &RequestInfo, response: Response) -> Response {
        match self {
            Self::PanicBehind => panic!("a bug in the program"),
            Self::HangBehind => std::future::pending().await,
            _ => response,
        }
    }
}

fn text(upstream: &str, keys: &str) -> String {
    format!("[[routes]]\nname = 'all'\npath = '/{{*rest}}'\n{upstream}\nstages = ['audit', 'trouble']\n{keys}\n")
}

async fn audited(text: &str, trouble: Trouble) -> (Gateway, Audit) {
    let audit = Audit::default();
    let gateway = Gateway::built(text, |builder| {
        let handler = any(|| async { "own" });
        let panics = any(|| async { panic!("a bug in the program") as &'static str });
        let builder = builder.stage("audit", audit.clone()).stage("trouble", trouble);
        builder.handler("own", handler).handler("panics", panics)
    })
    .await;
    (gateway, audit)
}

/// What was told is what the record says.
fn same(told: &Told, record: &Value) {
    let (request_id, trace_id, mark, ended) = told;
    assert_eq!((&record["request_id"], &record["trace_id"]), (&Value::from(&**request_id), &Value::from(&**trace_id)));
    assert_eq!(*mark, Some("seen"), "{record}");
    let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    for (name, value) in [
        ("method", Value::from(ended.method.as_str())),
        ("path", Value::from(&*ended.path)),
        ("status", Value::from(ended.status.as_u16())),
        ("code", Value::from(ended.code)),
        ("fault", optional(ended.fault)),
        ("ended", Value::from(ended.ended)),
        ("upstream", optional(ended.upstream.as_deref())),
        ("endpoint", optional(ended.endpoint.as_deref())),
        ("attempts", Value::from(ended.attempts)),
        ("bytes_in", Value::from(ended.bytes_in)),
        ("bytes_out", Value::from(ended.bytes_out)),
        ("total_us", Value::from(u64::try_from(ended.took.as_micros()).unwrap())),
        ("upstream_us", ended.waited.map_or(Value::Null, |it| u64::try_from(it.as_micros()).unwrap().into())),
    ] {
        assert_eq!(record[name], value, "{name} of {record}");
    }
    assert!(ended.unix_us > 0);
}

#[tokio::test]
async fn whatever_became_of_a_request_its_stages_are_told_once() {
    let upstream = echo().await;
    let up = format!("upstream = 'http://{}'", upstream.addr());
    let gone = format!("upstream = 'http://{}'", nowhere());
    for (to, keys, trouble, effect, status, code) in [
        (&*up, "", Trouble::None, Effect::None, 200, "ok"),
        (&up, "", Trouble::Refuse, Effect::None, 418, "ok"),
        (&up, "", Trouble::Panic, Effect::None, 500, "internal"),
        (&up, "timeout = '100ms'", Trouble::Hang, Effect::None, 504, "upstream_timeout"),
        (&up, "", Trouble::PanicBehind, Effect::None, 500, "internal"),
        (&up, "timeout = '100ms'", Trouble::HangBehind, Effect::None, 504, "upstream_timeout"),
        (&up, "timeout = '100ms'", Trouble::None, Effect::Hang, 504, "upstream_timeout"),
        (&gone, "", Trouble::None, Effect::None, 502, "upstream_connect"),
        ("handler = 'own'", "", Trouble::None, Effect::None, 200, "ok"),
        ("handler = 'panics'", "", Trouble::None, Effect::None, 500, "internal"),
        ("answer = {}", "", Trouble::None, Effect::None, 200, "ok"),
    ] {
        upstream.set_rules([Rule::any().effect(effect)]);
        let (gateway, audit) = audited(&text(to, keys), trouble).await;
        let answer = gateway.ask(GET).await;
        assert_eq!(answer.status, status, "{to} {keys}");
        let (told, record) = (audit.one().await, gateway.record().await);
        assert_eq!(record["code"], code, "{record}");
        same(&told, &record);
        gateway.at_rest().await;
        assert!(audit.0.lock().unwrap().is_empty(), "once");
    }
}

#[tokio::test]
async fn clients_that_leave_have_ended_it() {
    for (trouble, rule, status) in [
        (Trouble::Hang, Rule::any(), 499),
        (Trouble::HangBehind, Rule::any(), 499),
        (Trouble::None, Rule::any().effect(Effect::Hang), 499),
        (Trouble::None, Rule::any().body(&"b".repeat(1 << 20)).slow_body(1 << 10), 200),
    ] {
        let upstream = echo().await;
        let up = format!("upstream = 'http://{}'", upstream.addr());
        upstream.set_rules([rule]);
        let (gateway, audit) = audited(&text(&up, ""), trouble).await;
        let mut client = gateway.client().await;
        client.send(GET).await;
        let is_under_way = || match trouble {
            Trouble::Hang => audit.1.load(Ordering::Relaxed) == 1,
            _ => !upstream.journal().is_empty() || gateway.in_flight() > 0,
        };
        eventually("it is under way", is_under_way).await;
        if status == 200 {
            client.head().await;
        }
        client.reset();
        let (told, record) = (audit.one().await, gateway.record().await);
        assert_eq!((told.3.status.as_u16(), told.3.ended, told.3.fault), (status, "client_left", Some("client")));
        same(&told, &record);
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_and_a_tunnel_are_told_of_at_their_ends() {
    let upstream = echo().await;
    let up = format!("upstream = 'http://{}'", upstream.addr());
    let (gateway, audit) = audited(&text(&up, ""), Trouble::None).await;
    let mut client = gateway.client().await;
    let handshake = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(client.ask(handshake).await.status, 101);
    assert!(audit.0.lock().unwrap().is_empty(), "it lasts");
    client.send([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.bytes(2).await, [0x88, 0]);
    client.finish().await;
    client.closed().await;
    let (told, record) = (audit.one().await, gateway.records(1).await.remove(0));
    assert_eq!((told.3.status.as_u16(), told.3.bytes_out), (101, 2));
    same(&told, &record);
    upstream.set_rules([Rule::any().effect(Effect::Truncate(Some(10)))]);
    let mut client = gateway.client().await;
    client.send(GET).await;
    let _ = client.rest().await;
    let (told, record) = (audit.one().await, gateway.records(2).await.remove(1));
    assert_eq!((told.3.ended, told.3.fault), ("upstream_cut", Some("upstream")));
    same(&told, &record);
}

#[tokio::test]
async fn who_did_not_look_is_not_told() {
    let upstream = echo().await;
    let text = format!(
        "[rate_limits.few]\nrate = '1/h'\nburst = 1\nkey = 'global'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\nrate_limits = ['few']\n\
         stages = ['trouble', 'audit']\n",
        upstream.addr()
    );
    let (gateway, audit) = audited(&text, Trouble::Refuse).await;
    for status in [418, 429] {
        assert_eq!(gateway.get("/a").await.status, status);
    }
    gateway.records(2).await;
    gateway.at_rest().await;
    assert!(audit.0.lock().unwrap().is_empty());
}

/// Fails when it is told.
struct Fails;

impl Stage for Fails {
    fn ended(&self, _: &RequestInfo, _: &EndedRequest) {
        panic!("a bug in the program");
    }
}

/// Fails when it is asked.
struct NoPolicy;

impl BalancePolicy for NoPolicy {
    fn pick(&self, _: &Candidates<'_>) -> Option<usize> {
        panic!("a bug in the program")
    }
}

#[tokio::test]
async fn a_panic_in_it_harms_nobody() {
    let (upstream, other) = (echo().await, echo().await);
    let text = |balance: &str| {
        format!(
            "[upstreams.up]\nendpoints = ['{}', '{}']\n{balance}\n\
             [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nstages = ['audit', 'fails', 'fails_too']\n",
            upstream.addr(),
            other.addr()
        )
    };
    for (balance, status, panics) in [("", 200, 4.0), ("balance = { policy = 'custom', name = 'none' }", 500, 6.0)] {
        let audit = Audit::default();
        let gateway = Gateway::built(&text(balance), |builder| {
            let builder = builder.stage("audit", audit.clone()).stage("fails", Fails).stage("fails_too", Fails);
            builder.balancer("none", NoPolicy)
        })
        .await;
        for count in 1..=2 {
            assert_eq!(gateway.ask(GET).await.status, status);
            let (told, mut records) = (audit.one().await, gateway.records(count).await);
            same(&told, &records.remove(count - 1));
        }
        assert_eq!(gateway.metric("gateway_panics_total").await, Some(panics), "{balance}");
        gateway.at_rest().await;
    }
}

/// Keeps the body of an answer until it is told that this is over, and answers without it.
#[derive(Default)]
struct Keeps(Mutex<Vec<Body>>);

impl Stage for Keeps {
    async fn response(&self, _: &RequestInfo, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        self.0.lock().unwrap().push(body);
        Response::from_parts(parts, Body::from("instead"))
    }

    fn ended(&self, _: &RequestInfo, _: &EndedRequest) {
        self.0.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn what_was_kept_of_an_answer_can_be_let_go_of_at_its_end() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().body(&"b".repeat(1 << 20)).slow_body(1 << 16)]);
    let up = format!("upstream = 'http://{}'", upstream.addr());
    let audit = Audit::default();
    let gateway = Gateway::built(&text(&up, ""), |builder| {
        builder.stage("audit", audit.clone()).stage("trouble", Keeps::default())
    })
    .await;
    let answer = gateway.ask(GET).await;
    assert_eq!(answer.body, b"instead");
    let told = audit.one().await;
    assert_eq!((told.3.ended, told.3.bytes_out), ("complete", 7));
    gateway.at_rest().await;
}

#[tokio::test]
async fn each_request_of_a_connection_is_told_of_by_itself() {
    let upstream = echo().await;
    let up = format!("upstream = 'http://{}'", upstream.addr());
    let (gateway, audit) = audited(&text(&up, ""), Trouble::None).await;
    let mut client = gateway.client().await;
    for count in 1..=3 {
        assert_eq!(client.ask(GET).await.status, 200);
        eventually("it is told", || audit.0.lock().unwrap().len() == count).await;
    }
    let records = gateway.records(3).await;
    for (told, record) in audit.0.lock().unwrap().iter().zip(&records) {
        same(told, record);
    }
}
