//! The rounds: each contender's turn, and what it showed.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::clock::Clock;
use loadgen::engine::{Model, Settings, run};
use loadgen::recorder::Recorder;
use loadgen::request::{Mix, Template};
use loadgen::result::Quantiles;
use loadgen::sample::Totals;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::{Options, PeersError, bytes_target, mock_counters};
use crate::children::Child;
use crate::process::Process;

/// Unmeasured load before each turn: pools fill, caches warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// A contender in the rounds.
#[derive(Debug)]
pub(super) struct Arm<'a> {
    pub(super) name: &'a str,
    /// `None` for the mock itself.
    pub(super) process: Option<&'a Process>,
    pub(super) address: SocketAddr,
}

/// What one turn showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) requests_per_second: f64,
    pub(super) cpu_us_per_request: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) rss_bytes: u64,
    /// CPU time over time: 1 is one core.
    pub(super) core_share: f64,
    /// Share of upstream requests on a connection that was open already.
    pub(super) reuse_ratio: f64,
    pub(super) not_ok: u64,
}

/// What all turns showed.
#[derive(Debug)]
pub(super) struct Measured {
    /// For each contender its turns, in order.
    pub(super) rounds: Vec<Vec<Figures>>,
    /// Driver straight to the mock.
    pub(super) direct_rps: f64,
    /// The largest share of a core that the driver used.
    pub(super) driver_share: f64,
}

/// The work, and what is needed to do it.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) options: &'a Options,
    pub(super) mock: &'a Child,
    pub(super) stop: &'a Arc<AtomicBool>,
}

impl Work<'_> {
    /// The headroom check, then all rounds. An interrupt ends it after the turn.
    pub(super) fn run(&self, arms: &[Arm<'_>], upstream: SocketAddr) -> Result<Measured, PeersError> {
        let straight = Arm { name: "mock", process: None, address: upstream };
        self.turn(&straight, WARM_UP)?;
        let (direct, mut driver_share) = self.turn(&straight, self.options.turn)?;
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); arms.len()];
        let progress = Progress::new(u64::from(self.options.rounds) * arms.len() as u64, self.options.json);
        let mut rng = Pcg64::seed_from_u64(self.options.seed);
        for round in 1..=self.options.rounds {
            for index in shuffled(arms.len(), &mut rng) {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.turn(&arms[index], WARM_UP)?;
                let (figures, share) = self.turn(&arms[index], self.options.turn)?;
                driver_share = driver_share.max(share);
                rounds[index].push(figures);
                progress.step(round, arms[index].name, &figures);
            }
        }
        // An interrupted round has no pairs for all: only whole rounds count.
        let whole = rounds.iter().map(Vec::len).min().unwrap_or(0);
        rounds.iter_mut().for_each(|turns| turns.truncate(whole));
        Ok(Measured { rounds, direct_rps: direct.requests_per_second, driver_share })
    }

    /// One turn of one contender; the driver's share of its core beside it.
    fn turn(&self, arm: &Arm<'_>, length: Duration) -> Result<(Figures, f64), PeersError> {
        let mut template = Template::get(arm.name, bytes_target(arm.address, self.options.body));
        template.expect.body_bytes = Some(self.options.body);
        let settings = Settings {
            mix: Mix::new(&[template], self.options.seed)?,
            model: Model::Closed { requests: None, duration: Some(length) },
            connections: self.options.connections,
            max_in_flight: self.options.connections,
            timeout: Duration::from_secs(10),
            stop: Arc::clone(self.stop),
        };
        let mut recorder = Recorder::new("steady", 0);
        let usage = || arm.process.map(Process::usage).unwrap_or_default();
        let (counted_before, usage_before) = (mock_counters(self.mock)?, usage());
        let totals: Totals = run(settings, Clock::start(), &mut recorder)?;
        let (usage_after, counted_after) = (usage(), mock_counters(self.mock)?);
        let cpu_us = usage_after.cpu_us.saturating_sub(usage_before.cpu_us) as f64;
        let latency = Quantiles::of(&recorder.phases()[0].latency);
        let accepts = counted_after.0.saturating_sub(counted_before.0) as f64;
        let requests = counted_after.1.saturating_sub(counted_before.1).max(1) as f64;
        let figures = Figures {
            requests_per_second: totals.finished as f64 * 1e9 / totals.wall_ns.max(1) as f64,
            cpu_us_per_request: cpu_us / totals.finished.max(1) as f64,
            p50_us: latency.p50,
            p99_us: latency.p99,
            rss_bytes: usage_after.rss_bytes,
            core_share: cpu_us * 1e3 / totals.wall_ns.max(1) as f64,
            reuse_ratio: 1.0 - accepts / requests,
            not_ok: totals.not_ok,
        };
        Ok((figures, totals.cpu_ns as f64 / totals.wall_ns.max(1) as f64))
    }
}

/// The numbers below `count` in random order (Fisher and Yates).
fn shuffled(count: usize, rng: &mut Pcg64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = (rng.next_u64() % (last as u64 + 1)) as usize;
        order.swap(last, other);
    }
    order
}

/// A bar on a terminal, a line a turn elsewhere; nothing with `--json`.
struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    fn new(turns: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(turns), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:32.cyan} {pos}/{len}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▌░"));
            bar
        });
        Self { bar, quiet }
    }

    fn step(&self, round: u32, name: &str, figures: &Figures) {
        let Figures { requests_per_second, cpu_us_per_request, core_share, .. } = figures;
        let text = format!(
            "round {round}  {name:<10} {requests_per_second:>7.0}/s  {cpu_us_per_request:>6.2} us  core {:>3.0} %",
            core_share * 100.0
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.inc(1);
            }
            None if !self.quiet => {
                // With standard error closed there is no one to tell.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            None => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_as_often_as_any_other() {
        let mut rng = Pcg64::seed_from_u64(3);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            *seen.entry(shuffled(3, &mut rng)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        // A thousand each, standard deviation 29.
        assert!(seen.values().all(|count| (855..=1_145).contains(count)), "{seen:?}");
    }
}
