//! A quantile of the latencies that were seen lately: a histogram that forgets.
//!
//! Buckets are log-linear, sixteen to an octave of microseconds, so that a quantile is told at most a sixteenth too
//! high, whatever its size (the scheme of HdrHistogram, Tene). Whenever as much as 2,048 samples are held, each
//! bucket's weight is halved, so that a sample counts half after about a thousand newer ones (the aging of TinyLFU:
//! Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017). A sample weighs 1,024 at
//! first, so that halving takes nothing from a tail of single samples. The memory is fixed.

/// Bits below an octave's first: sixteen buckets to an octave.
const FINE_BITS: u32 = 4;
const FINE: usize = 1 << FINE_BITS;
/// Latencies beyond count as this: 2^32 us is more than an hour.
const MOST_BITS: u32 = 32;
const BUCKETS: usize = (MOST_BITS - FINE_BITS + 1) as usize * FINE;

/// What a new sample weighs.
const UNIT: u32 = 1 << 10;
/// The weight at which all is halved.
const LIMIT: u32 = 2_048 * UNIT;
/// So many samples have to lie above a quantile, or it is chance.
const LEAST_ABOVE: u64 = 5;

/// The latencies that were seen lately.
#[derive(Debug, Clone)]
pub struct Latencies {
    weights: Box<[u32]>,
    total: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { weights: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }
}

impl Latencies {
    /// Takes a sample, in microseconds.
    pub fn record(&mut self, us: u64) {
        if self.total >= LIMIT {
            for weight in &mut self.weights {
                *weight /= 2;
            }
            self.total = self.weights.iter().sum();
        }
        self.weights[bucket(us)] += UNIT;
        self.total += UNIT;
    }

    /// The latency, in microseconds, that `percent` of what was seen did not pass; at most a sixteenth above it. `None`
    /// while too little was seen to tell: a hundred samples for the 95th, five hundred for the 99th.
    pub fn quantile(&self, percent: u8) -> Option<u64> {
        let percent = u64::from(percent.min(100));
        let (total, unit) = (u64::from(self.total), u64::from(UNIT));
        if total * (100 - percent) < LEAST_ABOVE * unit * 100 {
            return None;
        }
        let mut below = 0;
        let reached = |weight: &u32| {
            below += u64::from(*weight);
            below * 100 >= total * percent
        };
        self.weights.iter().position(reached).map(highest)
    }
}

/// The bucket of a latency.
fn bucket(us: u64) -> usize {
    let us = us.min((1 << MOST_BITS) - 1);
    if us < FINE as u64 {
        return us as usize;
    }
    let octave = us.ilog2() - FINE_BITS;
    // The bits below the octave's first, and the octave above them.
    (octave as usize * FINE) + (us >> octave) as usize
}

/// The highest latency of a bucket.
fn highest(bucket: usize) -> u64 {
    let octave = (bucket / FINE).saturating_sub(1) as u32;
    let fine = (bucket - octave as usize * FINE) as u64;
    ((fine + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::algorithms::rng::Draws;

    fn of(samples: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        samples.into_iter().for_each(|us| latencies.record(us));
        latencies
    }

    #[test]
    fn it_says_nothing_before_it_has_seen_enough() {
        assert_eq!(Latencies::default().quantile(50), None);
        assert_eq!(of([7; 99]).quantile(95), None);
        assert_eq!(of([7; 100]).quantile(95), Some(7));
        assert_eq!(of([7; 499]).quantile(99), None);
        assert_eq!(of([7; 500]).quantile(99), Some(7));
        assert_eq!(of([7; 5_000]).quantile(100), None, "there is none above the highest");
    }

    #[test]
    fn it_follows_a_change_within_two_thousand_samples() {
        let mut latencies = of(std::iter::repeat_n(1_000, 50_000));
        assert!(latencies.quantile(95).unwrap() <= 1_063);
        (0..300).for_each(|_| latencies.record(80_000));
        assert!(latencies.quantile(95).unwrap() >= 80_000, "the tail is seen at once");
        (0..2_500).for_each(|_| latencies.record(80_000));
        assert!(latencies.quantile(50).unwrap() >= 80_000, "and then the middle");
    }

    #[test]
    fn a_tail_of_single_samples_outlives_halving() {
        // Every sample above 100 us lies in a bucket of its own.
        let mut draws = Draws::new(3);
        let sample = |draws: &mut Draws| match draws.below(100) {
            0..95 => 90 + draws.below(10),
            _ => 1_000 + draws.below(1_000_000),
        };
        let mut latencies = Latencies::default();
        let (mut above, mut asked) = (0_u32, 0_u32);
        for _ in 0..100_000 {
            let us = sample(&mut draws);
            if let Some(p90) = latencies.quantile(90) {
                asked += 1;
                above += u32::from(us > p90);
            }
            latencies.record(us);
        }
        let share = f64::from(above) / f64::from(asked);
        assert!((0.045..0.11).contains(&share), "{share} lie above the 90th percentile");
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_a_sixteenth_wide(us in prop_oneof![0_u64..5_000, any::<u32>().prop_map(u64::from)]) {
            let high = highest(bucket(us));
            prop_assert!(us <= high && high - us <= us / 16, "{us} is told as {high}");
            prop_assert_eq!(bucket(high), bucket(us));
            prop_assert!(bucket(high + 1) == bucket(us) + 1 || high + 1 == 1 << MOST_BITS);
        }

        /// Against sorting all samples, as long as none is forgotten.
        #[test]
        fn it_is_the_sorted_quantile(
            samples in prop::collection::vec(0_u64..10_000_000, 1..2_000), percent in 50_u8..=99,
        ) {
            let told = of(samples.iter().copied()).quantile(percent);
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let enough = samples.len() as u64 * (100 - u64::from(percent)) >= LEAST_ABOVE * 100;
            prop_assert_eq!(told.is_some(), enough);
            if let Some(told) = told {
                let rank = (sorted.len() * usize::from(percent)).div_ceil(100);
                let exact = sorted[rank - 1];
                prop_assert!(exact <= told && told - exact <= exact / 16, "{told} for {exact}");
            }
        }

        /// Whatever comes, and for however long: bounded, and never above what was seen.
        #[test]
        fn it_never_tells_more_than_was_seen(samples in prop::collection::vec(any::<u64>(), 1..9_000)) {
            let latencies = of(samples.iter().copied());
            prop_assert!(latencies.total <= LIMIT + UNIT);
            let (low, high) = (latencies.quantile(50), latencies.quantile(95));
            prop_assert!(low <= high || high.is_none());
            let most = samples.iter().max().copied().unwrap_or(0).min((1 << MOST_BITS) - 1);
            prop_assert!(high.is_none_or(|high| high - high / 16 <= most));
        }
    }
}
