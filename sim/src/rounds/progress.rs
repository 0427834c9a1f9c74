//! How far a measurement is, and how long the rest will take: a bar or a line that is written over on a terminal, plain
//! lines elsewhere; all on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use loadgen::progress::bar;

/// A bar on a terminal, a line a step elsewhere; nothing when quiet.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    /// Progress of so many steps, which take equally long.
    #[must_use]
    pub fn new(steps: u64, quiet: bool) -> Self {
        Self::styled(Some(steps), "{bar:24.cyan} {pos}/{len}  {eta} left  {wide_msg}", quiet)
    }

    /// Progress of steps that differ, each told in one line: on a terminal the next takes the place of the last,
    /// however long they are.
    #[must_use]
    pub fn of_lines(quiet: bool) -> Self {
        Self::styled(None, "{wide_msg}", quiet)
    }

    fn styled(steps: Option<u64>, template: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(steps, template));
        Self { bar, quiet }
    }

    /// A step is done; `text` says what came of it.
    pub fn step(&self, text: String) {
        match &self.bar {
            Some(bar) => {
                // First, or the time that is left would be told from one step too few.
                bar.inc(1);
                bar.set_message(text);
            }
            None => self.say(&text),
        }
    }

    /// What is being done now.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if !self.quiet => {
                // With standard error closed there is no one to tell.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            None => {}
        }
    }

    /// Takes progress off a terminal while something else is written.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// About how long something takes, as one would say it.
#[must_use]
pub fn roughly(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..=90 => format!("{} s", seconds.max(1)),
        seconds @ 91..=5_400 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}

/// How long the rest will take of steps that differ, where those that are done took so long; nothing before the first.
#[must_use]
pub fn rest(done: usize, of: usize, took: Duration) -> Option<Duration> {
    let one = took.checked_div(u32::try_from(done).ok()?)?;
    Some(one * u32::try_from(of.saturating_sub(done)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units_that_one_would_use() {
        let told = [0, 1, 45, 90, 91, 600, 5_400, 9_000].map(|seconds| roughly(Duration::from_secs(seconds)));
        assert_eq!(told, ["1 s", "1 s", "45 s", "90 s", "2 min", "10 min", "90 min", "2.5 h"]);
    }

    #[test]
    fn what_is_left_is_judged_by_what_is_done() {
        let took = Duration::from_secs(60);
        assert_eq!(rest(0, 28, Duration::ZERO), None, "nobody knows yet");
        assert_eq!(rest(3, 28, took), Some(Duration::from_secs(500)));
        assert_eq!(rest(28, 28, took), Some(Duration::ZERO));
    }
}
