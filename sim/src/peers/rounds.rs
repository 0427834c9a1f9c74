//! The rounds: each contender's turn, and what all turns showed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use super::{Options, PeersError};
use crate::rounds::order::shuffled;
use crate::rounds::progress::Progress;
use crate::rounds::turn::{Arm, Pace, Road, Turn};

/// Unmeasured load before each turn: pools fill, caches warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// The same before the first round: what a gateway pays once (a token that it sees for the first time) is no cost of a
/// request.
const FIRST_WARM_UP: Duration = Duration::from_secs(3);

/// What one turn showed.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) requests_per_second: f64,
    pub(super) cpu_us_per_request: f64,
    /// Of requests at full load, nanoseconds.
    pub(super) latency: Histogram<u64>,
    pub(super) rss_bytes: u64,
    /// CPU time over time: 1 is one core.
    pub(super) core_share: f64,
    /// Share of upstream requests on a connection that was open already.
    pub(super) reuse_ratio: f64,
    pub(super) not_ok: u64,
}

impl From<&Turn> for Figures {
    fn from(turn: &Turn) -> Self {
        Self {
            requests_per_second: turn.requests_per_second(),
            cpu_us_per_request: turn.cpu_us_per_request(),
            latency: turn.latency.clone(),
            rss_bytes: turn.rss_bytes,
            core_share: turn.core_share(),
            reuse_ratio: turn.reuse_ratio,
            not_ok: turn.not_ok,
        }
    }
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

/// The headroom check, then all rounds. An interrupt ends it after the turn.
pub(super) fn run(options: &Options, road: &Road<'_>, arms: &[Arm<'_>]) -> Result<Measured, PeersError> {
    let straight = Arm { name: "mock", process: None, address: road.mock.ready.listeners[0] };
    road.turn(straight, Pace::Closed, WARM_UP)?;
    let direct = road.turn(straight, Pace::Closed, options.turn)?;
    let mut driver_share = direct.driver_share;
    for arm in arms {
        road.turn(*arm, Pace::Closed, FIRST_WARM_UP)?;
    }
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); arms.len()];
    let progress = Progress::new(u64::from(options.rounds) * arms.len() as u64, options.json);
    let mut rng = Pcg64::seed_from_u64(options.seed);
    for round in 1..=options.rounds {
        for index in shuffled(arms.len(), &mut rng) {
            if road.stop.load(Ordering::Relaxed) {
                break;
            }
            road.turn(arms[index], Pace::Closed, WARM_UP)?;
            let turn = road.turn(arms[index], Pace::Closed, options.turn)?;
            driver_share = driver_share.max(turn.driver_share);
            progress.step(line((round, options.rounds), arms[index].name, &turn));
            rounds[index].push(Figures::from(&turn));
        }
    }
    // An interrupted round has no pairs for all: only whole rounds count.
    let whole = rounds.iter().map(Vec::len).min().unwrap_or(0);
    rounds.iter_mut().for_each(|turns| turns.truncate(whole));
    Ok(Measured { rounds, direct_rps: direct.requests_per_second(), driver_share })
}

fn line((round, of): (u32, u32), name: &str, turn: &Turn) -> String {
    format!(
        "round {round:>2} of {of}  {name:<10} {:>7.0}/s  {:>6.2} us  core {:>3.0} %",
        turn.requests_per_second(),
        turn.cpu_us_per_request(),
        turn.core_share() * 100.0
    )
}
