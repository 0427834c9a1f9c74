//! HTTP/2 by prior knowledge, against h2's own server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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

/// A request's time where none is meant to be late.
const PATIENT: Duration = Duration::from_secs(60);

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
    serve_few(script, u64::MAX)
}

/// A server that says goodbye to each connection at its request with this number.
fn serve_few(script: Script, last: u64) -> (SocketAddr, Arc<Seen>) {
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
                tokio::task::spawn_local(connection(socket, script, last, Arc::clone(&counted)));
            }
        });
    });
    (address, seen)
}

async fn connection(socket: tokio::net::TcpStream, script: Script, last: u64, seen: Arc<Seen>) {
    let Ok(mut connection) = h2::server::Builder::new().max_concurrent_streams(4).handshake(socket).await else {
        return;
    };
    let open = Arc::new(AtomicU64::new(0));
    let mut number = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        number += 1;
        // The driver's first look whether HTTP/2 is spoken asks for nothing.
        seen.connections.fetch_add(u64::from(number == 1), Ordering::Relaxed);
        if number == last {
            connection.graceful_shutdown();
        }
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
        timeout: PATIENT,
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
        // Only what is to be late has little time: any answer may be late on a busy machine.
        let (count, timeout) = if failure == "timeout" { (4, Duration::from_secs(1)) } else { (6, PATIENT) };
        let model = Model::Closed { requests: Some(count), duration: None };
        let one = Settings { timeout, ..settings(address, model, 2, b"") };
        let (totals, recorder) = measure(one, Pacing::Sleep);
        let phase = &recorder.phases()[0];
        assert_eq!((totals.finished, phase.failed), (count, count), "{failure}: {:?}", phase.failures);
        assert_eq!((phase.failures[failure], phase.status[&status]), (count, count), "{:?}", phase.failures);
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
fn a_server_that_says_goodbye_answers_what_it_has_and_the_rest_goes_elsewhere() {
    let plan = Plan::new(Arrivals::Constant, 2_000.0, 200_000_000, 3);
    for model in [Model::Closed { requests: Some(400), duration: None }, Model::Open(plan)] {
        let (address, seen) = serve_few(answer_ok, 10);
        let patient = Settings { max_in_flight: 1_000, ..settings(address, model, 4, b"") };
        let (totals, recorder) = measure(patient, Pacing::Sleep);
        let phase = &recorder.phases()[0];
        assert_eq!((totals.started, totals.finished, phase.ok), (400, 400, 400), "{:?}", phase.failures);
        assert_eq!(seen.requests.load(Ordering::Relaxed), 400, "none is sent twice");
        // A goodbye is on its way for a moment, so that a connection has had more than ten.
        assert!(totals.connections > 10, "{totals:?}");
    }
}

/// What a server of single frames does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frames {
    /// The first connection says goodbye at its second request, which it has not taken up; others answer.
    RefuseOne,
    /// Every connection says goodbye at its first request, and takes none up.
    RefuseAll,
    /// Every connection answers so many requests, says goodbye with the last answer, and takes up nothing more, as
    /// nginx does with its `keepalive_requests`.
    AnswerFew(u32),
}

/// What such a server has seen.
#[derive(Debug, Default)]
struct Counted {
    /// Whether the one connection that refuses has refused.
    refused: AtomicBool,
    answered: AtomicU64,
    /// The most requests that any connection has had.
    most: AtomicU64,
}

