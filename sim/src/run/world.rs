//! What a run starts: the mocks, a Redis, the gateways; and how it asks them.
//!
//! Invariant: everything ends when the world is dropped, the gateways first, so that they never see their upstreams
//! die.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loadgen::control::call;
use loadgen::target::Target;
use serde_json::Value;

use super::cores::Cores;
use super::counted::Counted;
use super::error::RunError;
use super::events::Follower;
use super::instance::{Held, Instance};
use super::mocks::{Here, Mocks};
use super::other::Other;
use super::redis::{Plans, Redis};
use crate::children::{ChildError, Programs};
use crate::process::Usage;
use crate::scenario::Scenario;
use crate::scenario::gateway::Filling;
use crate::scenario::model::{EventAct, KEY_SERVER};
use crate::scenario::topology::{first_keys, topology};

/// Longest wait for a gateway that drains, a little above its own longest by default.
const DRAIN: Duration = Duration::from_secs(35);

/// The running world.
#[derive(Debug)]
pub(super) struct World {
    gateways: Vec<Mutex<Instance>>,
    redis: Option<Mutex<Redis>>,
    mocks: Mocks,
    control: SocketAddr,
    programs: Programs,
    cores: Cores,
    scenario: Scenario,
    /// Each endpoint's name by its port; the key server's is not among them, since no load is for it.
    pub(super) names: BTreeMap<u16, String>,
    /// The key server's port.
    pub(super) key_server: Option<u16>,
    /// The memory of each gateway when it served at first, before anybody asked it for anything.
    pub(super) idle_rss: Vec<u64>,
}

impl World {
    /// Starts everything and waits until it serves.
    pub(super) fn start(
        scenario: &Scenario,
        programs: &Programs,
        cores: &Cores,
        journal: u64,
        folder: &Path,
        key_set: &str,
        other: Option<&Arc<dyn Other>>,
    ) -> Result<Self, RunError> {
        let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(RunError::file(path));
        let keys = if scenario.has_key_server() { first_keys(key_set) } else { String::new() };
        let (file, text) = (folder.join("mocks.toml"), topology(&scenario.mocks) + &keys);
        write(&file, &text)?;
        // Another program than ours cannot be a part of our thread.
        let mocks = match cores.are_shared() && programs.mocks.is_none() {
            true => Mocks::here(&text, scenario.seed, journal, &cores.mocks)?,
            false => {
                let log = folder.join("mocks.log");
                Mocks::Apart(programs.start_mocks(&file, scenario.seed, journal, &log, &cores.mocks)?)
            }
        };
        let (listeners, control) = mocks.addresses()?;
        let endpoints: BTreeMap<String, SocketAddr> = scenario.endpoints().zip(listeners.iter().copied()).collect();
        if endpoints.len() != listeners.len() || endpoints.len() != scenario.endpoints().count() {
            return Err(ChildError::Ready { name: "the mocks".to_owned(), line: format!("{listeners:?}") }.into());
        }
        let redis = match scenario.redis {
            true => Some(Redis::start(folder, cores.redis(), plans(scenario)).map_err(RunError::Redis)?),
            false => None,
        };
        let mut filling = Filling { endpoints, key_set: key_set.to_owned(), ..Filling::default() };
        let (mut gateways, mut idle_rss) = (Vec::new(), Vec::new());
        for number in 0..scenario.gateway.instances {
            filling.redis = redis.as_ref().map(|redis| redis.address(number));
            let mut instance = match other {
                Some(other) => Instance::start_other(other, number, cores, filling.clone(), folder)?,
                None => Instance::start(number, scenario, programs, cores, filling.clone(), folder)?,
            };
            idle_rss.push(instance.usage().rss_bytes);
            gateways.push(Mutex::new(instance));
        }
        if let Some(first) = gateways.first().filter(|_| scenario.mocks.iter().any(|mock| !mock.calls.is_empty())) {
            let body = serde_json::json!({ "address": lock(first).listener }).to_string();
            ask(control, "the mocks", "PUT", "/gateway", &body)?;
        }
        let key_server = filling.endpoints.get(&format!("{KEY_SERVER}/0")).map(SocketAddr::port);
        let names = filling.endpoints.iter().map(|(name, address)| (address.port(), name.clone()));
        let names = names.filter(|(port, _)| Some(*port) != key_server).collect();
        let (programs, cores, scenario) = (programs.clone(), cores.clone(), scenario.clone());
        let redis = redis.map(Mutex::new);
        Ok(Self { gateways, redis, mocks, control, programs, cores, scenario, names, key_server, idle_rss })
    }

