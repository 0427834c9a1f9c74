//! The measured part of a run: t = 0 to the end of the loads, with everything that happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::duration_ns;
use loadgen::environment::CpuTicks;
use loadgen::recorder::Recorder;
use loadgen::result::Offered;

use super::counted::Counted;
use super::crowd::Driven;
use super::drive::{Stretch, start_ns};
use super::error::RunError;
use super::instance::Held;
use super::progress::Progress;
use super::rules;
use super::timeline::{self, Done, Memory};
use super::verdict::Death;
use super::watch::{Live, Watch};
use super::world::World;
use crate::hostile::{self, Field, Seen};
use crate::process::{Usage, pin_thread};
use crate::scenario::Scenario;
use crate::scenario::model::HostilePart;

/// How far hostile clients stand back behind the driver (nice(2)).
const NICE: i32 = 10;
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
    /// For each gateway the memory with which it began to serve. At t = 0 it has had the warm-up, and the search for
    /// capacity, which leave their mark.
    pub(super) idle_rss: Vec<u64>,
    /// For each gateway before and after.
    pub(super) usage: (Vec<Usage>, Vec<Usage>),
    /// What all gateways together had used of their cores, microseconds, at times of the run's clock.
    pub(super) cpu: Vec<(u64, u64)>,
    /// For each gateway the memory that was seen.
    pub(super) memory: Vec<Memory>,
    /// For each gateway its page of metrics before and after, where it had one.
    pub(super) metrics: (Vec<Option<String>>, Vec<Option<String>>),
    /// For each gateway whether it was started anew meanwhile.
    pub(super) restarted: Vec<bool>,
    /// For each gateway what it held at rest, before and after, where the scenario asks.
    pub(super) held: (Vec<Held>, Vec<Held>),
    /// For each part of hostile clients what came of their connections.
    pub(super) hostile: Vec<Vec<Seen>>,
    pub(super) counted: (Counted, Counted),
    pub(super) mocks_cpu_us: u64,
    pub(super) steal_before: CpuTicks,
    pub(super) events: Vec<Done>,
    /// Gateways that ended by themselves.
    pub(super) died: Vec<Death>,
    /// It was ended before its time, or in the rest behind it.
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
    let held_before = rest(scenario, world, stretch);
    let (usage_before, counted_before) = (world.usage(), world.counted()?);
    let (metrics_before, mocks_before) = (metrics(world), world.mocks_usage());
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
    let fields = fields(scenario, stretch);
    let (mut cpu, mut died) = (Vec::new(), Vec::new());
    let (driven, lasted, events, memory, hostile) = std::thread::scope(|scope| {
        let driver = scope.spawn(|| stretch.drive(&scenario.loads, &mut watches, crowds, start_ns));
        let events = scope.spawn(|| timeline::perform(&scenario.events, world, &clock, start_ns, &ended));
        let hostile = scope.spawn(|| attack(&fields, stretch, start_ns, &ended));
        let memory = scope.spawn(|| timeline::watch_memory(world, &clock, &ended));
        while !driver.is_finished() {
            cpu.push((clock.now_ns(), world.usage().iter().map(|usage| usage.cpu_us).sum()));
            std::thread::sleep(SHOW_EVERY);
            let since = Duration::from_nanos(clock.now_ns().saturating_sub(start_ns));
            bury(&mut died, world, Some(since));
            progress.measuring(scenario, since, &live);
        }
        let driven = driver.join();
        let lasted = Duration::from_nanos(clock.now_ns().saturating_sub(start_ns));
        ended.store(true, Ordering::Relaxed);
        (driven, lasted, events.join(), memory.join(), hostile.join())
    });
    let driven = driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let usage_after = world.usage();
    let held_after = rest(scenario, world, stretch);
    bury(&mut died, world, None);
    // The rest is a part of what is measured.
    let interrupted = stretch.stop.load(Ordering::Relaxed);
    Ok(Measured {
        start_ns,
        zero_ns,
        watches,
        driven,
        offered,
        died,
        cpu,
        idle_rss: world.idle_rss.clone(),
        usage: (usage_before, usage_after),
        memory: memory.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        metrics: (metrics_before, metrics(world)),
        restarted: world.restarted(),
        held: (held_before, held_after),
        hostile: hostile.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
        counted: (counted_before, world.counted()?),
        mocks_cpu_us: world.mocks_usage().cpu_us.saturating_sub(mocks_before.cpu_us),
        steal_before,
        events: events.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        interrupted,
        lasted,
    })
}

/// Adds the gateways that have ended by themselves since this was last asked.
fn bury(died: &mut Vec<Death>, world: &World, at: Option<Duration>) {
    let new = world.died().into_iter().filter(|(gateway, _)| died.iter().all(|death| death.gateway != *gateway));
    let new: Vec<Death> = new.map(|(gateway, how)| Death { gateway, how, at }).collect();
    died.extend(new);
}

fn metrics(world: &World) -> Vec<Option<String>> {
    (0..world.listeners().len()).map(|number| world.metrics(number)).collect()
}

/// Lets the gateways rest as long as the scenario says; what each then holds.
fn rest(scenario: &Scenario, world: &World, stretch: &Stretch) -> Vec<Held> {
    if scenario.rest.is_zero() {
        return Vec::new();
    }
    let until_ns = stretch.clock.now_ns() + duration_ns(scenario.rest);
    while stretch.clock.now_ns() < until_ns && !stretch.stop.load(Ordering::Relaxed) {
        std::thread::sleep(SHOW_EVERY);
    }
    world.held()
}

/// Whom the hostile clients of each part attack.
fn fields(scenario: &Scenario, stretch: &Stretch) -> Vec<Field> {
    let field = |(number, part): (usize, &HostilePart)| Field {
        part: part.clone(),
        from: hostile::address(number),
        to: stretch.at(part.listener),
    };
    scenario.hostile.iter().enumerate().map(field).collect()
}

/// Hostile clients take what is left of the driver's core; what they take from it shows in its lag.
fn attack(fields: &[Field], stretch: &Stretch, start_ns: u64, ended: &AtomicBool) -> Result<Vec<Vec<Seen>>, RunError> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    // Where the core is not to be had, they are wherever they may.
    let _ = if stretch.cores.is_empty() { Ok(()) } else { pin_thread(&stretch.cores) };
    // The driver comes first: what it sends late is a reason against the run.
    let _ = rustix::process::setpriority_process(None, NICE);
    let why = |error: std::io::Error| RunError::Control { what: "hostile clients".to_owned(), why: error.to_string() };
    hostile::attack(fields, stretch.clock, start_ns, ended).map_err(why)
}

/// Histograms for each phase of the scenario.
pub(super) fn recorder(scenario: &Scenario, start_ns: u64) -> Recorder {
    let phases = scenario.phases();
    let mut phases = phases.iter().map(|(name, at)| (name, start_ns + duration_ns(*at)));
    let (first, from_ns) = phases.next().map_or(("before", start_ns), |(name, at_ns)| (name.as_str(), at_ns));
    let mut recorder = Recorder::new(first, from_ns);
    for (name, at_ns) in phases {
        recorder.begin_phase(name, at_ns);
    }
    recorder
}
