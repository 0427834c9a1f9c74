//! The limiter's oracle: every decision taken again, and what came of them over time.
//!
//! - `gcra`: one key, exactly; `replay`: all decisions; `window`: the bound over every window; `keys`: what each key
//!   got.

mod gcra;
mod keys;
mod replay;
mod window;

pub(crate) use window::worst_excess;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::history::{ClientRequest, History, Name, Phase};
use crate::oracle::policy::{LimitPolicy, Policies, Tolerance};
use replay::Decision;

/// `limiters.<rule>` of a result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LimiterScore {
    /// Requests that were held against the rule.
    pub offered: u64,
    /// Those that were admitted.
    pub admitted: u64,
    /// Those that an exact limiter admits.
    pub oracle_admitted: u64,
    /// Admitted though this rule had to refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_admits: Option<u64>,
    /// Refused by this rule though every rule had to admit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_refusals: Option<u64>,
    /// The largest excess over `burst + rate * t`, of any key in any window, tokens; at most 0 when the bound holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_violation: Option<f64>,
    /// The admitted rate over the configured one, less 1, where at least twice the rate was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sustained_error: Option<f64>,
    /// The largest difference between what a refusal told its client to wait and when the request could have passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_error_ms: Option<f64>,
    /// Jain's index over keys; 1 is fair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fairness_jain: Option<f64>,
    /// What was decided in each phase.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<String, LimiterPhase>,
}

/// What a rule decided in one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LimiterPhase {
    /// Requests that were held against it.
    pub offered: u64,
    /// Those that were admitted.
    pub admitted: u64,
    /// Tokens that were admitted over those that the rate gave, of all keys that were asked for as much; a burst that
    /// was left at the phase's beginning counts too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_rate: Option<f64>,
}

/// The limits of a run by name. A rule that no request met has a score of zeros.
#[cfg(test)]
pub fn judge(history: &History, policies: &Policies, tolerance: Tolerance) -> BTreeMap<String, LimiterScore> {
    judge_from(history, policies, tolerance, 0)
}

/// The same for what was decided at `from_ns` or later. Earlier decisions count for how full the buckets are by then.
pub fn judge_from(
    history: &History,
    policies: &Policies,
    tolerance: Tolerance,
    from_ns: u64,
) -> BTreeMap<String, LimiterScore> {
    let mut decisions = replay::replay(history, policies, tolerance);
    decisions.retain(|decision| decision.at_ns >= from_ns);
    let clients: HashMap<&Name, &ClientRequest> =
        history.clients.iter().filter_map(|request| Some((request.request_id.as_ref()?, request))).collect();
    let score = |(name, limit): (&Name, &LimitPolicy)| {
        (name.to_string(), judge_rule(name, limit, &decisions, (&clients, &history.phases)))
    };
    policies.limits.iter().map(score).collect()
}

