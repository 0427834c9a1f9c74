//! `sim/gate.toml`: what the gate promises, measures and tolerates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::metric::Metric;

/// The committed file.
const COMMITTED: &str = include_str!("../../gate.toml");

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How often the gate may err.
    pub promise: Promises,
    /// The work that both sides do.
    pub work: Work,
    /// What each metric may lose.
    pub metrics: BTreeMap<Metric, Tolerance>,
    /// What counts may lose.
    pub counts: CountTolerances,
}

/// How often the gate may err.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// Equal sides called different, over all metrics and looks.
    pub false_alarm: f64,
    /// A metric passed although worse by its tolerance, over all looks.
    pub wrong_pass: f64,
    /// How often the smallest change that it says it finds is found.
    pub power: f64,
    /// Rounds after which it looks.
    pub looks: Vec<usize>,
}

/// The work that both sides do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Bytes of each answer.
    pub body_bytes: u64,
    /// Client connections.
    pub connections: usize,
    /// Length of one turn.
    pub slice_ms: u64,
    /// Load before the first turn of a new process.
    pub warm_up_ms: u64,
    /// Open load in a round, for each side.
    pub latency_ms: u64,
    /// Its rate as a share of what base can do.
    pub latency_load: f64,
    /// The latest answer that counts.
    pub objective_ms: u64,
}

/// What a metric may lose.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Head passes when it is worse by less.
    pub tolerance_pct: f64,
    /// Head fails only when it is worse by at least this.
    pub floor_pct: f64,
    /// Whether the run is inconclusive while this is.
    pub must_decide: bool,
}

/// What counts may lose.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountTolerances {
    /// Instructions.
    pub instructions_pct: f64,
    /// Heap allocations, and bytes of the heap.
    pub allocations_pct: f64,
    /// Counts that are not compared.
    pub skip: Vec<String>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no settings file; the text says where.
    #[error("{path}: {source}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{path}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        problem: String,
    },
}

impl Settings {
    /// The settings of a file, or the committed ones.
    ///
    /// # Errors
    /// When the file cannot be read, or its values make no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let (text, path) = match path {
            None => (COMMITTED.to_owned(), PathBuf::from("sim/gate.toml")),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SettingsError::File { path: path.to_path_buf(), source })?;
                (text, path.to_path_buf())
            }
        };
        let settings: Self = toml::from_str(&text)
            .map_err(|source| SettingsError::Form { path: path.clone(), source: Box::new(source) })?;
        match settings.problem() {
            Some(problem) => Err(SettingsError::Value { path, problem }),
            None => Ok(settings),
        }
    }

    /// The first value that makes no sense.
    fn problem(&self) -> Option<String> {
        let Promises { false_alarm, wrong_pass, power, looks } = &self.promise;
        for (name, chance) in [("false_alarm", false_alarm), ("wrong_pass", wrong_pass), ("power", power)] {
            if !(*chance > 0.0 && *chance < 1.0) {
                return Some(format!("promise.{name} is a chance between 0 and 1"));
            }
        }
        if looks.is_empty() || looks[0] < 2 || !looks.is_sorted_by(|one, next| one < next) {
            return Some("promise.looks are growing numbers of rounds, two at least".to_owned());
        }
        let work = &self.work;
        let times = work.slice_ms >= 50 && work.latency_ms >= 100 && work.objective_ms > 0 && work.warm_up_ms > 0;
        let load = work.connections > 0 && work.latency_load > 0.0 && work.latency_load < 1.0;
        if !(times && load) {
            return Some(
                "work: turns last 50 ms, open load 100 ms at least; latency_load is between 0 and 1".to_owned(),
            );
        }
        if self.metrics.is_empty() {
            return Some("no metric is to be judged".to_owned());
        }
        let bad = |tolerance: &Tolerance| {
            let Tolerance { tolerance_pct, floor_pct, .. } = *tolerance;
            !(floor_pct >= 0.0 && tolerance_pct >= floor_pct && tolerance_pct.is_finite())
        };
        let (name, _) = self.metrics.iter().find(|(_, tolerance)| bad(tolerance))?;
        Some(format!("metrics.{}: 0 <= floor_pct <= tolerance_pct", name.name()))
    }
}

impl Work {
    /// Length of one turn.
    #[must_use]
    pub fn slice(&self) -> Duration {
        Duration::from_millis(self.slice_ms)
    }

    /// The latest answer that counts.
    #[must_use]
    pub fn objective(&self) -> Duration {
        Duration::from_millis(self.objective_ms)
    }

    /// How many mirrored fours of turns of `length` give each side this much time; one at least.
    #[must_use]
    pub fn fours(&self, time: Duration) -> usize {
        // A four holds two turns of each side.
        let turns = time.as_secs_f64() / self.slice().as_secs_f64();
        ((turns / 2.0).round() as usize).max(1)
    }
}

impl Tolerance {
    /// The tolerance as a log-ratio.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        (self.tolerance_pct / 100.0).ln_1p()
    }

    /// The floor as a log-ratio.
    #[must_use]
    pub fn floor(&self) -> f64 {
        (self.floor_pct / 100.0).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::load(None).unwrap();
        change(&mut settings);
        settings.problem().unwrap_or_default()
    }

    #[test]
    fn the_committed_file_judges_every_metric() {
        let settings = Settings::load(None).unwrap();
        assert_eq!(settings.metrics.len(), Metric::ALL.len());
        assert_eq!(settings.work.fours(Duration::from_secs(1)), 2, "four turns of a quarter second each");
        assert_eq!(settings.work.fours(Duration::from_millis(1)), 1);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        assert!(problem_of(|settings| settings.promise.power = 1.0).contains("promise.power"));
        assert!(problem_of(|settings| settings.promise.looks = vec![20, 12]).contains("promise.looks"));
        assert!(problem_of(|settings| settings.work.latency_load = 1.5).contains("latency_load"));
        assert!(problem_of(|settings| settings.metrics.clear()).contains("no metric"));
        let narrow = |settings: &mut Settings| {
            settings.metrics.get_mut(&Metric::Rss).unwrap().tolerance_pct = 1.0;
        };
        assert!(problem_of(narrow).contains("metrics.rss_bytes"));
    }

    #[test]
    fn a_file_that_is_not_there_or_no_settings_is_refused() {
        assert!(matches!(Settings::load(Some(Path::new("/no/such/file"))), Err(SettingsError::File { .. })));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.toml");
        std::fs::write(&path, format!("{COMMITTED}\n[metrics.latency]\nfloor_pct = 1\n")).unwrap();
        let error = Settings::load(Some(&path)).unwrap_err();
        assert!(matches!(&error, SettingsError::Form { .. }) && error.to_string().contains("latency"), "{error}");
    }
}
