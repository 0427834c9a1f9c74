//! The driver: a scenario's loads against the gateways, on one clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns};
use loadgen::engine::{Model, Settings, run};
use loadgen::plan::Plan;
use loadgen::request::{Expectation, Mix, Template, TemplateError};
use loadgen::result::Offered;
use loadgen::sample::{Observer, Totals};
use loadgen::target::Target;

use super::error::RunError;
use crate::process::pin_thread;
use crate::scenario::model::{LoadModel, LoadPart, RequestPart};

/// What all loads of a stretch share.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// Where the gateways take requests; every load is spread over all of them.
    pub(super) gateways: Vec<SocketAddr>,
    pub(super) seed: u64,
    /// How long the loads last; each as long as it says when `None`.
    pub(super) lasts: Option<Duration>,
    pub(super) clock: Clock,
    /// Cores of the drivers.
    pub(super) cores: Vec<usize>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Stretch {
    /// Runs the loads side by side, each with its observer; the totals of each, in their order.
    pub(super) fn drive<O: Observer + Send>(
        &self,
        loads: &[LoadPart],
        observers: &mut [O],
    ) -> Result<Vec<Totals>, RunError> {
        let settings: Vec<Settings> =
            loads.iter().enumerate().map(|(number, load)| self.settings(load, number)).collect::<Result<_, _>>()?;
        let ended: Vec<Result<Totals, RunError>> = std::thread::scope(|scope| {
            let drivers: Vec<_> = settings
                .into_iter()
                .zip(observers)
                .map(|(settings, observer)| {
                    scope.spawn(|| {
                        // Where the core is not to be had, the driver runs where it may.
                        let _ = if self.cores.is_empty() { Ok(()) } else { pin_thread(&self.cores) };
                        Ok(run(settings, self.clock, observer)?)
                    })
                })
                .collect();
            let joined = drivers.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        ended.into_iter().collect()
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
        gateways.iter().flat_map(|gateway| load.requests.iter().map(|request| template(request, *gateway))).collect();
    Mix::new(&templates, seed)
}

fn template(request: &RequestPart, gateway: SocketAddr) -> Template {
    Template {
        name: format!("{} {}", request.method, request.path),
        target: Target { address: gateway, authority: gateway.to_string(), path: request.path.clone() },
        method: request.method.clone(),
        headers: request.headers.clone(),
        body: request.body.clone().into_bytes(),
        weight: request.weight,
        expect: Expectation { statuses: request.expect.clone(), body_bytes: None },
    }
}
