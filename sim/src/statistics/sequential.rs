//! How strict each of several looks has to be, so that all of them together keep what one look would promise.
//!
//! Who looks several times at growing data and stops at the first alarm finds more alarms than the level of one look
//! says. Pocock's design gives every look the same, stricter level (Pocock, Group sequential methods in the design and
//! analysis of clinical trials, 1977). The level comes from the recursion of Armitage, McPherson and Rowe (1969) over
//! the density of what has not been stopped yet, for looks at any numbers of rounds.

use super::normal;

/// Points of the density's grid; 160 give the level to about 1e-5 of itself.
const POINTS: usize = 160;
/// The density begins this many deviations below zero.
const BELOW: f64 = 7.0;

/// The one-sided level for each of the looks at these growing numbers of rounds, such that all together give a false
/// alarm in at most `level` of all runs. `level` itself for a single look.
#[must_use]
pub fn level_per_look(level: f64, looks: &[usize]) -> f64 {
    if looks.len() <= 1 {
        return level;
    }
    // Between no correction and that of Bonferroni.
    let (low, high) = (normal::quantile(1.0 - level), normal::quantile(1.0 - level / looks.len() as f64));
    let bound = normal::invert(low, high, |bound| ever_crosses(bound, looks) > level);
    1.0 - normal::cdf(bound)
}

/// The chance that a sum of independent, standard normal rounds is at one of the looks more than `bound` of its own
/// deviations above zero.
fn ever_crosses(bound: f64, looks: &[usize]) -> f64 {
    let mut crossed = 0.0;
    let mut rounds = 0;
    // What has not crossed: places, and the chance at each. At the beginning all is at zero.
    let mut places = vec![0.0];
    let mut chances = vec![1.0];
    for look in looks {
        let (deviation, step) = ((*look as f64).sqrt(), (look.saturating_sub(rounds).max(1) as f64).sqrt());
        let limit = bound * deviation;
        let above = |(place, chance): (&f64, &f64)| chance * (1.0 - normal::cdf((limit - place) / step));
        crossed += places.iter().zip(&chances).map(above).sum::<f64>();
        let from = -BELOW * deviation;
        let width = (limit - from) / POINTS as f64;
        // The midpoint rule: its error falls with the square of the width, and no end needs a weight of its own.
        let next: Vec<f64> = (0..POINTS).map(|i| from + (i as f64 + 0.5) * width).collect();
        let arriving = |place: &f64| {
            let density = |(before, chance): (&f64, &f64)| chance * normal::density((place - before) / step) / step;
            width * places.iter().zip(&chances).map(density).sum::<f64>()
        };
        chances = next.iter().map(arriving).collect();
        places = next;
        rounds = *look;
    }
    crossed
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::statistics::shift::Shift;

    #[test]
    fn levels_are_those_of_pococks_table() {
        // Nominal two-sided levels for 2 to 5 equally spaced looks at 5 % in all (Pocock 1977, table 1), and the bounds
        // at 1 % (Jennison and Turnbull, Group Sequential Methods, table 2.1).
        for (looks, nominal) in [(2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158)] {
            let spaced: Vec<usize> = (1..=looks).map(|look| look * 10).collect();
            let found = 2.0 * level_per_look(0.025, &spaced);
            assert!((found - nominal).abs() < 0.000_1, "{looks} looks: {found}");
        }
        for (looks, bound) in [(2, 2.772), (3, 2.873), (5, 2.986)] {
            let spaced: Vec<usize> = (1..=looks).map(|look| look * 10).collect();
            let found = normal::quantile(1.0 - level_per_look(0.005, &spaced));
            assert!((found - bound).abs() < 0.002, "{looks} looks: {found}");
        }
        assert_eq!(level_per_look(0.01, &[20]), 0.01);
        assert_eq!(level_per_look(0.01, &[]), 0.01);
    }

    #[test]
    fn all_looks_together_keep_their_promise_with_ranks_and_wild_noise() {
        // 1,500 runs in which nothing differs; a round in eight is twenty times as noisy as the others.
        let looks = [12, 20, 32];
        let level = level_per_look(0.05, &looks);
        let mut rng = Pcg64::seed_from_u64(12);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut alarms = 0;
        for _ in 0..1_500 {
            let mut round = || (uniform() - 0.5) * if uniform() < 0.125 { 20.0 } else { 1.0 };
            let rounds: Vec<f64> = (0..32).map(|_| round()).collect();
            let alarm = |look: &usize| Shift::of(&rounds[..*look]).unwrap().p_above(0.0) <= level;
            alarms += u32::from(looks.iter().any(alarm));
        }
        // 5 % is 75, deviation 8.4; ranks are whole numbers, so a little less is right.
        assert!((45..=97).contains(&alarms), "{alarms} of 1500");
    }
}
