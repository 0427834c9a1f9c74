//! What the demo found, whether it holds, and its result file.

use std::collections::BTreeMap;

use loadgen::environment::Environment;
use loadgen::recorder::Phase;
use loadgen::result::{LoadResult, Offered, Validity};
use reports::result::{Balance, Gateway, Kind, ResultFile, Rss, Verdict};
use serde::de::DeserializeOwned;

use super::refusals::Refusals;
use super::topology::ORDERS_WEIGHTS;
use super::watch::Watch;
use super::{INJECTED_STATUS, LoadTotals, Options, UsagePair, World};

/// Everything measured.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) watch: Watch,
    pub(super) totals: LoadTotals,
    pub(super) offered: Offered,
    /// Requests that the mock answered by the injected rule; `None` when the traffic ended before the injection.
    pub(super) injected_at_mock: Option<u64>,
    /// State of the failing endpoint's breaker at the end, and how often it tripped, as the gateway says.
    pub(super) breaker: Option<(String, u64)>,
    /// What the gateway itself answered with the injected status.
    pub(super) refusals: Refusals,
    /// Connections that the mocks accepted.
    pub(super) connections_at_mocks: u64,
    /// Requests that came to the mocks on them.
    pub(super) requests_at_mocks: u64,
    pub(super) usage: UsagePair,
    /// The machine, as it was at the end.
    pub(super) environment: Environment,
}

impl Findings {
    /// Every request of the plan was answered, and nothing failed but what was injected.
    pub(super) fn holds(&self) -> bool {
        let ended: u64 = self.watch.recorder.phases().iter().map(Phase::requests).sum();
        let explained = self.injected_at_mock.is_some_and(|at_mock| at_mock > 0 && self.watch.injected <= at_mock);
        explained && self.watch.unexplained.is_empty() && ended == self.offered.arrivals
    }

    /// Requests by endpoint port, over the whole run.
    pub(super) fn by_endpoint(&self) -> BTreeMap<u16, u64> {
        let mut counts = BTreeMap::new();
        for ((port, _), count) in &self.watch.recorder.merged("all").endpoints {
            *counts.entry(*port).or_default() += count;
        }
        counts
    }

    /// CPU time of the gateway for each request, microseconds.
    pub(super) fn gateway_cpu_us(&self) -> f64 {
        let (before, after) = self.usage;
        after.cpu_us.saturating_sub(before.cpu_us) as f64 / self.totals.finished.max(1) as f64
    }

    /// Whether its figures may be believed.
    pub(super) fn validity(&self) -> Validity {
        Validity::judge(&self.watch.recorder, &self.totals, Some(self.offered), self.environment.steal_ratio)
    }

    /// Share of upstream requests that used a connection that was open already.
    pub(super) fn reuse_ratio(&self) -> f64 {
        // A connection may have been opened for nothing.
        (1.0 - self.connections_at_mocks as f64 / self.requests_at_mocks.max(1) as f64).max(0.0)
    }
}

/// The demo's `result.json`.
pub(super) fn result_file(options: &Options, world: &World, findings: &Findings, started_at: String) -> ResultFile {
    let (recorder, totals) = (&findings.watch.recorder, &findings.totals);
    let load = LoadResult::of(recorder, totals, Some(findings.offered));
    let (before, after) = findings.usage;
    let gateway = Gateway {
        cpu_us_per_request: Some(round(findings.gateway_cpu_us(), 100.0)),
        rss_bytes: Some(Rss {
            idle: before.rss_bytes,
            peak: before.rss_bytes.max(after.rss_bytes),
            end: after.rss_bytes,
        }),
        connections_opened: findings.connections_at_mocks,
        reuse_ratio: round(findings.reuse_ratio(), 1e5),
        instructions_per_request: None,
    };
    let mut validity: reports::result::Validity = same(&findings.validity());
    let valid = validity.valid;
    // Whose they are is worth a sentence on every page, whether or not the figures are believed.
    validity.notes.extend(findings.refusals.told(INJECTED_STATUS));
    let failing = world.endpoints.name_of(world.endpoints.failing().port());
    ResultFile {
        kind: Kind::Demo,
        name: "demo".to_owned(),
        seed: options.seed,
        commit: options.programs.commit().to_owned(),
        started_at,
        command: options.command.clone(),
        environment: same(&findings.environment),
        verdict: verdict(valid, findings.holds()),
        validity,
        load: [("main".to_owned(), same(&load))].into(),
        gateway: [("0".to_owned(), gateway)].into(),
        balance: balance(world, findings),
        timeline: findings.watch.timeline(&failing),
        ..ResultFile::default()
    }
}

/// What cannot be believed as a measurement passes nothing and fails nothing.
fn verdict(valid: bool, holds: bool) -> Verdict {
    match (valid, holds) {
        (false, _) => Verdict::Invalid,
        (true, true) => Verdict::Pass,
        (true, false) => Verdict::Fail,
    }
}

fn balance(world: &World, findings: &Findings) -> BTreeMap<String, Balance> {
    let counts = findings.by_endpoint();
    let mut balance = BTreeMap::new();
    for (service, addresses) in world.endpoints.services() {
        let count = |index: usize| counts.get(&addresses[index].port()).copied().unwrap_or(0);
        let total: u64 = (0..addresses.len()).map(count).sum();
        let weights: Vec<u32> = if addresses.len() == ORDERS_WEIGHTS.len() && service == "orders" {
            ORDERS_WEIGHTS.to_vec()
        } else {
            vec![1; addresses.len()]
        };
        let all_weights: u32 = weights.iter().sum();
        let name = |index: usize| format!("{service}/{index}");
        let shares = (0..addresses.len())
            .map(|index| (name(index), round(count(index) as f64 / total.max(1) as f64, 1e4)))
            .collect();
        let expected = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| (name(index), round(f64::from(*weight) / f64::from(all_weights), 1e4)))
            .collect();
        balance.insert(service.to_owned(), Balance { share: shares, expected_share: expected, ..Balance::default() });
    }
    balance
}

/// The reader's type of what the load generator wrote: both follow one contract, which `reports` tests.
pub(crate) fn same<T: DeserializeOwned>(value: &impl serde::Serialize) -> T {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .unwrap_or_else(|error| unreachable!("both crates write the same contract: {error}"))
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_valid_is_no_pass() {
        assert_eq!(
            [(true, true), (true, false), (false, true)].map(|(valid, holds)| verdict(valid, holds)),
            [Verdict::Pass, Verdict::Fail, Verdict::Invalid]
        );
    }
}
