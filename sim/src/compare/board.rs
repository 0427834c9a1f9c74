//! The result of a comparison out of the runs of all gateways.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use reports::result::{Compared, Environment, Kind, Lag, ResultFile, Validity, Verdict};
use serde_json::json;

use super::Missing;
use super::score::{self, Asked, OneKey};
use super::stand::{Source, Stand};
use super::wanted::shared_limit;
use crate::history::Name;
use crate::oracle::policy::LimitPolicy;
use crate::peers::OURS;
use crate::run::{Place, Ran, RunError};
use crate::scenario::Scenario;

/// What has come together so far.
#[derive(Debug)]
pub(super) struct Board<'a> {
    scenario: &'a Scenario,
    asked: Asked,
    missing: Vec<Missing>,
    compared: BTreeMap<String, Compared>,
    environment: Environment,
    reasons: Vec<String>,
    valid: bool,
    dropped: u64,
    achieved: f64,
    client_cpu_ratio: f64,
    pacer_lag_us: Lag,
    commit: String,
}

impl<'a> Board<'a> {
    pub(super) fn new(scenario: &'a Scenario, missing: Vec<Missing>) -> Self {
        Self {
            scenario,
            asked: asked(scenario),
            reasons: missing.iter().map(|one| one.remedy.clone()).collect(),
            missing,
            compared: BTreeMap::new(),
            environment: Environment::default(),
            valid: true,
            dropped: 0,
            achieved: 1.0,
            client_cpu_ratio: 0.0,
            pacer_lag_us: Lag::default(),
            commit: String::new(),
        }
    }

    pub(super) fn add_ours(&mut self, ran: &Ran) {
        self.environment = ran.result.environment.clone();
        let version = ran.result.environment.versions.values().next().cloned().unwrap_or_default();
        self.enter(OURS, version, Vec::new(), ran);
    }

    /// Ours once more, with another configuration. It is held against what the scenario's own asks for, as all are.
    pub(super) fn add_own(&mut self, name: &str, config: &Path, ran: &Ran) {
        let version = ran.result.environment.versions.values().next().cloned().unwrap_or_default();
        self.environment.steal_ratio = self.environment.steal_ratio.max(ran.result.environment.steal_ratio);
        self.enter(name, version, vec![format!("configured by {}", config.display())], ran);
    }

    pub(super) fn add(&mut self, stand: &Stand, ran: &Ran) {
        self.environment.versions.insert(stand.name.clone(), stand.version.clone());
        self.environment.steal_ratio = self.environment.steal_ratio.max(ran.result.environment.steal_ratio);
        self.enter(&stand.name, stand.version.clone(), lacks(stand, self.scenario), ran);
    }

    /// One whose run could not be made; the others go on.
    pub(super) fn failed(&mut self, name: &str, error: &RunError) {
        self.valid = false;
        self.reasons.push(format!("{name} could not be run: {error}"));
    }

    fn enter(&mut self, name: &str, version: String, lacks: Vec<String>, ran: &Ran) {
        let validity = &ran.result.validity;
        self.dropped += validity.dropped;
        self.achieved = self.achieved.min(validity.achieved_over_offered);
        self.client_cpu_ratio = self.client_cpu_ratio.max(validity.client_cpu_ratio);
        self.pacer_lag_us = self.pacer_lag_us.worst(validity.pacer_lag_us);
        self.commit.clone_from(&ran.result.commit);
        self.valid &= validity.valid;
        self.reasons.extend(validity.reasons.iter().map(|reason| format!("{name}: {reason}")));
        let Some(history) = &ran.history else {
            self.valid = false;
            self.reasons.push(format!("{name}: there were too many requests to look at one by one"));
            return;
        };
        let scored = score::score(&self.asked, history, &ran.happened, &ran.result);
        self.reasons.extend(unmeasured(name, &scored));
        self.compared.insert(name.to_owned(), Compared { version, lacks, ..scored });
    }

