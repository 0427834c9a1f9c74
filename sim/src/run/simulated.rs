//! `sim run` of a scenario in virtual time: the same result from the same code, with another world behind it.
//!
//! There is no warm-up, since there is nothing to warm up: t = 0 is a gateway that has just started. What a machine
//! would show (CPU time, memory, how late a driver was) is not there. Everything else is what the clients, the mocks
//! and the gateway of the simulated world saw, and depends on the scenario and its seed alone.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loadgen::clock::{duration_ns, rfc3339, unix_seconds};
use loadgen::environment::CpuTicks;
use loadgen::result::Offered;
use loadgen::sample::{Failure, Observer, Outcome as Sampled, Sample, Totals};
use serde_json::{Value, json};

use super::account::count_records;
use super::counted::Counted;
use super::crowd::Driven;
use super::error::RunError;
use super::gather::{self, MOST_JUDGED, Upstreams};
use super::limits::{Limited, leave_out_silent};
use super::measure::{Measured, recorder};
use super::progress::Progress;
use super::score::{Findings, Scored};
use super::timeline::{Done, Memory};
use super::warm_up::WarmedUp;
use super::watch::{Live, Watch};
use super::{Bench, Ran, best_explained, finish, times_of_routes};
use crate::history::{Attempt, ClientRequest, Event, EventKind, History, Outcome};
use crate::oracle::limiter::judge_from;
use crate::oracle::policy::{Policies, Tolerance};
use crate::process::Usage;
use crate::scenario::Scenario;
use crate::scenario::gateway::Checked;
use crate::scenario::policy::limits;
use crate::virtual_time::{self, Anomaly, MISSED, Observed, Options, SimulateError, TOLERANCE};

/// Buckets are counted finer than this world's clock moves.
const GRAIN: Tolerance = Tolerance { stamp_ns: 1_000_000, ..TOLERANCE };

/// Runs a scenario in virtual time, and writes everything to the folder.
pub(super) fn run(bench: &Bench<'_>, scenario: &Scenario, folder: &Path, progress: &Progress) -> Result<Ran, RunError> {
    std::fs::create_dir_all(folder).map_err(RunError::file(folder))?;
    let folder = std::fs::canonicalize(folder).map_err(RunError::file(folder))?;
    let started_at = rfc3339(unix_seconds());
    let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints());
    let checked = checked.map_err(|why| RunError::Control { what: "the gateway's configuration".to_owned(), why })?;
    progress.say("running in virtual time");
    let seen = simulate(bench, scenario)?;
    progress.say("scoring");
    let log = folder.join("access-0.log");
    std::fs::write(&log, &seen.kept.log).map_err(RunError::file(&log))?;
    let logs: [Option<PathBuf>; 1] = [Some(log)];
    let names: BTreeMap<u16, String> = (1..).zip(scenario.endpoints()).collect();
    let measured = measured(scenario, &seen, &names);
    let limited = limited(scenario, &checked, &seen);
    let simulated = Some(told(&seen));
    let scores = judge(scenario, &checked, &measured, seen, &names);
    let findings = Findings {
        scenario,
        checked: &checked,
        warmed_up: nothing_to_warm_up(),
        searched: None,
        measured,
        records: count_records(&logs, false, 0)?,
        routes: times_of_routes(scenario, &logs, scores.as_ref())?,
        limited,
        scores,
        names,
        pinning: "one thread, in virtual time".to_owned(),
        driver_cores: 1,
        other: None,
        simulated,
        // Two runs are one, whatever time the machine needs for them.
        took: scenario.length(),
    };
    finish(bench, findings, &folder, started_at)
}

fn simulate(bench: &Bench<'_>, scenario: &Scenario) -> Result<Observed, RunError> {
    let options = Options { for_result: true, ..Options::default() };
    let why = |source| RunError::Simulate { file: scenario.file.clone(), source };
    let run = || virtual_time::run_until(scenario, options, bench.stop);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(seen) => seen.map_err(why),
        Err(_) => Err(why(SimulateError::Broke("a part of it panicked, as it says above".to_owned()))),
    }
}

fn nothing_to_warm_up() -> WarmedUp {
    WarmedUp { steady_from_ms: Some(0), unsteady: Vec::new(), lasted: Duration::ZERO, sent: 0, answered: 0 }
}

/// What only a run in virtual time has in its result: what two equal runs share, and what must never happen and did.
fn told(seen: &Observed) -> Value {
    let never: Vec<&Anomaly> = seen.anomalies.iter().filter(|anomaly| anomaly.kind != MISSED).collect();
    let one = |anomaly: &&Anomaly| {
        let t_ms = anomaly.at_ns as f64 / 1e6;
        json!({ "t_ms": t_ms, "kind": anomaly.kind, "detail": anomaly.detail })
    };
    json!({
        "trace": format!("{:016x}", seen.trace),
        "anomalies": never.len(),
        "seen": never.iter().map(one).collect::<Vec<_>>(),
    })
}

