//! How many retries an upstream may get, from the requests that it gets anyhow.
//!
//! In any second, retries are at most a share of the requests of that second, and a fixed number more. So when
//! everything fails, retries add that share to the load and no more: they never make an outage worse.
//!
//! Time is cut into slots of a tenth of a second, and a second is the last ten of them. Finagle's budget works so with
//! deposits that expire (tower's `TpsBudget` is a port of it). Here deposits expire after one second, not ten: a share
//! that was saved up while all was well would be spent at once at the beginning of an outage.

use std::time::Duration;

/// Slots of the time that is looked at.
pub const SLOTS: u64 = 10;

/// The time of a slot.
pub const SLOT: Duration = Duration::from_millis(100);

/// How many retries there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Retries for each request, in millionths.
    pub share: u32,
    /// Retries a second that are always allowed.
    pub min_per_second: u32,
}

/// The retries of the last second.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    spent: [u32; SLOTS as usize],
    /// The newest slot that anything was spent in.
    newest: u64,
}

impl Budget {
    /// Takes one retry out of the budget, if there is one left: `requests` came in the ten slots up to this one.
    pub fn spend(&mut self, slot: u64, requests: u64, allowance: Allowance) -> bool {
        // A caller whose clock was read a moment earlier counts in the newest slot.
        let slot = slot.max(self.newest);
        for gone in (self.newest + 1..=slot).take(SLOTS as usize) {
            self.spent[(gone % SLOTS) as usize] = 0;
        }
        if slot - self.newest >= SLOTS {
            self.spent = Default::default();
        }
        self.newest = slot;
        let share = u128::from(requests) * u128::from(allowance.share) / 1_000_000;
        let allowed = share + u128::from(allowance.min_per_second);
        let spent: u64 = self.spent.iter().map(|spent| u64::from(*spent)).sum();
        let granted = u128::from(spent) < allowed;
        if granted {
            self.spent[(slot % SLOTS) as usize] += 1;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIFTH: Allowance = Allowance { share: 200_000, min_per_second: 10 };

    #[test]
    fn a_total_outage_costs_a_fifth_of_the_load_and_the_minimum() {
        // 1,000 requests a second for a minute, and every one of them wants a retry.
        let (mut budget, mut granted) = (Budget::default(), 0);
        for slot in 0..600_u64 {
            let in_window = 100 * (slot + 1).min(SLOTS);
            granted += (0..100).filter(|_| budget.spend(slot, in_window, FIFTH)).count();
        }
        let (load, seconds) = (60_000.0, 60.0);
        assert!(granted as f64 <= 0.2 * load + 10.0 * (seconds + 1.0), "{granted}");
        assert!(granted as f64 >= 0.2 * load, "{granted}: what is allowed can be had");
    }

    #[test]
    fn a_few_retries_are_allowed_without_load() {
        let mut budget = Budget::default();
        assert_eq!((0..100).filter(|_| budget.spend(7, 1, FIFTH)).count(), 10);
        assert_eq!((0..100).filter(|_| budget.spend(16, 1, FIFTH)).count(), 0);
        assert_eq!((0..100).filter(|_| budget.spend(17, 1, FIFTH)).count(), 10, "a second later");
        assert_eq!((0..100).filter(|_| budget.spend(9_000, 1, FIFTH)).count(), 10);
        let none = Allowance { share: 0, min_per_second: 0 };
        assert!(!Budget::default().spend(0, 1_000_000, none));
    }

    proptest! {
        /// Against a model that keeps every request and every retry; and the bound over the whole time.
        #[test]
        fn it_is_the_naive_budget(
            turns in prop::collection::vec((0_u64..15, 0_u64..30, 0_usize..30), 0..60),
            share in 0_u32..2_000_000, min_per_second in 0_u32..5,
        ) {
            let allowance = Allowance { share, min_per_second };
            let (mut budget, mut slot) = (Budget::default(), 0);
            let (mut requests, mut retries) = (Vec::new(), Vec::new());
            for (wait, came, wanted) in turns {
                slot += wait;
                requests.extend((0..came).map(|_| slot));
                let recent = |times: &[u64]| times.iter().filter(|time| **time + SLOTS > slot).count() as u64;
                for _ in 0..wanted {
                    let allowed = recent(&requests) * u64::from(share) / 1_000_000 + u64::from(min_per_second);
                    let expected = recent(&retries) < allowed;
                    prop_assert_eq!(budget.spend(slot, recent(&requests), allowance), expected);
                    if expected { retries.push(slot); }
                }
            }
            let most = requests.len() as u64 * u64::from(share) / 1_000_000
                + u64::from(min_per_second) * (slot / SLOTS + 1);
            prop_assert!(retries.len() as u64 <= most, "{} retries of at most {}", retries.len(), most);
        }
    }
}
