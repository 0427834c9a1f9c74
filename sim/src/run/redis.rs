//! A real `redis-server` of the run's own, that can be paused, killed, cut off and healed; with a replica, where that
//! is to be promoted.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::relay::Relay;
use crate::process::Process;

/// A port that was free may be taken before Redis binds it; then another is tried.
const TRIES: usize = 5;
/// Questions, 20 ms apart, before it is said that it does not serve.
const QUESTIONS: usize = 250;
/// The longest that an answer is waited for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// A running Redis.
#[derive(Debug)]
pub(super) struct Redis {
    address: SocketAddr,
    /// What stands before it, one for each gateway, where it is to be cut off or replaced.
    relays: Vec<Relay>,
    folder: PathBuf,
    cores: Vec<usize>,
    process: Process,
    is_paused: bool,
    /// Follows it, until it is promoted.
    replica: Option<(SocketAddr, Process)>,
}

/// What a run will do to its Redis.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plans {
    /// Gateways that it may be cut off from; none where it never is.
    pub(super) ways: usize,
    /// Its replica is to be promoted.
    pub(super) promoted: bool,
}

impl Redis {
    /// Starts one on a free port and on these cores, without any persistence, and waits until it answers; with what it
    /// takes for these plans.
    pub(super) fn start(folder: &Path, cores: &[usize], plans: Plans) -> io::Result<Self> {
        let (address, process) = start_somewhere(folder, cores, None)?;
        let replica = match plans.promoted {
            true => {
                let folder = folder.join("replica");
                std::fs::create_dir_all(&folder)?;
                let replica = start_somewhere(&folder, cores, Some(address))?;
                until_says(replica.0, "INFO replication", "master_link_status:up")?;
                Some(replica)
            }
            false => None,
        };
        let relays = (0..plans.ways).map(|_| Relay::start(address, cores)).collect::<io::Result<_>>()?;
        let (folder, cores) = (folder.to_path_buf(), cores.to_vec());
        Ok(Self { address, relays, folder, cores, process, is_paused: false, replica })
    }

    /// Where this gateway reaches it.
    pub(super) fn address(&self, gateway: usize) -> SocketAddr {
        self.relays.get(gateway).map_or(self.address, |relay| relay.address)
    }

    /// Breaks its connections from one gateway or from all, and each new one at once; it goes on working, and keeps
    /// what it knows.
    pub(super) fn cut(&mut self, gateway: Option<usize>) -> io::Result<()> {
        let relays = gateway.map_or(&self.relays[..], |gateway| self.relays.get(gateway..=gateway).unwrap_or_default());
        if relays.is_empty() {
            return Err(io::Error::other("it was started without a relay that could be cut"));
        }
        relays.iter().for_each(Relay::cut);
        Ok(())
    }

    /// Makes its replica the master, which gateways find where they found the former one; that is killed, if it still
    /// was alive.
    pub(super) fn promote(&mut self) -> io::Result<()> {
        let missing = || io::Error::other("it has no replica any more");
        let (address, process) = self.replica.take().ok_or_else(missing)?;
        if self.process.is_running() {
            self.kill()?;
        }
        if !ask(address, "REPLICAOF NO ONE")?.starts_with("+OK") {
            return Err(io::Error::other("its replica refuses to be master"));
        }
        (self.address, self.process, self.is_paused) = (address, process, false);
        for relay in &self.relays {
            relay.lead_to(address);
            relay.heal();
        }
        Ok(())
    }

    /// Stops it from working; its connections stay open.
    pub(super) fn pause(&mut self) -> io::Result<()> {
        self.process.signal(Signal::STOP)?;
        self.is_paused = true;
        Ok(())
    }

    /// Kills it; its connections are reset.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.process.signal(Signal::KILL)
    }

    /// Lets it work again, on the same port.
    pub(super) fn heal(&mut self) -> io::Result<()> {
        self.relays.iter().for_each(Relay::heal);
        if self.is_paused {
            self.process.signal(Signal::CONT)?;
            self.is_paused = false;
        }
        if !self.process.is_running() || ping(self.address).is_err() {
            self.process = start_at(self.address, &self.folder, &self.cores, None)?;
        }
        Ok(())
    }
}