/// What a run on sockets measures, as far as there is such a thing here.
fn measured(scenario: &Scenario, seen: &Observed, names: &BTreeMap<u16, String>) -> Measured {
    let watches = watches(scenario, &seen.history);
    let loads = || 0..scenario.loads.len();
    let driven = Driven {
        totals: watches.iter().map(totals).collect(),
        books: loads().map(|_| None).collect(),
        ended: loads().map(|_| None).collect(),
    };
    let last_ns = seen.history.clients.iter().filter_map(|request| request.end_ns).max().unwrap_or(0);
    let length_ns = if seen.interrupted { 0 } else { duration_ns(scenario.length()) };
    Measured {
        start_ns: 0,
        zero_ns: 0,
        watches,
        driven,
        offered: loads().map(|number| offered(scenario, number)).collect(),
        usage: (vec![Usage::default()], vec![Usage::default()]),
        cpu: Vec::new(),
        memory: vec![Memory::default()],
        idle_rss: vec![0],
        metrics: (vec![Some(String::new())], vec![(!seen.interrupted).then(|| seen.kept.metrics.clone())]),
        restarted: vec![false],
        held: (Vec::new(), Vec::new()),
        hostile: Vec::new(),
        counted: (Counted::default(), counted(seen, names)),
        mocks_cpu_us: 0,
        steal_before: CpuTicks::read(),
        events: done(scenario, &seen.history),
        died: Vec::new(),
        interrupted: seen.interrupted,
        lasted: Duration::from_nanos(last_ns.max(length_ns)),
    }
}

/// What each load saw, in the order in which its requests ended.
fn watches(scenario: &Scenario, history: &History) -> Vec<Watch> {
    let live = Arc::<Live>::default();
    let mut clients: Vec<&ClientRequest> = history.clients.iter().collect();
    clients.sort_by_key(|request| request.end_ns.unwrap_or(request.intended_ns));
    let watch = |load: &crate::scenario::model::LoadPart| {
        let mut watch = Watch::new(recorder(scenario, 0), Arc::clone(&live));
        for request in clients.iter().filter(|request| *request.load == *load.name) {
            match request.outcome {
                Outcome::Dropped => watch.dropped(request.intended_ns),
                _ => watch.sample(&sample(request)),
            }
        }
        watch
    };
    scenario.loads.iter().map(watch).collect()
}

/// A request as the load generator counts it.
fn sample(request: &ClientRequest) -> Sample {
    let end_ns = request.end_ns.unwrap_or(request.intended_ns);
    let failure = failure(request);
    let outcome = match request.outcome {
        Outcome::Ok => Sampled::Ok,
        _ if failure.is_some() => Sampled::Failed,
        Outcome::ClientError => Sampled::ClientError,
        Outcome::Rejected => Sampled::Rejected,
        Outcome::Failed | Outcome::Dropped => Sampled::Failed,
    };
    Sample {
        template: 0,
        intended_ns: request.intended_ns,
        sent_ns: request.sent_ns.unwrap_or(end_ns),
        head_ns: request.head_ns.unwrap_or(end_ns),
        end_ns,
        status: request.status.unwrap_or(0),
        body_bytes: 0,
        outcome,
        failure,
        residence_ns: None,
        endpoint: None,
        refusal: None,
    }
}

/// Why there was no whole answer. A client in a world calls it its own doing that it did not wait any longer.
fn failure(request: &ClientRequest) -> Option<Failure> {
    match request.outcome {
        _ if request.wrong_header => Some(Failure::Header),
        _ if request.answers > 0 => None,
        _ if !request.was_sent() => Some(Failure::Connect),
        Outcome::ClientError => Some(Failure::Timeout),
        _ => Some(Failure::Closed),
    }
}

fn totals(watch: &Watch) -> Totals {
    let finished = watch.seen.len() as u64 + watch.not_kept;
    let not_ok = watch.seen.iter().filter(|seen| seen.outcome != Sampled::Ok).count() as u64;
    let dropped = watch.recorder.phases().iter().map(|phase| phase.dropped).sum();
    Totals { started: finished, finished, not_ok, dropped, ..Totals::default() }
}

/// What a load plans to send; `None` in the closed model.
fn offered(scenario: &Scenario, number: usize) -> Option<Offered> {
    let load = &scenario.loads[number];
    let summary = virtual_time::plan(scenario.seed, number as u64, load)?.summary();
    let length_ns = duration_ns(load.duration);
    let rate = summary.arrivals as f64 * 1e9 / length_ns.max(1) as f64;
    Some(Offered { arrivals: summary.arrivals, rate, length_ns: Some(length_ns), hash: summary.hash })
}

/// What the mocks counted.
fn counted(seen: &Observed, names: &BTreeMap<u16, String>) -> Counted {
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for attempt in seen.history.attempts.iter().filter(|attempt| !attempt.health_check) {
        *by_name.entry(attempt.endpoint.to_string()).or_default() += 1;
    }
    let requests = names.iter().map(|(port, name)| (*port, by_name.get(name).copied().unwrap_or(0)));
    Counted {
        accepts: seen.kept.connections,
        requests: requests.collect(),
        journal_dropped: 0,
        recorded: seen.history.attempts.len() as u64,
    }
}

