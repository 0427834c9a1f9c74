//! The engine against the mocks of this workspace: what they saw is what was planned.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, thread_cpu_ns};
use loadgen::engine::{Load, Model, Pacing, Schedule, Settings, run_all, run_all_beside};
use loadgen::plan::{Arrivals, Plan};
use loadgen::recorder::Recorder;
use loadgen::request::header::Wanted;
use loadgen::request::{ExpectedHeader, Mix, Protocol, Template};
use loadgen::sample::{Observer, Sample, Totals};
use loadgen::target::Target;
use mocks::{Effect, Mock, Rule};

fn settings(url: &str, rate: f64, length_ns: u64) -> Settings {
    let template = Template::get("t", Target::parse(url, false).unwrap());
    Settings {
        mix: Mix::new(&[template], 7).unwrap(),
        model: Model::Open(Plan::new(Arrivals::Poisson, rate, length_ns, 7)),
        connections: 4,
        max_in_flight: 64,
        timeout: Duration::from_secs(60),
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn at_once(clock: &Clock, pacing: Pacing) -> Schedule {
    Schedule { start_ns: clock.now_ns(), pacing }
}

#[test]
fn the_mock_sees_the_requests_of_the_seed_in_order() {
    let paths = |seed| {
        let mock = Mock::builder().service("orders").launch().unwrap();
        let target = Target::parse(&mock.url("/orders/{zipf(1000)}/{seq}"), false).unwrap();
        let mut one = settings(&mock.url("/"), 500.0, 100_000_000);
        one.mix = Mix::new(&[Template::get("t", target)], seed).unwrap();
        // One connection and a closed loop keep the order that the journal shows.
        one.connections = 1;
        one.model = Model::Closed { requests: Some(50), duration: None };
        let clock = Clock::start();
        let mut recorder = Recorder::new("steady", 0);
        let load = Load { settings: one, observer: &mut recorder };
        run_all(vec![load], clock, at_once(&clock, Pacing::Sleep)).unwrap();
        assert_eq!(recorder.phases()[0].ok, 50);
        mock.journal().into_iter().map(|entry| entry.path).collect::<Vec<_>>()
    };
    let first = paths(1);
    assert_eq!(first.len(), 50);
    assert!(first[49].ends_with("/49"), "{}", first[49]);
    assert_eq!(first, paths(1));
    assert_ne!(first, paths(2));
}

#[test]
fn two_loads_on_one_thread_keep_their_own_plans_and_figures() {
    let orders = Mock::builder().service("orders").launch().unwrap();
    let users = Mock::builder().service("users").rule(Rule::any().status(503)).launch().unwrap();
    let loads = [(orders.url("/a"), 400.0), (users.url("/b"), 200.0)];
    for pacing in [Pacing::Sleep, Pacing::Spin] {
        let clock = Clock::start();
        let mut recorders = [Recorder::new("steady", 0), Recorder::new("steady", 0)];
        let planned: Vec<u64> = loads
            .iter()
            .map(|(_, rate)| Plan::new(Arrivals::Poisson, *rate, 200_000_000, 7).summary().arrivals)
            .collect();
        let each = recorders
            .iter_mut()
            .zip(&loads)
            .map(|(recorder, (url, rate))| Load { settings: settings(url, *rate, 200_000_000), observer: recorder });
        let totals = run_all(each.collect(), clock, at_once(&clock, pacing)).unwrap();
        let [orders, users] = &recorders;
        assert_eq!((orders.phases()[0].ok, users.phases()[0].failed), (planned[0], planned[1]), "{pacing:?}");
        assert_eq!((totals[0].finished, totals[1].finished), (planned[0], planned[1]));
        assert_eq!((orders.pacer_lag().len(), users.pacer_lag().len()), (planned[0], planned[1]));
    }
}

#[test]
fn a_503_of_the_service_is_its_failure_and_a_429_a_refusal() {
    for (status, expected) in [(503, [0, 4, 0]), (500, [0, 4, 0]), (429, [4, 0, 0]), (404, [0, 0, 4])] {
        let mock = Mock::builder().rule(Rule::any().status(status)).launch().unwrap();
        for protocol in [Protocol::Http1, Protocol::Http2 { streams: 2 }] {
            let target = Target::parse(&mock.url("/x"), false).unwrap();
            let mix = Mix::new(&[Template::get("t", target)], 7).unwrap().speaking(protocol).unwrap();
            let model = Model::Closed { requests: Some(4), duration: None };
            let one = Settings { mix, model, ..settings(&mock.url("/x"), 1.0, 1) };
            let mut recorder = Recorder::new("steady", 0);
            let clock = Clock::start();
            let schedule = at_once(&clock, Pacing::Sleep);
            run_all(vec![Load { settings: one, observer: &mut recorder }], clock, schedule).unwrap();
            let phase = &recorder.phases()[0];
            assert_eq!([phase.rejected, phase.failed, phase.client_error], expected, "{status} over {protocol:?}");
        }
    }
}

/// Checks each sample against what it must obey.
struct Stamps {
    start_ns: u64,
    samples: u64,
}

impl Observer for Stamps {
    fn sample(&mut self, sample: &Sample) {
        assert!(self.start_ns <= sample.intended_ns && sample.intended_ns <= sample.sent_ns);
        assert!(sample.sent_ns <= sample.head_ns && sample.head_ns <= sample.end_ns);
        assert!(sample.added_ns().is_some_and(|added| added <= sample.service_ns()), "the mock says its residence");
        // The mock waits ten milliseconds, and says so; what remains is ours.
        assert!(sample.service_ns() >= 10_000_000);
        assert!(sample.added_ns() < Some(sample.service_ns() - 9_000_000));
        self.samples += 1;
    }
    fn dropped(&mut self, _: u64) {}
    fn lag(&mut self, _: u64, _: u64) {}
    fn tick(&mut self, _: u64, _: &Totals) {}
}

#[test]
fn the_mocks_own_time_is_not_added_latency() {
    let mock = Mock::builder().service("slow").rule(Rule::any().delay(Duration::from_millis(10))).launch().unwrap();
    let clock = Clock::start();
    // Nothing is sent before the start, which lies ahead.
    let start_ns = clock.now_ns() + 20_000_000;
    let mut stamps = Stamps { start_ns, samples: 0 };
    let load = Load { settings: settings(&mock.url("/x"), 200.0, 100_000_000), observer: &mut stamps };
    let totals = run_all(vec![load], clock, Schedule { start_ns, pacing: Pacing::Spin }).unwrap();
    assert_eq!(stamps.samples, totals[0].finished);
    assert!(stamps.samples > 5 && totals[0].spun_ns > 0, "{totals:?}");
}

#[test]
fn a_mock_on_the_drivers_own_thread_serves_in_its_turns() {
    let delay = Rule::on("/slow").delay(Duration::from_millis(3));
    let (mock, mut shared) = Mock::builder().service("orders").rule(delay).launch_shared().unwrap();
    let clock = Clock::start();
    let (mut fast, mut slow) = (Recorder::new("steady", 0), Recorder::new("steady", 0));
    let load = |path: &str, observer| Load { settings: settings(&mock.url(path), 300.0, 200_000_000), observer };
    let loads = vec![load("/fast", &mut fast as &mut dyn Observer), load("/slow", &mut slow)];
    let cpu_before_ns = thread_cpu_ns();
    let totals = run_all_beside(loads, clock, at_once(&clock, Pacing::Sleep), &mut || shared.turn()).unwrap();
    assert_eq!(fast.phases()[0].ok + slow.phases()[0].ok, mock.counters().requests);
    assert!(totals.iter().all(|load| load.finished > 20 && load.not_ok == 0), "{totals:?}");
    assert!(slow.phases()[0].service.min() >= 3_000_000, "the mock's timers ring between its turns");
    // The thread never slept, and each part of its time is told apart.
    let Totals { spun_ns, neighbour_ns, wall_ns, .. } = totals[0];
    assert!(neighbour_ns > 0 && spun_ns > 0 && neighbour_ns + spun_ns <= wall_ns, "{totals:?}");
    assert!(neighbour_ns <= thread_cpu_ns() - cpu_before_ns, "what others had of the core is nobody's: {totals:?}");
}

#[test]
fn a_large_body_leaves_the_thread_to_others_again_and_again() {
    const BYTES: usize = 8 * 1024 * 1024;
    let (mock, mut shared) = Mock::builder().service("files").launch_shared().unwrap();
    let mut up = Template::get("up", Target::parse(&mock.url("/echo"), false).unwrap());
    (up.method, up.body) = ("POST".to_owned(), vec![b'x'; BYTES]);
    let down = Template::get("down", Target::parse(&mock.url(&format!("/bytes/{BYTES}")), false).unwrap());
    for template in [up, down] {
        let clock = Clock::start();
        let mut recorder = Recorder::new("steady", 0);
        let one = Plan::new(Arrivals::Constant, 100.0, 10_000_000, 7);
        let mix = Mix::new(&[template], 7).unwrap();
        let settings = Settings { mix, model: Model::Open(one), connections: 1, ..settings(&mock.url("/"), 1.0, 1) };
        let load = Load { settings, observer: &mut recorder };
        let mut turns = 0;
        let mut neighbour = || {
            turns += 1;
            shared.turn()
        };
        let totals = run_all_beside(vec![load], clock, at_once(&clock, Pacing::Sleep), &mut neighbour).unwrap();
        assert_eq!((totals[0].finished, totals[0].not_ok), (1, 0), "{totals:?}");
        // Neither side carries more than 64 KiB in a go.
        assert!(turns >= BYTES / (64 * 1024), "{turns} turns");
    }
}

#[test]
fn a_shared_mock_serves_alone_until_it_is_told_to_stop() {
    let (mock, mut shared) = Mock::builder().service("orders").launch_shared().unwrap();
    let clock = Clock::start();
    let mut recorder = Recorder::new("steady", 0);
    let one =
        Settings { model: Model::Closed { requests: Some(10), duration: None }, ..settings(&mock.url("/"), 1.0, 1) };
    std::thread::scope(|scope| {
        scope.spawn(|| shared.serve_until(mock.wait_for_requests(10)));
        let load = Load { settings: one, observer: &mut recorder };
        run_all(vec![load], clock, at_once(&clock, Pacing::Sleep)).unwrap();
    });
    assert_eq!(recorder.phases()[0].ok, 10);
}

#[test]
fn a_body_that_the_mock_sends_slowly_is_not_added_latency() {
    let slow = Rule::any().slow_body(2_048);
    let mock = Mock::builder().service("slow").rule(slow).launch().unwrap();
    let mut recorder = Recorder::new("steady", 0);
    let model = Model::Closed { requests: Some(4), duration: None };
    let one = Settings { model, ..settings(&mock.url("/bytes/512"), 1.0, 1) };
    let clock = Clock::start();
    let schedule = at_once(&clock, Pacing::Sleep);
    run_all(vec![Load { settings: one, observer: &mut recorder }], clock, schedule).unwrap();
    let phase = &recorder.phases()[0];
    assert_eq!((phase.ok, phase.added.len()), (4, 4), "{:?}", phase.failures);
    let (added, service) = (phase.added.value_at_quantile(0.5), phase.service.value_at_quantile(0.5));
    assert!(service > 100_000_000, "a quarter of a second goes by for the body: {service}");
    assert!(added < service / 2, "{added} of {service}");
}

#[test]
fn a_grpc_call_that_failed_is_no_success() {
    let mock = Mock::builder().service("echo").launch().unwrap();
    let mut call = Template::get("t", Target::parse(&mock.url("/mocks.Echo/Unary"), false).unwrap());
    call.method = "POST".to_owned();
    call.headers =
        vec![("content-type".to_owned(), "application/grpc".to_owned()), ("te".to_owned(), "trailers".to_owned())];
    call.body = vec![0, 0, 0, 0, 3, b'a', b'b', b'c'];
    let mix = Mix::new(&[call], 7).unwrap().speaking(Protocol::Http2 { streams: 4 }).unwrap();
    let counts = |rules: Vec<Rule>| {
        mock.set_rules(rules);
        let mut recorder = Recorder::new("steady", 0);
        let model = Model::Closed { requests: Some(20), duration: None };
        let one = Settings { mix: mix.clone(), model, ..settings(&mock.url("/"), 1.0, 1) };
        let clock = Clock::start();
        let schedule = at_once(&clock, Pacing::Sleep);
        run_all(vec![Load { settings: one, observer: &mut recorder }], clock, schedule).unwrap();
        let phase = &recorder.phases()[0];
        assert_eq!(phase.status[&200], 20, "whatever became of the call");
        (phase.ok, phase.rejected, phase.failures.get("grpc").copied().unwrap_or(0))
    };
    assert_eq!(counts(Vec::new()), (20, 0, 0));
    assert_eq!(counts(vec![Rule::any().grpc_status(0)]), (20, 0, 0));
    assert_eq!(counts(vec![Rule::any().grpc_status(14)]), (0, 20, 0));
    assert_eq!(counts(vec![Rule::any().grpc_status(5)]), (0, 0, 20));
    let cut = Rule::any().effect(Effect::Truncate(None));
    assert_eq!(counts(vec![cut]), (0, 0, 20), "it lacks its trailers");
}

#[test]
fn what_a_mock_received_can_be_expected_over_both_protocols() {
    let mock = Mock::builder().service("orders").launch().unwrap();
    let target = Target::parse(&mock.url("/a"), false).unwrap();
    let template = |name: &str, wanted: Wanted| {
        let mut template = Template::get("t", target.clone());
        template.headers = vec![("X-User".to_owned(), "7".to_owned())];
        template.expect.headers = vec![ExpectedHeader::of_request(name, wanted).unwrap()];
        template
    };
    let is = |value: &str| Wanted::Is(value.to_owned());
    for protocol in [Protocol::Http1, Protocol::Http2 { streams: 4 }] {
        for (name, wanted, wrong) in [
            ("x-user", is("7"), 0),
            ("x-user", is("8"), 20),
            ("x-user", Wanted::Absent, 20),
            ("x-role", Wanted::Present, 20),
            ("x-role", Wanted::Absent, 0),
        ] {
            let mut one = settings(&mock.url("/a"), 500.0, 100_000_000);
            one.mix = Mix::new(&[template(name, wanted.clone())], 7).unwrap().speaking(protocol).unwrap();
            one.model = Model::Closed { requests: Some(20), duration: None };
            let clock = Clock::start();
            let mut recorder = Recorder::new("steady", 0);
            let load = Load { settings: one, observer: &mut recorder };
            run_all(vec![load], clock, at_once(&clock, Pacing::Sleep)).unwrap();
            let phase = &recorder.phases()[0];
            let counted = phase.failures.get("header").copied().unwrap_or(0);
            assert_eq!((phase.ok, counted), (20 - wrong, wrong), "{protocol:?} {name} {wanted:?}");
        }
    }
}
