//! How arrivals are spread, as people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units::{parse_duration, parse_rate};

/// How arrivals are spread over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// Equal gaps: `t_i = i / rate`.
    Constant,
    /// Exponential gaps, as of many users that know nothing of each other.
    Poisson,
    /// The rate goes evenly from one to another over the run.
    Ramp {
        /// Arrivals a second at the start.
        from: f64,
        /// Arrivals a second at the end.
        to: f64,
        /// Whether gaps are random, as in a Poisson process of that rate.
        random: bool,
    },
    /// A base rate, and for a while another.
    Spike {
        /// Arrivals a second before and after.
        base: f64,
        /// Arrivals a second in between.
        peak: f64,
        /// When the peak begins, from the start.
        at: Duration,
        /// How long it lasts.
        length: Duration,
        /// Whether gaps are random, as in a Poisson process of that rate.
        random: bool,
    },
}

impl Arrivals {
    /// Whether gaps are random.
    #[must_use]
    pub fn is_random(&self) -> bool {
        match self {
            Self::Constant => false,
            Self::Poisson => true,
            Self::Ramp { random, .. } | Self::Spike { random, .. } => *random,
        }
    }

    /// Whether the shape names its rates itself, so that there is no rate beside it.
    #[must_use]
    pub fn holds_rates(&self) -> bool {
        matches!(self, Self::Ramp { .. } | Self::Spike { .. })
    }
}

/// Why arrivals could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalsError {
    /// No known shape.
    #[error(
        "`{0}` is no way to arrive: write constant, poisson, ramp(100/s, 2000/s) or spike(500/s, 5000/s, 10s, 2s); \
         the last two may follow the word poisson"
    )]
    Form(String),
    /// An argument of a shape.
    #[error("in `{text}`: {what} `{part}`: {advice}")]
    Argument {
        /// The whole.
        text: String,
        /// What the argument stands for.
        what: &'static str,
        /// The argument.
        part: String,
        /// What to write.
        advice: &'static str,
    },
    /// Nothing would ever be sent.
    #[error("`{0}` never sends anything: one of its rates must be above zero")]
    Nothing(String),
}

impl FromStr for Arrivals {
    type Err = ArrivalsError;

    fn from_str(text: &str) -> Result<Self, ArrivalsError> {
        let trimmed = text.trim();
        match trimmed {
            "constant" => return Ok(Self::Constant),
            "poisson" => return Ok(Self::Poisson),
            _ => {}
        }
        let after = trimmed.strip_prefix("poisson").filter(|rest| rest.starts_with(' '));
        let (random, shape) = after.map_or((false, trimmed), |rest| (true, rest.trim_start()));
        let form = || ArrivalsError::Form(text.to_owned());
        let (name, rest) = shape.split_once('(').ok_or_else(form)?;
        let inside = rest.strip_suffix(')').ok_or_else(form)?;
        let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
        let rate = |what, part: &str| {
            parse_rate_or_zero(part).ok_or_else(|| {
                let advice = "write requests a second, as in 2000/s";
                ArrivalsError::Argument { text: text.to_owned(), what, part: part.to_owned(), advice }
            })
        };
        let time = |what, part: &str| {
            parse_duration(part).map_err(|_| {
                let advice = "write a duration, as in 10s";
                ArrivalsError::Argument { text: text.to_owned(), what, part: part.to_owned(), advice }
            })
        };
        let (arrivals, highest) = match (name.trim_end(), parts.as_slice()) {
            ("ramp", [from, to]) => {
                let (from, to) = (rate("the first rate", from)?, rate("the last rate", to)?);
                (Self::Ramp { from, to, random }, from.max(to))
            }
            ("spike", [base, peak, at, length]) => {
                let (base, peak) = (rate("the base rate", base)?, rate("the peak rate", peak)?);
                let (at, length) = (time("when the peak begins", at)?, time("how long it lasts", length)?);
                (Self::Spike { base, peak, at, length, random }, base.max(peak))
            }
            _ => return Err(form()),
        };
        if highest > 0.0 { Ok(arrivals) } else { Err(ArrivalsError::Nothing(text.to_owned())) }
    }
}

/// A rate with its unit, or a plain number of requests a second; zero is a rate here.
fn parse_rate_or_zero(part: &str) -> Option<f64> {
    if let Ok(rate) = parse_rate(part) {
        return Some(rate);
    }
    let number: f64 = part.strip_suffix("/s").unwrap_or(part).trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds_rates() && self.is_random() {
            f.write_str("poisson ")?;
        }
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Ramp { from, to, .. } => write!(f, "ramp({from}/s, {to}/s)"),
            Self::Spike { base, peak, at, length, .. } => {
                write!(f, "spike({base}/s, {peak}/s, {}s, {}s)", at.as_secs_f64(), length.as_secs_f64())
            }
        }
    }
}