/// The events that were done, which are reloads, in their order.
fn done(scenario: &Scenario, history: &History) -> Vec<Done> {
    let reloads = history.events.iter().filter_map(|event| match event.kind {
        EventKind::Reload { ok, .. } => Some((event.at_ns / 1_000_000, ok)),
        _ => None,
    });
    let refused = || "the gateway refused the configuration".to_owned();
    let one = |(event, (at_ms, ok)): (&crate::scenario::model::EventPart, (u64, bool))| {
        Done::at_once(at_ms, event.act, (!ok).then(refused))
    };
    scenario.events.iter().zip(reloads).map(one).collect()
}

fn is_limit(event: &Event) -> bool {
    matches!(event.kind, EventKind::Limit { .. })
}

/// What rate limits decided, by the gateway's own account.
fn limited(scenario: &Scenario, checked: &Checked, seen: &Observed) -> Limited {
    let missed = seen.anomalies.iter().filter(|anomaly| anomaly.kind == MISSED).count() as u64;
    let limits = limits(&checked.config);
    if limits.is_empty() {
        return Limited { events_missed: missed, ..Limited::default() };
    }
    let events = seen.history.events.iter().filter(|event| is_limit(event)).cloned().collect();
    let clients = seen.history.clients.iter().filter(|client| client.status == Some(429)).cloned().collect();
    let history = History { clients, events, phases: gather::phases(scenario), ..History::default() };
    let mut scores = judge_from(&history, &Policies { limits, ..Policies::default() }, GRAIN, 0);
    leave_out_silent(&checked.config, &mut scores);
    let refusals = history.events.into_iter().filter_map(|event| match event.kind {
        EventKind::Limit { asked, refused_by, .. } => {
            Some((event.at_ns, asked.into_iter().map(|asked| asked.rule).collect(), refused_by))
        }
        _ => None,
    });
    Limited { scores, refusals: refusals.collect(), events_missed: missed }
}

/// Asks the oracles; `None` when there is too much to be asked about one by one.
fn judge(
    scenario: &Scenario,
    checked: &Checked,
    measured: &Measured,
    seen: Observed,
    names: &BTreeMap<u16, String>,
) -> Option<Scored> {
    if seen.history.attempts.len() as u64 > MOST_JUDGED {
        return None;
    }
    let upstreams = Upstreams::of(checked, names);
    // Mocks know themselves by their own names, oracles all of them by the upstreams'.
    let named = |attempt: Attempt| {
        let endpoint = upstreams.get(&attempt.endpoint.to_string())?.clone();
        Some(Attempt { endpoint, ..attempt })
    };
    let attempts = seen.history.attempts.into_iter().filter_map(named).collect();
    let events = seen.history.events.into_iter().filter(|event| !is_limit(event)).collect();
    let history = gather::history(scenario, &upstreams, &measured.watches, 0, attempts, events);
    let policies = |alignment| gather::policies(checked, scenario.scores_breakers, alignment);
    let scores = best_explained(&history, policies, TOLERANCE);
    Some(Scored { scores, names: upstreams.names(), keys: None, history })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(outcome: Outcome, status: Option<u16>, answers: u32) -> ClientRequest {
        let planned = ClientRequest::planned("main".into(), "before".into(), 1_000);
        ClientRequest { sent_ns: Some(2_000), end_ns: Some(9_000), status, outcome, answers, ..planned }
    }

    #[test]
    fn requests_are_counted_as_on_sockets() {
        let counted = |outcome, status, answers| {
            let sample = sample(&request(outcome, status, answers));
            (sample.outcome, sample.failure)
        };
        assert_eq!(counted(Outcome::Ok, Some(200), 1), (Sampled::Ok, None));
        assert_eq!(counted(Outcome::Ok, Some(503), 1), (Sampled::Ok, None), "it was expected");
        assert_eq!(counted(Outcome::Rejected, Some(429), 1), (Sampled::Rejected, None));
        assert_eq!(counted(Outcome::Failed, Some(503), 1), (Sampled::Failed, None), "a service's");
        assert_eq!(counted(Outcome::Failed, Some(502), 1), (Sampled::Failed, None));
        assert_eq!(counted(Outcome::ClientError, Some(404), 1), (Sampled::ClientError, None));
        assert_eq!(counted(Outcome::ClientError, None, 0), (Sampled::Failed, Some(Failure::Timeout)), "it left");
        assert_eq!(counted(Outcome::Failed, Some(200), 0), (Sampled::Failed, Some(Failure::Closed)), "broken off");
        let never = ClientRequest { sent_ns: None, ..request(Outcome::Failed, None, 0) };
        assert_eq!(sample(&never).failure, Some(Failure::Connect));
    }

    #[test]
    fn latency_counts_from_the_plan() {
        let sample = sample(&request(Outcome::Ok, Some(200), 1));
        assert_eq!((sample.latency_ns(), sample.service_ns()), (8_000, 7_000));
    }
}
