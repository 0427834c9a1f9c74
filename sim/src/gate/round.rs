//! One round: two new processes, their turns, what each showed.
//!
//! Every round begins with new processes, since two processes of one program differ too: by where their memory lies,
//! and by how their connections fell. So rounds are independent of each other, and the statistics may treat them so.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

use super::GateError;
use super::metric::{Figures, Metric, Round};
use super::settings::Work;
use crate::children::{Child, Programs};
use crate::rounds::Cores;
use crate::rounds::order::mirrored;
use crate::rounds::turn::{Arm, Pace, Road, Turn, TurnError, merged};
use crate::statistics::median;

/// What the sides are called.
pub const BASE: &str = "base";
/// The one that may be worse.
pub const HEAD: &str = "head";
/// How long a side that no longer answers may take to be gone.
const GOING: Duration = Duration::from_secs(1);
/// Lines that are shown of what a side said last.
const LAST_WORDS: usize = 3;
/// A side: a program, and what its command line ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// `base` or `head`.
    pub name: &'static str,
    /// The gateway's program.
    pub program: PathBuf,
    /// More arguments of `gateway run`.
    pub arguments: Vec<OsString>,
}

/// Where rounds are run.
#[derive(Debug)]
pub struct Track<'a> {
    /// The mock and the load.
    pub road: Road<'a>,
    /// Who runs on which core.
    pub cores: Cores,
    /// For configurations and logs.
    pub folder: &'a Path,
    /// The configuration of both sides.
    pub config: &'a str,
    /// What both sides do.
    pub work: &'a Work,
    /// Turns of each side in a round last this long together.
    pub seconds: Duration,
    /// Requests a second of the open load.
    pub open_rate: f64,
}

/// A side that serves.
struct Started {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Started {
    fn arm(&self) -> Arm<'_> {
        Arm { name: self.name, process: Some(&self.child.process), address: self.child.ready.listeners[0] }
    }

    /// What is said of it when it has ended, though nobody told it to.
    fn ended(&mut self) -> Option<GateError> {
        let how = with_doubt(self.child.process.how_it_ended()?);
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("; ");
        Some(self.broken(format!("ended {how} (last words: {last})")))
    }

    /// It is at fault.
    fn broken(&self, why: impl std::fmt::Display) -> GateError {
        GateError::Broken { side: self.name, why: format!("{why}; see {}", self.log.display()) }
    }
}

/// How a side ended. Signal 9 says nothing of who sent it: a system that is out of memory does, to the larger process.
fn with_doubt(how: String) -> String {
    if how == "by signal 9" { format!("{how}, its own doing or the system's, for want of memory") } else { how }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Nothing is in flight, and there is a start for each round: a drain would only cost time.
        self.child.process.end_now();
    }
}

