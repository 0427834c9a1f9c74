//! Oracles: what a run should have been, computed from what happened in it.
//!
//! Pure functions of a [`History`] and of what was configured. They share no code with the gateway, read no clock and
//! draw no lot. Each has hand-made histories that it must pass and must fail, and its fast form is held against a naive
//! one.
//!
//! | module | judges |
//! |---|---|
//! | [`breaker`] | trips against the smallest prefix that satisfies the policy, leaks, probes, recovery |
//! | [`limiter`] | every decision by exact replay, the bound over every window, fairness, honesty |
//! | [`balance`] | regret, keys that left their home |
//! | [`keys`] | how often keys were fetched |
//! | [`answers`] | one answer and one record for each request |
//! | [`policy`] | what was configured, and how far two journals may be apart |

pub mod answers;
pub mod balance;
pub mod breaker;
pub mod keys;
pub mod limiter;
pub mod policy;

use std::collections::BTreeMap;

use crate::history::History;
use policy::{Policies, Tolerance};

/// What the oracles say of a run of which every request is known. Limits, keys and answers are asked about apart, by
/// whoever has their journals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// By `upstream/endpoint`.
    pub breakers: BTreeMap<String, breaker::BreakerScore>,
    /// By upstream.
    pub balance: BTreeMap<String, balance::BalanceScore>,
}

/// Asks them. The history's lists are in the order of their times ([`History::sort`]).
pub fn judge(history: &History, policies: &Policies, tolerance: Tolerance) -> Scores {
    Scores { breakers: breaker::judge(history, policies, tolerance), balance: balance::judge(history, policies) }
}
