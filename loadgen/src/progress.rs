//! Progress while a run goes on: a bar on a terminal, a plain line a second elsewhere, both on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::recorder::Recorder;
use crate::sample::{Observer, Sample, Totals};

/// Plain lines come this often.
const LINE_EVERY_NS: u64 = 1_000_000_000;

/// Records a run and shows how it goes.
pub(crate) struct Shown<'a> {
    recorder: &'a mut Recorder,
    bar: Option<ProgressBar>,
    quiet: bool,
    next_line_ns: u64,
    last: (u64, u64),
}

impl<'a> Shown<'a> {
    /// `length` is how long the run will take, where that is known.
    pub(crate) fn new(recorder: &'a mut Recorder, length: Option<Duration>, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let millis = length.map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            let bar = ProgressBar::with_draw_target(millis, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:32} {elapsed} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▌░"));
            bar
        });
        Self { recorder, bar, quiet, next_line_ns: LINE_EVERY_NS, last: (0, 0) }
    }
}

impl Observer for Shown<'_> {
    fn sample(&mut self, sample: &Sample) {
        self.recorder.sample(sample);
    }

    fn dropped(&mut self, intended_ns: u64) {
        self.recorder.dropped(intended_ns);
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        self.recorder.lag(intended_ns, lag_ns);
    }

    fn tick(&mut self, _now_ns: u64, totals: &Totals) {
        if let Some(bar) = &self.bar {
            bar.set_position(totals.wall_ns / 1_000_000);
        }
        if self.quiet || totals.wall_ns < self.next_line_ns {
            return;
        }
        let (wall_ns, finished) = self.last;
        let rate = (totals.finished - finished) as f64 * 1e9 / (totals.wall_ns - wall_ns).max(1) as f64;
        let state =
            format!("{rate:.0}/s, {} done, {} not ok, {} dropped", totals.finished, totals.not_ok, totals.dropped);
        match &self.bar {
            Some(bar) => bar.set_message(state),
            None => {
                // Standard error may be closed; then there is no one to tell.
                let _ = writeln!(std::io::stderr(), "{:>4} s  {state}", totals.wall_ns / 1_000_000_000);
            }
        }
        self.next_line_ns = totals.wall_ns + LINE_EVERY_NS;
        self.last = (totals.wall_ns, totals.finished);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
