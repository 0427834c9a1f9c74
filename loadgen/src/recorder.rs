//! Histograms and counts of a run, by phase and by second.
//!
//! A sample belongs to the phase in which it was *intended*, so that a stall counts where it began; in the figures over
//! time it stands where it ended. Histograms are merged, never averaged.

mod histogram;
mod intervals;
mod log;
mod phase;

use hdrhistogram::Histogram;

use crate::sample::{Observer, Outcome, Sample, Totals};
pub(crate) use histogram::histogram;
use histogram::record;
pub use intervals::Interval;
use intervals::Intervals;
pub use phase::Phase;

/// The phase of times that no window names.
pub const REST: &str = "rest";

/// A named window of time, for phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The phase's name; windows may share one.
    pub name: String,
    /// Its start, nanoseconds of the run's clock.
    pub from_ns: u64,
    /// Its end, which it does not hold.
    pub until_ns: u64,
}

/// Windows that cannot be phases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A window that ends before it begins.
    #[error("phase `{0}` ends before it begins")]
    Empty(String),
    /// Two windows at once.
    #[error("phases `{0}` and `{1}` overlap: a request belongs to one")]
    Overlap(String, String),
}

/// Records a run by phase.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// In order of their first beginning; never empty.
    phases: Vec<Phase>,
    /// From when on which phase counts, in order of time; never empty.
    bounds: Vec<(u64, usize)>,
    intervals: Intervals,
    lag: Histogram<u64>,
    /// Samples intended before this are left out.
    from_ns: u64,
    /// The earliest and the latest intended time.
    intended: Option<(u64, u64)>,
    /// The last end.
    last_ns: u64,
}

impl Recorder {
    /// A recorder whose first phase begins at `from_ns` of the run's clock; what was intended earlier is warm-up and is
    /// left out.
    #[must_use]
    pub fn new(first_phase: &str, from_ns: u64) -> Self {
        Self {
            phases: vec![Phase::new(first_phase, from_ns)],
            bounds: vec![(from_ns, 0)],
            intervals: Intervals::new(from_ns),
            lag: histogram(),
            from_ns,
            intended: None,
            last_ns: from_ns,
        }
    }

    /// A recorder with these windows as phases; times between them, and after the last, are the phase [`REST`]. What
    /// was intended before `from_ns` is left out.
    ///
    /// # Errors
    /// When windows overlap, or one ends before it begins.
    pub fn with_windows(windows: &[Window], from_ns: u64) -> Result<Self, WindowError> {
        let mut windows: Vec<&Window> = windows.iter().collect();
        windows.sort_by_key(|window| window.from_ns);
        if let Some(empty) = windows.iter().find(|window| window.until_ns <= window.from_ns) {
            return Err(WindowError::Empty(empty.name.clone()));
        }
        for pair in windows.windows(2) {
            if pair[1].from_ns < pair[0].until_ns {
                return Err(WindowError::Overlap(pair[0].name.clone(), pair[1].name.clone()));
            }
        }
        let first = windows.iter().find(|window| (window.from_ns..window.until_ns).contains(&from_ns));
        let first = first.map_or(REST, |first| &first.name);
        let mut recorder = Self::new(first, from_ns);
        for (index, window) in windows.iter().enumerate() {
            if window.from_ns > from_ns {
                recorder.begin_phase(&window.name, window.from_ns);
            }
            let next_ns = windows.get(index + 1).map_or(u64::MAX, |next| next.from_ns);
            if window.until_ns > from_ns && next_ns > window.until_ns {
                recorder.begin_phase(REST, window.until_ns);
            }
        }
        Ok(recorder)
    }

    /// Begins another phase, later than those before it; with a name that was there already, goes on with that one.
    pub fn begin_phase(&mut self, name: &str, from_ns: u64) {
        debug_assert!(self.bounds.last().is_some_and(|last| last.0 <= from_ns), "phases are in order");
        let known = self.phases.iter().position(|phase| phase.name == name);
        let index = known.unwrap_or_else(|| {
            self.phases.push(Phase::new(name, from_ns));
            self.phases.len() - 1
        });
        self.bounds.push((from_ns, index));
    }

    /// All phases, in order.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// All seconds in which requests that ended were to be sent, in order, those of silence between them too.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        self.intervals.all()
    }

    /// When what is measured begins, nanoseconds of the run's clock.
    #[must_use]
    pub fn from_ns(&self) -> u64 {
        self.from_ns
    }

    /// How late the pacer was, nanoseconds.
    #[must_use]
    pub fn pacer_lag(&self) -> &Histogram<u64> {
        &self.lag
    }

    /// From the first intended time to the last one, nanoseconds. When requests ended does not matter: one that hangs
    /// makes no run longer.
    #[must_use]
    pub fn intended_span_ns(&self) -> u64 {
        self.intended.map_or(0, |(first_ns, last_ns)| last_ns - first_ns)
    }

    /// From the start of what is measured to the first intended time, nanoseconds.
    #[must_use]
    pub fn silent_ns(&self) -> u64 {
        self.intended.map_or(0, |(first_ns, _)| first_ns.saturating_sub(self.from_ns))
    }

    /// All phases as one.
    #[must_use]
    pub fn merged(&self, name: &str) -> Phase {
        let mut all = Phase::new(name, self.from_ns);
        self.phases.iter().for_each(|phase| all.add(phase));
        all
    }

    /// Arrivals are told as they end, in any order.
    fn note_intended(&mut self, intended_ns: u64) {
        let (first_ns, last_ns) = self.intended.unwrap_or((intended_ns, intended_ns));
        self.intended = Some((first_ns.min(intended_ns), last_ns.max(intended_ns)));
    }

    fn phase_of(&mut self, intended_ns: u64) -> Option<&mut Phase> {
        let (_, index) = self.bounds.iter().rev().find(|(from_ns, _)| *from_ns <= intended_ns)?;
        Some(&mut self.phases[*index])
    }
}

impl Observer for Recorder {
    fn sample(&mut self, sample: &Sample) {
        let Some(phase) = self.phase_of(sample.intended_ns) else { return };
        phase.record(sample);
        self.intervals.record(sample.intended_ns, sample.latency_ns(), sample.outcome != Outcome::Ok);
        self.note_intended(sample.intended_ns);
        self.last_ns = self.last_ns.max(sample.end_ns);
    }

    fn dropped(&mut self, intended_ns: u64) {
        if let Some(phase) = self.phase_of(intended_ns) {
            phase.dropped += 1;
            self.note_intended(intended_ns);
        }
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        if intended_ns >= self.from_ns {
            record(&mut self.lag, lag_ns);
        }
    }

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}

#[cfg(test)]
mod tests;
