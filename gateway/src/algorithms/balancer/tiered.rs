//! Balancers of an upstream that has backups: one for the primaries, one for the backups, one for all.
//!
//! Each knows every endpoint by its number, and those that are none of its tier with weight 0, which gets nothing. So
//! the one for the primaries is what an upstream without backups has: a pick among them asks nobody which is which, and
//! neither a turn of round robin nor a place on the ring belongs to who is not asked.

use super::Balancer;

/// Which endpoints are backups, and what picks where they take requests.
#[derive(Debug, Clone)]
pub struct Backups {
    are: Box<[bool]>,
    /// Picks among the backups alone.
    pub alone: Balancer,
    /// Picks among primaries and backups.
    pub with_primaries: Balancer,
}

impl Backups {
    /// What picks among the primaries, and the rest where there is a backup. `make` makes a balancer for endpoints of
    /// these addresses and weights, `are` says of each whether it is a backup.
    pub fn split(
        endpoints: &[(&str, u32)],
        are: &[bool],
        make: impl Fn(&[(&str, u32)]) -> Balancer,
    ) -> (Balancer, Option<Box<Self>>) {
        if !are.contains(&true) {
            return (make(endpoints), None);
        }
        let tier = |backups: bool| {
            // Whoever is none of the tier gets nothing.
            let part = |weight: u32, is_backup: bool| if is_backup == backups { weight } else { 0 };
            let weighted = endpoints.iter().zip(are).map(|((address, weight), is)| (*address, part(*weight, *is)));
            make(&weighted.collect::<Vec<_>>())
        };
        let rest = Self { are: are.into(), alone: tier(true), with_primaries: make(endpoints) };
        (tier(false), Some(Box::new(rest)))
    }

    /// Whether this endpoint is one.
    pub fn has(&self, endpoint: usize) -> bool {
        self.are.get(endpoint).is_some_and(|is_backup| *is_backup)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Pick;
    use super::*;
    use crate::algorithms::peak_ewma::Estimate;
    use crate::config::settings::upstream::{Balance, ConsistentHash, HashKey};

    fn policies() -> [Balance; 5] {
        let hash = ConsistentHash { key: HashKey::ClientIp, bound: 1.25, bound_min: 8 };
        [Balance::RoundRobin, Balance::LeastRequest, Balance::PeakEwma, Balance::Random, Balance::ConsistentHash(hash)]
    }

    proptest! {
        // Each builds three rings.
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the policy: the tier that is asked answers, and finds somebody whenever it has somebody.
        #[test]
        fn each_tier_is_picked_from_by_itself(
            endpoints in prop::collection::vec((0_u32..4, any::<bool>(), any::<bool>(), 0_u32..50), 0..10),
            bits: u64, ticket: u64, hash: u64,
        ) {
            let names: Vec<String> = (0..endpoints.len()).map(|i| format!("10.0.0.{i}:80")).collect();
            let weights = endpoints.iter().map(|endpoint| endpoint.0);
            let listed: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights).collect();
            let are: Vec<bool> = endpoints.iter().map(|endpoint| endpoint.1).collect();
            for balance in policies() {
                let (primaries, backups) = Backups::split(&listed, &are, |tier| Balancer::new(&balance, tier));
                prop_assert_eq!(backups.is_some(), are.contains(&true));
                let (in_flight, eligible) = (|i: usize| endpoints[i].3, |i: usize| endpoints[i].2);
                let seen = |_: usize| Estimate::default().at(0);
                let ask = Pick { bits, ticket, hash, in_flight: &in_flight, seen: &seen, eligible: &eligible };
                let expect = |picked: Option<usize>, is_there: &dyn Fn(usize) -> bool| {
                    let usable = |i: usize| endpoints[i].0 > 0 && endpoints[i].2 && is_there(i);
                    match picked {
                        Some(picked) => usable(picked),
                        None => !(0..endpoints.len()).any(usable),
                    }
                };
                prop_assert!(expect(primaries.pick(&ask), &|i| !are[i]), "{:?}: primaries", balance);
                if let Some(backups) = backups {
                    prop_assert!((0..are.len()).all(|i| backups.has(i) == are[i]));
                    prop_assert!(expect(backups.alone.pick(&ask), &|i| are[i]), "{:?}: backups", balance);
                    prop_assert!(expect(backups.with_primaries.pick(&ask), &|_| true), "{:?}: both", balance);
                }
            }
        }

        /// A key's home among the primaries is the one that it would have if there were no backups.
        #[test]
        fn backups_move_no_key_and_take_no_turn(keys in prop::collection::vec(any::<u64>(), 50)) {
            let four = [("a:1", 1), ("b:1", 2), ("c:1", 1), ("d:1", 5)];
            for balance in policies() {
                let alone = Balancer::new(&balance, &four[..3]);
                let (primaries, _) =
                    Backups::split(&four, &[false, false, false, true], |tier| Balancer::new(&balance, tier));
                for (ticket, key) in keys.iter().enumerate() {
                    let seen = |_: usize| Estimate::default().at(0);
                    let (bits, hash, ticket) = (*key, *key, ticket as u64);
                    let ask = Pick { bits, ticket, hash, in_flight: &|_| 0, seen: &seen, eligible: &|_| true };
                    let picked = primaries.pick(&ask);
                    prop_assert!(picked.is_some_and(|picked| picked < 3));
                    if matches!(balance, Balance::RoundRobin | Balance::ConsistentHash(_)) {
                        prop_assert_eq!(picked, alone.pick(&ask));
                    }
                }
            }
        }
    }
}
