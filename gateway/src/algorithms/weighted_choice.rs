//! One of n by weight, in O(1): the alias method.
//!
//! Source: Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution" (1991). Built with
//! integers only. Invariants: an entry of weight 0 is never drawn; a draw allocates nothing.

use super::rng::Draws;

/// Draws by weight before the exact scan is used. With half of the weight gone, one draw in 16 scans.
const TRIES: u32 = 4;

/// A set of weights to draw from.
#[derive(Debug, Clone)]
pub struct WeightedChoice {
    columns: Vec<Column>,
    weights: Vec<u32>,
    /// `before[i]`: the sum of the weights before `i`; one entry more than there are weights.
    before: Vec<u64>,
}

/// A column of the alias table: itself below the threshold (of 2^32), its alias above.
#[derive(Debug, Clone, Copy)]
struct Column {
    threshold: u64,
    alias: u32,
}

impl WeightedChoice {
    /// A choice among these weights; `None` when none is above 0. Entries past `u32::MAX` are not supported.
    pub fn new(weights: &[u32]) -> Option<Self> {
        let mut before = Vec::with_capacity(weights.len() + 1);
        let mut total = 0_u64;
        before.push(0);
        for &weight in weights {
            total += u64::from(weight);
            before.push(total);
        }
        if total == 0 || u32::try_from(weights.len()).is_err() {
            return None;
        }
        Some(Self { columns: columns(weights, total), weights: weights.to_vec(), before })
    }

    /// The sum of the weights; at least 1.
    pub fn total(&self) -> u64 {
        self.before[self.weights.len()]
    }

    /// The weights, as given.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// One entry by weight. Each share is exact to about 2^-32.
    #[inline]
    pub fn pick(&self, bits: u64) -> usize {
        let column = (((bits >> 32) * self.columns.len() as u64) >> 32) as usize;
        let Column { threshold, alias } = self.columns[column];
        if (bits & 0xffff_ffff) < threshold { column } else { alias as usize }
    }

    /// One entry other than `not`, by weight among the rest; `None` when no other has weight. O(1), and O(log n) where
    /// the first draw was `not`.
    #[inline]
    pub fn pick_other(&self, draws: &mut Draws, not: usize) -> Option<usize> {
        let drawn = self.pick(draws.next_u64());
        if drawn != not { Some(drawn) } else { self.pick_without(draws, not) }
    }

    /// One entry that is eligible, and not `not`, by weight among those; `None` only when there is none. A few draws,
    /// then one exact scan over all.
    #[inline]
    pub fn pick_eligible(
        &self,
        draws: &mut Draws,
        not: Option<usize>,
        eligible: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for _ in 0..TRIES {
            let drawn = match not {
                None => self.pick(draws.next_u64()),
                Some(not) => self.pick_other(draws, not)?,
            };
            if eligible(drawn) {
                return Some(drawn);
            }
        }
        self.scan(draws, |entry| Some(entry) != not && eligible(entry))
    }

    /// An exact draw without `not`: the other weights laid end to end.
    fn pick_without(&self, draws: &mut Draws, not: usize) -> Option<usize> {
        let skipped = u64::from(self.weights[not]);
        let rest = self.total() - skipped;
        if rest == 0 {
            return None;
        }
        let mut point = draws.below(rest);
        if point >= self.before[not] {
            point += skipped;
        }
        // The last entry that begins at or before the point; entries of weight 0 begin where their successor does.
        Some(self.before.partition_point(|&start| start <= point) - 1)
    }

    /// A draw by weight among the entries that pass, in O(n).
    #[cold]
    fn scan(&self, draws: &mut Draws, passes: impl Fn(usize) -> bool) -> Option<usize> {
        // The answers are read twice and may change in between (health flips): the last that passed is kept for that.
        let weight_of = |entry: usize| if passes(entry) { u64::from(self.weights[entry]) } else { 0 };
        let total: u64 = (0..self.weights.len()).map(weight_of).sum();
        let mut point = draws.below(total);
        let mut last = None;
        for entry in 0..self.weights.len() {
            let weight = weight_of(entry);
            if weight == 0 {
                continue;
            }
            if point < weight {
                return Some(entry);
            }
            point -= weight;
            last = Some(entry);
        }
        last
    }
}

