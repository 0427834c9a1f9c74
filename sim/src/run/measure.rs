//! The measured part of a run: t = 0 to the end of the loads, with everything that happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::duration_ns;
use loadgen::environment::CpuTicks;
use loadgen::recorder::Recorder;
use loadgen::result::Offered;

use super::crowd::Driven;
use super::drive::{Stretch, start_ns};
use super::error::RunError;
use super::progress::Progress;
use super::rules;
use super::timeline::{self, Done};
use super::watch::{Live, Watch};
use super::world::{Counted, World};
use crate::process::Usage;
use crate::scenario::Scenario;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Everything that was seen of the measured part.
#[derive(Debug)]
pub(super) struct Measured {
    /// t = 0 on the run's clock.
    pub(super) start_ns: u64,
    /// t = 0 on the machine's monotonic clock.
    pub(super) zero_ns: u64,
    /// For each load what was seen.
    pub(super) watches: Vec<Watch>,
    pub(super) driven: Driven,
    pub(super) offered: Vec<Option<Offered>>,
    /// For each gateway before and after.
    pub(super) usage: (Vec<Usage>, Vec<Usage>),
    /// For each gateway the most memory that was seen.
    pub(super) peaks: Vec<u64>,
    /// For each gateway the upstream connections that it says it opened.
    pub(super) opened: Vec<f64>,
    pub(super) counted: (Counted, Counted),
    pub(super) mocks_cpu_us: u64,
    pub(super) steal_before: CpuTicks,
    pub(super) events: Vec<Done>,
    /// Gateways that ended by themselves.
    pub(super) died: Vec<usize>,
    /// It was ended before its time.
    pub(super) interrupted: bool,
    /// From t = 0 to the last answer.
    pub(super) lasted: Duration,
}

/// Drives the loads while faults and events take their course.
pub(super) fn measure(
    scenario: &Scenario,
    world: &World,
    stretch: &Stretch,
    progress: &Progress,
) -> Result<Measured, RunError> {
    let offered = scenario.loads.iter().enumerate().map(|(number, load)| stretch.offered(load, number)).collect();
    let live = Arc::new(Live::default());
    let (usage_before, counted_before) = (world.usage(), world.counted()?);
    let (opened_before, mocks_before) = (opened(world), world.mocks_usage());
    let steal_before = CpuTicks::read();
    let clock = stretch.clock;
    let crowds = stretch.gather(&scenario.loads)?;
    let start_ns = start_ns(&scenario.loads, clock.now_ns());
    // Both clocks are the machine's monotonic one; they differ by where they begin to count.
    let zero_ns = mocks::clock::now_ns() - clock.now_ns() + start_ns;
    if !scenario.faults.is_empty() || scenario.has_key_server() {
        let rules = rules::rules(scenario, &stretch.keys.published, zero_ns);
        world.ask_mocks("PUT", "/faults", &rules.to_string())?;
    }
    let mut watches: Vec<Watch> =
        scenario.loads.iter().map(|_| Watch::new(recorder(scenario, start_ns), Arc::clone(&live))).collect();
    let ended = AtomicBool::new(false);
    let (driven, events, peaks) = std::thread::scope(|scope| {
        let driver = scope.spawn(|| stretch.drive(&scenario.loads, &mut watches, crowds, start_ns));
        let events = scope.spawn(|| timeline::perform(&scenario.events, world, &clock, start_ns, &ended));
        let memory = scope.spawn(|| timeline::watch_memory(world, &ended));
        while !driver.is_finished() {
            std::thread::sleep(SHOW_EVERY);
            progress.measuring(scenario, Duration::from_nanos(clock.now_ns().saturating_sub(start_ns)), &live);
        }
        let driven = driver.join();
        ended.store(true, Ordering::Relaxed);
        (driven, events.join(), memory.join())
    });
    let lasted = Duration::from_nanos(clock.now_ns().saturating_sub(start_ns));
    let driven = driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let interrupted = stretch.stop.load(Ordering::Relaxed) && lasted < scenario.length();
    let opened = opened(world).iter().zip(opened_before).map(|(after, before)| (after - before).max(0.0)).collect();
    Ok(Measured {
        start_ns,
        zero_ns,
        watches,
        driven,
        offered,
        died: world.died(),
        usage: (usage_before, world.usage()),
        peaks: peaks.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        opened,
        counted: (counted_before, world.counted()?),
        mocks_cpu_us: world.mocks_usage().cpu_us.saturating_sub(mocks_before.cpu_us),
        steal_before,
        events: events.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        interrupted,
        lasted,
    })
}

fn opened(world: &World) -> Vec<f64> {
    let count = world.listeners().len();
    (0..count).map(|number| world.metric(number, "gateway_upstream_connections_opened_total")).collect()
}

/// Histograms for each phase of the scenario.
fn recorder(scenario: &Scenario, start_ns: u64) -> Recorder {
    let phases = scenario.phases();
    let mut phases = phases.iter().map(|(name, at)| (name, start_ns + duration_ns(*at)));
    let (first, from_ns) = phases.next().map_or(("before", start_ns), |(name, at_ns)| (name.as_str(), at_ns));
    let mut recorder = Recorder::new(first, from_ns);
    for (name, at_ns) in phases {
        recorder.begin_phase(name, at_ns);
    }
    recorder
}
