//! Delays: a fixed time, or one drawn from a distribution.
//!
//! `lognormal(2ms, 0.4)` has the *median* 2 ms and the shape 0.4; `pareto(2ms, 1.5)` has the *minimum* 2 ms and the
//! tail index 1.5; `normal(10ms, 2ms)` is cut at zero; `uniform(1ms, 5ms)` is what it says. No draw is longer than a
//! day. `queue(8, lognormal(2ms, 0.4))` is a line before eight servers, each service being drawn so.

use std::time::Duration;

use super::Draws;
use super::queue::{Station, WAITING_ROOM};
use crate::units::{self, MAX_DURATION};

/// A delay before the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Between the two, all equally likely.
    Uniform(Duration, Duration),
    /// Mean and standard deviation, cut at zero.
    Normal(Duration, Duration),
    /// Median, and the standard deviation of the logarithm.
    Lognormal(Duration, f64),
    /// Minimum, and the tail index: the smaller, the heavier.
    Pareto(Duration, f64),
    /// A wait for a server, then a service.
    Queue(Box<Station>),
}

impl Delay {
    /// Reads `50ms`, `uniform(1ms, 5ms)`, `normal(10ms, 2ms)`, `lognormal(2ms, 0.4)`, `pareto(2ms, 1.5)` or
    /// `queue(8, lognormal(2ms, 0.4))`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((kind, rest)) = text.split_once('(') else {
            return units::duration(text).map(Self::Fixed);
        };
        let arguments = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks its closing parenthesis"))?;
        if kind.trim() == "queue" {
            return queue(text, arguments).map(|station| Self::Queue(Box::new(station)));
        }
        if kind.trim() == "fixed" {
            return units::duration(arguments.trim()).map(Self::Fixed);
        }
        let (first, second) = arguments
            .split_once(',')
            .map(|(first, second)| (first.trim(), second.trim()))
            .ok_or_else(|| format!("`{text}`: a distribution takes two arguments"))?;
        match kind.trim() {
            "uniform" => {
                let (low, high) = (units::duration(first)?, units::duration(second)?);
                if low > high {
                    return Err(format!("`{text}`: the first duration is the longer one"));
                }
                Ok(Self::Uniform(low, high))
            }
            "normal" => Ok(Self::Normal(units::duration(first)?, units::duration(second)?)),
            "lognormal" => Ok(Self::Lognormal(units::duration(first)?, shape(second)?)),
            "pareto" => Ok(Self::Pareto(units::duration(first)?, shape(second)?)),
            other => {
                Err(format!("`{other}` is no distribution; there are fixed, uniform, normal, lognormal, pareto, queue"))
            }
        }
    }

    /// The delay of one request; of a queue, the time of one service.
    pub fn sample(&self, draws: &mut Draws) -> Duration {
        let seconds = match *self {
            Self::Queue(ref station) => return station.time.sample(draws),
            Self::Fixed(duration) => return duration,
            Self::Uniform(low, high) => low.as_secs_f64() + draws.unit() * (high - low).as_secs_f64(),
            Self::Normal(mean, deviation) => mean.as_secs_f64() + draws.normal() * deviation.as_secs_f64(),
            Self::Lognormal(median, sigma) => median.as_secs_f64() * (sigma * draws.normal()).exp(),
            Self::Pareto(least, alpha) => least.as_secs_f64() * (1.0 - draws.unit()).powf(-1.0 / alpha),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, MAX_DURATION.as_secs_f64()))
    }
}

impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = units::show;
        match *self {
            Self::Fixed(duration) => write!(f, "{}", show(duration)),
            Self::Uniform(low, high) => write!(f, "uniform({}, {})", show(low), show(high)),
            Self::Normal(mean, deviation) => write!(f, "normal({}, {})", show(mean), show(deviation)),
            Self::Lognormal(median, sigma) => write!(f, "lognormal({}, {sigma})", show(median)),
            Self::Pareto(least, alpha) => write!(f, "pareto({}, {alpha})", show(least)),
            Self::Queue(ref station) => write!(f, "{station}"),
        }
    }
}

