//! One gateway of a run: its processes, over reloads and restarts, and how each has ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Signal;

use super::cores::Cores;
use super::error::RunError;
use super::other::{Other, Place};
use crate::children::{Child, ChildError, Programs};
use crate::process::{Process, Usage};
use crate::scenario::Scenario;
use crate::scenario::gateway::Filling;

/// One gateway instance.
#[derive(Debug)]
pub(super) struct Instance {
    number: usize,
    /// `None` while it is down.
    child: Option<Child>,
    /// What its former processes used.
    past_cpu_us: u64,
    /// What its present ones had used when they were last looked at: one that has ended tells nothing more.
    last: Usage,
    /// It was told to end.
    told: bool,
    /// A process of it has ended though nobody told it to.
    crashed: Option<String>,
    restarts: u32,
    /// How far its wall clock is off, microseconds.
    off_us: i64,
    config: PathBuf,
    log: PathBuf,
    /// `None` of another's, who keeps none for us.
    pub(super) access_log: Option<PathBuf>,
    /// Where it takes requests, over restarts.
    pub(super) listener: SocketAddr,
    /// `None` of another's.
    pub(super) admin: Option<SocketAddr>,
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

impl Instance {
    /// Starts ours.
    pub(super) fn start(
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

    /// Starts another program in its place.
    pub(super) fn start_other(
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
            last: Usage::default(),
            told: false,
            crashed: None,
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
    pub(super) fn reload_other(&mut self, cores: &Cores) -> Result<(), RunError> {
        let (Some(other), Some(child)) = (&self.other, &self.child) else { return Ok(()) };
        if let Some(next) = other.reload(child, self.place(cores))? {
            self.replaced.extend(self.child.replace(next));
        }
        Ok(())
    }

    /// Tells a process to finish what it has, and to end.
    pub(super) fn drain(&self, child: &Child) -> Result<(), RunError> {
        let Some(other) = &self.other else {
            let told = child.process.signal(Signal::TERM);
            return told.map_err(|error| RunError::Control {
                what: format!("gateway {}", self.number),
                why: error.to_string(),
            });
        };
        other.drain(child, self.number)
    }

    /// How a process of it has ended though nobody told it to, now or before.
    pub(super) fn look(&mut self) -> Option<String> {
        if self.crashed.is_none() && !self.told {
            self.crashed = self.child.as_mut().and_then(|child| child.process.how_it_ended());
        }
        self.crashed.clone()
    }

    /// The process from now on, which nobody has told to end.
    fn succeed(&mut self, child: Child) {
        self.child = Some(child);
        self.told = false;
    }

    /// Takes the process out; what it used is kept.
    pub(super) fn take(&mut self) -> Option<Child> {
        let used = self.look_at_usage().cpu_us;
        let child = self.child.take()?;
        self.past_cpu_us += used;
        self.last = Usage::default();
        Some(child)
    }

    /// Starts it again on the same ports.
    pub(super) fn start_again(
        &mut self,
        scenario: &Scenario,
        programs: &Programs,
        cores: &Cores,
    ) -> Result<(), RunError> {
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

    /// Its listeners, in the order of its configuration; another program has one.
    pub(super) fn listeners(&self) -> Vec<SocketAddr> {
        if self.filling.listeners.is_empty() { vec![self.listener] } else { self.filling.listeners.clone() }
    }

    /// Whether it is another program.
    pub(super) fn is_another(&self) -> bool {
        self.other.is_some()
    }

    /// Whether it was started anew.
    pub(super) fn was_restarted(&self) -> bool {
        self.restarts > 0
    }

    /// Tells it to drain and end.
    pub(super) fn terminate(&mut self) -> Result<(), RunError> {
        self.look();
        self.told = true;
        self.child.as_ref().map_or(Ok(()), |child| self.drain(child))
    }

    /// Puts its wall clock wrong by so many microseconds.
    pub(super) fn skew(&mut self, off_us: i64) -> Result<(), RunError> {
        self.off_us = off_us;
        self.child.as_mut().map_or(Ok(()), |child| order_clock(child, self.number, off_us))
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.child.iter().chain(&self.replaced).map(|child| &child.process)
    }

    /// What it holds now.
    pub(super) fn held(&self) -> Held {
        Held { rss_bytes: self.rss_bytes(), descriptors: self.processes().map(Process::descriptors).sum() }
    }

    /// Its memory now.
    pub(super) fn rss_bytes(&self) -> u64 {
        self.processes().map(Process::rss_bytes).sum()
    }

    /// What it has used so far, over restarts; of one that has ended, what was seen of it last.
    pub(super) fn usage(&mut self) -> Usage {
        let now = self.look_at_usage();
        Usage { cpu_us: now.cpu_us + self.past_cpu_us, rss_bytes: now.rss_bytes }
    }

    fn look_at_usage(&mut self) -> Usage {
        let now = self.processes().map(Process::usage).fold(Usage::default(), |sum, one| Usage {
            cpu_us: sum.cpu_us + one.cpu_us,
            rss_bytes: sum.rss_bytes + one.rss_bytes,
        });
        // Whoever has ended has no memory, and soon no time either.
        let rss_bytes = if now.rss_bytes > 0 { now.rss_bytes } else { self.last.rss_bytes };
        self.last = Usage { cpu_us: now.cpu_us.max(self.last.cpu_us), rss_bytes };
        self.last
    }
}

fn order_clock(child: &mut Child, number: usize, off_us: i64) -> Result<(), RunError> {
    let ordered = child.process.order(&crate::own::clock_order(off_us));
    ordered
        .map_err(|error| RunError::Control { what: format!("the clock of gateway {number}"), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

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
        assert!(crashed.look().is_some());
        crashed.succeed(child(folder.path(), "exec sleep 1000"));
        assert!(crashed.look().is_some(), "its successor runs");

        let mut told = of(ended(folder.path()));
        told.told = true;
        assert!(told.look().is_none(), "it did as it was told");
        told.succeed(ended(folder.path()));
        assert!(told.look().is_some(), "nobody told its successor");
    }

    #[test]
    fn what_has_ended_has_used_what_was_seen_of_it_last() {
        let folder = tempfile::tempdir().unwrap();
        // The shell itself stays: of a program that has just been started in its place, a kernel that counts pages per
        // core may know of none yet.
        let working = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done > ready; read nothing";
        let script = format!("cd {}; {working}", folder.path().display());
        let mut gateway =
            Instance::of(0, child(folder.path(), &script), Default::default(), NOWHERE, Filling::default());
        while !folder.path().join("ready").exists() {
            std::thread::yield_now();
        }
        let before = gateway.usage();
        assert!(before.cpu_us > 0 && before.rss_bytes > 0);
        gateway.terminate().unwrap();
        gateway.child.as_mut().unwrap().process.wait(Duration::from_secs(60));
        let after = gateway.usage();
        assert!(after.cpu_us >= before.cpu_us && after.rss_bytes > 0, "{before:?} {after:?}");
        drop(gateway.take());
        assert_eq!(gateway.usage(), Usage { rss_bytes: 0, ..after }, "it is down, and what it used stays");
    }
}
