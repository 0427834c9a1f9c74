//! A rate over time, its integral, and where the integral reaches a number.

use super::Arrivals;

/// The integral is written as at most three stretches of constant rate, or one of linear rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    /// The same all the time, arrivals a second.
    Even(f64),
    /// From one rate to another, evenly over the length in seconds.
    Ramp { from: f64, to: f64, length_s: f64 },
    /// Stretches in order of time; the first starts at zero, the last never ends.
    Steps([Step; 3]),
}

/// A stretch of constant rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    from_s: f64,
    rate: f64,
    /// Arrivals before it.
    before: f64,
}

impl Rate {
    pub(super) fn of(arrivals: Arrivals, rate: f64, duration_ns: u64) -> Self {
        match arrivals {
            Arrivals::Constant | Arrivals::Poisson => Self::Even(rate),
            Arrivals::Ramp { from, to, .. } => Self::Ramp { from, to, length_s: duration_ns as f64 / 1e9 },
            Arrivals::Spike { base, peak, at, length, .. } => {
                let (from_s, length_s) = (at.as_secs_f64(), length.as_secs_f64());
                let before_peak = base * from_s;
                let after_peak = before_peak + peak * length_s;
                Self::Steps([
                    Step { from_s: 0.0, rate: base, before: 0.0 },
                    Step { from_s, rate: peak, before: before_peak },
                    Step { from_s: from_s + length_s, rate: base, before: after_peak },
                ])
            }
        }
    }

    /// The highest rate, arrivals a second.
    pub(super) fn peak(&self) -> f64 {
        match self {
            Self::Even(rate) => *rate,
            Self::Ramp { from, to, .. } => from.max(*to),
            Self::Steps(steps) => steps.iter().map(|step| step.rate).fold(0.0, f64::max),
        }
    }

    /// When the integral reaches `count`, nanoseconds; `None` when it never does.
    pub(super) fn reached_at(&self, count: f64) -> Option<u64> {
        let seconds = match self {
            Self::Even(rate) => count / rate,
            Self::Ramp { from, to, length_s } => ramp_reached_at(*from, (to - from) / length_s, count)?,
            Self::Steps(steps) => {
                // The stretch in which it is reached: the last that starts with no more, and in which anything comes.
                let found = steps.iter().rposition(|step| step.before <= count && step.rate > 0.0)?;
                let next = steps.get(found + 1).map_or(f64::INFINITY, |next| next.before);
                let step = steps[found];
                // Beyond it lies silence.
                if count >= next {
                    return None;
                }
                step.from_s + (count - step.before) / step.rate
            }
        };
        // A cast keeps within the range of 64 bits, which is longer than any run.
        Some((seconds * 1e9) as u64)
    }
}

/// Solves `from * t + slope / 2 * t^2 = count`, in the form that loses no digits when the slope is small.
fn ramp_reached_at(from: f64, slope: f64, count: f64) -> Option<f64> {
    if count <= 0.0 {
        return Some(0.0);
    }
    let root = (from * from + 2.0 * slope * count).sqrt();
    // A negative discriminant gives no number: the rate falls to nothing before that many have come.
    let seconds = 2.0 * count / (from + root);
    seconds.is_finite().then_some(seconds)
}