/// The most servers of a queue; more are as good as unlimited.
const MOST_SERVERS: u32 = 100_000;

/// Reads `8, lognormal(2ms, 0.4)` or `8, lognormal(2ms, 0.4), 100`.
fn queue(text: &str, arguments: &str) -> Result<Station, String> {
    let expected = || format!("`{text}`: a queue takes its servers, a service time and perhaps its waiting room");
    let (servers, rest) = arguments.split_once(',').ok_or_else(expected)?;
    let servers = servers.trim().parse::<u32>().ok().filter(|servers| (1..=MOST_SERVERS).contains(servers));
    let servers = servers.ok_or_else(|| format!("`{text}`: a queue has 1 to {MOST_SERVERS} servers"))?;
    // A comma after the service time's parenthesis, or the only one where it has none, is before the waiting room.
    let after_time = rest.rfind(')').map_or(0, |at| at + 1);
    let (time, room) = match rest[after_time..].find(',') {
        Some(comma) => (&rest[..after_time + comma], rest[after_time + comma + 1..].trim()),
        None => (rest, ""),
    };
    let room = match room {
        "" => WAITING_ROOM,
        room => room.parse().map_err(|_| format!("`{text}`: `{room}` is no number of requests that may wait"))?,
    };
    // Asked before it is read, so that no text makes this call itself any deeper.
    if time.trim_start().starts_with("queue") {
        return Err(format!("`{text}`: a service time is no queue itself"));
    }
    Ok(Station { servers, time: Delay::parse(time)?, room })
}

fn shape(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(shape) if shape.is_finite() && shape > 0.0 => Ok(shape),
        _ => Err(format!("`{text}` is not a positive number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_ms(text: &str) -> f64 {
        let delay = Delay::parse(text).unwrap();
        let total: f64 = (0..100_000).map(|n| delay.sample(&mut Draws::new(1, 0, n, 0)).as_secs_f64()).sum();
        total / 100_000.0 * 1000.0
    }

    #[test]
    fn means_are_those_of_the_textbook() {
        for (text, expected) in [
            ("50ms", 50.0),
            ("fixed(50ms)", 50.0),
            ("uniform(10ms, 30ms)", 20.0),
            ("normal(20ms, 2ms)", 20.0),
            ("lognormal(2ms, 0.4)", 2.0 * (0.4f64 * 0.4 / 2.0).exp()),
            ("pareto(2ms, 3)", 3.0),
        ] {
            let mean = mean_ms(text);
            assert!((mean / expected - 1.0).abs() < 0.01, "{text}: {mean} instead of {expected}");
        }
    }

    #[test]
    fn the_median_of_a_lognormal_is_its_first_argument() {
        let delay = Delay::parse("lognormal(2ms, 0.4)").unwrap();
        let below =
            (0..100_000).filter(|n| delay.sample(&mut Draws::new(1, 0, *n, 0)) < Duration::from_millis(2)).count();
        assert!((49_500..50_500).contains(&below), "{below}");
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in [
            "50ms",
            "uniform(1ms, 5ms)",
            "normal(10ms, 2ms)",
            "lognormal(2ms, 0.4)",
            "pareto(2ms, 1.5)",
            "queue(8, 2ms)",
            "queue(1, lognormal(2ms, 0.4))",
            "queue(8, uniform(1ms, 5ms), 0)",
            "queue(8, 2ms, 50)",
        ] {
            assert_eq!(Delay::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            ("soon", "not a duration"),
            ("uniform(5ms, 1ms)", "longer"),
            ("uniform(5ms", "parenthesis"),
            ("lognormal(5ms)", "two arguments"),
            ("pareto(1ms, -1)", "positive"),
            ("weibull(1ms, 2)", "no distribution"),
            ("queue(8)", "a queue takes"),
            ("queue(0, 2ms)", "1 to 100000 servers"),
            ("queue(8, 2ms, many)", "may wait"),
            ("queue(8, queue(1, 2ms))", "no queue itself"),
            ("queue(8, soon)", "not a duration"),
        ] {
            let problem = Delay::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
