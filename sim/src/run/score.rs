//! The result of a run: figures from what clients, mocks and gateways showed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::settings::upstream::{Balance as Picked, Endpoint, Endpoints};
use loadgen::environment::Environment;
use loadgen::result::{JourneyResult, LoadResult};
use reports::result::{Balance, Breaker, Gateway, Kind, Moment, ResultFile, Retries, Rss};

use super::account::{Account, Records};
use super::capacity::Searched;
use super::gather::MOST_JUDGED;
use super::limits::Limited;
use super::measure::Measured;
use super::other::Other;
use super::steps::{Step, steps};
use super::warm_up::WarmedUp;
use super::watch::Seen;
use super::{limits, timeline, validity, verdict};
use crate::demo::findings::same;
use crate::history::History;
use crate::oracle::Scores;
use crate::oracle::breaker::BreakerScore;
use crate::oracle::keys::KeyScore;
use crate::scenario::gateway::Checked;
use crate::scenario::model::ExpectPart;
use crate::scenario::{Scenario, warnings};

/// Connections to upstreams.
const OPENED: &str = "gateway_upstream_connections_opened_total";
/// Retries for which there was no budget.
const REFUSED: &str = "gateway_retries_total{result=\"no_budget\"}";
/// What a result has of virtual time.
const VIRTUAL_TIME: &str = "virtual_time";
/// The least step of figures over time.
const LEAST_STEP_MS: u64 = 250;
/// About this many steps in a long run.
const STEPS: u64 = 240;

/// What the oracles say.
#[derive(Debug)]
pub(super) struct Scored {
    pub(super) scores: Scores,
    /// For each endpoint as oracles name it, its name in the scenario.
    pub(super) names: BTreeMap<String, String>,
    /// What they were asked about.
    pub(super) history: History,
    /// How keys were fetched, where they were.
    pub(super) keys: Option<KeyScore>,
}

/// All that a run came to.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) checked: &'a Checked,
    pub(super) warmed_up: WarmedUp,
    /// What the gateways can carry, where that was asked.
    pub(super) searched: Option<Searched>,
    pub(super) measured: Measured,
    /// The access records.
    pub(super) records: Records,
    /// How long requests of each route took beyond what upstreams did, where that is expected.
    pub(super) routes: BTreeMap<String, serde_json::Value>,
    /// What rate limits decided.
    pub(super) limited: Limited,
    /// What the other oracles say; `None` of a run that is too long for them.
    pub(super) scores: Option<Scored>,
    /// Each endpoint's name by its port.
    pub(super) names: BTreeMap<u16, String>,
    pub(super) pinning: String,
    /// Another program that stood in the gateways' place.
    pub(super) other: Option<&'a Arc<dyn Other>>,
    /// Cores of the driver, and of the users of journeys.
    pub(super) driver_cores: usize,
    /// Of a run in virtual time, what only such a one has.
    pub(super) simulated: Option<serde_json::Value>,
    /// How long all of it took, warm-up and all; in virtual time, how long the world lasted.
    pub(super) took: Duration,
}

