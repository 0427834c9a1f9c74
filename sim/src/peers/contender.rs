//! Who takes part: how each program is found, configured, started and asked for its version.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::children::Programs;
use crate::process::Process;
use crate::rounds::turn::Arm;

use super::PeersError;

/// The name of our own gateway among the contenders.
pub const OURS: &str = "gateway";

/// A peer that is known here.
#[derive(Debug)]
struct Known {
    name: &'static str,
    /// Other names of its program.
    programs: &'static [&'static str],
    /// How it is asked for its version.
    version: &'static [&'static str],
    /// The file's name, and its template; `None` when it takes everything from the command line.
    config: Option<(&'static str, &'static str)>,
    /// Its arguments; blanks are filled in, `{config}` is the configuration's path.
    arguments: &'static [&'static str],
    /// Environment variables.
    environment: &'static [(&'static str, &'static str)],
}

const KNOWN: [Known; 5] = [
    Known {
        name: "nginx",
        programs: &["nginx"],
        version: &["-v"],
        config: Some(("nginx.conf", include_str!("../../peers/nginx.conf"))),
        arguments: &["-p", "{dir}", "-c", "{config}", "-e", "{dir}/nginx.error.log"],
        environment: &[],
    },
    Known {
        name: "haproxy",
        programs: &["haproxy"],
        version: &["-v"],
        config: Some(("haproxy.cfg", include_str!("../../peers/haproxy.cfg"))),
        arguments: &["-db", "-f", "{config}"],
        environment: &[],
    },
    Known {
        name: "envoy",
        programs: &["envoy"],
        version: &["--version"],
        config: Some(("envoy.yaml", include_str!("../../peers/envoy.yaml"))),
        arguments: &["-c", "{config}", "--concurrency", "{workers}", "--use-dynamic-base-id", "--log-level", "error"],
        environment: &[],
    },
    Known {
        name: "caddy",
        programs: &["caddy"],
        version: &["version"],
        config: Some(("Caddyfile", include_str!("../../peers/Caddyfile"))),
        arguments: &["run", "--config", "{config}", "--adapter", "caddyfile"],
        environment: &[("GOMAXPROCS", "{workers}")],
    },
    Known {
        name: "pingora",
        programs: &["pingora", "peer-pingora"],
        version: &["--version"],
        config: None,
        arguments: &["--listen", "{listen}", "--upstream", "{upstream}", "--threads", "{workers}"],
        environment: &[],
    },
];

/// The gateway's configuration as a bare proxy.
const OURS_CONFIG: &str = include_str!("../../peers/ours.toml");

/// The names of all known peers.
#[must_use]
pub fn known_names() -> Vec<&'static str> {
    KNOWN.iter().map(|known| known.name).collect()
}

/// All configurations, each with its name, as they are committed.
#[must_use]
pub fn all_configs() -> Vec<(&'static str, &'static str)> {
    let peers = KNOWN.iter().filter_map(|known| known.config);
    std::iter::once(("ours.toml", OURS_CONFIG)).chain(peers).collect()
}

/// A program that takes part, found and ready to be started.
#[derive(Debug, Clone)]
pub struct Contender {
    /// Its name in results.
    pub name: String,
    /// Its version, as it says itself.
    pub version: String,
    /// Worker threads or processes.
    pub workers: usize,
    /// Cores that it may use.
    pub cores: Vec<usize>,
    /// Most client connections that it is configured for.
    pub max_connections: u64,
    /// The same for a peer that wants a file for the upstream side of each, used or not.
    pub max_pairs: u64,
    program: Program,
}

/// Where a contender runs, and what the system lets it hold.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Cores that it may use; empty means all.
    pub cores: Vec<usize>,
    /// Most client connections.
    pub max_connections: u64,
    /// Most client connections with an upstream connection each.
    pub max_pairs: u64,
}

#[derive(Debug, Clone)]
enum Program {
    Ours(Programs),
    Peer { known: usize, path: PathBuf },
}

impl Contender {
    /// Our own gateway.
    #[must_use]
    pub fn ours(name: &str, programs: &Programs, workers: usize, place: &Place) -> Self {
        let version = match &programs.gateway {
            Some(path) => first_line(path, &["--version"]),
            None => format!("gateway {}", env!("CARGO_PKG_VERSION")),
        };
        let program = Program::Ours(programs.clone());
        let Place { cores, max_connections, max_pairs } = place.clone();
        Self { name: name.to_owned(), version, workers, cores, max_connections, max_pairs, program }
    }

    /// A peer by its name, when it is on this machine: where `path` says, where `cargo xtask peers` puts it, or among
    /// the system's programs.
    #[must_use]
    pub fn peer(name: &str, path: Option<&Path>, place: &Place) -> Option<Self> {
        let known = KNOWN.iter().position(|known| known.name == name)?;
        let path = path.map(Path::to_path_buf).or_else(|| find(KNOWN[known].programs))?;
        let version = first_line(&path, KNOWN[known].version);
        let program = Program::Peer { known, path };
        let Place { cores, max_connections, max_pairs } = place.clone();
        Some(Self { name: name.to_owned(), version, workers: 1, cores, max_connections, max_pairs, program })
    }

