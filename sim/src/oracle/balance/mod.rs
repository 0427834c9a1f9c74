//! The balancer's oracle: shares against weights, what a sick endpoint still got, what well ones did not get, and keys
//! that left their home.
//!
//! - `regret`: sick and idle; `homes`: keys of a consistent hash.

mod homes;
mod regret;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{Attempt, Endpoint, History, Name};
use crate::oracle::policy::{Policies, UpstreamPolicy};

/// `balance.<upstream>` of a result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BalanceScore {
    /// Share of attempts by endpoint, counted at the mocks.
    pub share: BTreeMap<String, f64>,
    /// Share by weight.
    pub expected_share: BTreeMap<String, f64>,
    /// Attempts sent to an endpoint while it had a fault and another had none, over all attempts in that time.
    pub regret_bad: f64,
    /// Attempts that well endpoints did not get of their fair share meanwhile, over all attempts in that time.
    pub regret_idle: f64,
    /// Keys that went elsewhere while their home had no fault.
    pub moved_keys: u64,
}

/// The upstreams of a run by name.
pub fn judge(history: &History, policies: &Policies) -> BTreeMap<String, BalanceScore> {
    let score = |(name, policy): (&Name, &UpstreamPolicy)| (name.to_string(), judge_upstream(history, name, policy));
    policies.upstreams.iter().map(score).collect()
}

fn judge_upstream(history: &History, upstream: &Name, policy: &UpstreamPolicy) -> BalanceScore {
    let attempts: Vec<&Attempt> = history
        .attempts
        .iter()
        .filter(|attempt| attempt.endpoint.upstream == *upstream && !attempt.health_check)
        .collect();
    let name = |index: usize| Endpoint::new(upstream.clone(), index).to_string();
    let weight: u64 = policy.weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut counts = vec![0_u64; policy.weights.len()];
    for attempt in &attempts {
        if let Some(count) = counts.get_mut(attempt.endpoint.index) {
            *count += 1;
        }
    }
    let of = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let expected = policy.weights.iter().map(|part| of(u64::from(*part), weight)).enumerate();
    let regret = regret::measure(history, upstream, &policy.weights, &attempts);
    BalanceScore {
        share: counts
            .iter()
            .map(|count| of(*count, attempts.len() as u64))
            .enumerate()
            .map(|(at, x)| (name(at), x))
            .collect(),
        expected_share: expected.map(|(at, x)| (name(at), x)).collect(),
        regret_bad: regret.bad,
        regret_idle: regret.idle,
        moved_keys: homes::moved(history, upstream, &attempts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    fn score(story: Story, weights: &[u32]) -> BalanceScore {
        let upstream = UpstreamPolicy { weights: weights.to_vec(), ..UpstreamPolicy::default() };
        let policies = Policies { upstreams: [("orders".into(), upstream)].into(), ..Policies::default() };
        judge(&story.end(), &policies).remove("orders").unwrap()
    }

    #[test]
    fn shares_stand_beside_weights() {
        let story = Story::new().each([1, 1, 1, 0], |story, to| story.answered(&format!("orders/{to}"), 200, 1));
        let score = score(story.answered("users/0", 200, 1), &[1, 3, 0]);
        assert_eq!(score.share.values().copied().collect::<Vec<_>>(), [0.25, 0.75, 0.0]);
        assert_eq!(score.share.keys().collect::<Vec<_>>(), score.expected_share.keys().collect::<Vec<_>>());
        assert_eq!(score.expected_share["orders/1"], 0.75);
        assert_eq!((score.regret_bad, score.regret_idle, score.moved_keys), (0.0, 0.0, 0));
    }

    #[test]
    fn an_upstream_that_nobody_asked_has_no_shares() {
        assert_eq!(score(Story::new(), &[1]).share["orders/0"], 0.0);
    }
}
