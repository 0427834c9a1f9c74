//! When to send: arrival times drawn from a seed before anything is sent.
//!
//! A plan is an iterator of intended send times in nanoseconds from the start. It depends on its arguments alone: the
//! same arguments give the same times, and [`PlanSummary::hash`] names them in a result.
//!
//! The `i`-th arrival is where the rate, summed up over time, reaches `i` (evenly spaced arrivals) or the sum of `i`
//! exponential draws (a Poisson process): `t_i = Inv(Lambda)(u_i)` with `Lambda(t)` the integral of the rate. That
//! holds for every shape of rate, and no rounding adds up. A trace is replayed as it is.

mod arrivals;
mod rate;
mod trace;

use std::sync::Arc;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

pub use arrivals::{Arrivals, ArrivalsError};
use rate::Rate;
pub use trace::{TraceError, parse_trace};

/// A seeded sequence of intended send times.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Source,
    /// Counted from when it begins.
    end_ns: u64,
    peak_rate: f64,
    /// When it begins.
    from_ns: u64,
}

#[derive(Debug, Clone)]
enum Source {
    Even { rate: Rate, index: u64 },
    Random { rate: Rate, rng: Pcg64, sum: f64 },
    Trace { times_ns: Arc<[u64]>, index: usize },
}

impl Plan {
    /// A plan for `duration_ns` nanoseconds. `rate`, in arrivals a second and above zero, counts for constant and
    /// Poisson arrivals; the other shapes hold rates of their own.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, duration_ns: u64, seed: u64) -> Self {
        let shape = Rate::of(arrivals, rate, duration_ns);
        let source = if arrivals.is_random() {
            Source::Random { rate: shape, rng: Pcg64::seed_from_u64(seed), sum: 0.0 }
        } else {
            Source::Even { rate: shape, index: 0 }
        };
        Self { source, end_ns: duration_ns, peak_rate: shape.peak(), from_ns: 0 }
    }

    /// A plan that sends when a trace did. The times are nanoseconds from the start and never go back, as
    /// [`parse_trace`] makes sure.
    #[must_use]
    pub fn replay(times_ns: Vec<u64>) -> Self {
        debug_assert!(times_ns.is_sorted(), "a trace never goes back");
        let end_ns = times_ns.last().map_or(0, |last| last.saturating_add(1));
        // The busiest hundredth of a second stands for the peak: single gaps say nothing.
        let busiest = times_ns.chunk_by(|one, next| one / 10_000_000 == next / 10_000_000).map(<[u64]>::len).max();
        let peak_rate = busiest.unwrap_or(0) as f64 * 100.0;
        Self { source: Source::Trace { times_ns: times_ns.into(), index: 0 }, end_ns, peak_rate, from_ns: 0 }
    }

    /// The same plan, so much later.
    #[must_use]
    pub fn delayed(mut self, by_ns: u64) -> Self {
        self.from_ns = self.from_ns.saturating_add(by_ns);
        self
    }

    /// No arrival is planned at or after this, nanoseconds from the start.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.from_ns.saturating_add(self.end_ns)
    }

    /// The highest rate of the plan, arrivals a second.
    #[must_use]
    pub fn peak_rate(&self) -> f64 {
        self.peak_rate
    }

    /// The number of arrivals, and a hash of all their times.
    ///
    /// The hash multiplies and folds each time in turn, as FNV-1a does with bytes; it names plans, it protects nothing.
    #[must_use]
    pub fn summary(&self) -> PlanSummary {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut arrivals = 0;
        for at_ns in self.clone() {
            arrivals += 1;
            hash = (hash ^ at_ns).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        PlanSummary { arrivals, hash }
    }
}

impl Iterator for Plan {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at_ns = match &mut self.source {
            Source::Even { rate, index } => {
                let at_ns = rate.reached_at(*index as f64)?;
                *index += 1;
                at_ns
            }
            Source::Random { rate, rng, sum } => {
                *sum += exponential(rng);
                rate.reached_at(*sum)?
            }
            Source::Trace { times_ns, index } => {
                let at_ns = *times_ns.get(*index)?;
                *index += 1;
                at_ns
            }
        };
        (at_ns < self.end_ns).then(|| self.from_ns.saturating_add(at_ns))
    }
}

/// A draw of the exponential distribution with mean one.
fn exponential(rng: &mut Pcg64) -> f64 {
    // 53 random bits, shifted off zero, so that the logarithm is finite.
    let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln()
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
mod tests;