    /// Starts it in front of `upstream` and waits until it takes connections.
    ///
    /// # Errors
    /// When it cannot be started, or takes no connection in time.
    pub fn start(&self, upstream: SocketAddr, folder: &Path) -> Result<Running, PeersError> {
        let log = folder.join(format!("{}.log", self.name));
        match &self.program {
            Program::Ours(programs) => {
                let listen = SocketAddr::from(([127, 0, 0, 1], 0));
                let config = folder.join(format!("{}.toml", self.name));
                write(&config, &self.fill(OURS_CONFIG, listen, upstream, folder, &config))?;
                let child = programs.start_gateway(&config, &log, &self.cores)?;
                let address = child.ready.listeners.first().copied();
                let address = address.ok_or_else(|| PeersError::NotServing { name: self.name.clone(), log })?;
                Ok(Running { process: child.process, address })
            }
            Program::Peer { known, path } => {
                let known = &KNOWN[*known];
                let listen = free_address().map_err(|source| PeersError::Start { name: self.name.clone(), source })?;
                let config = folder.join(known.config.map_or("none", |(file, _)| file));
                if let Some((_, template)) = known.config {
                    write(&config, &self.fill(template, listen, upstream, folder, &config))?;
                }
                let mut command = Command::new(path);
                command.current_dir(folder);
                let fill = |text: &str| self.fill(text, listen, upstream, folder, &config);
                command.args(known.arguments.iter().map(|argument| fill(argument)));
                command.envs(known.environment.iter().map(|(name, value)| (name, fill(value))));
                let process = Process::start(&mut command, &log, &self.cores, false)
                    .map_err(|source| PeersError::Start { name: self.name.clone(), source })?;
                let mut running = Running { process, address: listen };
                if running.takes_connections() {
                    return Ok(running);
                }
                Err(PeersError::NotServing { name: self.name.clone(), log })
            }
        }
    }

    /// Fills the blanks of a template.
    fn fill(&self, text: &str, listen: SocketAddr, upstream: SocketAddr, folder: &Path, config: &Path) -> String {
        let blanks = [
            ("{workers}", self.workers.to_string()),
            ("{max_connections}", self.max_connections.to_string()),
            ("{max_pairs}", self.max_pairs.to_string()),
            ("{listen}", listen.to_string()),
            ("{listen_host}", listen.ip().to_string()),
            ("{listen_port}", listen.port().to_string()),
            ("{upstream}", upstream.to_string()),
            ("{upstream_host}", upstream.ip().to_string()),
            ("{upstream_port}", upstream.port().to_string()),
            ("{dir}", folder.display().to_string()),
            ("{config}", config.display().to_string()),
        ];
        blanks.iter().fold(text.to_owned(), |text, (blank, value)| text.replace(blank, value))
    }
}

/// A contender that serves; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Where it takes requests.
    pub address: SocketAddr,
}

impl Running {
    /// It as one of those that have turns.
    #[must_use]
    pub fn arm<'a>(&'a self, name: &'a str) -> Arm<'a> {
        Arm { name, process: Some(&self.process), address: self.address }
    }

    /// Waits until it takes connections, or has ended, or ten seconds have passed.
    fn takes_connections(&mut self) -> bool {
        for _ in 0..500 {
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                return true;
            }
            if !self.process.is_running() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

/// A loopback address that is free now. Peers cannot take port 0 and say which they got, so the port may be taken by
/// another between here and their start; then they do not serve, and the run says so.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn write(path: &Path, text: &str) -> Result<(), PeersError> {
    std::fs::write(path, text).map_err(|source| PeersError::File { path: path.to_path_buf(), source })
}

/// Where a program is: beside our build (`target/peers/bin`, made by `cargo xtask peers`), on the path, or where
/// servers are installed.
fn find(programs: &[&str]) -> Option<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(3)).map(|folder| folder.join("peers/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders =
        beside.chain([PathBuf::from("target/peers/bin")]).chain(std::env::split_paths(&path)).chain(system);
    folders.find_map(|folder| {
        let folder = std::path::absolute(folder).ok()?;
        programs.iter().map(|program| folder.join(program)).find(|file| file.is_file())
    })
}

/// The first line that a program prints when asked for its version, on either stream.
fn first_line(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "unknown".to_owned() };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_of_every_configuration_is_filled() {
        let contender = Contender::ours("x", &Programs::default(), 3, &Place::default());
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for (name, template) in all_configs() {
            let filled = contender.fill(template, address(8001), address(9001), Path::new("/d"), Path::new("/d/c"));
            for word in ["{workers}", "{max_", "{listen", "{upstream", "{dir}", "{config}"] {
                assert!(!filled.contains(word), "{name} still has {word}");
            }
            assert!(filled.contains("9001"), "{name} does not name its upstream");
        }
    }

    #[test]
    fn a_peer_that_is_not_known_or_not_there_is_none() {
        assert!(Contender::peer("apache", None, &Place::default()).is_none());
        assert!(find(&["surely-no-such-program"]).is_none());
        assert!(find(&["sh"]).is_some());
    }
}
