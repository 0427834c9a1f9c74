//! What happens at which time: faults through the mocks' rules, events through the programs themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns};
use serde_json::{Value, json};

use super::error::RunError;
use super::world::World;
use crate::scenario::model::{EventAct, EventPart};

/// How often it is looked, between events, whether the run has ended: seldom, since each look takes a core from others.
const GRAIN: Duration = Duration::from_millis(50);
/// How often the gateways' memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An event that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    at_ms: u64,
    act: EventAct,
    /// How long it took.
    took_ms: u64,
    /// Why it was not done after all.
    error: Option<String>,
}

impl Done {
    /// What was done in no time at all, as all is in a simulated world.
    pub(super) fn at_once(at_ms: u64, act: EventAct, error: Option<String>) -> Self {
        Self { at_ms, act, took_ms: 0, error }
    }

    /// That it was not done, in words.
    pub(super) fn failure(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("the event {} at {} ms failed: {error}", name(self.act), self.at_ms))
    }
}

/// An event that was done, for whoever judges what it did to requests. Times count from t = 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) act: EventAct,
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

/// The events that were done, failed ones left out.
pub(super) fn happened(done: &[Done]) -> Vec<Happened> {
    let well = done.iter().filter(|done| done.error.is_none());
    let ns = |ms: u64| ms * 1_000_000;
    well.map(|done| Happened { act: done.act, from_ns: ns(done.at_ms), until_ns: ns(done.at_ms + done.took_ms) })
        .collect()
}

/// Does every event at its time; ends early when `ended` is set.
pub(super) fn perform(
    events: &[EventPart],
    world: &World,
    clock: &Clock,
    start_ns: u64,
    ended: &AtomicBool,
) -> Vec<Done> {
    let mut done = Vec::new();
    for event in events {
        let at_ns = start_ns + duration_ns(event.at);
        while clock.now_ns() < at_ns {
            if ended.load(Ordering::Relaxed) {
                return done;
            }
            std::thread::sleep(GRAIN.min(Duration::from_nanos(at_ns.saturating_sub(clock.now_ns()))));
        }
        let began_ns = clock.now_ns();
        let error = act(event.act, world).err().map(|error| error.to_string());
        let millis = |ns: u64| ns / 1_000_000;
        let took_ms = millis(clock.now_ns() - began_ns);
        done.push(Done { at_ms: millis(began_ns - start_ns), act: event.act, took_ms, error });
    }
    done
}

fn act(act: EventAct, world: &World) -> Result<(), RunError> {
    let redis = |act: &dyn Fn(&mut super::redis::Redis) -> std::io::Result<()>| match world.redis() {
        Some(mut redis) => act(&mut redis).map_err(RunError::Redis),
        None => Ok(()),
    };
    match act {
        EventAct::Reload(Some(number)) => world.reload(number),
        EventAct::Reload(None) => (0..world.listeners().len()).try_for_each(|number| world.reload(number)),
        EventAct::Sigterm(number) => world.terminate(number),
        EventAct::Restart(number) => world.restart(number),
        EventAct::Skew(number, off_us) => world.skew(number, off_us),
        EventAct::PauseRedis => redis(&super::redis::Redis::pause),
        EventAct::KillRedis => redis(&super::redis::Redis::kill),
        EventAct::CutRedis(from) => redis(&|redis| redis.cut(from)),
        EventAct::HealRedis => redis(&super::redis::Redis::heal),
        EventAct::PromoteRedis => redis(&super::redis::Redis::promote),
    }
}

/// `events` of a result.
pub(super) fn to_json(done: &[Done]) -> Value {
    let failed = done.iter().filter(|done| done.error.is_some()).count();
    let list = done.iter().map(|done| {
        let mut one = json!({ "t_ms": done.at_ms, "do": name(done.act), "took_ms": done.took_ms });
        if let Some(error) = &done.error {
            one["error"] = error.as_str().into();
        }
        one
    });
    json!({ "done": list.collect::<Vec<_>>(), "failed": failed })
}

/// What an event is called in a scenario.
fn name(act: EventAct) -> String {
    match act {
        EventAct::Reload(None) => "reload".to_owned(),
        EventAct::Reload(Some(number)) => format!("reload:gateway/{number}"),
        EventAct::Sigterm(number) => format!("sigterm:gateway/{number}"),
        EventAct::Restart(number) => format!("restart:gateway/{number}"),
        EventAct::Skew(number, off_us) => format!("skew:gateway/{number}:{}ms", off_us as f64 / 1e3),
        EventAct::PauseRedis => "pause:redis".to_owned(),
        EventAct::KillRedis => "kill:redis".to_owned(),
        EventAct::CutRedis(None) => "cut:redis".to_owned(),
        EventAct::CutRedis(Some(from)) => format!("cut:redis:gateway/{from}"),
        EventAct::PromoteRedis => "promote:redis".to_owned(),
        EventAct::HealRedis => "heal:redis".to_owned(),
    }
}

/// A gateway's memory over the measured part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The most that was seen, bytes.
    pub(super) peak: u64,
    /// What was seen, at times of the run's clock; nothing of moments at which it was down.
    pub(super) seen: Vec<(u64, u64)>,
}

/// Looks at the gateways' memory until `ended`.
pub(super) fn watch_memory(world: &World, clock: &Clock, ended: &AtomicBool) -> Vec<Memory> {
    let mut memory = vec![Memory::default(); world.listeners().len()];
    let mut waited = LOOK_EVERY;
    while !ended.load(Ordering::Relaxed) {
        if waited >= LOOK_EVERY {
            waited = Duration::ZERO;
            for (memory, rss) in memory.iter_mut().zip(world.rss_bytes()).filter(|(_, rss)| *rss > 0) {
                memory.peak = rss.max(memory.peak);
                memory.seen.push((clock.now_ns(), rss));
            }
        }
        std::thread::sleep(GRAIN);
        waited += GRAIN;
    }
    memory
}