impl Track<'_> {
    /// Starts each side once, checks that it gives what the mock gives, and returns how many requests a second base
    /// does.
    ///
    /// # Errors
    /// When a side does not start, ends, or gives other bytes; base's is told first, since head can be no better.
    pub fn try_out(&self, [base, head]: [&Side; 2]) -> Result<f64, GateError> {
        let (mut base, mut head) = (self.start(base)?, self.start(head)?);
        let rate = self.check(&base).and_then(|()| self.check(&head)).and_then(|()| {
            self.road.turn(base.arm(), Pace::Closed, self.warm_up())?;
            let turns = [self.closed(&base)?, self.closed(&base)?, self.closed(&base)?];
            Ok(median(&turns.map(|turn| turn.requests_per_second())).unwrap_or(0.0))
        });
        blamed(rate, [&mut base, &mut head])
    }

    /// Whether a side gives what the mock gives.
    fn check(&self, side: &Started) -> Result<(), GateError> {
        self.road.check_bytes(side.arm()).map_err(|error| match error {
            TurnError::OtherBytes { told, .. } => side.broken(told),
            TurnError::Control(why) => side.broken(format!("does not answer: {why}")),
            other => other.into(),
        })
    }

    /// How many requests a second the driver and the mock do by themselves.
    ///
    /// # Errors
    /// When the load does not start.
    pub fn direct(&self) -> Result<f64, GateError> {
        let straight = Arm { name: "mock", process: None, address: self.road.mock.ready.listeners[0] };
        self.road.turn(straight, Pace::Closed, self.warm_up())?;
        Ok(self.road.turn(straight, Pace::Closed, self.work.slice())?.requests_per_second())
    }

    /// One round.
    ///
    /// # Errors
    /// When a side does not start or ends, or the load does not start.
    pub fn round(&self, number: u32, base: &Side, head: &Side, rng: &mut Pcg64) -> Result<Round, GateError> {
        let order = mirrored(self.work.fours(self.seconds), rng);
        // Who starts first has the lower addresses and ports, so that is up to a coin too.
        let head_starts = rng.next_u64() >> 63 == 1;
        let (mut base, mut head) = if head_starts {
            let head = self.start(head)?;
            (self.start(base)?, head)
        } else {
            (self.start(base)?, self.start(head)?)
        };
        let round = self.turns(number, [&base, &head], order, rng);
        blamed(round, [&mut base, &mut head])
    }

    /// The turns of two sides that serve.
    fn turns(
        &self,
        number: u32,
        [base, head]: [&Started; 2],
        order: Vec<bool>,
        rng: &mut Pcg64,
    ) -> Result<Round, GateError> {
        for side in if order[0] { [head, base] } else { [base, head] } {
            self.road.turn(side.arm(), Pace::Closed, self.warm_up())?;
        }
        let mut turns: [Vec<Turn>; 2] = [Vec::new(), Vec::new()];
        for is_head in &order {
            turns[usize::from(*is_head)].push(self.closed(if *is_head { head } else { base })?);
        }
        let mut open: [Vec<Turn>; 2] = [Vec::new(), Vec::new()];
        // Half of the open load each way round, so that both sides lie equally late.
        for is_head in mirrored(1, rng) {
            let side = if is_head { head } else { base };
            let length = Duration::from_millis(self.work.latency_ms / 2);
            open[usize::from(is_head)].push(self.road.turn(side.arm(), Pace::Open(self.open_rate), length)?);
        }
        let driver_share = turns.iter().chain(&open).flatten().map(|turn| turn.driver_share).fold(0.0, f64::max);
        let figures = |side: usize| self.figures(&turns[side], &open[side]);
        Ok(Round { number, base: figures(0), head: figures(1), order, driver_share })
    }

    fn warm_up(&self) -> Duration {
        Duration::from_millis(self.work.warm_up_ms)
    }

    fn closed(&self, side: &Started) -> Result<Turn, GateError> {
        Ok(self.road.turn(side.arm(), Pace::Closed, self.work.slice())?)
    }

    fn start(&self, side: &Side) -> Result<Started, GateError> {
        let config = self.folder.join(format!("{}.toml", side.name));
        std::fs::write(&config, self.config).map_err(|source| GateError::File { path: config.clone(), source })?;
        let log = self.folder.join(format!("{}.log", side.name));
        let programs = Programs { gateway: Some(side.program.clone()), ..Programs::default() };
        let started = programs.start_gateway_with(&config, &log, &self.cores.contender(), &side.arguments);
        let child = started.map_err(|error| error.of(&format!("{} ({})", side.name, side.program.display())))?;
        if child.ready.listeners.is_empty() {
            return Err(GateError::NotServing { name: side.name, log });
        }
        Ok(Started { name: side.name, log, child })
    }

    fn figures(&self, turns: &[Turn], open: &[Turn]) -> Figures {
        let sum = |of: fn(&Turn) -> f64| turns.iter().map(of).sum::<f64>();
        let (requests, cpu_us) = (sum(|turn| turn.finished as f64), sum(|turn| turn.cpu_us));
        let wall_s = sum(|turn| turn.wall_ns as f64) / 1e9;
        let objective_ns = u64::try_from(self.work.objective().as_nanos()).unwrap_or(u64::MAX);
        let in_time: u64 = turns.iter().map(|turn| turn.latency.count_between(0, objective_ns)).sum();
        let latency = merged(open.iter().map(|turn| &turn.latency));
        let latency_us = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        let all = || turns.iter().chain(open);
        let values = BTreeMap::from([
            (Metric::Cpu, cpu_us / requests.max(1.0)),
            (Metric::Rate, in_time as f64 / wall_s.max(1e-9)),
            (Metric::P50, latency_us(0.5)),
            (Metric::P99, latency_us(0.99)),
            // Open load opens more connections where answers are late, so memory is that of the closed turns.
            (Metric::Rss, turns.iter().map(|turn| turn.rss_bytes).max().unwrap_or(0) as f64),
        ]);
        Figures {
            values,
            cpu_turns: turns.iter().map(Turn::cpu_us_per_request).collect(),
            answers: requests,
            open_answers: open.iter().map(|turn| turn.finished as f64).sum(),
            wall_s,
            core_share: median(&turns.iter().map(Turn::core_share).collect::<Vec<_>>()).unwrap_or(0.0),
            not_ok: all().map(|turn| turn.not_ok).sum(),
            dropped: all().map(|turn| turn.dropped).sum(),
            lag_us: (worst(open, |turn| turn.lag_p50_ns), worst(open, |turn| turn.lag_p99_ns)),
        }
    }
}

/// What came of sides that were driven; where one of them has ended, that is what there is to tell, whatever its driver
/// made of it. Base's end is told first.
fn blamed<T>(outcome: Result<T, GateError>, sides: [&mut Started; 2]) -> Result<T, GateError> {
    for side in sides {
        if outcome.is_err() {
            // Its sockets are closed a little before it is gone.
            side.child.process.wait(GOING);
        }
        if let Some(ended) = side.ended() {
            return Err(ended);
        }
    }
    outcome
}

/// The largest of the turns' figures, in microseconds.
fn worst(turns: &[Turn], of: fn(&Turn) -> u64) -> f64 {
    turns.iter().map(of).max().unwrap_or(0) as f64 / 1e3
}
