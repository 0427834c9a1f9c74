//! The driver: a scenario's loads against the gateways, on one clock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns};
use loadgen::engine::{Load, Model, Pacing, Schedule, Settings, opening, run_all, run_all_beside};
use loadgen::plan::{Arrivals, Plan};
use loadgen::request::{Mix, Template, TemplateError, TokenKey};
use loadgen::result::Offered;
use loadgen::sample::{Observer, Totals};

use super::crowd::{self, Crowds, Driven};
use super::error::RunError;
use super::keys::RunKeys;
use super::mocks::Here;
use crate::process::pin_thread;
use crate::scenario::model::{LoadModel, LoadPart};

/// Time before a start in which rules are set; connections are opened in more.
const LEAD_NS: u64 = 100_000_000;

/// When loads can start that are asked for now.
pub(super) fn start_ns(loads: &[LoadPart], now_ns: u64) -> u64 {
    let connections: usize = loads.iter().map(|load| load.connections).sum();
    now_ns + LEAD_NS + duration_ns(opening(connections))
}

/// What all loads of a stretch share.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// The listeners of each gateway; every load is spread over all gateways.
    pub(super) listeners: Vec<Vec<SocketAddr>>,
    pub(super) seed: u64,
    /// How long the loads last, at the rate that each begins with; each as long and in the shape that it says when
    /// `None`.
    pub(super) lasts: Option<Duration>,
    pub(super) clock: Clock,
    /// Cores of the driver's thread.
    pub(super) cores: Vec<usize>,
    pub(super) pacing: Pacing,
    pub(super) stop: Arc<AtomicBool>,
    /// The program of the users of journeys.
    pub(super) users: PathBuf,
    /// What signs tokens.
    pub(super) keys: Arc<RunKeys>,
    /// The mocks, where the driver's thread is theirs too.
    pub(super) mocks: Option<Arc<Here>>,
}

impl Stretch {
    /// Runs the loads side by side on one thread, each with its observer; users of journeys in processes of their own.
    /// Plans begin at `start_ns` of the clock; connections are opened before.
    pub(super) fn drive<O: Observer + Send>(
        &self,
        loads: &[LoadPart],
        observers: &mut [O],
        crowds: Crowds,
        start_ns: u64,
    ) -> Result<Driven, RunError> {
        // Where the core is not to be had, the driver runs where it may.
        let _ = if self.cores.is_empty() { Ok(()) } else { pin_thread(&self.cores) };
        crowds.go(self, loads, observers, start_ns, |sent| {
            let sent: Result<Vec<Load<'_>>, RunError> = sent
                .into_iter()
                .map(|(number, observer)| Ok(Load { settings: self.settings(&loads[number], number)?, observer }))
                .collect();
            self.send(sent?, start_ns)
        })
    }

    /// Runs the loads on the calling thread, which serves the mocks meanwhile where they are here.
    fn send(&self, loads: Vec<Load<'_>>, start_ns: u64) -> Result<Vec<Totals>, RunError> {
        let schedule = Schedule { start_ns, pacing: self.pacing };
        let Some(mocks) = self.mocks.as_ref().filter(|_| !loads.is_empty()) else {
            return Ok(run_all(loads, self.clock, schedule)?);
        };
        let totals = mocks.lend(|shared| {
            // Others on the core (the kernel's own threads, which carry packets, among them) have it when there is
            // nothing to do here. Put before them instead, this thread would starve them, and with them its own
            // packets.
            let mut turn = || {
                let worked = shared.turn();
                if !worked {
                    std::thread::yield_now();
                }
                worked
            };
            let totals = run_all_beside(loads, self.clock, schedule, &mut turn);
            let used_ns = totals.as_ref().ok().and_then(|totals| totals.first()).map_or(0, |load| load.neighbour_ns);
            (totals, used_ns)
        })?;
        Ok(totals?)
    }

    /// Starts the users of journeys, who wait until the loads begin.
    pub(super) fn gather(&self, loads: &[LoadPart]) -> Result<Crowds, RunError> {
        crowd::gather(
            loads,
            &self.users,
            (&self.at(0), |number| self.seed_of(number), &self.cores),
            Some(&self.keys.shared),
        )
    }