/// Vose's table. Each entry has `weight * n` to give, each column holds `total`.
fn columns(weights: &[u32], total: u64) -> Vec<Column> {
    let n = weights.len() as u128;
    let total = u128::from(total);
    let mut left: Vec<u128> = weights.iter().map(|&weight| u128::from(weight) * n).collect();
    let mut columns = vec![Column { threshold: 1 << 32, alias: 0 }; weights.len()];
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&entry| left[entry] < total);
    while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
        // Rounded up, so that a weight above 0 keeps a chance.
        let threshold = (left[poor] << 32).div_ceil(total) as u64;
        columns[poor] = Column { threshold, alias: rich as u32 };
        left[rich] -= total - left[poor];
        if left[rich] < total {
            large.pop();
            small.push(rich);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The share of each entry, read off the table instead of drawn.
    fn shares(choice: &WeightedChoice) -> Vec<f64> {
        let n = choice.columns.len();
        let mut shares = vec![0.0; n];
        for (entry, column) in choice.columns.iter().enumerate() {
            let own = column.threshold as f64 / 4_294_967_296.0;
            shares[entry] += own / n as f64;
            shares[column.alias as usize] += (1.0 - own) / n as f64;
        }
        shares
    }

    proptest! {
        #[test]
        fn each_entry_has_its_share(weights in prop::collection::vec(0_u32..5_000, 1..60)) {
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            match WeightedChoice::new(&weights) {
                None => prop_assert_eq!(total, 0),
                Some(choice) => for (share, &weight) in shares(&choice).iter().zip(&weights) {
                    prop_assert!((share - f64::from(weight) / total as f64).abs() < 1e-7);
                },
            }
        }

        #[test]
        fn weight_zero_is_never_drawn(weights in prop::collection::vec(0_u32..3, 1..20), seed: u64) {
            if let Some(choice) = WeightedChoice::new(&weights) {
                let mut draws = Draws::new(seed);
                for _ in 0..200 {
                    let first = choice.pick(draws.next_u64());
                    prop_assert!(weights[first] > 0);
                    if let Some(second) = choice.pick_other(&mut draws, first) {
                        prop_assert!(second != first && weights[second] > 0);
                    }
                }
            }
        }

        #[test]
        fn an_eligible_entry_is_never_missed(
            entries in prop::collection::vec((0_u32..4, prop::bool::weighted(0.1)), 1..40), seed: u64,
        ) {
            let weights: Vec<u32> = entries.iter().map(|entry| entry.0).collect();
            let eligible = |entry: usize| entries[entry].1;
            if let Some(choice) = WeightedChoice::new(&weights) {
                let drawn = choice.pick_eligible(&mut Draws::new(seed), None, &eligible);
                prop_assert_eq!(drawn.is_some(), entries.iter().any(|&(weight, up)| up && weight > 0));
                prop_assert!(drawn.is_none_or(|entry| entries[entry].1 && weights[entry] > 0));
            }
        }
    }

    #[test]
    fn the_others_keep_their_ratio() {
        // Entry 2 has most of the weight, so most draws take the exact way.
        let choice = WeightedChoice::new(&[1, 3, 96, 0]).unwrap();
        let mut draws = Draws::new(11);
        let mut seen = [0_u32; 4];
        for _ in 0..40_000 {
            seen[choice.pick_other(&mut draws, 2).unwrap()] += 1;
        }
        assert_eq!((seen[2], seen[3]), (0, 0));
        assert!((9_600..10_400).contains(&seen[0]), "{seen:?}");
    }

    #[test]
    fn few_eligible_entries_keep_their_ratio() {
        let choice = WeightedChoice::new(&[1, 3, 500, 500, 500]).unwrap();
        let mut draws = Draws::new(12);
        let mut seen = [0_u32; 5];
        for _ in 0..40_000 {
            seen[choice.pick_eligible(&mut draws, None, &|entry| entry < 2).unwrap()] += 1;
        }
        assert!((9_600..10_400).contains(&seen[0]) && seen[0] + seen[1] == 40_000, "{seen:?}");
    }
}
