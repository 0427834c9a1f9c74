//! What happened, in the form that oracles judge: the mocks' journal, the clients' requests, faults and phases.
//!
//! Times are nanoseconds from t = 0; what came before it is left out. Endpoints are named as the gateway's upstreams
//! have them, since that is what oracles hold against its configuration.

use std::collections::BTreeMap;

use gateway::config::settings::upstream::Endpoints;
use loadgen::clock::duration_ns;
use serde::Deserialize;
use serde_json::Value;

use super::account::was_sent;
use super::error::RunError;
use super::score::due_weight;
use super::watch::{Seen, Watch};
use super::world::World;
use crate::history::{Attempt, ClientRequest, Ending, Endpoint, Event, FaultWindow, History, Hit, Name, Phase};
use crate::oracle::keys::Fetch;
use crate::oracle::policy::{BreakerPolicy, Policies, UpstreamPolicy};
use crate::scenario::Scenario;
use crate::scenario::gateway::Checked;
use crate::scenario::policy;

/// Journal entries that are asked for at once.
const PAGE: u64 = 50_000;
/// Requests that oracles are asked about; of longer runs there are histograms and counts.
pub(super) const MOST_JUDGED: u64 = 500_000;

/// An entry of the mocks' journal, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Entry {
    seq: u64,
    arrival_ns: u64,
    answer_ns: Option<u64>,
    end_ns: u64,
    endpoint: u16,
    connection: u64,
    status: Option<u16>,
    ended: String,
    rule: Value,
    request_id: Option<String>,
    /// Mocks of another version may not tell.
    #[serde(default)]
    health_check: bool,
}

/// The gateway's name of each mock endpoint.
#[derive(Debug)]
pub(super) struct Upstreams {
    by_mock: BTreeMap<String, Endpoint>,
    /// By the upstream's name and the endpoint's real address.
    by_address: BTreeMap<(String, String), Endpoint>,
}

impl Upstreams {
    /// The endpoints of a configuration; one that several upstreams have is the first's. `ports` are the mocks' own.
    pub(super) fn of(checked: &Checked, ports: &BTreeMap<u16, String>) -> Self {
        let mut by_mock = BTreeMap::new();
        let mut by_address = BTreeMap::new();
        for upstream in &checked.config.upstreams {
            let Endpoints::Static(endpoints) = &upstream.endpoints else { continue };
            for (index, endpoint) in endpoints.iter().enumerate() {
                let Some(name) = checked.names.get(&*endpoint.address) else { continue };
                let endpoint = Endpoint::new(Name::from(&*upstream.name), index);
                if let Some((port, _)) = ports.iter().find(|(_, other)| *other == name) {
                    by_address.insert((upstream.name.to_string(), format!("127.0.0.1:{port}")), endpoint.clone());
                }
                by_mock.entry(name.clone()).or_insert(endpoint);
            }
        }
        Self { by_mock, by_address }
    }

    /// An endpoint by the name that the gateway has for it.
    pub(super) fn by_address(&self, upstream: &str, address: &str) -> Option<Endpoint> {
        self.by_address.get(&(upstream.to_owned(), address.to_owned())).cloned()
    }

    /// What a mock's endpoint is called by oracles, for each endpoint: `orders/1` and its name in the scenario.
    pub(super) fn names(&self) -> BTreeMap<String, String> {
        self.by_mock.iter().map(|(mock, endpoint)| (endpoint.to_string(), mock.clone())).collect()
    }

    /// An endpoint by its name in the scenario.
    pub(super) fn get(&self, mock: &str) -> Option<&Endpoint> {
        self.by_mock.get(mock)
    }

    /// Endpoints by address, for tests.
    #[cfg(test)]
    pub(super) fn hand_made<const N: usize>(endpoints: [(&str, &str, usize); N]) -> Self {
        let by_address = endpoints.map(|(address, upstream, index)| {
            ((upstream.to_owned(), address.to_owned()), Endpoint::new(upstream, index))
        });
        Self { by_mock: BTreeMap::new(), by_address: BTreeMap::from(by_address) }
    }
}

/// Where a bucket may begin, in parts of a bucket. A gateway's windows begin when it makes its endpoints, which nobody
/// outside sees.
pub(super) const ALIGNMENTS: u64 = 20;

