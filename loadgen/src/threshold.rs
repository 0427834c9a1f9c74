//! Thresholds: `--fail-if 'p99>20ms'`. A run whose figure is on the wrong side has failed.

use std::fmt;
use std::str::FromStr;

use crate::recorder::Phase;
use crate::result::{Expectation, Quantiles};
use crate::units::{parse_duration, parse_rate};

/// Of requests of which more than this share failed, latencies and rates are those of failures.
const MOST_FAILED: f64 = 0.01;

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    P50,
    P90,
    P99,
    P999,
    Max,
    Errors,
    ErrorShare,
    Success,
    Rps,
    Dropped,
}

const LATENCIES: [(&str, Figure); 5] =
    [("p50", Figure::P50), ("p90", Figure::P90), ("p99", Figure::P99), ("p999", Figure::P999), ("max", Figure::Max)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// A condition under which a run has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The phase that it is about; all of them when `None`.
    phase: Option<String>,
    figure: Figure,
    relation: Relation,
    /// Microseconds, a number, a share of one, or requests a second, as the figure is.
    bound: f64,
    text: String,
}

/// Why a threshold could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No relation, or none that is known.
    #[error("`{0}` compares nothing: write a figure, one of > >= < <=, and a bound, as in p99>20ms")]
    Relation(String),
    /// No such figure.
    #[error(
        "in `{text}`: there is no figure `{figure}`: write p50, p90, p99, p999, max, errors, success, rps or dropped, \
         with a phase's name and a dot before it if it is about one phase"
    )]
    Figure {
        /// The whole.
        text: String,
        /// The name.
        figure: String,
    },
    /// A bound that the figure cannot have.
    #[error("in `{text}`: the bound `{bound}` is not one for this figure: {advice}")]
    Bound {
        /// The whole.
        text: String,
        /// The bound.
        bound: String,
        /// What to write.
        advice: &'static str,
    },
    /// No such phase.
    #[error("in `{text}`: there is no phase `{phase}`: name it with --phase {phase}=10s..20s")]
    Phase {
        /// The whole.
        text: String,
        /// The name.
        phase: String,
    },
}

impl Threshold {
    /// Whether it judges drops.
    #[must_use]
    pub fn is_about_drops(&self) -> bool {
        self.figure == Figure::Dropped
    }

