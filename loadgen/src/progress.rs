//! Progress while a run goes on: a bar and figures on a terminal, a plain line a second elsewhere, both on standard
//! error.
//!
//! A thread of its own draws: writing to a terminal takes longer than the driver may be late. What it is shown may be
//! skipped, and never makes the driver wait.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::recorder::Recorder;
use crate::sample::{Observer, Sample, Totals};
use crate::text::micros;

/// Plain lines come this often.
const LINE_EVERY_NS: u64 = 1_000_000_000;
/// Figures on a terminal are those of so long.
const WINDOW_NS: u64 = 1_000_000_000;
/// One minute: what takes longer is shown as that.
const LONGEST_NS: u64 = 60_000_000_000;

/// A bar on standard error, of so many steps where that is known. `template` is in the form of `indicatif`.
#[must_use]
pub fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▌░"));
    bar
}

/// What a viewer is told, ten times a second.
#[derive(Debug, Clone, Copy, Default)]
struct View {
    wall_ns: u64,
    rps: f64,
    p50_us: f64,
    p99_us: f64,
    lag_p99_us: f64,
    in_flight: u64,
    finished: u64,
    errors: u64,
    dropped: u64,
}

/// Records a run and shows how it goes.
pub(crate) struct Shown<'a> {
    recorder: &'a mut Recorder,
    viewer: Option<Viewer>,
    /// Of the last window: two digits are enough for the eye, and quick to read.
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    view: View,
    window: (u64, u64),
}

/// The thread that draws.
#[derive(Debug)]
struct Viewer {
    views: SyncSender<View>,
    thread: JoinHandle<()>,
}

impl<'a> Shown<'a> {
    /// `length_ns` is how long the run will take, where that is known; `requests` how many it will send.
    pub(crate) fn new(recorder: &'a mut Recorder, length_ns: Option<u64>, requests: Option<u64>, quiet: bool) -> Self {
        let viewer = (!quiet).then(|| {
            // One in hand, one on its way: more would be old news.
            let (views, received) = sync_channel(1);
            let thread = std::thread::spawn(move || show_all(&received, length_ns, requests));
            Viewer { views, thread }
        });
        let (latency, lag) = (rough_histogram(), rough_histogram());
        Self { recorder, viewer, latency, lag, view: View::default(), window: (0, 0) }
    }
}

impl Observer for Shown<'_> {
    fn sample(&mut self, sample: &Sample) {
        self.recorder.sample(sample);
        self.latency.saturating_record(sample.latency_ns().max(1));
    }

    fn dropped(&mut self, intended_ns: u64) {
        self.recorder.dropped(intended_ns);
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        self.recorder.lag(intended_ns, lag_ns);
        self.lag.saturating_record(lag_ns.max(1));
    }

    fn tick(&mut self, _now_ns: u64, totals: &Totals) {
        let Some(viewer) = &self.viewer else { return };
        let (since_ns, finished_before) = self.window;
        if totals.wall_ns >= since_ns + WINDOW_NS {
            let at = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
            self.view.rps = (totals.finished - finished_before) as f64 * 1e9 / (totals.wall_ns - since_ns) as f64;
            (self.view.p50_us, self.view.p99_us) = (at(&self.latency, 0.5), at(&self.latency, 0.99));
            self.view.lag_p99_us = at(&self.lag, 0.99);
            self.latency.reset();
            self.lag.reset();
            self.window = (totals.wall_ns, totals.finished);
        }
        let Totals { wall_ns, in_flight, finished, not_ok, dropped, .. } = *totals;
        self.view = View { wall_ns, in_flight, finished, errors: not_ok, dropped, ..self.view };
        // A viewer that is still drawing misses this one.
        let _ = viewer.views.try_send(self.view);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if let Some(Viewer { views, thread }) = self.viewer.take() {
            drop(views);
            // A viewer that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn rough_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 2)
        .unwrap_or_else(|error| unreachable!("the bounds are constants that hold: {error}"))
}

/// Shows what comes until nothing comes any more.
fn show_all(views: &Receiver<View>, length_ns: Option<u64>, requests: Option<u64>) {
    if std::io::stderr().is_terminal() {
        draw_all(views, length_ns, requests);
    } else {
        write_lines(views);
    }
}

fn draw_all(views: &Receiver<View>, length_ns: Option<u64>, requests: Option<u64>) {
    let length = length_ns.map(|ns| ns / 1_000_000).or(requests);
    let bar = bar(length, "{bar:28.cyan} {percent:>3} %  {wide_msg}");
    for view in views {
        bar.set_position(if length_ns.is_some() { view.wall_ns / 1_000_000 } else { view.finished });
        bar.set_message(state(&view));
    }
    bar.finish_and_clear();
}

fn write_lines(views: &Receiver<View>) {
    let mut next_ns = LINE_EVERY_NS;
    for view in views {
        if view.wall_ns >= next_ns {
            next_ns = view.wall_ns - view.wall_ns % LINE_EVERY_NS + LINE_EVERY_NS;
            // Standard error may be closed; then there is no one to tell.
            let _ = writeln!(std::io::stderr(), "{:>4} s  {}", view.wall_ns / 1_000_000_000, state(&view));
        }
    }
}

fn state(view: &View) -> String {
    let View { rps, p50_us, p99_us, lag_p99_us, in_flight, errors, dropped, .. } = *view;
    let mut text = format!(
        "{rps:.0}/s  p50 {}  p99 {}  errors {errors}  in flight {in_flight}  lag {}",
        micros(p50_us),
        micros(p99_us),
        micros(lag_p99_us)
    );
    if dropped > 0 {
        text += &format!("  dropped {dropped}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_matters() {
        let view =
            View { rps: 19_999.6, p50_us: 85.0, p99_us: 420.4, lag_p99_us: 9.0, in_flight: 3, ..View::default() };
        assert_eq!(state(&view), "20000/s  p50 85.0 us  p99 420 us  errors 0  in flight 3  lag 9.0 us");
        assert!(state(&View { dropped: 4, ..view }).ends_with("dropped 4"));
    }
}