/// What was configured, for the oracles; breakers where they are scored, with buckets that begin in this part of one.
pub(super) fn policies(checked: &Checked, scores_breakers: bool, alignment: u64) -> Policies {
    let upstreams = checked.config.upstreams.iter().filter_map(|upstream| {
        let Endpoints::Static(endpoints) = &upstream.endpoints else { return None };
        let weights = endpoints.iter().map(due_weight).collect();
        let breaker = scores_breakers.then(|| aligned(policy::breaker(&upstream.breaker), alignment));
        Some((Name::from(&*upstream.name), UpstreamPolicy { weights, breaker, ..UpstreamPolicy::default() }))
    });
    Policies { upstreams: upstreams.collect(), limits: policy::limits(&checked.config) }
}

fn aligned(policy: BreakerPolicy, alignment: u64) -> BreakerPolicy {
    let bucket_ns = policy.bucket_ns();
    BreakerPolicy { buckets_from_ns: bucket_ns * alignment / ALIGNMENTS, ..policy }
}

/// What the mocks' journal tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) attempts: Vec<Attempt>,
    /// Requests to the key server.
    pub(super) fetches: Vec<Fetch>,
}

/// The mocks' journal after the entry `since`; `zero_ns` of the machine's monotonic clock is t = 0. `None` when there
/// is more than oracles are asked about.
pub(super) fn journal(
    world: &World,
    upstreams: &Upstreams,
    since: u64,
    recorded: u64,
    zero_ns: u64,
) -> Result<Option<Told>, RunError> {
    if recorded.saturating_sub(since) > MOST_JUDGED {
        return Ok(None);
    }
    let mut told = Told::default();
    let mut from = since;
    loop {
        let page = world.ask_mocks("GET", &format!("/journal?since={from}&limit={PAGE}"), "")?;
        let before = from;
        for line in page.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let entry: Entry = serde_json::from_slice(line)
                .map_err(|error| RunError::Control { what: "the mocks' journal".to_owned(), why: error.to_string() })?;
            from = from.max(entry.seq);
            match world.key_server == Some(entry.endpoint) {
                true => told.fetches.extend(fetch(&entry, zero_ns)),
                false => told.attempts.extend(attempt(entry, world, upstreams, zero_ns)),
            }
        }
        if from == before {
            told.fetches.sort_unstable();
            return Ok(Some(told));
        }
    }
}

fn fetch(entry: &Entry, zero_ns: u64) -> Option<Fetch> {
    let is_answered = entry.ended == "answered" && entry.status == Some(200);
    Some(Fetch { at_ns: entry.arrival_ns.checked_sub(zero_ns)?, is_answered })
}

fn attempt(entry: Entry, world: &World, upstreams: &Upstreams, zero_ns: u64) -> Option<Attempt> {
    let endpoint = upstreams.get(world.names.get(&entry.endpoint)?)?.clone();
    let ending = match (entry.ended.as_str(), entry.status) {
        ("answered", Some(status)) => Ending::Answered(status),
        ("left", _) => Ending::Abandoned,
        ("truncated" | "garbage", _) => Ending::Invalid,
        _ => Ending::Broken,
    };
    let hit = match &entry.rule {
        Value::Number(number) => Hit::Rule(number.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)),
        Value::String(text) if text == "header" => Hit::Header,
        _ => Hit::None,
    };
    Some(Attempt {
        endpoint,
        connection: entry.connection,
        request_id: entry.request_id.map(Name::from),
        arrival_ns: entry.arrival_ns.checked_sub(zero_ns)?,
        answer_ns: entry.answer_ns.map(|ns| ns.saturating_sub(zero_ns)),
        end_ns: Some(entry.end_ns.saturating_sub(zero_ns)),
        ending,
        hit,
        health_check: entry.health_check,
    })
}

/// The history of a run.
pub(super) fn history(
    scenario: &Scenario,
    upstreams: &Upstreams,
    watches: &[Watch],
    start_ns: u64,
    attempts: Vec<Attempt>,
    events: Vec<Event>,
) -> History {
    let phases = phases(scenario);
    let mut clients = Vec::new();
    for (load, watch) in scenario.loads.iter().zip(watches) {
        let load = Name::from(load.name.as_str());
        clients.extend(watch.seen.iter().map(|seen| client(seen, &load, &phases, start_ns)));
    }
    let faults = faults(scenario, upstreams);
    let mut history = History { clients, attempts, events, phases, faults, records: Vec::new() };
    history.sort();
    history
}