fn serve_frames(frames: Frames) -> (SocketAddr, Arc<Counted>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counted = Arc::new(Counted::default());
    let counts = Arc::clone(&counted);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&counts);
            // The client leaves when it has what it wants.
            std::thread::spawn(move || speak_frames(stream, frames, &counts));
        }
    });
    (address, counted)
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn speak_frames(mut stream: TcpStream, frames: Frames, counted: &Counted) -> std::io::Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(SETTINGS, 0, 0, b""))?;
    let mut requests = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload)?;
        if head[3] != HEADERS {
            continue;
        }
        requests += 1;
        counted.most.fetch_max(u64::from(requests), Ordering::Relaxed);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        // `:status: 200` is the eighth of HPACK's table.
        let answer = |id| [frame(HEADERS, 4, id, &[0x88]), frame(DATA, 1, id, b"hello")].concat();
        let goodbye = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
        let answered = match frames {
            Frames::RefuseAll => goodbye(0),
            Frames::RefuseOne if counted.refused.load(Ordering::Relaxed) => answer(id),
            Frames::RefuseOne if requests == 1 => continue,
            Frames::RefuseOne => {
                counted.refused.store(true, Ordering::Relaxed);
                [goodbye(1), answer(1)].concat()
            }
            Frames::AnswerFew(few) if requests > few => continue,
            Frames::AnswerFew(few) => {
                counted.answered.fetch_add(1, Ordering::Relaxed);
                if requests == few { [answer(id), goodbye(id)].concat() } else { answer(id) }
            }
        };
        stream.write_all(&answered)?;
    }
}

#[test]
fn a_request_that_a_goodbye_refuses_is_sent_again() {
    let (address, _) = serve_frames(Frames::RefuseOne);
    let model = Model::Closed { requests: Some(6), duration: None };
    let settings = Settings { connections: 1, ..settings(address, model, 2, b"") };
    let (totals, recorder) = measure(settings, Pacing::Sleep);
    let phase = &recorder.phases()[0];
    assert_eq!((totals.started, totals.finished, phase.ok), (6, 6, 6), "{:?}", phase.failures);
    assert_eq!(totals.connections, 2);
}

#[test]
fn a_request_that_nobody_takes_up_has_failed() {
    let (address, _) = serve_frames(Frames::RefuseAll);
    let plan = Plan::new(Arrivals::Constant, 20.0, 200_000_000, 3);
    for (model, count) in [(Model::Closed { requests: Some(3), duration: None }, 3), (Model::Open(plan), 4)] {
        let patient = Settings { ..settings(address, model, 2, b"") };
        let (totals, recorder) = measure(patient, Pacing::Sleep);
        let phase = &recorder.phases()[0];
        assert_eq!((totals.finished, phase.failures["closed"]), (count, count), "{:?}", phase.failures);
    }
}

#[test]
fn a_server_that_takes_few_requests_a_connection_fails_none_however_many_come_together() {
    const STREAMS: usize = 30;
    let plan = Plan::new(Arrivals::Constant, 2_000.0, 150_000_000, 3);
    for few in [1, 7] {
        for model in [Model::Closed { requests: Some(300), duration: None }, Model::Open(plan.clone())] {
            let is_closed = matches!(model, Model::Closed { .. });
            let (address, counted) = serve_frames(Frames::AnswerFew(few));
            let patient = Settings { max_in_flight: 1_000, timeout: PATIENT, ..settings(address, model, STREAMS, b"") };
            let (totals, recorder) = measure(patient, Pacing::Sleep);
            let phase = &recorder.phases()[0];
            assert_eq!((totals.started, totals.finished, phase.ok), (300, 300, 300), "{:?}", phase.failures);
            assert_eq!(counted.answered.load(Ordering::Relaxed), 300, "each is answered once");
            // Of the closed model no connection ever has more than its places, and those that were answered on it.
            let most = counted.most.load(Ordering::Relaxed);
            assert!(!is_closed || most < STREAMS as u64 + u64::from(few), "{most} with {few}");
        }
    }
}

#[test]
fn a_path_that_is_no_uri_is_refused() {
    let target = Target::parse("http://127.0.0.1:9/<a>", false).unwrap();
    let mix = Mix::new(&[Template::get("t", target)], 1).unwrap();
    let error = mix.speaking(Protocol::Http2 { streams: 1 }).unwrap_err();
    assert!(error.to_string().contains("request line `GET /<a> HTTP/1.1`"), "{error}");
}