    /// The listener with this number, of each gateway that has it.
    pub(super) fn at(&self, listener: usize) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|all| all.get(listener)).copied().collect()
    }

    /// How long a load lasts in this stretch.
    pub(super) fn length_ns(&self, load: &LoadPart) -> u64 {
        duration_ns(self.length(load))
    }

    /// What a load plans to send; `None` in the closed model.
    pub(super) fn offered(&self, load: &LoadPart, number: usize) -> Option<Offered> {
        let plan = self.plan(load, number)?;
        let summary = plan.summary();
        let length_ns = self.length_ns(load);
        let rate = summary.arrivals as f64 * 1e9 / length_ns.max(1) as f64;
        Some(Offered { arrivals: summary.arrivals, rate, length_ns: Some(length_ns), hash: summary.hash })
    }

    fn length(&self, load: &LoadPart) -> Duration {
        self.lasts.unwrap_or(load.duration)
    }

    fn plan(&self, load: &LoadPart, number: usize) -> Option<Plan> {
        match load.model {
            LoadModel::Open { arrivals, rate } => {
                let (arrivals, rate) = if self.lasts.is_some() { flat(arrivals, rate) } else { (arrivals, rate) };
                let plan = Plan::new(arrivals, rate, duration_ns(self.length(load)), self.seed_of(number));
                Some(plan.delayed(duration_ns(load.from)))
            }
            LoadModel::Closed | LoadModel::Journey => None,
        }
    }

    fn settings(&self, load: &LoadPart, number: usize) -> Result<Settings, RunError> {
        let model = match self.plan(load, number) {
            Some(plan) => Model::Open(plan),
            None => Model::Closed { requests: None, duration: Some(self.length(load)) },
        };
        Ok(Settings {
            mix: mix(load, &self.at(load.way.listener), self.seed_of(number), &self.keys.signing)?,
            model,
            connections: load.connections,
            max_in_flight: load.max_in_flight,
            timeout: load.timeout,
            stop: Arc::clone(&self.stop),
        })
    }

    /// Loads of one scenario do not send in step.
    fn seed_of(&self, number: usize) -> u64 {
        seed_of(self.seed, number)
    }
}

/// The seed of the load with this number; the first has the scenario's own.
fn seed_of(seed: u64, number: usize) -> u64 {
    // The golden ratio in 64 bits (SplitMix64): multiples of it are far apart.
    seed.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The arrivals that a shape begins with, without end. One that begins with nothing begins with a tenth of its last.
pub(super) fn flat(arrivals: Arrivals, rate: f64) -> (Arrivals, f64) {
    let even = if arrivals.is_random() { Arrivals::Poisson } else { Arrivals::Constant };
    match arrivals {
        Arrivals::Constant | Arrivals::Poisson => (arrivals, rate),
        Arrivals::Ramp { from, to, .. } => (even, if from > 0.0 { from } else { to / 10.0 }),
        Arrivals::Spike { base, peak, .. } => (even, if base > 0.0 { base } else { peak / 10.0 }),
    }
}

/// A load's requests, to each gateway alike.
pub(super) fn mix(load: &LoadPart, gateways: &[SocketAddr], seed: u64, key: &TokenKey) -> Result<Mix, TemplateError> {
    let templates: Vec<Template> =
        gateways.iter().flat_map(|gateway| load.requests.iter().map(|request| request.template(*gateway))).collect();
    let mut mix = Mix::with_tokens(&templates, seed, Some(key))?.speaking(load.way.protocol)?;
    if let Some(tls) = &load.way.tls {
        mix = mix.secured(tls.clone());
    }
    Ok(match load.way.proxy_protocol {
        Some(version) => mix.announcing(version),
        None => mix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_has_a_seed_of_its_own() {
        let mut seeds: Vec<u64> = (0..100).map(|number| seed_of(u64::MAX, number)).collect();
        assert_eq!(seeds[0], u64::MAX);
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 100);
    }

    #[test]
    fn a_warm_up_keeps_the_rate_that_a_shape_begins_with() {
        let shape = |text: &str| flat(text.parse().unwrap(), 7.0);
        assert_eq!(shape("poisson"), (Arrivals::Poisson, 7.0));
        assert_eq!(shape("ramp(100/s, 2000/s)"), (Arrivals::Constant, 100.0));
        assert_eq!(shape("poisson ramp(0/s, 2000/s)"), (Arrivals::Poisson, 200.0));
        assert_eq!(shape("spike(50/s, 900/s, 1s, 1s)"), (Arrivals::Constant, 50.0));
    }
}