/// Starts a server on a free port; one that follows this master, where there is one.
fn start_somewhere(folder: &Path, cores: &[usize], master: Option<SocketAddr>) -> io::Result<(SocketAddr, Process)> {
    let mut last = io::Error::other("it was never tried");
    for _ in 0..TRIES {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        match start_at(address, folder, cores, master) {
            Ok(process) => return Ok((address, process)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn start_at(address: SocketAddr, folder: &Path, cores: &[usize], master: Option<SocketAddr>) -> io::Result<Process> {
    let mut command = Command::new("redis-server");
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    // Who follows it is served at once.
    command.args(["--repl-diskless-sync-delay", "0"]).arg("--dir").arg(folder);
    if let Some(master) = master {
        command.args(["--replicaof", &master.ip().to_string(), &master.port().to_string()]);
    }
    let started = Process::start(&mut command, &folder.join("redis.log"), cores, false);
    let mut process = started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(
            "it is not installed: `cargo xtask test` brings it, or install the package `redis-server` (Debian, Ubuntu) or \
             `redis` (Fedora, Arch, Alpine, Homebrew)",
        ),
        _ => error,
    })?;
    for _ in 0..QUESTIONS {
        if ping(address).is_ok() {
            return Ok(process);
        }
        if !process.is_running() {
            return Err(io::Error::other(format!("it ended; see {}", folder.join("redis.log").display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other("it does not answer"))
}

/// Asks whether it works.
fn ping(address: SocketAddr) -> io::Result<()> {
    if ask(address, "PING")? == "+PONG\r\n" { Ok(()) } else { Err(io::Error::other("it answers something else")) }
}

/// Asks until it says that.
fn until_says(address: SocketAddr, words: &str, wanted: &str) -> io::Result<()> {
    for _ in 0..QUESTIONS {
        if ask(address, words)?.contains(wanted) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other(format!("it never says {wanted}")))
}

/// Asks it something; the beginning of the answer. One that works and has little of a busy machine is waited for.
fn ask(address: SocketAddr, words: &str) -> io::Result<String> {
    ask_within(address, words, ANSWERS_WITHIN)
}

fn ask_within(address: SocketAddr, words: &str, time: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, time)?;
    stream.set_read_timeout(Some(time))?;
    stream.write_all(format!("{words}\r\n").as_bytes())?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_paused_killed_and_healed_on_its_port() {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis::start(folder.path(), &[], Plans::default()).unwrap();
        assert_eq!(redis.address(0), redis.address);
        ping(redis.address).unwrap();
        redis.pause().unwrap();
        let asked = ask_within(redis.address, "PING", Duration::from_millis(200));
        assert!(asked.is_err(), "a paused one takes connections and says nothing");
        redis.heal().unwrap();
        ping(redis.address).unwrap();
        redis.kill().unwrap();
        redis.heal().unwrap();
        ping(redis.address).unwrap();
        assert!(redis.cut(None).is_err() && redis.promote().is_err(), "nothing stands before it, nobody behind it");
    }

    #[test]
    fn its_replica_has_what_it_had_and_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis::start(folder.path(), &[], Plans { ways: 1, promoted: true }).unwrap();
        let at = redis.address(0);
        assert_eq!(ask(at, "SET a 7").unwrap(), "+OK\r\n");
        // `WAIT` is about its own connection's writes, and each question here has a connection of its own.
        let replica = redis.replica.as_ref().unwrap().0;
        until_says(replica, "GET a", "7").unwrap();
        redis.kill().unwrap();
        assert!(ask(at, "GET a").is_err());
        redis.promote().unwrap();
        assert_eq!(redis.address(0), at, "gateways need not be told");
        assert_eq!(ask(at, "GET a").unwrap(), "$1\r\n7\r\n");
        assert_eq!(ask(at, "SET a 8").unwrap(), "+OK\r\n");
        assert!(redis.promote().is_err(), "there was one");
    }

    #[test]
    fn one_that_is_cut_off_keeps_what_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis::start(folder.path(), &[], Plans { ways: 2, promoted: false }).unwrap();
        let (one, other) = (redis.address(0), redis.address(1));
        assert_eq!(ask(one, "SET a 7").unwrap(), "+OK\r\n");
        redis.cut(Some(0)).unwrap();
        assert!(ask(one, "GET a").is_err());
        assert_eq!(ask(other, "GET a").unwrap(), "$1\r\n7\r\n", "the other sees it");
        redis.heal().unwrap();
        assert_eq!(ask(one, "GET a").unwrap(), "$1\r\n7\r\n");
        redis.cut(None).unwrap();
        assert!(ask(one, "GET a").is_err() && ask(other, "GET a").is_err());
        redis.heal().unwrap();
        ping(other).unwrap();
        assert!(redis.cut(Some(2)).is_err(), "there are two");
    }
}
