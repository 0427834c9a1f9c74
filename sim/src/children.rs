//! The gateway and the mocks as children: started, waited for until they serve, ended.
//!
//! Both say on standard error when they serve, and where:
//! `{"event":"ready","listeners":["127.0.0.1:41233"],"admin":"127.0.0.1:41234"}` (mocks: `control`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::own;
use crate::process::Process;

/// The variable with a secret for whatever gateways of a world have to prove to its services. It opens nothing else.
const SECRET: (&str, &str) = ("SIM_SECRET", "known to every world and of no use outside");
/// Longest wait for the ready line.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Which programs to start.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The gateway; this binary's own when `None`.
    pub gateway: Option<PathBuf>,
    /// The mocks; this binary's own when `None`.
    pub mocks: Option<PathBuf>,
    /// The users of journeys; the program `journeys` beside this one when `None`.
    pub journeys: Option<PathBuf>,
}

impl Programs {
    /// The gateway's commit: that of this binary where it is its own, and nothing of another's.
    #[must_use]
    pub fn commit(&self) -> &'static str {
        if self.gateway.is_none() { gateway::build::COMMIT } else { "" }
    }
}

/// Where a child serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its listeners, in the order asked for.
    pub listeners: Vec<SocketAddr>,
    /// The gateway's admin address, or the mocks' control port.
    pub control: Option<SocketAddr>,
}

/// A child that serves.
#[derive(Debug)]
pub struct Child {
    /// The process; dropping it ends it.
    pub process: Process,
    /// Where it serves.
    pub ready: Ready,
}

/// Why a child does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// What it is.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended, or said nothing for too long.
    #[error("{name} did not start to serve; its last words:\n{last_words}")]
    NotReady {
        /// What it is.
        name: String,
        /// The end of its output.
        last_words: String,
    },
    /// It serves, but not what was asked for.
    #[error("{name} serves, but does not say where: {line}")]
    Ready {
        /// What it is.
        name: String,
        /// Its ready line.
        line: String,
    },
}

impl ChildError {
    /// The same of a child that goes by another name.
    #[must_use]
    pub fn of(mut self, other: &str) -> Self {
        let (Self::Start { name, .. } | Self::NotReady { name, .. } | Self::Ready { name, .. }) = &mut self;
        other.clone_into(name);
        self
    }
}

impl Programs {
    /// Starts a gateway with a configuration file and waits until it serves.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve in time.
    pub fn start_gateway(&self, config: &Path, log: &Path, cores: &[usize]) -> Result<Child, ChildError> {
        self.start_gateway_with(config, log, cores, &[])
    }

    /// The same with more arguments behind those of the command.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve in time.
    pub fn start_gateway_with(
        &self,
        config: &Path,
        log: &Path,
        cores: &[usize],
        more: &[OsString],
    ) -> Result<Child, ChildError> {
        let mut arguments: Vec<OsString> = vec!["run".into(), "--config".into(), config.into()];
        arguments.extend_from_slice(more);
        start("gateway", self.gateway.as_deref(), own::GATEWAY, &arguments, log, cores)
    }

    /// Starts the mock services of a topology file with a control port, and waits until they serve. `journal` is the
    /// number of requests that they keep.
    ///
    /// # Errors
    /// When they cannot be started, or do not serve in time.
    pub fn start_mocks(
        &self,
        topology: &Path,
        seed: u64,
        journal: u64,
        log: &Path,
        cores: &[usize],
    ) -> Result<Child, ChildError> {
        let mut arguments: Vec<OsString> = vec!["--config".into(), topology.into(), "--control".into()];
        arguments.push("127.0.0.1:0".into());
        arguments.extend(["--seed".into(), seed.to_string().into(), "--journal".into(), journal.to_string().into()]);
        start("the mocks", self.mocks.as_deref(), own::MOCKS, &arguments, log, cores)
    }

    /// Starts one mock service on free ports, with a control port, and waits until it serves.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve in time.
    pub fn start_mock(&self, service: &MockService, log: &Path, cores: &[usize]) -> Result<Child, ChildError> {
        let name = format!("mock {}", service.name);
        let mut arguments: Vec<OsString> = vec!["--service".into(), service.name.into(), "--control".into()];
        arguments.push("127.0.0.1:0".into());
        arguments.extend(["--seed".into(), service.seed.to_string().into()]);
        for _ in 0..service.endpoints {
            arguments.extend(["--listen".into(), "127.0.0.1:0".into()]);
        }
        let child = start(&name, self.mocks.as_deref(), own::MOCKS, &arguments, log, cores)?;
        if child.ready.listeners.len() != service.endpoints || child.ready.control.is_none() {
            return Err(ChildError::Ready { name, line: format!("{:?}", child.ready) });
        }
        Ok(child)
    }
}