    /// Where each gateway takes requests.
    pub(super) fn listeners(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| lock(gateway).listener).collect()
    }

    /// All listeners of each gateway, in the order of its configuration.
    pub(super) fn all_listeners(&self) -> Vec<Vec<SocketAddr>> {
        self.gateways.iter().map(|gateway| lock(gateway).listeners()).collect()
    }

    /// What each gateway holds now, while nothing is asked of it.
    pub(super) fn held(&self) -> Vec<Held> {
        self.gateways.iter().map(|gateway| lock(gateway).held()).collect()
    }

    /// Where each gateway's access log is; `None` of another's.
    pub(super) fn access_logs(&self) -> Vec<Option<PathBuf>> {
        self.gateways.iter().map(|gateway| lock(gateway).access_log.clone()).collect()
    }

    /// Follows what each gateway tells of its decisions, where it does.
    pub(super) fn follow(&self, limits: bool) -> Vec<Follower> {
        let admins: Vec<Option<SocketAddr>> = self.gateways.iter().map(|gateway| lock(gateway).admin).collect();
        let attempts = !self.scenario.faults.is_empty();
        let follow = |(number, admin): (usize, Option<_>)| Follower::follow(number, admin?, attempts, limits);
        admins.into_iter().enumerate().filter_map(follow).collect()
    }

    /// What each gateway has used so far, over restarts.
    pub(super) fn usage(&self) -> Vec<Usage> {
        self.gateways.iter().map(|gateway| lock(gateway).usage()).collect()
    }

    /// The memory of each gateway now.
    pub(super) fn rss_bytes(&self) -> Vec<u64> {
        self.gateways.iter().map(|gateway| lock(gateway).rss_bytes()).collect()
    }

    /// What the mocks have used so far.
    pub(super) fn mocks_usage(&self) -> Usage {
        self.mocks.usage()
    }

    /// The mocks, where they are to be served on the driver's thread.
    pub(super) fn mocks_here(&self) -> Option<Arc<Here>> {
        match &self.mocks {
            Mocks::Here(here) => Some(Arc::clone(here)),
            Mocks::Apart(_) => None,
        }
    }

    /// Asks the mocks' control port.
    pub(super) fn ask_mocks(&self, method: &str, path: &str, body: &str) -> Result<Vec<u8>, RunError> {
        ask(self.control, "the mocks", method, path, body)
    }

    /// What the mocks have counted.
    pub(super) fn counted(&self) -> Result<Counted, RunError> {
        let answer = self.ask_mocks("GET", "/counters", "")?;
        let counters: Value = serde_json::from_slice(&answer)
            .map_err(|error| RunError::Control { what: "the mocks' counters".to_owned(), why: error.to_string() })?;
        Ok(Counted::read(&counters, self.key_server))
    }

    /// Lets a gateway read its configuration anew; what it says when it does not.
    pub(super) fn reload(&self, number: usize) -> Result<(), RunError> {
        let mut gateway = lock(&self.gateways[number]);
        let Some(admin) = gateway.admin else { return gateway.reload_other(&self.cores) };
        drop(gateway);
        ask(admin, &format!("gateway {number}"), "POST", "/reload", "").map(drop)
    }

    /// Tells a gateway to drain and end.
    pub(super) fn terminate(&self, number: usize) -> Result<(), RunError> {
        lock(&self.gateways[number]).terminate()
    }

    /// Lets a gateway drain and end, then starts it again on the same ports. Takes as long as the drain.
    pub(super) fn restart(&self, number: usize) -> Result<(), RunError> {
        let mut gateway = lock(&self.gateways[number]);
        gateway.look();
        let Some(mut child) = gateway.take() else { return Ok(()) };
        // It may have ended by itself, which is what is wanted.
        let _ = gateway.drain(&child);
        drop(gateway);
        child.process.wait(DRAIN);
        drop(child);
        lock(&self.gateways[number]).start_again(&self.scenario, &self.programs, &self.cores)
    }

    /// Puts a gateway's wall clock wrong by so many microseconds.
    pub(super) fn skew(&self, number: usize, off_us: i64) -> Result<(), RunError> {
        let what = || format!("the clock of gateway {number}");
        // Only the gateway that is built in takes the order; another program would not say that it does not.
        if self.programs.gateway.is_some() || lock(&self.gateways[number]).is_another() {
            let why = "only the gateway that is built in can be put wrong; leave --gateway-bin out".to_owned();
            return Err(RunError::Control { what: what(), why });
        }
        lock(&self.gateways[number]).skew(off_us)
    }

    /// The Redis, where there is one.
    pub(super) fn redis(&self) -> Option<MutexGuard<'_, Redis>> {
        self.redis.as_ref().map(lock)
    }

    /// A gateway's own page of metrics; `None` while it is down, and of another's.
    pub(super) fn metrics(&self, number: usize) -> Option<String> {
        let admin = lock(&self.gateways[number]).admin?;
        let page = ask(admin, "metrics", "GET", "/metrics", "").ok()?;
        Some(String::from_utf8_lossy(&page).into_owned())
    }

    /// Which gateways were started anew.
    pub(super) fn restarted(&self) -> Vec<bool> {
        self.gateways.iter().map(|gateway| lock(gateway).was_restarted()).collect()
    }

    /// Gateways that have ended though nobody told them to, and how.
    pub(super) fn died(&self) -> Vec<(usize, String)> {
        let all = self.gateways.iter().enumerate();
        all.filter_map(|(number, gateway)| Some((number, lock(gateway).look()?))).collect()
    }

    /// Ends the gateways, so that their logs are whole.
    pub(super) fn end_gateways(&self) {
        for gateway in &self.gateways {
            drop(lock(gateway).take());
        }
    }
}

/// What will happen to the Redis.
fn plans(scenario: &Scenario) -> Plans {
    let does = |what: fn(EventAct) -> bool| scenario.events.iter().any(|event| what(event.act));
    let promoted = does(|act| act == EventAct::PromoteRedis);
    let cut = does(|act| matches!(act, EventAct::CutRedis(_)));
    Plans { ways: if cut || promoted { scenario.gateway.instances } else { 0 }, promoted }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(address: SocketAddr, whom: &str, method: &str, path: &str, body: &str) -> Result<Vec<u8>, RunError> {
    let target = Target::plain(address, path);
    let what = format!("{whom}: {method} {path}");
    let answer = call(&target, method, body.as_bytes()).map_err(RunError::control(&what))?;
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let why = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim());
    Err(RunError::Control { what, why })
}