pub(super) fn phases(scenario: &Scenario) -> Vec<Phase> {
    let starts = scenario.phases();
    let until = |index: usize| starts.get(index + 1).map_or(scenario.length(), |(_, at)| *at);
    let phase = |(index, (name, at)): (usize, &(String, std::time::Duration))| Phase {
        name: Name::from(name.as_str()),
        from_ns: duration_ns(*at),
        until_ns: duration_ns(until(index)),
    };
    starts.iter().enumerate().map(phase).collect()
}

fn faults(scenario: &Scenario, upstreams: &Upstreams) -> Vec<FaultWindow> {
    let endpoints: Vec<String> = scenario.endpoints().collect();
    let mut windows = Vec::new();
    for fault in &scenario.faults {
        let place = fault.place();
        let of_service = format!("{}/", fault.service);
        let hit =
            |name: &&String| if fault.endpoint.is_some() { **name == place } else { name.starts_with(&of_service) };
        for endpoint in endpoints.iter().filter(hit).filter_map(|name| upstreams.get(name)) {
            windows.push(FaultWindow {
                endpoint: endpoint.clone(),
                from_ns: duration_ns(fault.at),
                until_ns: duration_ns(fault.until(scenario.length())),
                share: fault.share.unwrap_or(1.0),
                act: Name::from(fault.act.to_string()),
            });
        }
    }
    windows
}

fn client(seen: &Seen, load: &Name, phases: &[Phase], start_ns: u64) -> ClientRequest {
    let since = |ns: u64| ns.saturating_sub(start_ns);
    let intended_ns = since(seen.intended_ns);
    let phase = phases.iter().rev().find(|phase| phase.from_ns <= intended_ns).map(|phase| phase.name.clone());
    let sent = was_sent(seen.failure);
    // One that ended while it waited for its connection was never written: it is told as sent at its end, which is as
    // late as its timeout.
    let was_written = seen.status != 0 || seen.sent_ns != seen.end_ns;
    let sent_ns = if was_written { seen.sent_ns } else { seen.intended_ns };
    ClientRequest {
        sent_ns: sent.then(|| since(sent_ns)),
        head_ns: (seen.status != 0).then(|| since(seen.end_ns)),
        end_ns: Some(since(seen.end_ns)),
        status: (seen.status != 0).then_some(seen.status),
        outcome: seen.outcome.into(),
        answers: u32::from(seen.status != 0),
        ..ClientRequest::planned(load.clone(), phase.unwrap_or_else(|| Name::from("before")), intended_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_a_late_driver_sent_late_was_sent_then() {
        let seen = Seen {
            intended_ns: 1_000,
            sent_ns: 6_000,
            end_ns: 9_000,
            status: 200,
            outcome: loadgen::sample::Outcome::Ok,
            failure: None,
        };
        let request = client(&seen, &"main".into(), &[], 500);
        assert_eq!((request.intended_ns, request.sent_ns, request.end_ns), (500, Some(5_500), Some(8_500)));
        let timeout = Some(loadgen::sample::Failure::Timeout);
        let unanswered = Seen { status: 0, failure: timeout, ..seen };
        assert_eq!(client(&unanswered, &"main".into(), &[], 500).sent_ns, Some(5_500));
        let unwritten = Seen { sent_ns: seen.end_ns, ..unanswered };
        assert_eq!(client(&unwritten, &"main".into(), &[], 500).sent_ns, Some(500), "its end is no time of sending");
        let never = Seen { status: 0, failure: Some(loadgen::sample::Failure::Connect), ..seen };
        assert_eq!(client(&never, &"main".into(), &[], 500).sent_ns, None);
    }

    #[test]
    fn every_alignment_is_within_one_bucket() {
        let second = BreakerPolicy { window_ns: 1_000_000_000, ..BreakerPolicy::default() };
        let from = |alignment| aligned(second.clone(), alignment).buckets_from_ns;
        assert_eq!((from(0), from(1), from(ALIGNMENTS - 1)), (0, 5_000_000, 95_000_000), "buckets of 100 ms");
    }
}