fn judge_rule(
    rule: &Name,
    limit: &LimitPolicy,
    decisions: &[Decision<'_>],
    (clients, phases): (&HashMap<&Name, &ClientRequest>, &[Phase]),
) -> LimiterScore {
    let mut score = LimiterScore::default();
    let (mut false_admits, mut false_refusals) = (0, 0);
    let mut dishonest: Option<u64> = None;
    for decision in decisions.iter().filter(|decision| decision.asked.iter().any(|asked| asked.rule == *rule)) {
        let ours = decision.refused_by == Some(rule);
        score.offered += 1;
        score.admitted += u64::from(decision.refused_by.is_none());
        score.oracle_admitted += u64::from(decision.replayed_as_admitted());
        if !decision.agrees {
            false_admits += u64::from(decision.refused_by.is_none() && decision.oracle_refused_by.contains(&rule));
            false_refusals += u64::from(ours);
        }
        if ours && !decision.oracle_refused_by.is_empty() {
            let client = decision.request_id.and_then(|id| clients.get(id)).filter(|client| client.status.is_some());
            let error = client.map(|client| client.retry_after_ns.unwrap_or(0).abs_diff(decision.wait_ns));
            dishonest = dishonest.max(error);
        }
    }
    (score.false_admits, score.false_refusals) = (Some(false_admits), Some(false_refusals));
    let keys = keys::of_rule(decisions, rule);
    // A rule in shadow bounds nothing, so there is nothing that it could exceed.
    if !limit.shadow {
        score.bound_violation = keys::bound_violation(limit, keys.values());
        score.sustained_error = keys::sustained_error(limit, keys.values());
        score.fairness_jain = keys::fairness(limit, keys.values());
    }
    let of_phase = |phase: &Phase| (phase.name.to_string(), keys::of_phase(limit, keys.values(), phase));
    score.phases = phases.iter().map(of_phase).collect();
    score.retry_after_error_ms = dishonest.map(|ns| ns as f64 / 1e6);
    score
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    /// Ten a second, two at once.
    fn score(story: Story) -> LimiterScore {
        let limits = [("each".into(), LimitPolicy::per_second(10, 2))].into();
        let policies = Policies { limits, ..Policies::default() };
        judge(&story.end(), &policies, Tolerance::default()).remove("each").unwrap()
    }

    fn ask(story: Story, key: &str, refused: bool) -> Story {
        story.limited(&[("each", key, 1)], refused.then_some("each"))
    }

    /// A request each 10 ms for 10 s, admitted as an exact limiter would, but for those that `wrong` picks.
    fn greedy(wrong: fn(u64) -> bool) -> Story {
        Story::new().each(0..1_000, |story, at| {
            let exact = at < 2 || at % 10 == 0;
            ask(story.at_ms(at * 10), "ann", exact == wrong(at))
        })
    }

    #[test]
    fn an_exact_limiter_has_no_errors() {
        let score = score(greedy(|_| false));
        assert_eq!((score.offered, score.admitted, score.oracle_admitted), (1_000, 101, 101));
        assert_eq!((score.false_admits, score.false_refusals), (Some(0), Some(0)));
        assert!(score.bound_violation.unwrap() <= 0.0 && score.sustained_error.unwrap().abs() < 0.02);
        assert_eq!(score.fairness_jain, Some(1.0));
    }

    #[test]
    fn refusals_at_the_edge_of_a_token_are_not_admissions_of_the_oracle() {
        // An exact limiter whose clock is half a millisecond behind its stamps. A token comes each 33.3 ms; ten
        // requests come in each millisecond, so that ten are refused by mistake where the next token is nearly there.
        let limits = [("each".into(), LimitPolicy::per_second(30, 2))].into();
        let policies = Policies { limits, ..Policies::default() };
        let (period, mut free_at) = (100.0 / 3.0, 0.0_f64);
        let story = Story::new().each(0..1_000, |story, at| {
            let now = at as f64 - 0.5;
            (0..10).fold(story.at_ms(at), |story, _| {
                let is_due = now >= free_at - period;
                if is_due {
                    free_at = free_at.max(now) + period;
                }
                ask(story, "ann", !is_due)
            })
        });
        let tolerance = Tolerance { stamp_ns: 1_000_000, ..Tolerance::default() };
        let score = judge(&story.end(), &policies, tolerance).remove("each").unwrap();
        assert_eq!((score.offered, score.false_refusals), (10_000, Some(0)));
        assert!(score.admitted.abs_diff(score.oracle_admitted) <= 1, "{score:?}");
    }

    #[test]
    fn a_limiter_that_lets_one_in_ten_through_by_mistake() {
        let score = score(greedy(|at| at % 10 == 5));
        assert_eq!((score.false_admits, score.false_refusals), (Some(100), Some(0)));
        assert!(score.bound_violation.unwrap() > 90.0 && score.sustained_error.unwrap() > 0.9, "{score:?}");
    }

    #[test]
    fn a_limiter_that_refuses_what_it_owes() {
        let score = score(greedy(|at| at == 500));
        assert_eq!((score.false_admits, score.false_refusals), (Some(0), Some(1)));
        assert_eq!(score.oracle_admitted, score.admitted + 1);
    }

    #[test]
    fn retry_after_is_held_against_the_moment_at_which_it_passes() {
        let refuse = |story: Story, told: Option<u64>| {
            let story = ask(story.at_ms(30).asked(), "ann", true).told_client(429, 0);
            told.map_or(story.clone(), |ms| story.retry_after_ms(ms))
        };
        let full = || ask(ask(Story::new().asked(), "ann", false).asked(), "ann", false);
        assert_eq!(score(refuse(full(), Some(70))).retry_after_error_ms, Some(0.0));
        assert_eq!(score(refuse(full(), Some(1_000))).retry_after_error_ms, Some(930.0), "rounded up to a second");
        assert_eq!(score(refuse(full(), None)).retry_after_error_ms, Some(70.0), "not told");
        assert_eq!(score(full()).retry_after_error_ms, None);
    }

    #[test]
    fn one_key_that_starves_is_unfair() {
        let both = Story::new().each(0..100, |story, at| {
            let story = ask(story.at_ms(at * 100), "ann", false);
            ask(story, "bob", at > 10)
        });
        assert!(score(both).fairness_jain.unwrap() < 0.7);
    }

    #[test]
    fn what_was_decided_before_counts_for_the_buckets_alone() {
        let limits = [("each".into(), LimitPolicy::per_second(10, 2))].into();
        let policies = Policies { limits, ..Policies::default() };
        let score = |story: Story| judge_from(&story.end(), &policies, Tolerance::default(), 5_000_000).remove("each");
        let drained = || ask(ask(Story::new(), "ann", false), "ann", false).at_ms(5);
        let refused = score(ask(drained(), "ann", true)).unwrap();
        assert_eq!((refused.offered, refused.admitted, refused.false_refusals), (1, 0, Some(0)));
        let admitted = score(ask(drained(), "ann", false)).unwrap();
        assert_eq!((admitted.offered, admitted.false_admits), (1, Some(1)));
        let full = score(ask(Story::new().at_ms(5), "ann", true)).unwrap();
        assert_eq!(full.false_refusals, Some(1), "a full bucket refuses");
    }

    #[test]
    fn a_rule_that_nobody_met_is_there_all_the_same() {
        let (false_admits, false_refusals) = (Some(0), Some(0));
        let nothing = LimiterScore { false_admits, false_refusals, ..LimiterScore::default() };
        assert_eq!(score(Story::new().refused(503)), nothing);
    }
}