    pub(super) fn result(mut self, started_at: String, command: &str, interrupted: bool) -> ResultFile {
        if interrupted {
            self.valid = false;
            self.reasons.insert(0, "it was interrupted".to_owned());
        }
        let validity = Validity {
            valid: self.valid,
            reasons: self.reasons,
            dropped: self.dropped,
            achieved_over_offered: self.achieved,
            client_cpu_ratio: self.client_cpu_ratio,
            pacer_lag_us: self.pacer_lag_us,
            ..Validity::default()
        };
        let mut result = ResultFile {
            kind: Kind::Compare,
            name: self.scenario.name.clone(),
            seed: self.scenario.seed,
            commit: self.commit,
            started_at,
            command: command.to_owned(),
            environment: self.environment,
            verdict: if validity.valid { Verdict::Pass } else { Verdict::Invalid },
            validity,
            compare: self.compared,
            ..ResultFile::default()
        };
        if !self.missing.is_empty() {
            let names: Vec<&str> = self.missing.iter().map(|one| one.name.as_str()).collect();
            result.other.insert("missing".to_owned(), json!({ "peers": names }));
        }
        result
    }
}

/// Outages of a gateway of which nobody can say when it left the endpoint alone, and what would show it. The rest of
/// the comparison is as good as ever.
fn unmeasured(name: &str, scored: &Compared) -> Option<String> {
    let figure = |name: &str| scored.figures.get(name).copied().unwrap_or(0.0);
    let (unknown, all) = (figure(score::NOT_MEASURABLE), figure("outages"));
    let why = "too few requests met the endpoint before the fault or within it; a higher rate, a fault that begins later \
               or lasts longer, or a longer pause between two faults would show it";
    (unknown > 0.0)
        .then(|| format!("{name}: when it left the endpoint alone is not known of {unknown} of {all} outages: {why}"))
}

/// What every gateway's history is held against: what ours is configured for.
fn asked(scenario: &Scenario) -> Asked {
    let Ok(checked) = scenario.gateway.template.check(&scenario.file, scenario.endpoints()) else {
        return Asked::default();
    };
    let probes = checked.config.upstreams.iter();
    let probes = probes.map(|upstream| (Name::from(&*upstream.name), u64::from(upstream.breaker.policy.probes)));
    let limit = shared_limit(&checked.config).map(|limit| {
        let per_ns = u64::try_from(limit.rate.period.as_nanos()).unwrap_or(u64::MAX);
        let policy = LimitPolicy { tokens: limit.rate.tokens, per_ns, burst: limit.rate.burst, shadow: false };
        OneKey { name: Name::from(&*limit.name), policy }
    });
    Asked { probes: probes.collect(), limit }
}

/// What a gateway cannot be told of what the scenario asks for.
fn lacks(stand: &Stand, scenario: &Scenario) -> Vec<String> {
    let mut lacks = match &stand.source {
        Source::Own(own) => vec![format!("configured by {}, as you wrote it", own.file_name())],
        Source::Made(_) => {
            let endpoints: BTreeMap<String, SocketAddr> =
                scenario.endpoints().zip(1..).map(|(name, port)| (name, (Ipv4Addr::LOCALHOST, port).into())).collect();
            let place = Place { number: 0, endpoints: &endpoints, listener: None, folder: Path::new("."), cores: &[] };
            stand.lacks(&place)
        }
    };
    lacks.extend(stand.says_of_events(&scenario.events));
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_that_shows_nothing_is_said_to_and_how_it_would() {
        let scored = |unknown: f64| Compared {
            figures: [("outages".to_owned(), 3.0), (score::NOT_MEASURABLE.to_owned(), unknown)].into(),
            ..Compared::default()
        };
        let said = unmeasured("nginx", &scored(2.0)).unwrap();
        assert!(
            said.starts_with("nginx: ") && said.contains("2 of 3 outages") && said.contains("a higher rate"),
            "{said}"
        );
        assert_eq!((unmeasured("nginx", &scored(0.0)), unmeasured("nginx", &Compared::default())), (None, None));
    }
}
