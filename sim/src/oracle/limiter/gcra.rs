//! The generic cell rate algorithm, exact.
//!
//! A key has one number, the theoretical arrival time. A request of `cost` tokens at `t` may pass if
//! `max(t, TAT) + cost * T - t <= burst * T`, with `T` the time for one token; it then moves TAT there. (ITU-T I.371;
//! the same set of admissions as a token bucket of `burst` that fills at the rate.) `T` need not be a whole number of
//! nanoseconds: all times are multiplied by the rate's tokens, so nothing is ever rounded.

use crate::oracle::policy::LimitPolicy;

/// One key of one rule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell {
    /// Theoretical arrival time, nanoseconds times the rate's tokens.
    tat: i128,
}

impl Cell {
    /// How much earlier than needed the request comes, nanoseconds times the rate's tokens; negative when it has to
    /// wait.
    pub(crate) fn margin(self, limit: &LimitPolicy, at_ns: u64, cost: u64) -> i128 {
        let capacity = i128::from(limit.burst) * i128::from(limit.per_ns);
        capacity - (self.after(limit, at_ns, cost) - scaled(limit, at_ns))
    }

    /// The request passes.
    pub(crate) fn take(&mut self, limit: &LimitPolicy, at_ns: u64, cost: u64) {
        self.tat = self.after(limit, at_ns, cost);
    }

    fn after(self, limit: &LimitPolicy, at_ns: u64, cost: u64) -> i128 {
        self.tat.max(scaled(limit, at_ns)) + i128::from(cost) * i128::from(limit.per_ns)
    }
}

fn scaled(limit: &LimitPolicy, ns: u64) -> i128 {
    i128::from(ns) * i128::from(limit.tokens.max(1))
}

/// A margin in nanoseconds, the wait rounded up.
pub(crate) fn wait_ns(limit: &LimitPolicy, margin: i128) -> u64 {
    let tokens = i128::from(limit.tokens.max(1));
    let wait = (-margin).max(0);
    u64::try_from((wait + tokens - 1) / tokens).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A token bucket in whole units of a `per_ns`-th of a token.
    struct Bucket {
        level: i128,
        at_ns: u64,
    }

    impl Bucket {
        fn admits(&mut self, limit: &LimitPolicy, at_ns: u64, cost: u64) -> bool {
            let full = i128::from(limit.burst) * i128::from(limit.per_ns);
            let gained = i128::from(at_ns - self.at_ns) * i128::from(limit.tokens);
            (self.level, self.at_ns) = ((self.level + gained).min(full), at_ns);
            let price = i128::from(cost) * i128::from(limit.per_ns);
            let admits = self.level >= price;
            self.level -= if admits { price } else { 0 };
            admits
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limit = LimitPolicy::per_second(10, 3);
        let mut cell = Cell::default();
        let mut admitted = Vec::new();
        for at_ms in [0, 0, 0, 0, 99, 100, 150, 200, 500] {
            let margin = cell.margin(&limit, at_ms * 1_000_000, 1);
            if margin >= 0 {
                cell.take(&limit, at_ms * 1_000_000, 1);
            }
            admitted.push((margin >= 0, wait_ns(&limit, margin) / 1_000_000));
        }
        let expected =
            [(true, 0), (true, 0), (true, 0), (false, 100), (false, 1), (true, 0), (false, 50), (true, 0), (true, 0)];
        assert_eq!(admitted, expected);
    }

    proptest! {
        #[test]
        fn it_admits_what_a_token_bucket_admits(
            tokens in 1u64..50, per_ns in 1u64..5_000, burst in 1u64..20,
            asks in proptest::collection::vec((0u64..3_000, 1u64..4), 1..100),
        ) {
            let limit = LimitPolicy { tokens, per_ns, burst, shadow: false };
            let mut cell = Cell::default();
            let mut at_ns = 0;
            let mut bucket = Bucket { level: i128::from(burst) * i128::from(per_ns), at_ns };
            for (step, cost) in asks {
                at_ns += step;
                let margin = cell.margin(&limit, at_ns, cost);
                prop_assert_eq!(margin >= 0, bucket.admits(&limit, at_ns, cost));
                if margin >= 0 {
                    cell.take(&limit, at_ns, cost);
                } else if cost <= burst {
                    let wait = wait_ns(&limit, margin);
                    prop_assert!(cell.margin(&limit, at_ns + wait, cost) >= 0);
                    prop_assert!(cell.margin(&limit, at_ns + wait - 1, cost) < 0);
                }
            }
        }
    }
}
