//! When to send: arrival times drawn from a seed before anything is sent.
//!
//! A plan is an iterator of intended send times in nanoseconds from the start. It depends on its arguments alone: the
//! same arguments give the same times, and [`PlanSummary::hash`] names them in a result.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// Equal gaps: `t_i = i / rate`.
    Constant,
    /// Exponential gaps, as of many users that know nothing of each other: `t_{i+1} = t_i - ln(U) / rate`.
    Poisson,
}

/// A seeded sequence of intended send times.
#[derive(Debug, Clone)]
pub struct Plan {
    arrivals: Arrivals,
    gap_ns: f64,
    end_ns: u64,
    rng: Pcg64,
    index: u64,
    at_ns: f64,
}

impl Plan {
    /// A plan of `rate` arrivals a second (above zero) for `duration_ns` nanoseconds.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, duration_ns: u64, seed: u64) -> Self {
        let rng = Pcg64::seed_from_u64(seed);
        let mut plan = Self { arrivals, gap_ns: 1e9 / rate, end_ns: duration_ns, rng, index: 0, at_ns: 0.0 };
        if arrivals == Arrivals::Poisson {
            plan.at_ns = plan.exponential_ns();
        }
        plan
    }

    /// The number of arrivals, and a hash of all their times (64-bit FNV-1a over the little-endian nanoseconds).
    #[must_use]
    pub fn summary(&self) -> PlanSummary {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut arrivals = 0;
        for at_ns in self.clone() {
            arrivals += 1;
            for byte in at_ns.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        PlanSummary { arrivals, hash }
    }

    fn exponential_ns(&mut self) -> f64 {
        // 53 random bits, shifted off zero, so that the logarithm is finite.
        let uniform = ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() * self.gap_ns
    }
}

impl Iterator for Plan {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at_ns = match self.arrivals {
            // Multiplied, not added up, so that rounding never shifts the rate.
            Arrivals::Constant => self.index as f64 * self.gap_ns,
            Arrivals::Poisson => self.at_ns,
        };
        let at_ns = at_ns as u64;
        if at_ns >= self.end_ns {
            return None;
        }
        self.index += 1;
        if self.arrivals == Arrivals::Poisson {
            self.at_ns += self.exponential_ns();
        }
        Some(at_ns)
    }
}

/// What names a plan in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanSummary {
    /// Arrivals in the plan.
    pub arrivals: u64,
    /// Hash of all arrival times.
    pub hash: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_exact_in_number() {
        let times: Vec<u64> = Plan::new(Arrivals::Constant, 3.0, SECOND_NS, 0).collect();
        assert_eq!(times, [0, 333_333_333, 666_666_666]);
        assert_eq!(Plan::new(Arrivals::Constant, 20_000.0, 10 * SECOND_NS, 0).count(), 200_000);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let times: Vec<u64> = Plan::new(Arrivals::Poisson, 10_000.0, 100 * SECOND_NS, 7).collect();
        // One million expected, standard deviation 1,000: five of them.
        assert!((995_000..=1_005_000).contains(&times.len()), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // An exponential's standard deviation equals its mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.01, "{}", variance.sqrt() / mean);
    }

    #[test]
    fn a_seed_names_a_plan() {
        let hash = |seed| Plan::new(Arrivals::Poisson, 1_000.0, SECOND_NS, seed).summary().hash;
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    proptest::proptest! {
        #[test]
        fn times_never_go_back_and_stay_inside(rate in 1.0_f64..50_000.0, seed: u64, poisson: bool) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let mut last = 0;
            for at_ns in Plan::new(arrivals, rate, SECOND_NS / 10, seed) {
                proptest::prop_assert!(at_ns >= last && at_ns < SECOND_NS / 10);
                last = at_ns;
            }
        }
    }
}
