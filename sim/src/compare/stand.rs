//! Another gateway in the place of ours: how each is configured, started, told to reload and told to drain.
//!
//! | gateway | reload | drain |
//! |---|---|---|
//! | nginx | SIGHUP to its master | SIGQUIT to its master |
//! | HAProxy | SIGUSR2 to its master (`-W`) | SIGUSR1 to its master |
//! | Envoy | a hot restart: a static configuration is read once | `POST /drain_listeners?graceful`, then SIGTERM |
//! | another | none | SIGTERM |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gateway::config::{Purpose, load_text};
use loadgen::control::call;
use loadgen::target::Target;
use rustix::process::Signal;

use super::nearest::Maker;
use super::own_config::OwnConfig;
use super::wanted::{Spot, Wanted};
use crate::children::{Child, ChildError, Ready};
use crate::peers::program::{free_address, takes_connections};
use crate::process::Process;
use crate::run::{Other, Place, RunError};
use crate::scenario::Scenario;
use crate::scenario::gateway::Filling;
use crate::scenario::model::{EventAct, EventPart};

/// How long Envoy's listeners drain before they close, seconds.
const ENVOY_DRAIN_S: u64 = 1;
/// How long an old Envoy lives beside its successor, seconds.
const ENVOY_PARENT_S: u64 = 2;
/// How often, and how many times at most, an Envoy is asked whether it has taken over.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASKS: u32 = 500;

/// How a program is started and told things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    Nginx,
    Haproxy,
    Envoy,
    /// A command line of the user's own, after the program.
    Own(Vec<String>),
}

/// Where its configuration comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Made from the scenario's.
    Made(Maker),
    /// Written by the user.
    Own(OwnConfig),
}

/// A gateway that takes part.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) path: PathBuf,
    pub(super) manner: Manner,
    pub(super) source: Source,
    pub(super) scenario: Scenario,
    /// Client connections that a program may hold.
    pub(super) connections: u64,
    /// What is known of each that runs, by its number.
    pub(super) running: Mutex<BTreeMap<usize, Standing>>,
}

/// One that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    /// How often an Envoy was restarted hot.
    pub(super) epoch: u64,
}

impl Stand {
    /// The configuration for a place, and what it cannot say.
    pub(super) fn configuration(&self, place: &Place<'_>, at: &Standing) -> Result<(String, Vec<String>), RunError> {
        let wrong = |why: String| RunError::Control { what: format!("the configuration of {}", self.name), why };
        match &self.source {
            Source::Own(own) => {
                let filled = own.fill(place, at.listen, at.admin, workers(place));
                Ok((filled.map_err(|why| own.wrong(why))?, Vec::new()))
            }
            Source::Made((_, make)) => {
                let filling =
                    Filling { endpoints: place.endpoints.clone(), access_log: "off".to_owned(), ..Filling::default() };
                let text = self.scenario.gateway.template.fill(&filling);
                let loaded =
                    load_text(&text, &self.scenario.file, Purpose::Check).map_err(|all| wrong(all.to_string()))?;
                let spot = Spot {
                    listen: at.listen,
                    admin: at.admin,
                    folder: place.folder,
                    workers: workers(place),
                    connections: self.connections,
                };
                let nearest = make(&Wanted { config: &loaded.config, spot });
                Ok((nearest.text, nearest.lacks))
            }
        }
    }

    pub(super) fn file_name(&self) -> Cow<'_, str> {
        match &self.source {
            Source::Made((file, _)) => Cow::Borrowed(file),
            Source::Own(own) => own.file_name(),
        }
    }

    /// Starts a process with the configuration that lies there, and waits until it serves.
    fn launch(&self, place: &Place<'_>, at: Standing) -> Result<Child, RunError> {
        let config = place.folder.join(format!("{}-{}", place.number, self.file_name()));
        std::fs::write(&config, self.configuration(place, &at)?.0).map_err(RunError::file(&config))?;
        let log = place.folder.join(format!("{}-{}.{}.log", self.name, place.number, at.epoch));
        let mut command = Command::new(&self.path);
        command.current_dir(place.folder).args(self.arguments(place, &config, at));
        let cannot = |source| ChildError::Start { name: self.name.clone(), source };
        let mut process = Process::start(&mut command, &log, place.cores, false).map_err(cannot)?;
        let serves = takes_connections(&mut process, at.listen) && self.has_taken_over(&mut process, at);
        if !serves {
            let last_words = last_lines(&log);
            return Err(ChildError::NotReady { name: self.name.clone(), last_words }.into());
        }
        self.lock().insert(place.number, at);
        Ok(Child { process, ready: Ready { listeners: vec![at.listen], control: None } })
    }

    fn arguments(&self, place: &Place<'_>, config: &Path, at: Standing) -> Vec<String> {
        let (config, dir) = (config.display().to_string(), place.folder.display().to_string());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        match &self.manner {
            Manner::Nginx => words(&["-p", &dir, "-c", &config, "-e", &format!("{dir}/nginx.error.log")]),
            Manner::Haproxy => words(&["-W", "-f", &config]),
            Manner::Envoy => words(&[
                "-c",
                &config,
                "--concurrency",
                &workers(place).to_string(),
                "--base-id",
                // Envoys that restart each other hot know each other by it; listeners' ports are free in this run.
                &at.listen.port().to_string(),
                "--restart-epoch",
                &at.epoch.to_string(),
                "--drain-time-s",
                &ENVOY_DRAIN_S.to_string(),
                "--drain-strategy",
                "immediate",
                "--parent-shutdown-time-s",
                &ENVOY_PARENT_S.to_string(),
                "--log-level",
                "error",
            ]),
            Manner::Own(own) => {
                own.iter().map(|word| word.replace("{config}", &config).replace("{dir}", &dir)).collect()
            }
        }
    }

    /// A listener that takes connections may still be the old process's: Envoy says which it is.
    fn has_taken_over(&self, process: &mut Process, at: Standing) -> bool {
        if self.manner != Manner::Envoy || at.epoch == 0 {
            return true;
        }
        for _ in 0..ASKS {
            let info = ask(at.admin, "GET", "/server_info").unwrap_or_default();
            let info: serde_json::Value = serde_json::from_slice(&info).unwrap_or_default();
            let epoch = info["command_line_options"]["restart_epoch"].as_u64().unwrap_or(0);
            if epoch == at.epoch && info["state"] == "LIVE" {
                return true;
            }
            if !process.is_running() {
                return false;
            }
            std::thread::sleep(ASK_EVERY);
        }
        false
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Standing>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, child: &Child, signal: Signal) -> Result<(), RunError> {
        child.process.signal_leader(signal).map_err(|error| self.cannot(error.to_string()))
    }

    fn cannot(&self, why: String) -> RunError {
        RunError::Control { what: self.name.clone(), why }
    }
}

