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
use rustix::process::Signal;
use serde_json::Value;

use super::cores::Cores;
use super::counted::Counted;
use super::error::RunError;
use super::events::Follower;
use super::mocks::{Here, Mocks};
use super::other::{Other, Place};
use super::redis::{Plans, Redis};
use crate::children::{Child, ChildError, Programs};
use crate::process::{Process, Usage};
use crate::scenario::Scenario;
use crate::scenario::gateway::Filling;
use crate::scenario::model::{EventAct, KEY_SERVER};
use crate::scenario::topology::{first_keys, topology};

/// Longest wait for a gateway that drains, a little above its own longest by default.
const DRAIN: Duration = Duration::from_secs(35);

/// One gateway instance.
#[derive(Debug)]
pub(super) struct Instance {
    number: usize,
    /// `None` while it is down.
    child: Option<Child>,
    /// What its former processes used.
    past_cpu_us: u64,
    /// It was told to end.
    told: bool,
    /// A process of it has ended though nobody told it to.
    crashed: bool,
    restarts: u32,
    /// How far its wall clock is off, microseconds.
    off_us: i64,
    config: PathBuf,
    log: PathBuf,
    /// `None` of another's, who keeps none for us.
    access_log: Option<PathBuf>,
    /// Where it takes requests, over restarts.
    pub(super) listener: SocketAddr,
    /// `None` of another's.
    admin: Option<SocketAddr>,
    filling: Filling,
    /// Another program in its place.
    other: Option<Arc<dyn Other>>,
    /// Processes that another's reload has replaced, and that may still finish what they have.
    replaced: Vec<Child>,
}