impl Findings<'_> {
    /// The result, judged; `commit` is that of our gateways.
    pub(super) fn result(&self, started_at: String, command: String, commit: &str) -> ResultFile {
        let mut environment = Environment::read(&self.measured.steal_before);
        environment.pinning.clone_from(&self.pinning);
        if self.simulated.is_some() {
            // Nobody's time was taken: none passed but that of the world.
            environment.steal_ratio = 0.0;
        }
        let (name, version) = match self.other {
            Some(other) => (other.name().to_owned(), other.version().to_owned()),
            None => ("gateway".to_owned(), format!("gateway {}", gateway::build::version())),
        };
        environment.versions.insert(name, version);
        let machine = (self.driver_cores, environment.steal_ratio);
        let (mut validity, mut doubt) = validity::judge(self.scenario, &self.warmed_up, &self.measured, machine);
        if let Some(searched) = self.searched.as_ref().filter(|searched| !searched.reasons.is_empty()) {
            validity.reasons.extend(searched.reasons.iter().cloned());
            (validity.valid, doubt.lost) = (false, true);
        }
        let missed = Some(self.limited.events_missed).filter(|missed| *missed > 0);
        let missed = missed.map(|missed| format!("{missed} events of the gateways were lost"));
        for reason in missed.into_iter().chain(self.unjudged()) {
            validity.reasons.push(reason);
            (validity.valid, doubt.lost) = (false, true);
        }
        validity.lost = doubt.lost || doubt.interrupted;
        validity.notes.extend(warnings(self.scenario));
        let mut result = ResultFile {
            kind: Kind::Run,
            name: self.scenario.name.clone(),
            seed: self.scenario.seed,
            commit: self.other.map_or(commit, |_| "").to_owned(),
            started_at,
            command,
            seconds: Some((self.took.as_secs_f64() * 10.0).round() / 10.0),
            environment: same(&environment),
            validity,
            load: self.loads(),
            gateway: self.gateways(),
            balance: self.balance(),
            capacity: self.searched.iter().map(|one| (one.load.clone(), one.capacity.clone())).collect(),
            breakers: self.breakers(),
            limiters: same(&self.limited.scores),
            retries: Some(Retries { amplification: self.amplification(), budget_refused: self.budget_refused() }),
            timeline: self.timeline(),
            ..ResultFile::default()
        };
        result.other.insert("events".to_owned(), timeline::to_json(&self.measured.events));
        self.beside(&mut result);
        if let Some(simulated) = &self.simulated {
            result.other.insert(VIRTUAL_TIME.to_owned(), simulated.clone());
        }
        // Other programs have keys of their own, or none.
        let keys = self.scores.as_ref().filter(|_| self.other.is_none()).and_then(|scored| scored.keys.as_ref());
        if let Some(keys) = keys {
            result.other.insert("keys".to_owned(), serde_json::to_value(keys).unwrap_or_default());
        }
        if let Some(account) = self.account() {
            result.other.insert("accounting".to_owned(), account.to_json());
        }
        let expected: Vec<ExpectPart> =
            self.scenario.expectations.iter().filter(|one| self.can_hold(one)).cloned().collect();
        let judged = verdict::expectations(&expected, &result, &self.measured.died, &doubt);
        let valid = result.validity.valid;
        result.verdict = verdict::verdict(valid, &judged);
        let (told, left) = verdict::told(result.verdict, valid, judged);
        result.expectations = told;
        result.validity.reasons.extend(left);
        result
    }

    /// Why figures are expected in vain: there was too much to be judged request by request.
    fn unjudged(&self) -> Option<String> {
        let (before, after) = &self.measured.counted;
        let count = after.recorded.saturating_sub(before.recorded);
        let figure = self.scenario.expectations.iter().filter(|one| self.can_hold(one)).find_map(needs_history)?;
        self.scores.is_none().then(|| {
            format!("{figure} is not known: {count} requests at the mocks are more than the {MOST_JUDGED} that are judged one by one")
        })
    }

    /// Whether there is such a figure: another program tells of no breaker and keeps no record.
    fn can_hold(&self, expected: &ExpectPart) -> bool {
        let ours = ["breakers.", "limiters.", "accounting.", "keys.", "prometheus.", "routes."];
        let is_ours = |figure: &String| ours.iter().any(|section| figure.starts_with(section));
        self.other.is_none() || !expected.figures().any(is_ours)
    }

    fn loads(&self) -> BTreeMap<String, reports::result::Load> {
        let measured = &self.measured;
        let one = |(number, load): (usize, &crate::scenario::model::LoadPart)| {
            let watch = &measured.watches[number];
            let mut result = LoadResult::of(&watch.recorder, &measured.driven.totals[number], measured.offered[number]);
            result.journeys = measured.driven.books[number].as_ref().map(JourneyResult::all_of).unwrap_or_default();
            (load.name.clone(), same(&result))
        };
        self.scenario.loads.iter().enumerate().map(one).collect()
    }

    /// Requests that clients sent in the measured part.
    fn sent(&self) -> u64 {
        let sent = |seen: &&Seen| super::account::was_sent(seen.failure);
        self.measured.watches.iter().map(|watch| watch.seen.iter().filter(sent).count() as u64 + watch.not_kept).sum()
    }

    /// Requests that the mocks saw in the measured part, by the endpoint's name.
    fn at_mocks(&self) -> BTreeMap<&str, u64> {
        let (before, after) = &self.measured.counted;
        let since = |(port, count): (&u16, &u64)| {
            let name = self.names.get(port)?;
            Some((name.as_str(), count.saturating_sub(before.requests.get(port).copied().unwrap_or(0))))
        };
        after.requests.iter().filter_map(since).collect()
    }

    fn amplification(&self) -> f64 {
        round(self.at_mocks().values().sum::<u64>() as f64 / self.sent().max(1) as f64, 1e4)
    }

    /// Retries that budgets refused, by all gateways' own counts; `None` where one of them cannot tell.
    fn budget_refused(&self) -> Option<u64> {
        let count = self.records.loads.len();
        let refused: Option<f64> = (0..count).map(|number| self.grown(REFUSED, number)).sum();
        refused.map(|refused| refused as u64)
    }

    fn gateways(&self) -> BTreeMap<String, Gateway> {
        let measured = &self.measured;
        let all_records = self.records.loads.iter().sum::<u64>().max(1) as f64;
        let upstream = self.at_mocks().values().sum::<u64>().max(1) as f64;
        let accepts = measured.counted.1.accepts.saturating_sub(measured.counted.0.accepts) as f64;
        // Mocks see connections, but not whose; among several gateways each tells its own, and who cannot tell has an
        // equal part of what is left.
        let count = self.records.loads.len();
        let told: Vec<Option<f64>> = (0..count).map(|number| self.grown(OPENED, number)).collect();
        let untold = told.iter().filter(|opened| opened.is_none()).count().max(1) as f64;
        let left = (accepts - told.iter().flatten().sum::<f64>()).max(0.0) / untold;
        let one = |number: usize| {
            let (before, after) = (measured.usage.0[number], measured.usage.1[number]);
            // Records tell how the requests were spread over the gateways; with one gateway that is all of them.
            let records = &self.records.loads;
            let share = if records.len() == 1 { 1.0 } else { records[number] as f64 / all_records };
            let opened = if count == 1 { accepts } else { told[number].unwrap_or(left) };
            let cpu_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
            let idle = measured.idle_rss[number];
            let gateway = Gateway {
                cpu_us_per_request: Some(round(cpu_us / (self.sent() as f64 * share).max(1.0), 100.0)),
                rss_bytes: Some(Rss {
                    idle,
                    peak: measured.memory[number].peak.max(after.rss_bytes).max(idle),
                    end: after.rss_bytes,
                }),
                connections_opened: opened as u64,
                reuse_ratio: round(1.0 - opened / (upstream * share).max(1.0), 1e5),
                instructions_per_request: None,
            };
            // In virtual time nothing costs anything.
            let gateway = match self.simulated {
                Some(_) => Gateway { cpu_us_per_request: None, rss_bytes: None, ..gateway },
                None => gateway,
            };
            (number.to_string(), gateway)
        };
        (0..count).map(one).collect()
    }

    fn balance(&self) -> BTreeMap<String, Balance> {
        let counts = self.at_mocks();
        let one = |upstream: &Arc<gateway::config::settings::Upstream>| {
            let Endpoints::Static(endpoints) = &upstream.endpoints else { return None };
            let named = |endpoint: &Endpoint| self.checked.names.get(&*endpoint.address).cloned();
            let count = |name: &str| counts.get(name).copied().unwrap_or(0) as f64;
            let seen = endpoints.iter().filter_map(named).map(|name| (count(&name), name));
            let due = endpoints.iter().filter_map(|one| Some((f64::from(due_weight(one)), named(one)?)));
            // Where nothing was ever wrong there was nothing to regret.
            let judged = self.scores.as_ref().filter(|_| !self.scenario.faults.is_empty());
            let judged = judged.and_then(|scored| scored.scores.balance.get(&*upstream.name));
            let is_hashed = matches!(upstream.balance, Picked::ConsistentHash(_));
            let balance = Balance {
                share: shares(seen.collect()),
                expected_share: shares(due.collect()),
                regret_bad: judged.map(|score| round(score.regret_bad, 1e4)),
                regret_idle: judged.map(|score| round(score.regret_idle, 1e4)),
                moved_keys: judged.filter(|_| is_hashed).map(|score| score.moved_keys as f64),
            };
            Some((upstream.name.to_string(), balance))
        };
        self.checked.config.upstreams.iter().filter_map(one).collect()
    }

    /// Breakers by the scenario's names; an upstream's roll-up by its own.
    fn breakers(&self) -> BTreeMap<String, Breaker> {
        let Some(scored) = &self.scores else { return BTreeMap::new() };
        let named = |(name, score)| (scored.names.get(name).unwrap_or(name).clone(), same(score));
        scored.scores.breakers.iter().map(named).collect()
    }

    /// The states of all breakers at a time.
    fn breaker_states(&self, t_ms: u64) -> BTreeMap<String, String> {
        let Some(scored) = &self.scores else { return BTreeMap::new() };
        let state = |score: &BreakerScore| {
            let past = score.transitions.iter().take_while(|change| change.t_ms <= t_ms as f64);
            past.last().map_or("closed", |change| change.to).to_owned()
        };
        let named =
            |(name, score): (&String, &BreakerScore)| (scored.names.get(name).unwrap_or(name).clone(), state(score));
        scored.scores.breakers.iter().map(named).collect()
    }

    /// The share of requests that each limit refused in a step.
    fn limiter_refused(&self, t_ms: u64, step_ms: u64) -> BTreeMap<String, f64> {
        limits::refused(&self.limited.refusals, t_ms * 1_000_000, (t_ms + step_ms) * 1_000_000)
    }

    /// The account, where every record was kept.
    fn account(&self) -> Option<Account> {
        let every = self.checked.config.telemetry.access_log.sample >= 1.0;
        let all = || self.measured.watches.iter().flat_map(|watch| &watch.seen);
        let whole = self.measured.watches.iter().all(|watch| watch.not_kept == 0);
        (every && whole && self.other.is_none()).then(|| Account {
            requests: self.warmed_up.sent + self.sent(),
            answers: self.warmed_up.answered + all().filter(|seen| seen.status != 0).count() as u64,
            records: self.records.loads.iter().sum(),
        })
    }

    fn timeline(&self) -> Vec<Moment> {
        let length = self.measured.lasted.min(self.scenario.length());
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let step_ms = (length_ms / STEPS).next_multiple_of(LEAST_STEP_MS).max(LEAST_STEP_MS);
        let seen = self.measured.watches.iter().flat_map(|watch| &watch.seen);
        let steps = steps(seen, self.measured.start_ns, (length_ms, step_ms));
        steps.into_iter().enumerate().map(|(index, step)| self.moment(index as u64 * step_ms, step_ms, step)).collect()
    }

    fn moment(&self, t_ms: u64, step_ms: u64, step: Step) -> Moment {
        let Step { mut latencies, errors, rps } = step;
        latencies.sort_unstable();
        let at = |quantile: f64| {
            let rank = (latencies.len() as f64 * quantile).ceil() as usize;
            latencies.get(rank.max(1) - 1).map_or(0.0, |ns| round(*ns as f64 / 1e3, 10.0))
        };
        let (from, until) = (Duration::from_millis(t_ms), Duration::from_millis(t_ms + step_ms));
        let length = self.scenario.length();
        let faults = self.scenario.faults.iter().filter(|fault| fault.at < until && from < fault.until(length));
        let outages = self.scenario.outages().into_iter().filter(|outage| outage.0 < until && from < outage.1);
        Moment {
            t_ms,
            rps,
            p50: at(0.5),
            p99: at(0.99),
            errors,
            breaker_states: self.breaker_states(t_ms + step_ms),
            limiter_refused: self.limiter_refused(t_ms, step_ms),
            fault_active: faults
                .map(crate::scenario::model::FaultPart::place)
                .chain(outages.map(|_| "redis".to_owned()))
                .collect(),
        }
    }
}

