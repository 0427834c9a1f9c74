//! How a run goes: a bar on a terminal, a plain line now and then elsewhere, both on standard error.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use loadgen::progress::bar;

use super::warm_up::WarmedUp;
use super::watch::Live;
use crate::scenario::Scenario;

/// Plain lines come this often at most, and about so many times in a long run: a log of hours is to be read, too.
const LINE_EVERY: Duration = Duration::from_secs(2);
const MOST_LINES: u32 = 60;

/// Shows how a run goes.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    next_line_ms: AtomicU64,
}

impl Progress {
    /// Progress of a run; nothing is shown when `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(None, "  {bar:20.cyan} {wide_msg}"));
        Self { bar, quiet, next_line_ms: AtomicU64::new(LINE_EVERY.as_millis() as u64) }
    }

    /// One line for a step that takes a while.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if !self.quiet => {
                // With standard error closed there is no one to tell.
                let _ = writeln!(std::io::stderr(), "  {text}");
            }
            None => {}
        }
    }

    /// What came of the warm-up.
    pub(super) fn warmed_up(&self, warmed_up: &WarmedUp) {
        let lasted = warmed_up.lasted.as_secs_f64();
        match warmed_up.steady_from_ms {
            Some(since) => self.say(&format!("warm after {lasted:.1} s, steady since {:.1} s", since as f64 / 1e3)),
            None => self.say(&format!("NOT STEADY after {lasted:.1} s of warm-up")),
        }
    }

    /// How far the measured part is.
    pub(super) fn measuring(&self, scenario: &Scenario, elapsed: Duration, live: &Live) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let length = scenario.length();
        let faults: Vec<String> = scenario
            .faults
            .iter()
            .filter(|fault| fault.at <= elapsed && elapsed < fault.until(length))
            .map(|fault| format!(", fault on {}", fault.place()))
            .collect();
        let dropped = match count(&live.dropped) {
            0 => String::new(),
            dropped => format!(", {dropped} dropped"),
        };
        let text = format!(
            "{:.1}{} s  {} requests, {} not ok{dropped}{}",
            elapsed.as_secs_f64(),
            // A load that ends with its requests or its users has no length.
            if length.is_zero() { String::new() } else { format!(" of {:.0}", length.as_secs_f64()) },
            count(&live.finished),
            count(&live.not_ok),
            faults.concat(),
        );
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            bar.set_message(text);
            return;
        }
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms >= self.next_line_ms.load(Ordering::Relaxed) {
            let every = LINE_EVERY.max(length / MOST_LINES);
            self.next_line_ms.store(elapsed_ms + every.as_millis() as u64, Ordering::Relaxed);
            self.say(&text);
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