/// What a gateway holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) rss_bytes: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
}

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
        let mut gateways = Vec::new();
        for number in 0..scenario.gateway.instances {
            filling.redis = redis.as_ref().map(|redis| redis.address(number));
            let instance = match other {
                Some(other) => Instance::start_other(other, number, cores, filling.clone(), folder)?,
                None => Instance::start(number, scenario, programs, cores, filling.clone(), folder)?,
            };
            gateways.push(Mutex::new(instance));
        }
        if let Some(first) = gateways.first().filter(|_| scenario.mocks.iter().any(|mock| !mock.calls.is_empty())) {
            let body = serde_json::json!({ "address": lock(first).listener }).to_string();
            ask(control, "the mocks", "PUT", "/gateway", &body)?;
        }
        let key_server = filling.endpoints.get(&format!("{KEY_SERVER}/0")).map(SocketAddr::port);
        let names = filling.endpoints.iter().map(|(name, address)| (address.port(), name.clone()));
        let names = names.filter(|(port, _)| Some(*port) != key_server).collect();
        let (programs, cores) = (programs.clone(), cores.clone());
        let redis = redis.map(Mutex::new);
        Ok(Self { gateways, redis, mocks, control, programs, cores, scenario: scenario.clone(), names, key_server })
    }

    /// Where each gateway takes requests.
    pub(super) fn listeners(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| lock(gateway).listener).collect()
    }

    /// All listeners of each gateway, in the order of its configuration.
    pub(super) fn all_listeners(&self) -> Vec<Vec<SocketAddr>> {
        let all = |gateway: &Mutex<Instance>| {
            let gateway = lock(gateway);
            // Another program has one.
            if gateway.filling.listeners.is_empty() {
                vec![gateway.listener]
            } else {
                gateway.filling.listeners.clone()
            }
        };
        self.gateways.iter().map(all).collect()
    }

    /// What each gateway holds now, while nothing is asked of it.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = |gateway: &Mutex<Instance>| {
            let gateway = lock(gateway);
            let processes = || gateway.child.iter().chain(&gateway.replaced).map(|child| &child.process);
            Held {
                rss_bytes: processes().map(Process::rss_bytes).sum(),
                descriptors: processes().map(Process::descriptors).sum(),
            }
        };
        self.gateways.iter().map(held).collect()
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
        let mut gateway = lock(&self.gateways[number]);
        gateway.look();
        gateway.told = true;
        gateway.child.as_ref().map_or(Ok(()), |child| gateway.drain(child))
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
        if self.programs.gateway.is_some() || lock(&self.gateways[number]).other.is_some() {
            let why = "only the gateway that is built in can be put wrong; leave --gateway-bin out".to_owned();
            return Err(RunError::Control { what: what(), why });
        }
        let mut gateway = lock(&self.gateways[number]);
        gateway.off_us = off_us;
        gateway.child.as_mut().map_or(Ok(()), |child| order_clock(child, number, off_us))
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
        self.gateways.iter().map(|gateway| lock(gateway).restarts > 0).collect()
    }

    /// Gateways that have ended though nobody told them to.
    pub(super) fn died(&self) -> Vec<usize> {
        (0..self.gateways.len()).filter(|number| lock(&self.gateways[*number]).look()).collect()
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

impl Instance {
    fn start(
        number: usize,
        scenario: &Scenario,
        programs: &Programs,
        cores: &Cores,
        mut filling: Filling,
        folder: &Path,
    ) -> Result<Self, RunError> {
        let access_log = folder.join(format!("access-{number}.log"));
        // A gateway appends to its log, and one of a former run into the same folder would count.
        match std::fs::remove_file(&access_log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(RunError::file(&access_log)(error));
            }
            _ => {}
        }
        filling.access_log = access_log.display().to_string();
        let config = folder.join(format!("gateway-{number}.toml"));
        std::fs::write(&config, scenario.gateway.template.fill(&filling)).map_err(RunError::file(&config))?;
        let log = folder.join(format!("gateway-{number}.log"));
        let child = programs.start_gateway(&config, &log, &cores.gateways)?;
        let not_ready = || ChildError::Ready { name: format!("gateway {number}"), line: format!("{:?}", child.ready) };
        let listener = *child.ready.listeners.first().ok_or_else(not_ready)?;
        let admin = child.ready.control.ok_or_else(not_ready)?;
        filling.listeners = child.ready.listeners.clone();
        filling.admin = Some(admin);
        let admin = Some(admin);
        let access_log = Some(access_log);
        Ok(Self { access_log, admin, ..Self::of(number, child, (config, log), listener, filling) })
    }

    fn start_other(
        other: &Arc<dyn Other>,
        number: usize,
        cores: &Cores,
        filling: Filling,
        folder: &Path,
    ) -> Result<Self, RunError> {
        let place = Place { number, endpoints: &filling.endpoints, listener: None, folder, cores: &cores.gateways };
        let child = other.start(place)?;
        let not_ready = || ChildError::Ready { name: other.name().to_owned(), line: format!("{:?}", child.ready) };
        let listener = *child.ready.listeners.first().ok_or_else(not_ready)?;
        let files = (folder.join(other.name()), folder.join(format!("{}-{number}.log", other.name())));
        Ok(Self { other: Some(Arc::clone(other)), ..Self::of(number, child, files, listener, filling) })
    }

    /// One that has just been started.
    fn of(
        number: usize,
        child: Child,
        (config, log): (PathBuf, PathBuf),
        listener: SocketAddr,
        filling: Filling,
    ) -> Self {
        Self {
            number,
            child: Some(child),
            past_cpu_us: 0,
            told: false,
            crashed: false,
            restarts: 0,
            off_us: 0,
            config,
            log,
            access_log: None,
            listener,
            admin: None,
            filling,
            other: None,
            replaced: Vec::new(),
        }
    }

    /// Where another stands that is told something.
    fn place<'a>(&'a self, cores: &'a Cores) -> Place<'a> {
        let folder = self.config.parent().unwrap_or(&self.config);
        let endpoints = &self.filling.endpoints;
        Place { number: self.number, endpoints, listener: Some(self.listener), folder, cores: &cores.gateways }
    }

    /// Lets another read its configuration anew.
    fn reload_other(&mut self, cores: &Cores) -> Result<(), RunError> {
        let (Some(other), Some(child)) = (&self.other, &self.child) else { return Ok(()) };
        if let Some(next) = other.reload(child, self.place(cores))? {
            self.replaced.extend(self.child.replace(next));
        }
        Ok(())
    }

    /// Tells a process to finish what it has, and to end.
    fn drain(&self, child: &Child) -> Result<(), RunError> {
        let Some(other) = &self.other else {
            let told = child.process.signal(Signal::TERM);
            return told.map_err(|error| RunError::Control {
                what: format!("gateway {}", self.number),
                why: error.to_string(),
            });
        };
        other.drain(child, self.number)
    }

    /// Whether a process of it has ended though nobody told it to, now or before.
    fn look(&mut self) -> bool {
        let ended = self.child.as_mut().is_some_and(|child| !child.process.is_running());
        self.crashed |= ended && !self.told;
        self.crashed
    }

    /// The process from now on, which nobody has told to end.
    fn succeed(&mut self, child: Child) {
        self.child = Some(child);
        self.told = false;
    }

    /// Takes the process out; what it used is kept.
    fn take(&mut self) -> Option<Child> {
        let child = self.child.take()?;
        self.past_cpu_us += child.process.usage().cpu_us;
        Some(child)
    }

    fn start_again(&mut self, scenario: &Scenario, programs: &Programs, cores: &Cores) -> Result<(), RunError> {
        if let Some(other) = &self.other {
            let child = other.start(self.place(cores))?;
            self.succeed(child);
            return Ok(());
        }
        let text = scenario.gateway.template.fill(&self.filling);
        std::fs::write(&self.config, text).map_err(RunError::file(&self.config))?;
        self.restarts += 1;
        let log = self.log.with_extension(format!("{}.log", self.restarts));
        let mut child = programs.start_gateway(&self.config, &log, &cores.gateways)?;
        if self.off_us != 0 {
            order_clock(&mut child, self.number, self.off_us)?;
        }
        self.succeed(child);
        Ok(())
    }

    fn rss_bytes(&self) -> u64 {
        self.child.iter().chain(&self.replaced).map(|child| child.process.rss_bytes()).sum()
    }

    fn usage(&self) -> Usage {
        let all = self.child.iter().chain(&self.replaced).map(|child| child.process.usage());
        let now = all.fold(Usage::default(), |sum, one| Usage {
            cpu_us: sum.cpu_us + one.cpu_us,
            rss_bytes: sum.rss_bytes + one.rss_bytes,
        });
        Usage { cpu_us: now.cpu_us + self.past_cpu_us, rss_bytes: now.rss_bytes }
    }
}

