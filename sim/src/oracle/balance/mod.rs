//! The balancer's oracle: what a sick endpoint still got, what well ones did not get, and keys that left their home.
//! Shares are counted at the mocks, without it.
//!
//! - `regret`: sick and idle; `homes`: keys of a consistent hash.

mod homes;
mod regret;

use std::collections::BTreeMap;

use crate::history::{Attempt, History, Name};
use crate::oracle::policy::{Policies, UpstreamPolicy};

/// `balance.<upstream>` of a result, but for the shares.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BalanceScore {
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
    let regret = regret::measure(history, upstream, &policy.weights, &attempts);
    BalanceScore {
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
    fn where_nothing_is_wrong_or_nobody_asked_there_is_nothing_to_regret() {
        let story = Story::new().each([1, 1, 1, 0], |story, to| story.answered(&format!("orders/{to}"), 200, 1));
        assert_eq!(score(story.answered("users/0", 200, 1), &[1, 3, 0]), BalanceScore::default());
        assert_eq!(score(Story::new(), &[1]), BalanceScore::default());
    }
}
