//! A real `redis-server` of the run's own, that can be paused, killed, cut off and healed.

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

/// A running Redis.
#[derive(Debug)]
pub(super) struct Redis {
    address: SocketAddr,
    /// What stands before it, where it is to be cut off.
    relay: Option<Relay>,
    folder: PathBuf,
    cores: Vec<usize>,
    process: Process,
    is_paused: bool,
}

impl Redis {
    /// Starts one on a free port and on these cores, without any persistence, and waits until it answers; with a relay
    /// before it when it is to be `cuttable`.
    pub(super) fn start(folder: &Path, cores: &[usize], cuttable: bool) -> io::Result<Self> {
        let mut last = io::Error::other("it was never tried");
        for _ in 0..TRIES {
            let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
            match start_at(address, folder, cores) {
                Ok(process) => {
                    let (folder, cores) = (folder.to_path_buf(), cores.to_vec());
                    let relay = if cuttable { Some(Relay::start(address)?) } else { None };
                    return Ok(Self { address, relay, folder, cores, process, is_paused: false });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where gateways reach it.
    pub(super) fn address(&self) -> SocketAddr {
        self.relay.as_ref().map_or(self.address, |relay| relay.address)
    }

    /// Breaks its connections, and each new one at once; it goes on working, and keeps what it knows.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        let missing = || io::Error::other("it was started without a relay that could be cut");
        self.relay.as_ref().ok_or_else(missing).map(Relay::cut)
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
        if let Some(relay) = &self.relay {
            relay.heal();
        }
        if self.is_paused {
            self.process.signal(Signal::CONT)?;
            self.is_paused = false;
        }
        if !self.process.is_running() || ping(self.address).is_err() {
            self.process = start_at(self.address, &self.folder, &self.cores)?;
        }
        Ok(())
    }
}

fn start_at(address: SocketAddr, folder: &Path, cores: &[usize]) -> io::Result<Process> {
    let mut command = Command::new("redis-server");
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    command.args(["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    command.arg("--dir").arg(folder);
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
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(io::Error::other("it answers something else")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_paused_killed_and_healed_on_its_port() {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis::start(folder.path(), &[], false).unwrap();
        assert_eq!(redis.address(), redis.address);
        ping(redis.address).unwrap();
        redis.pause().unwrap();
        assert!(ping(redis.address).is_err(), "a paused one takes connections and says nothing");
        redis.heal().unwrap();
        ping(redis.address).unwrap();
        redis.kill().unwrap();
        redis.heal().unwrap();
        ping(redis.address).unwrap();
        assert!(redis.cut().is_err(), "nothing stands before it");
    }

    #[test]
    fn one_that_is_cut_off_keeps_what_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = Redis::start(folder.path(), &[], true).unwrap();
        let ask = |words: &str, length: usize| -> io::Result<String> {
            let mut stream = TcpStream::connect(redis.address())?;
            stream.write_all(format!("{words}\r\n").as_bytes())?;
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        assert_eq!(ask("SET a 7", 5).unwrap(), "+OK\r\n");
        redis.relay.as_ref().unwrap().cut();
        assert!(ask("GET a", 7).is_err());
        redis.relay.as_ref().unwrap().heal();
        assert_eq!(ask("GET a", 7).unwrap(), "$1\r\n7\r\n");
        redis.cut().unwrap();
        redis.heal().unwrap();
        ping(redis.address()).unwrap();
    }
}
