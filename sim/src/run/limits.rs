//! What rate limits decided in a run, held against the oracle.
//!
//! The gateways tell of every decision with its time. Those of the warm-up are taken again too, so that buckets are at
//! t = 0 as full as they were; figures are of what was decided from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway::config::Config;
use loadgen::response::Refusal;

use super::events::Follower;
use crate::history::limit::requests;
use crate::history::{ClientRequest, EventKind, History, Name, Phase};
use crate::oracle::limiter::{LimiterScore, judge_from};
use crate::oracle::policy::{Policies, Tolerance};
use crate::scenario::gateway::Checked;
use crate::scenario::policy::{is_shared, limits};

/// A decision of the measured part: nanoseconds from t = 0, the rules that were asked, and which refused.
pub(super) type Judged = (u64, Vec<Name>, Option<Name>);

/// What rate limits decided.
#[derive(Debug, Default)]
pub(super) struct Limited {
    /// By rule.
    pub(super) scores: BTreeMap<String, LimiterScore>,
    /// In the order of time, for figures over it.
    pub(super) refusals: Vec<Judged>,
    /// Events that were lost; then neither breakers nor limits can be scored.
    pub(super) events_missed: u64,
}

/// Scores every limit that can be scored; `told` is what clients heard who were refused.
pub(super) fn judge(
    checked: &Checked,
    followers: &[Follower],
    (phases, zero_ns): (Vec<Phase>, u64),
    told: impl Iterator<Item = Refusal>,
    tolerance: Tolerance,
) -> Limited {
    let limits = limits(&checked.config);
    if limits.is_empty() || followers.is_empty() {
        return Limited::default();
    }
    let cost =
        |rule: &str| checked.config.rate_limits.iter().find(|limit| &*limit.name == rule).map_or(1, |one| one.cost);
    let shared = |rule: &str| is_shared(&checked.config, rule);
    let events = requests(followers.iter().flat_map(|follower| follower.decided(cost, shared)));
    // The gateways' times are the machine's.
    let shifted = |phase: Phase| Phase {
        from_ns: phase.from_ns.saturating_add(zero_ns),
        until_ns: phase.until_ns.saturating_add(zero_ns),
        ..phase
    };
    let phases = phases.into_iter().map(shifted).collect();
    let clients = told.map(refused_client).collect();
    let history = History { clients, events, phases, ..History::default() };
    let mut scores = judge_from(&history, &Policies { limits, ..Policies::default() }, tolerance, zero_ns);
    leave_out_silent(&checked.config, &mut scores);
    let decided = history.events.into_iter().filter_map(|event| match event.kind {
        EventKind::Limit { asked, refused_by, .. } => {
            let rules = asked.into_iter().map(|asked| asked.rule).collect();
            Some((event.at_ns.checked_sub(zero_ns)?, rules, refused_by))
        }
        _ => None,
    });
    Limited { scores, refusals: decided.collect(), events_missed: 0 }
}

/// Takes out what refused clients were told where that is no word of the rule alone. And what is held against each
/// single decision, where these are not in the order in which gateways tell of them: a store decides a little later
/// than it is asked, and one that changed places with its neighbour shifts which of the later ones pass, for long.
pub(super) fn leave_out_silent(config: &Config, scores: &mut BTreeMap<String, LimiterScore>) {
    for (_, score) in scores.iter_mut().filter(|(rule, _)| is_shared(config, rule)) {
        (score.false_admits, score.false_refusals) = (None, None);
    }
    for (_, score) in scores.iter_mut().filter(|(rule, _)| !speaks_for_itself(config, rule)) {
        score.retry_after_error_ms = None;
    }
}

/// Whether what a refused client is told is what the oracle knows: the rule's buckets are the gateway's own, and no
/// rule stands behind it, whose wait a refusal takes into account though it does not tell of it.
fn speaks_for_itself(config: &Config, rule: &str) -> bool {
    let of = |name: &str| config.rate_limits.iter().find(|limit| &*limit.name == name);
    let may_refuse = |name: &&Arc<str>| of(name).is_some_and(|limit| !limit.shadow);
    let is_last = |rules: &[Arc<str>]| rules.iter().rfind(may_refuse).is_none_or(|last| **last == *rule);
    let mut routes = config.routes.iter().filter(|route| route.rate_limits.iter().any(|name| **name == *rule));
    of(rule).is_some_and(|limit| limit.shared.is_none()) && routes.all(|route| is_last(&route.rate_limits))
}

/// Whoever was refused, as far as oracles of limits ask.
fn refused_client(Refusal { request_id, wait_ns }: Refusal) -> ClientRequest {
    let nowhere = || Name::from("");
    ClientRequest {
        request_id: Some(request_name(request_id)),
        status: Some(429),
        retry_after_ns: Some(wait_ns),
        ..ClientRequest::planned(nowhere(), nowhere(), 0)
    }
}

/// What a request is called here: gateways and clients need not write its UUID alike.
pub(super) fn request_name(id: u128) -> Name {
    Name::from(format!("{id:032x}"))
}

/// The share of requests that each rule refused from one time to another, nanoseconds from t = 0.
pub(super) fn refused(decided: &[Judged], from_ns: u64, until_ns: u64) -> BTreeMap<String, f64> {
    // They are in the order of time.
    let first = decided.partition_point(|one| one.0 < from_ns);
    let mut counts: BTreeMap<&Name, (u64, u64)> = BTreeMap::new();
    for (_, rules, refused_by) in decided[first..].iter().take_while(|one| one.0 < until_ns) {
        for rule in rules {
            let count = counts.entry(rule).or_default();
            count.0 += 1;
            count.1 += u64::from(refused_by.as_ref() == Some(rule));
        }
    }
    let share = |(rule, (all, refused)): (&Name, (u64, u64))| {
        (rule.to_string(), (refused as f64 / all as f64 * 1e4).round() / 1e4)
    };
    counts.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_those_who_asked_in_that_time() {
        let one = |at_ns: u64, refused: bool| (at_ns, vec![Name::from("each")], refused.then(|| Name::from("each")));
        let decided = [one(1, true), one(5, true), one(6, false), one(7, false), one(9, true)];
        assert_eq!(refused(&decided, 5, 9), BTreeMap::from([("each".to_owned(), 0.3333)]));
        assert!(refused(&decided, 100, 200).is_empty());
    }
}
