//! The driver: a scenario's loads against the gateways, on one clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns};
use loadgen::engine::{Load, Model, Pacing, Schedule, Settings, run_all};
use loadgen::plan::Plan;
use loadgen::request::{Mix, Template, TemplateError};
use loadgen::result::Offered;
use loadgen::sample::{Observer, Totals};

use super::error::RunError;
use crate::process::pin_thread;
use crate::scenario::model::{LoadModel, LoadPart};

/// Time before a start in which connections are opened and rules are set.
pub(super) const OPENING_NS: u64 = 100_000_000;

/// What all loads of a stretch share.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// Where the gateways take requests; every load is spread over all of them.
    pub(super) gateways: Vec<SocketAddr>,
    pub(super) seed: u64,
    /// How long the loads last; each as long as it says when `None`.
    pub(super) lasts: Option<Duration>,
    pub(super) clock: Clock,
    /// Cores of the driver's thread.
    pub(super) cores: Vec<usize>,
    pub(super) pacing: Pacing,
    pub(super) stop: Arc<AtomicBool>,
}

impl Stretch {
    /// Runs the loads side by side on one thread, each with its observer; the totals of each, in their order. Plans
    /// begin at `start_ns` of the clock; connections are opened before.
    pub(super) fn drive<O: Observer + Send>(
        &self,
        loads: &[LoadPart],
        observers: &mut [O],
        start_ns: u64,
    ) -> Result<Vec<Totals>, RunError> {
        let numbered = loads.iter().zip(observers).enumerate();
        let sent: Result<Vec<Load<'_>>, RunError> = numbered
            .map(|(number, (load, observer))| Ok(Load { settings: self.settings(load, number)?, observer }))
            .collect();
        // Where the core is not to be had, the driver runs where it may.
        let _ = if self.cores.is_empty() { Ok(()) } else { pin_thread(&self.cores) };
        Ok(run_all(sent?, self.clock, Schedule { start_ns, pacing: self.pacing })?)
    }

    /// What a load plans to send; `None` in the closed model.
    pub(super) fn offered(&self, load: &LoadPart, number: usize) -> Option<Offered> {
        let plan = self.plan(load, number)?;
        let summary = plan.summary();
        let rate = summary.arrivals as f64 * 1e9 / duration_ns(self.length(load)).max(1) as f64;
        Some(Offered { arrivals: summary.arrivals, rate, hash: summary.hash })
    }

    fn length(&self, load: &LoadPart) -> Duration {
        self.lasts.unwrap_or(load.duration)
    }

    fn plan(&self, load: &LoadPart, number: usize) -> Option<Plan> {
        match load.model {
            LoadModel::Open { arrivals, rate } => {
                Some(Plan::new(arrivals, rate, duration_ns(self.length(load)), self.seed_of(number)))
            }
            LoadModel::Closed => None,
        }
    }

    fn settings(&self, load: &LoadPart, number: usize) -> Result<Settings, RunError> {
        let model = match self.plan(load, number) {
            Some(plan) => Model::Open(plan),
            None => Model::Closed { requests: None, duration: Some(self.length(load)) },
        };
        Ok(Settings {
            mix: mix(load, &self.gateways, self.seed_of(number))?,
            model,
            connections: load.connections,
            max_in_flight: load.max_in_flight,
            timeout: load.timeout,
            stop: Arc::clone(&self.stop),
        })
    }

    /// Loads of one scenario do not send in step.
    fn seed_of(&self, number: usize) -> u64 {
        self.seed.wrapping_add(number as u64 * 0x9e37_79b9_7f4a_7c15)
    }
}

/// A load's requests, to each gateway alike.
pub(super) fn mix(load: &LoadPart, gateways: &[SocketAddr], seed: u64) -> Result<Mix, TemplateError> {
    let templates: Vec<Template> =
        gateways.iter().flat_map(|gateway| load.requests.iter().map(|request| request.template(*gateway))).collect();
    Mix::new(&templates, seed)
}
