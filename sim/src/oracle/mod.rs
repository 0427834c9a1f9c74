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
//! | [`balance`] | shares against weights, regret, keys that left their home |
//! | [`keys`] | how often keys were fetched |
//! | [`retries`] | what retries cost the upstreams |
//! | [`goodput`] | what was answered as wanted, in each phase |
//! | [`answers`] | one answer and one record for each request |
//! | [`policy`] | what was configured, and how far two journals may be apart |

pub mod answers;
pub mod balance;
pub mod breaker;
pub mod goodput;
pub mod keys;
pub mod limiter;
pub mod policy;
pub mod retries;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::History;
use policy::{Policies, Tolerance};

/// What the oracles say of a run: the sections of result.json that they fill, and two of their own, `goodput` by load
/// and `answers`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Scores {
    /// By `upstream/endpoint`.
    pub breakers: BTreeMap<String, breaker::BreakerScore>,
    /// By rule.
    pub limiters: BTreeMap<String, limiter::LimiterScore>,
    /// By upstream.
    pub balance: BTreeMap<String, balance::BalanceScore>,
    /// Of the whole run.
    pub retries: retries::RetryScore,
    /// By load.
    pub goodput: BTreeMap<String, goodput::Goodput>,
    /// Of the whole run.
    pub answers: answers::AnswerScore,
}

/// Asks all oracles. The history's lists are in the order of their times ([`History::sort`]).
pub fn judge(history: &History, policies: &Policies, tolerance: Tolerance) -> Scores {
    Scores {
        breakers: breaker::judge(history, policies, tolerance),
        limiters: limiter::judge(history, policies, tolerance),
        balance: balance::judge(history, policies),
        retries: retries::judge(history),
        goodput: goodput::judge(history),
        answers: answers::judge(history),
    }
}