/// A mock service to start.
#[derive(Debug, Clone, Copy)]
pub struct MockService {
    /// Its name.
    pub name: &'static str,
    /// How many endpoints it has.
    pub endpoints: usize,
    /// Its seed.
    pub seed: u64,
}

fn start(
    name: &str,
    program: Option<&Path>,
    own_word: &str,
    arguments: &[OsString],
    log: &Path,
    cores: &[usize],
) -> Result<Child, ChildError> {
    let cannot = |source| ChildError::Start { name: name.to_owned(), source };
    let mut command = match program {
        Some(program) => Command::new(program),
        None => {
            let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
            command.arg(own_word);
            command
        }
    };
    command.args(arguments).env(SECRET.0, SECRET.1);
    let mut process = Process::start(&mut command, log, cores, true).map_err(cannot)?;
    let stderr = process.take_stderr().ok_or_else(|| cannot(io::Error::other("no standard error")))?;
    let log = File::options().append(true).open(log).map_err(cannot)?;
    // Two messages at most: that it is ready, and that it has ended.
    let (tell, told) = mpsc::sync_channel(2);
    std::thread::spawn(move || follow(BufReader::new(stderr), log, &tell));
    let deadline = told.recv_timeout(READY_WITHIN);
    let not_ready = |last_words| ChildError::NotReady { name: name.to_owned(), last_words };
    match deadline {
        Ok(News::Ready(line)) => match parse_ready(&line) {
            Some(ready) => Ok(Child { process, ready }),
            None => Err(ChildError::Ready { name: name.to_owned(), line }),
        },
        Ok(News::Ended(words)) if words.is_empty() => Err(not_ready("(it ended and said nothing)".to_owned())),
        Ok(News::Ended(words)) => Err(not_ready(words)),
        Err(_) => Err(not_ready(format!("(nothing for {} s)", READY_WITHIN.as_secs()))),
    }
}

enum News {
    Ready(String),
    Ended(String),
}

/// Copies a child's standard error to its log to the end, and tells of its ready line.
fn follow(stderr: impl BufRead, mut log: File, tell: &mpsc::SyncSender<News>) {
    const LAST_LINES: usize = 12;
    let mut last = std::collections::VecDeque::new();
    for line in stderr.lines().map_while(Result::ok) {
        // A full disk loses log lines, never the run.
        let _ = writeln!(log, "{line}");
        if line.contains("\"event\":\"ready\"") {
            let _ = tell.send(News::Ready(line));
            continue;
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    // Nobody listens any more once it was ready.
    let _ = tell.send(News::Ended(Vec::from(last).join("\n")));
}

fn parse_ready(line: &str) -> Option<Ready> {
    let value: Value = serde_json::from_str(line).ok()?;
    let address = |value: &Value| value.as_str()?.parse().ok();
    let listeners = value["listeners"].as_array()?.iter().map(address).collect::<Option<Vec<_>>>()?;
    let control = address(&value["admin"]).or_else(|| address(&value["control"]));
    Some(Ready { listeners, control })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ready_lines_are_read() {
        let gateway = r#"{"event":"ready","listeners":["127.0.0.1:1"],"admin":"127.0.0.1:2"}"#;
        let mocks = r#"{"event":"ready","listeners":["127.0.0.1:1","127.0.0.1:3"],"control":"127.0.0.1:2"}"#;
        let two = Some("127.0.0.1:2".parse().unwrap());
        assert_eq!(parse_ready(gateway).unwrap().control, two);
        assert_eq!(parse_ready(mocks).unwrap().listeners.len(), 2);
        assert_eq!(parse_ready(r#"{"event":"ready","listeners":["nowhere"]}"#), None);
    }

    #[test]
    fn a_child_that_ends_early_leaves_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs { gateway: Some("ls".into()), ..Programs::default() };
        let error = programs.start_gateway(Path::new("/nowhere"), &folder.path().join("log"), &[]).unwrap_err();
        assert!(matches!(&error, ChildError::NotReady { last_words, .. } if !last_words.is_empty()), "{error}");
        assert!(error.of("head (ls)").to_string().starts_with("head (ls) did not start to serve"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs { gateway: Some("/no/such/program".into()), ..Programs::default() };
        let error = programs.start_gateway(Path::new("x"), &folder.path().join("log"), &[]).unwrap_err();
        assert!(matches!(error, ChildError::Start { .. }), "{error}");
    }
}
