//! HTTP/2 by prior knowledge, against h2's own server.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use loadgen::clock::Clock;
use loadgen::engine::{Load, Model, Pacing, Schedule, Settings, run_all};
use loadgen::plan::{Arrivals, Plan};
use loadgen::recorder::Recorder;
use loadgen::request::{Mix, Protocol, Template};
use loadgen::sample::Totals;
use loadgen::target::Target;

/// What the server counted.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    body_bytes: AtomicU64,
    most_at_once: AtomicU64,
}

/// How the server answers the request with this number (from 1).
type Script = fn(u64, &mut SendResponse<Bytes>);

fn answer_ok(_: u64, respond: &mut SendResponse<Bytes>) {
    let head = Response::builder().status(200).header("x-mock-residence-ns", "1").body(()).unwrap();
    let mut body = respond.send_response(head, false).unwrap();
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    body.send_trailers(trailers).unwrap();
}

fn serve(script: Script) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                tokio::task::spawn_local(connection(socket, script, Arc::clone(&counted)));
            }
        });
    });
    (address, seen)
}

async fn connection(socket: tokio::net::TcpStream, script: Script, seen: Arc<Seen>) {
    // The driver's first look whether anyone is there says nothing.
    let Ok(mut connection) = h2::server::Builder::new().max_concurrent_streams(4).handshake(socket).await else {
        return;
    };
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let open = Arc::new(AtomicU64::new(0));
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(answer(request, respond, script, Arc::clone(&seen), Arc::clone(&open)));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: Script,
    seen: Arc<Seen>,
    open: Arc<AtomicU64>,
) {
    seen.most_at_once.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        seen.body_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    // Those that came together are here together.
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    open.fetch_sub(1, Ordering::Relaxed);
    script(seen.requests.fetch_add(1, Ordering::Relaxed) + 1, &mut respond);
}

fn settings(address: SocketAddr, model: Model, streams: usize, body: &[u8]) -> Settings {
    let mut template = Template::get("t", Target::parse(&format!("http://{address}/x/{{seq}}"), false).unwrap());
    template.body = body.to_vec();
    if !body.is_empty() {
        template.method = "POST".to_owned();
    }
    template.expect.body_bytes = Some(5);
    Settings {
        mix: Mix::new(&[template], 1).unwrap().speaking(Protocol::Http2 { streams }).unwrap(),
        model,
        connections: 2,
        max_in_flight: 64,
        timeout: Duration::from_millis(500),
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn measure(settings: Settings, pacing: Pacing) -> (Totals, Recorder) {
    let clock = Clock::start();
    let mut recorder = Recorder::new("steady", 0);
    let load = Load { settings, observer: &mut recorder };
    let totals = run_all(vec![load], clock, Schedule { start_ns: clock.now_ns(), pacing }).unwrap();
    (totals[0], recorder)
}

#[test]
fn a_closed_run_sends_exactly_what_was_asked_on_few_connections() {
    let (address, seen) = serve(answer_ok);
    let model = Model::Closed { requests: Some(500), duration: None };
    let (totals, recorder) = measure(settings(address, model, 8, b""), Pacing::Sleep);
    let phase = &recorder.phases()[0];
    assert_eq!((totals.finished, phase.ok, phase.body_bytes), (500, 500, 2_500), "{:?}", phase.failures);
    assert_eq!((seen.requests.load(Ordering::Relaxed), totals.connections), (500, 2));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 2);
    // Eight are asked for, and the server allows four.
    assert!((2..=4).contains(&seen.most_at_once.load(Ordering::Relaxed)), "{seen:?}");
    assert_eq!(phase.added.len(), 500);
}

#[test]
fn an_open_run_follows_its_plan_and_large_bodies_arrive_whole() {
    let body = vec![b'x'; 300_000];
    for pacing in [Pacing::Sleep, Pacing::Spin] {
        let (address, seen) = serve(answer_ok);
        let plan = Plan::new(Arrivals::Poisson, 100.0, 300_000_000, 3);
        let planned = plan.summary().arrivals;
        let (totals, recorder) = measure(settings(address, Model::Open(plan), 8, &body), pacing);
        assert_eq!(
            (totals.finished, recorder.phases()[0].ok),
            (planned, planned),
            "{:?}",
            recorder.phases()[0].failures
        );
        assert_eq!(seen.body_bytes.load(Ordering::Relaxed), planned * 300_000);
    }
}

#[test]
fn each_kind_of_bad_end_is_counted_as_what_it_is() {
    let cases: [(Script, &str, u16); 3] = [
        (|_, respond| respond.send_reset(Reason::INTERNAL_ERROR), "reset", 0),
        (
            |_, respond| {
                let head = Response::builder().status(200).body(()).unwrap();
                let mut body = respond.send_response(head, false).unwrap();
                body.send_data(Bytes::from_static(b"cut"), true).unwrap();
            },
            "length",
            200,
        ),
        (
            |_, respond| {
                // The head alone; what would end the stream is kept for ever.
                let head = Response::builder().status(200).body(()).unwrap();
                std::mem::forget(respond.send_response(head, false).unwrap());
            },
            "timeout",
            200,
        ),
    ];
    for (script, failure, status) in cases {
        let (address, _) = serve(script);
        let model = Model::Closed { requests: Some(6), duration: None };
        let (totals, recorder) = measure(settings(address, model, 2, b""), Pacing::Sleep);
        let phase = &recorder.phases()[0];
        assert_eq!((totals.finished, phase.failed), (6, 6), "{failure}: {:?}", phase.failures);
        assert_eq!((phase.failures[failure], phase.status[&status]), (6, 6), "{:?}", phase.failures);
    }
}

#[test]
fn a_server_that_hangs_up_fails_what_it_had_and_the_run_goes_on() {
    // A listener that closes each connection at once: nothing is ever answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(drop));
    let plan = Plan::new(Arrivals::Constant, 100.0, 200_000_000, 3);
    let (totals, recorder) = measure(settings(address, Model::Open(plan), 2, b""), Pacing::Sleep);
    assert_eq!((totals.finished, recorder.phases()[0].failed), (20, 20));
    assert!(totals.connections > 2, "{totals:?}");
}

#[test]
fn a_path_that_is_no_uri_is_refused() {
    let target = Target::parse("http://127.0.0.1:9/<a>", false).unwrap();
    let mix = Mix::new(&[Template::get("t", target)], 1).unwrap();
    let error = mix.speaking(Protocol::Http2 { streams: 1 }).unwrap_err();
    assert!(error.to_string().contains("request line `GET /<a> HTTP/1.1`"), "{error}");
}