    /// Makes sure that the phase it is about exists.
    ///
    /// # Errors
    /// [`ThresholdError::Phase`] when it does not.
    pub fn check(&self, phases: &[&str]) -> Result<(), ThresholdError> {
        match &self.phase {
            Some(phase) if !phases.contains(&phase.as_str()) => {
                Err(ThresholdError::Phase { text: self.text.clone(), phase: phase.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Judges a run of a load: `all` is all phases as one, and `achieved_rps` what ended a second.
    #[must_use]
    pub fn judge(&self, load: &str, phases: &[Phase], all: &Phase, achieved_rps: f64) -> Expectation {
        let named = |name: &String| phases.iter().find(|phase| phase.name == *name);
        let phase = self.phase.as_ref().and_then(named).unwrap_or(all);
        let value = self.figure.of(phase, achieved_rps);
        let missed = |value: f64| match self.relation {
            Relation::Above => value > self.bound,
            Relation::AtLeast => value >= self.bound,
            Relation::Below => value < self.bound,
            Relation::AtMost => value <= self.bound,
        };
        let place = self.phase.as_ref().map_or_else(String::new, |phase| format!(".phases.{phase}"));
        Expectation {
            figure: format!("load.{load}{place}.{}", self.figure),
            bound: format!("not {}", self.text),
            value,
            // What is not there cannot have held.
            holds: value.is_some_and(|value| !missed(value)),
        }
    }
}

/// What latencies and rates take for granted: that requests succeed. A server that refuses everything at once has the
/// best of both. So where one of them is judged, and nothing says how many requests of that phase or of all may fail,
/// more than one in a hundred that did misses an expectation of its own; it is not told where it holds. Drops are
/// apart: a run with some is not valid.
#[must_use]
pub fn taken_for_granted(thresholds: &[Threshold], load: &str, phases: &[Phase], all: &Phase) -> Vec<Expectation> {
    let is_said = |name: Option<&String>| {
        let mut about = thresholds.iter().filter(|one| one.figure.is_about_success());
        about.any(|one| one.phase.is_none() || one.phase.as_ref() == name)
    };
    let mut names: Vec<Option<&String>> = Vec::new();
    for one in thresholds.iter().filter(|one| one.figure.is_better_for_failures()) {
        let name = one.phase.as_ref();
        if !names.contains(&name) && !is_said(name) {
            names.push(name);
        }
    }
    let judge = |name: Option<&String>| {
        let phase = name.and_then(|name| phases.iter().find(|phase| phase.name == *name)).unwrap_or(all);
        let share = phase.failed_share().filter(|share| *share > MOST_FAILED)?;
        let place = name.map_or_else(String::new, |phase| format!(".phases.{phase}"));
        Some(Expectation {
            figure: format!("load.{load}{place}.error_ratio"),
            bound: "not errors>1%, as is meant where a latency or a rate is asked for and neither errors nor success"
                .to_owned(),
            value: Some(share),
            holds: false,
        })
    };
    names.into_iter().filter_map(judge).collect()
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let at = text.find(['<', '>']).ok_or_else(|| ThresholdError::Relation(text.to_owned()))?;
        let (name, rest) = text.split_at(at);
        let (relation, bound) = match rest.split_at(1) {
            (">", rest) => rest.strip_prefix('=').map_or((Relation::Above, rest), |bound| (Relation::AtLeast, bound)),
            (_, rest) => rest.strip_prefix('=').map_or((Relation::Below, rest), |bound| (Relation::AtMost, bound)),
        };
        let (name, bound) = (name.trim(), bound.trim());
        let (phase, figure) = name.rsplit_once('.').map_or((None, name), |(phase, figure)| (Some(phase), figure));
        let unknown = || ThresholdError::Figure { text: text.to_owned(), figure: figure.to_owned() };
        let figure = Figure::named(figure, bound).ok_or_else(unknown)?;
        if phase.is_some() && figure == Figure::Rps {
            return Err(ThresholdError::Figure { text: text.to_owned(), figure: name.to_owned() });
        }
        let advice = figure.advice();
        let wrong = || ThresholdError::Bound { text: text.to_owned(), bound: bound.to_owned(), advice };
        let number = figure.parse(bound).filter(|number| number.is_finite() && *number >= 0.0).ok_or_else(wrong)?;
        Ok(Self { phase: phase.map(str::to_owned), figure, relation, bound: number, text: text.trim().to_owned() })
    }
}

impl Figure {
    fn named(name: &str, bound: &str) -> Option<Self> {
        match name {
            "errors" if bound.ends_with('%') => Some(Self::ErrorShare),
            "errors" => Some(Self::Errors),
            "success" => Some(Self::Success),
            "rps" => Some(Self::Rps),
            "dropped" => Some(Self::Dropped),
            _ => LATENCIES.iter().find(|(known, _)| *known == name).map(|(_, figure)| *figure),
        }
    }

    fn parse(self, bound: &str) -> Option<f64> {
        let share = |text: &str| match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
            None => text.parse().ok(),
        };
        match self {
            Self::P50 | Self::P90 | Self::P99 | Self::P999 | Self::Max => {
                parse_duration(bound).ok().map(|duration| duration.as_secs_f64() * 1e6)
            }
            Self::Errors | Self::Dropped => bound.parse::<u64>().ok().map(|count| count as f64),
            Self::ErrorShare | Self::Success => share(bound).filter(|share| *share <= 1.0),
            Self::Rps => parse_rate(bound).ok().or_else(|| bound.parse().ok()),
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::P50 | Self::P90 | Self::P99 | Self::P999 | Self::Max => "write a duration, as in 20ms",
            Self::Errors | Self::ErrorShare => "write a number, as in 10, or a share, as in 0.1%",
            Self::Success => "write a share, as in 99.9% or 0.999",
            Self::Rps => "write a rate, as in 1000/s",
            Self::Dropped => "write a number, as in 10",
        }
    }

    /// Whether it says how many requests may fail.
    fn is_about_success(self) -> bool {
        matches!(self, Self::Errors | Self::ErrorShare | Self::Success)
    }

    /// Whether a server that fails its requests quickly may have a better one.
    fn is_better_for_failures(self) -> bool {
        self == Self::Rps || LATENCIES.iter().any(|(_, figure)| *figure == self)
    }

    /// Its value; latencies and shares of nothing are none.
    fn of(self, phase: &Phase, achieved_rps: f64) -> Option<f64> {
        let latency = |of: fn(Quantiles) -> f64| (phase.requests() > 0).then(|| of(Quantiles::of(&phase.latency)));
        match self {
            Self::P50 => latency(|all| all.p50),
            Self::P90 => latency(|all| all.p90),
            Self::P99 => latency(|all| all.p99),
            Self::P999 => latency(|all| all.p999),
            Self::Max => latency(|all| all.max),
            Self::Errors => Some(phase.errors() as f64),
            Self::ErrorShare => phase.success_ratio().map(|share| 1.0 - share),
            Self::Success => phase.success_ratio(),
            Self::Rps => Some(achieved_rps),
            Self::Dropped => Some(phase.dropped as f64),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Errors => "errors",
            Self::ErrorShare => "error_ratio",
            Self::Success => "success_ratio",
            Self::Rps => "achieved_rps",
            Self::Dropped => "dropped",
            other => {
                let found = LATENCIES.iter().find(|(_, figure)| figure == other);
                return write!(f, "latency_us.{}", found.map_or("max", |(name, _)| name));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::sample::{Observer, Outcome, Sample};

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// 99 answers of one millisecond, and a failure of a second; one drop.
    fn recorder() -> Recorder {
        let mut recorder = Recorder::new("steady", 0);
        for number in 0..100 {
            let outcome = if number == 99 { Outcome::Failed } else { Outcome::Ok };
            let end_ns = if number == 99 { 1_000_000_000 } else { 1_000_000 };
            recorder.sample(&Sample { end_ns, outcome, ..Sample::GOOD });
        }
        recorder.dropped(0);
        recorder
    }

    #[test]
    fn each_figure_is_judged_by_its_own_unit() {
        let recorder = recorder();
        for (text, holds) in [
            ("p50>2ms", true),
            ("p50 > 900us", false),
            ("p99<=1ms", true),
            ("max>=1s", false),
            ("max>1100ms", true),
            ("errors>1", false),
            ("errors>2", true),
            ("errors>1%", false),
            ("errors>2%", true),
            ("success<99%", false),
            ("success<0.9", true),
            ("rps<500/s", true),
            ("rps<501", false),
            ("dropped>0", false),
            ("dropped>1", true),
            ("steady.dropped>1", true),
        ] {
            let judged = threshold(text).judge("main", recorder.phases(), &recorder.merged("all"), 500.0);
            assert_eq!(judged.holds, holds, "{text}: {judged:?}");
        }
        let judged = threshold("steady.p99>2ms").judge("main", recorder.phases(), &recorder.merged("all"), 1.0);
        assert_eq!(
            (judged.figure.as_str(), judged.bound.as_str()),
            ("load.main.phases.steady.latency_us.p99", "not steady.p99>2ms")
        );
    }

    #[test]
    fn a_server_that_fails_quickly_meets_no_latency() {
        let mut recorder = recorder();
        let granted = |recorder: &Recorder, texts: &[&str]| {
            let thresholds: Vec<Threshold> = texts.iter().map(|text| threshold(text)).collect();
            let found = taken_for_granted(&thresholds, "main", recorder.phases(), &recorder.merged("all"));
            found.into_iter().map(|one| (one.figure, one.holds)).collect::<Vec<_>>()
        };
        assert!(granted(&recorder, &["p99>20ms", "rps<1"]).is_empty(), "one in a hundred may fail");
        let failed = Sample { outcome: Outcome::Failed, status: 503, end_ns: 1_000, ..Sample::GOOD };
        (0..20_000).for_each(|_| recorder.sample(&failed));
        let missed = ("load.main.error_ratio".to_owned(), false);
        assert_eq!(granted(&recorder, &["p99>20ms", "rps<300"]), std::slice::from_ref(&missed), "once for both");
        let of_phase = ("load.main.phases.steady.error_ratio".to_owned(), false);
        assert_eq!(granted(&recorder, &["rps<300", "steady.p50>1ms"]), [missed.clone(), of_phase]);
        assert_eq!(granted(&recorder, &["p99>20ms", "steady.errors>99%"]), [missed], "one phase says nothing of all");
        assert!(granted(&recorder, &["steady.p99>20ms", "steady.errors>99%"]).is_empty());
        assert!(granted(&recorder, &["steady.p99>20ms", "errors>99%"]).is_empty(), "all are said of");
        for own in ["errors>99%", "success<0.1%", "errors>30000"] {
            assert!(granted(&recorder, &["p99>20ms", own]).is_empty(), "{own} says what may fail");
        }
        assert!(granted(&recorder, &["dropped>0"]).is_empty() && granted(&recorder, &[]).is_empty());
    }

    #[test]
    fn a_latency_or_a_share_of_nothing_does_not_hold() {
        let mut recorder = Recorder::new("steady", 0);
        let judge = |recorder: &Recorder, text: &str| {
            threshold(text).judge("main", recorder.phases(), &recorder.merged("all"), 0.0)
        };
        for text in ["p99>20ms", "p99<1us", "success<99%", "errors>1%", "steady.success<99%"] {
            let judged = judge(&recorder, text);
            assert_eq!((judged.holds, judged.value), (false, None), "{text}");
        }
        assert!(judge(&recorder, "errors>0").holds, "none are none");
        recorder.dropped(0);
        assert_eq!(judge(&recorder, "success<99%").value, Some(0.0), "a drop is an arrival");
        assert_eq!(judge(&recorder, "p99>20ms").value, None);
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        for (text, words) in [
            ("p99", "compares nothing"),
            ("p95>1ms", "there is no figure `p95`"),
            ("a.rps>1", "there is no figure `a.rps`"),
            ("p99>20", "as in 20ms"),
            ("errors>-1", "as in 10"),
            ("errors>101%", "a share"),
            ("success<2", "as in 99.9%"),
            ("rps>fast", "as in 1000/s"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(threshold("spike.p99>1ms").check(&["steady"]).is_err());
        assert!(threshold("spike.p99>1ms").check(&["spike"]).is_ok());
    }
}