/// What an endpoint counts for among those of its upstream while all is well: a backup, for nothing.
pub(super) fn due_weight(endpoint: &Endpoint) -> u32 {
    if endpoint.backup { 0 } else { endpoint.weight }
}

/// Each one's part of their sum, by name; of nothing, nothing.
fn shares(parts: Vec<(f64, String)>) -> BTreeMap<String, f64> {
    let total = parts.iter().map(|(part, _)| part).sum::<f64>().max(1.0);
    parts.into_iter().map(|(part, name)| (name, round(part / total, 1e4))).collect()
}

/// A figure of this expectation that oracles read from every single request.
fn needs_history(expected: &ExpectPart) -> Option<&String> {
    let needs = |figure: &&String| {
        ["breakers.", "keys.", "routes."].iter().any(|section| figure.starts_with(section))
            || (figure.starts_with("balance.") && (figure.contains(".regret_") || figure.ends_with(".moved_keys")))
    };
    expected.figures().find(needs)
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use gateway::config::settings::upstream::Target;

    use super::*;

    #[test]
    fn a_backup_is_to_get_nothing_while_all_is_well() {
        let endpoint = |weight, backup| {
            due_weight(&Endpoint { address: "a:1".into(), target: Target::Name("a".into(), 1), weight, backup })
        };
        assert_eq!([endpoint(3, false), endpoint(1, false), endpoint(1, true)], [3, 1, 0]);
        let due = [(3.0, "a"), (1.0, "b"), (0.0, "c")].map(|(part, name)| (part, name.to_owned()));
        assert_eq!(shares(due.to_vec()).into_values().collect::<Vec<_>>(), [0.75, 0.25, 0.0]);
        assert_eq!(shares(vec![(0.0, "a".to_owned())])["a"], 0.0, "of nothing, nothing");
    }

    #[test]
    fn some_figures_need_every_request() {
        let needs = |figure: &str, above: Option<&str>| {
            let above = above.map(str::to_owned);
            let expected = ExpectPart { figure: figure.to_owned(), min: None, max: Some(0.0), above, per: None };
            needs_history(&expected).cloned()
        };
        for figure in ["breakers.a/0.trips", "keys.fetches", "routes.a.over_slowest_us.p50", "balance.a.regret_bad"] {
            assert_eq!(needs(figure, None).as_deref(), Some(figure));
            assert_eq!(needs("load.main.requests", Some(figure)).as_deref(), Some(figure), "beside another");
        }
        for figure in ["load.main.requests", "limiters.each.offered", "balance.a.share.a/0", "retries.amplification"] {
            assert_eq!(needs(figure, None), None, "{figure}");
        }
    }
}
