//! The engine against small servers in this process: what is counted, dropped, opened again and given up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use loadgen::clock::Clock;
use loadgen::engine::{Model, RunError, Settings, run};
use loadgen::plan::{Arrivals, Plan};
use loadgen::recorder::Recorder;
use loadgen::request::{Mix, Template};
use loadgen::sample::{Outcome, Sample, Totals};
use loadgen::target::Target;

/// What the server writes after the n-th request of a connection (from 1); `None` closes the connection.
type Script = fn(u64) -> Option<&'static str>;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that answers by a script, and how many connections it took.
fn serve(script: Script) -> (Target, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || answer_all(stream, script));
        }
    });
    (Target::parse(&url, false).unwrap(), accepted)
}

fn answer_all(mut stream: TcpStream, script: Script) {
    let mut piece = [0; 4096];
    let mut seen = Vec::new();
    for number in 1.. {
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
                _ => return,
            }
        }
        seen.clear();
        let Some(text) = script(number) else { return };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn settings(target: Target, model: Model) -> Settings {
    Settings {
        mix: Mix::new(&[Template::get("t", target)], 1).unwrap(),
        model,
        connections: 4,
        max_in_flight: 8,
        timeout: Duration::from_secs(60),
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn closed(requests: u64) -> Model {
    Model::Closed { requests: Some(requests), duration: None }
}

fn measure(settings: Settings) -> (Totals, Recorder) {
    let clock = Clock::start();
    let mut recorder = Recorder::new("steady", 0);
    let totals = run(settings, clock, &mut recorder).unwrap();
    (totals, recorder)
}

#[test]
fn a_closed_run_sends_exactly_what_was_asked_on_kept_connections() {
    let (target, accepted) = serve(|_| Some(OK));
    let (totals, recorder) = measure(settings(target, closed(1_000)));
    assert_eq!((totals.started, totals.finished, totals.not_ok), (1_000, 1_000, 0));
    assert_eq!(totals.connections, 4);
    // One more: the look whether anyone is there.
    assert_eq!(accepted.load(Ordering::Relaxed), 5);
    assert_eq!((recorder.phases()[0].ok, recorder.phases()[0].body_bytes), (1_000, 2_000));
}

#[test]
fn a_connection_that_says_close_is_replaced_and_nothing_fails() {
    let (target, _) = serve(|number| {
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        if number == 10 { Some(last) } else { Some(OK) }
    });
    let (totals, _) = measure(settings(target, closed(400)));
    assert_eq!((totals.finished, totals.not_ok), (400, 0));
    assert!(totals.connections >= 40, "{}", totals.connections);
}

#[test]
fn each_kind_of_bad_answer_is_counted_as_what_it_is() {
    // Only what is to be late has little time: any answer may be late on a busy machine.
    let patient = Duration::from_secs(60);
    let cases: [(Script, &str, u16, u64, Duration); 4] = [
        (|_| None, "closed", 0, 20, patient),
        (|_| Some("nonsense\r\n\r\n"), "malformed", 0, 20, patient),
        (|_| Some("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"), "length", 200, 20, patient),
        (|_| Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut"), "timeout", 200, 4, Duration::from_secs(1)),
    ];
    for (script, failure, status, count, timeout) in cases {
        let (target, _) = serve(script);
        let mut template = Template::get("t", target.clone());
        template.expect.body_bytes = Some(2);
        let mut settings = settings(target, closed(count));
        settings.mix = Mix::new(&[template], 1).unwrap();
        settings.timeout = timeout;
        let (totals, recorder) = measure(settings);
        let phase = &recorder.phases()[0];
        assert_eq!((totals.finished, phase.failed), (count, count), "{failure}");
        assert_eq!(phase.failures[failure], count, "{failure}: {:?}", phase.failures);
        assert_eq!(phase.status[&status], count, "{failure}");
    }
}

#[test]
fn an_answer_with_another_header_than_expected_is_a_failure_of_its_own_kind() {
    let script: Script = |number| match number {
        1..=10 => Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Tenant: blue\r\n\r\nok"),
        11..=13 => Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Tenant: red\r\n\r\nok"),
        14..=18 => Some(OK),
        _ => Some("HTTP/1.1 429 X\r\ncontent-length: 2\r\n\r\nok"),
    };
    for (expected, wrong) in [("x-tenant: blue", 8), ("x-tenant", 5), ("!x-tenant", 13)] {
        let (target, _) = serve(script);
        let mut template = Template::get("t", target.clone());
        template.expect.headers = vec![expected.parse().unwrap()];
        let mut settings = settings(target, closed(20));
        (settings.mix, settings.connections) = (Mix::new(&[template], 1).unwrap(), 1);
        let (_, recorder) = measure(settings);
        let phase = &recorder.phases()[0];
        assert_eq!((phase.ok, phase.failed, phase.rejected), (18 - wrong, wrong, 2), "{expected}");
        assert_eq!(phase.failures["header"], wrong, "{expected}: a status that is wrong says it all");
    }
}

#[test]
fn refusals_and_wrong_requests_are_told_apart() {
    let cases: [(Script, Outcome); 4] = [
        (|_| Some("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"), Outcome::Rejected),
        (|_| Some("HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n"), Outcome::Rejected),
        (|_| Some("HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n"), Outcome::ClientError),
        (|_| Some("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"), Outcome::Failed),
    ];
    for (script, outcome) in cases {
        let (target, _) = serve(script);
        let (_, recorder) = measure(settings(target, closed(5)));
        let phase = &recorder.phases()[0];
        let counts = [phase.ok, phase.rejected, phase.failed, phase.client_error];
        let expected = match outcome {
            Outcome::Ok => [5, 0, 0, 0],
            Outcome::Rejected => [0, 5, 0, 0],
            Outcome::Failed => [0, 0, 5, 0],
            Outcome::ClientError => [0, 0, 0, 5],
        };
        assert_eq!(counts, expected, "{outcome:?}");
    }
}

#[test]
fn an_open_run_follows_its_plan() {
    let (target, _) = serve(|_| Some(OK));
    let plan = Plan::new(Arrivals::Poisson, 1_000.0, 300_000_000, 3);
    let planned = plan.summary().arrivals;
    let (totals, recorder) = measure(settings(target, Model::Open(plan)));
    assert_eq!(totals.started + totals.dropped, planned);
    assert_eq!(recorder.phases()[0].requests() + recorder.phases()[0].dropped, planned);
    assert_eq!(recorder.pacer_lag().len(), planned);
    // The last arrival is near the plan's end, and nothing is sent before its time.
    assert!(totals.wall_ns >= 250_000_000, "{}", totals.wall_ns);
}

#[test]
fn an_open_run_drops_and_counts_what_is_beyond_its_bound() {
    // The server reads and never answers, so eight requests stay in flight and all others find the bound reached.
    let (target, _) = serve(|_| Some(""));
    let plan = Plan::new(Arrivals::Constant, 500.0, 200_000_000, 1);
    let mut settings = settings(target, Model::Open(plan));
    // Long after the plan's end, or one of the eight would make room for another.
    settings.timeout = Duration::from_secs(2);
    let (totals, recorder) = measure(settings);
    let phase = &recorder.phases()[0];
    assert_eq!((totals.started, totals.dropped), (8, 92));
    assert_eq!((phase.failed, phase.dropped, phase.failures["timeout"]), (8, 92, 8));
}

#[test]
fn latency_counts_from_the_intended_time() {
    // One connection at most, and a server that takes a while: what waits is dropped or late, never forgotten.
    let (target, _) = serve(|_| Some(OK));
    struct Check(u64);
    impl loadgen::sample::Observer for Check {
        fn sample(&mut self, sample: &Sample) {
            assert!(sample.intended_ns <= sample.sent_ns && sample.sent_ns <= sample.head_ns);
            assert!(sample.head_ns <= sample.end_ns && sample.latency_ns() >= sample.service_ns());
            self.0 += 1;
        }
        fn dropped(&mut self, _: u64) {}
        fn lag(&mut self, _: u64, _: u64) {}
        fn tick(&mut self, _: u64, _: &Totals) {}
    }
    let mut check = Check(0);
    let plan = Plan::new(Arrivals::Constant, 1_000.0, 100_000_000, 1);
    let totals = run(settings(target, Model::Open(plan)), Clock::start(), &mut check).unwrap();
    assert_eq!((check.0, totals.started), (100 - totals.dropped, 100 - totals.dropped));
}

#[test]
fn several_targets_each_get_their_own_requests() {
    let (one, accepted_one) = serve(|_| Some(OK));
    let (two, accepted_two) = serve(|_| Some("HTTP/1.1 201 Made\r\ncontent-length: 0\r\n\r\n"));
    let templates = [Template::get("one", one), Template::get("two", two)];
    let mut settings = settings(templates[0].target.clone(), closed(200));
    settings.mix = Mix::new(&templates, 1).unwrap();
    let (_, recorder) = measure(settings);
    let phase = &recorder.phases()[0];
    assert_eq!(phase.status.values().sum::<u64>(), 200);
    assert!(phase.status[&200] > 0 && phase.status[&201] > 0);
    assert_eq!((accepted_one.load(Ordering::Relaxed), accepted_two.load(Ordering::Relaxed)), (3, 3));
}

#[test]
fn nobody_there_is_told_before_anything_is_sent() {
    // Bound, and not listening: a port that was only free a moment ago may be another test's by now.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let free = bound.local_addr().unwrap().as_socket().unwrap();
    let target = Target::parse(&format!("http://{free}/"), false).unwrap();
    let mut recorder = Recorder::new("steady", 0);
    let result = run(settings(target, closed(1)), Clock::start(), &mut recorder);
    assert!(matches!(result, Err(RunError::Connect { address, .. }) if address == free));
}

#[test]
fn a_stopped_run_ends_and_keeps_what_it_has() {
    let (target, _) = serve(|_| Some(OK));
    let mut settings = settings(target, Model::Closed { requests: None, duration: None });
    let stop = Arc::clone(&settings.stop);
    struct StopAfter(Arc<AtomicBool>, u64);
    impl loadgen::sample::Observer for StopAfter {
        fn sample(&mut self, _: &Sample) {
            self.1 += 1;
            if self.1 == 100 {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        fn dropped(&mut self, _: u64) {}
        fn lag(&mut self, _: u64, _: u64) {}
        fn tick(&mut self, _: u64, _: &Totals) {}
    }
    settings.connections = 1;
    let mut observer = StopAfter(stop, 0);
    let totals = run(settings, Clock::start(), &mut observer).unwrap();
    assert_eq!((totals.finished, observer.1), (100, 100));
}

#[test]
fn who_waits_for_an_answer_in_vain_has_waited_for_the_limit_and_no_longer() {
    struct Longest(u64, u64);
    impl loadgen::sample::Observer for Longest {
        fn sample(&mut self, sample: &Sample) {
            assert_eq!(sample.failure, Some(loadgen::sample::Failure::Timeout));
            (self.0, self.1) = (self.0.max(sample.service_ns()), self.1 + 1);
        }
        fn dropped(&mut self, _: u64) {}
        fn lag(&mut self, _: u64, _: u64) {}
        fn tick(&mut self, _: u64, _: &Totals) {}
    }
    let (target, _) = serve(|_| Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut"));
    let timeout = Duration::from_millis(130);
    let mut longest = Longest(0, 0);
    run(Settings { timeout, ..settings(target, closed(12)) }, Clock::start(), &mut longest).unwrap();
    assert_eq!(longest.1, 12);
    assert!(longest.0 <= 130_000_000, "{} ns", longest.0);
}