impl Other for Stand {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn start(&self, place: Place<'_>) -> Result<Child, RunError> {
        let free = || free_address().map_err(|source| ChildError::Start { name: self.name.clone(), source });
        let listen = place.listener.map_or_else(free, Ok)?;
        self.launch(&place, Standing { listen, admin: free()?, epoch: 0 })
    }

    fn reload(&self, child: &Child, place: Place<'_>) -> Result<Option<Child>, RunError> {
        match self.manner {
            Manner::Nginx => self.tell(child, Signal::HUP).map(|()| None),
            Manner::Haproxy => self.tell(child, Signal::USR2).map(|()| None),
            Manner::Envoy => {
                let known = self.lock().get(&place.number).copied();
                let before = known.ok_or_else(|| self.cannot("it does not run".to_owned()))?;
                self.launch(&place, Standing { epoch: before.epoch + 1, ..before }).map(Some)
            }
            Manner::Own(_) => {
                Err(self.cannot("`sim compare` knows no way to let it read its configuration anew".to_owned()))
            }
        }
    }

    fn drain(&self, child: &Child, number: usize) -> Result<(), RunError> {
        match self.manner {
            Manner::Nginx => self.tell(child, Signal::QUIT),
            Manner::Haproxy => self.tell(child, Signal::USR1),
            Manner::Own(_) => self.tell(child, Signal::TERM),
            Manner::Envoy => {
                let admin = self.lock().get(&number).map(|at| at.admin);
                let admin = admin.ok_or_else(|| self.cannot("it does not run".to_owned()))?;
                ask(admin, "POST", "/drain_listeners?graceful").map_err(|why| self.cannot(why))?;
                // It says nowhere that it has drained, and stays until it is told to end.
                std::thread::sleep(Duration::from_secs(ENVOY_DRAIN_S));
                self.tell(child, Signal::TERM)
            }
        }
    }
}

fn workers(place: &Place<'_>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    if place.cores.is_empty() { all() } else { place.cores.len() }
}

fn ask(admin: SocketAddr, method: &str, path: &str) -> Result<Vec<u8>, String> {
    let target = Target::plain(admin, path);
    let answer = call(&target, method, &[]).map_err(|error| error.to_string())?;
    if answer.status == 200 { Ok(answer.body) } else { Err(format!("{method} {path}: {}", answer.status)) }
}

/// The end of a log, for whoever wonders why a program does not serve.
pub(super) fn last_lines(log: &Path) -> String {
    const LINES: usize = 12;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    if last.is_empty() { format!("(nothing in {})", log.display()) } else { last }
}

impl Stand {
    /// What its configuration cannot say.
    pub(super) fn lacks(&self, place: &Place<'_>) -> Vec<String> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let at = Standing { listen: nowhere, admin: nowhere, epoch: 0 };
        self.configuration(place, &at).map(|(_, lacks)| lacks).unwrap_or_default()
    }

    /// How the scenario's events are done with it, where that needs saying.
    pub(super) fn says_of_events(&self, events: &[EventPart]) -> Vec<String> {
        let has = |wanted: fn(&EventAct) -> bool| events.iter().any(|event| wanted(&event.act));
        let reload = match self.manner {
            Manner::Nginx => "a reload is SIGHUP: new workers take over, old ones end when their clients leave",
            Manner::Haproxy => "a reload is SIGUSR2: a new worker takes over, the old one ends when its clients leave",
            Manner::Envoy => {
                "a reload is a hot restart, since a static configuration is read once; it pays for two processes"
            }
            Manner::Own(_) => "it cannot be told to reload",
        };
        let drain = match self.manner {
            Manner::Nginx => "a drain is SIGQUIT",
            Manner::Haproxy => "a drain is SIGUSR1",
            Manner::Envoy => "a drain is POST /drain_listeners?graceful, and SIGTERM a second later",
            Manner::Own(_) => "a drain is SIGTERM",
        };
        let mut says = Vec::new();
        says.extend(has(|act| matches!(act, EventAct::Reload(_))).then(|| reload.to_owned()));
        says.extend(has(|act| matches!(act, EventAct::Sigterm(_) | EventAct::Restart(_))).then(|| drain.to_owned()));
        says
    }
}
