//! Who comes when: seeded random orders that drift of the machine cannot favour.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// The numbers below `count` in random order (Fisher and Yates).
pub fn shuffled(count: usize, rng: &mut Pcg64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = (rng.next_u64() % (last as u64 + 1)) as usize;
        order.swap(last, other);
    }
    order
}

/// `fours` times four turns of two sides, each four in a mirrored order that a coin chooses: ABBA or BAAB. `false` is
/// the first side.
///
/// Within each four, what drifts steadily hits both sides alike; and as each order is as likely as its opposite, two
/// equal sides differ by a symmetric figure, whatever else happens on the machine.
pub fn mirrored(fours: usize, rng: &mut Pcg64) -> Vec<bool> {
    let four = |coin: bool| [coin, !coin, !coin, coin];
    (0..fours).flat_map(|_| four(rng.next_u64() >> 63 == 1)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand_pcg::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn every_order_comes_as_often_as_any_other() {
        let mut rng = Pcg64::seed_from_u64(3);
        let mut seen = BTreeMap::new();
        for _ in 0..6_000 {
            *seen.entry(shuffled(3, &mut rng)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        // A thousand each, standard deviation 29.
        assert!(seen.values().all(|count| (855..=1_145).contains(count)), "{seen:?}");
    }

    #[test]
    fn steady_drift_hits_both_sides_alike() {
        let mut rng = Pcg64::seed_from_u64(4);
        let mut firsts = 0;
        for _ in 0..1_000 {
            let order = mirrored(3, &mut rng);
            firsts += u32::from(order[0]);
            let times = |side: bool| -> usize { (0..order.len()).filter(|turn| order[*turn] == side).sum() };
            assert_eq!(times(true), times(false), "{order:?}");
        }
        // Half of them, standard deviation 16.
        assert!((436..=564).contains(&firsts), "{firsts}");
    }
}