fn order_clock(child: &mut Child, number: usize, off_us: i64) -> Result<(), RunError> {
    let ordered = child.process.order(&crate::own::clock_order(off_us));
    ordered
        .map_err(|error| RunError::Control { what: format!("the clock of gateway {number}"), why: error.to_string() })
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::children::Ready;

    const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    /// A process of a gateway's that runs this.
    fn child(folder: &Path, script: &str) -> Child {
        let mut command = Command::new("sh");
        let process = Process::start(command.args(["-c", script]), &folder.join("log"), &[], false).unwrap();
        Child { process, ready: Ready { listeners: vec![NOWHERE], control: None } }
    }

    fn ended(folder: &Path) -> Child {
        let mut child = child(folder, "exit 1");
        child.process.wait(Duration::from_secs(60));
        child
    }

    #[test]
    fn a_crash_is_not_hidden_by_a_restart_nor_by_a_restart_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let of = |child| Instance::of(0, child, Default::default(), NOWHERE, Filling::default());
        let mut crashed = of(ended(folder.path()));
        assert!(crashed.look());
        crashed.succeed(child(folder.path(), "exec sleep 1000"));
        assert!(crashed.look(), "its successor runs");

        let mut told = of(ended(folder.path()));
        told.told = true;
        assert!(!told.look(), "it did as it was told");
        told.succeed(ended(folder.path()));
        assert!(told.look(), "nobody told its successor");
    }
}
