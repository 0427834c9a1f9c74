//! Who takes part: how each program is configured and started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::children::Programs;
use crate::process::Process;
use crate::rounds::turn::Arm;
use crate::rounds::unrolled::unrolled;

use super::PeersError;
use super::chain::{Chain, ROUTES};
use super::program::{Found, find, free_address, takes_connections, version_of};

/// The name of our own gateway among the contenders.
pub const OURS: &str = "gateway";

/// Upstream connections that contenders keep open at least.
const LEAST_KEPT: usize = 256;

/// How a known peer is started.
#[derive(Debug)]
struct Bare {
    name: &'static str,
    /// What it can do here, and how it is told to.
    work: &'static [Work],
    /// Its arguments; blanks are filled in, `{config}` is the configuration's path.
    arguments: &'static [&'static str],
    /// Environment variables.
    environment: &'static [(&'static str, &'static str)],
}

impl Bare {
    /// A reference gateway; it takes everything from the command line.
    const fn reference(name: &'static str) -> Self {
        let work = &[Work { chain: Chain::Bare, config: None, lacks: "" }];
        Self { name, work, arguments: REFERENCE, environment: &[] }
    }
}

/// One chain of a program.
#[derive(Debug)]
struct Work {
    chain: Chain,
    /// The file's name, and its template; `None` when it takes everything from the command line.
    config: Option<(&'static str, &'static str)>,
    /// What of the chain it lacks; empty when nothing.
    lacks: &'static str,
}

impl Work {
    /// It does all of this chain.
    const fn whole(chain: Chain, file: &'static str, template: &'static str) -> Self {
        Self { chain, config: Some((file, template)), lacks: "" }
    }

    /// It does the whole chain but for this.
    const fn full(file: &'static str, template: &'static str, lacks: &'static str) -> Self {
        Self { chain: Chain::Full, config: Some((file, template)), lacks }
    }
}

const BARE: [Bare; 9] = [
    Bare {
        name: "nginx",
        work: &[
            Work::whole(Chain::Bare, "nginx.conf", include_str!("../../peers/nginx.conf")),
            Work::full(
                "nginx-full.conf",
                include_str!("../../peers/full/nginx.conf"),
                "no tokens (in the paid version alone), no trace context, no histograms; max_fails for a breaker",
            ),
            Work::whole(Chain::Http2, "nginx-http2.conf", include_str!("../../peers/http2/nginx.conf")),
            Work::whole(Chain::Grpc, "nginx-grpc.conf", include_str!("../../peers/grpc/nginx.conf")),
        ],
        arguments: &["-p", "{dir}", "-c", "{config}", "-e", "{dir}/nginx.error.log"],
        environment: &[],
    },
    Bare {
        name: "haproxy",
        work: &[
            Work::whole(Chain::Bare, "haproxy.cfg", include_str!("../../peers/haproxy.cfg")),
            Work::full(
                "haproxy-full.cfg",
                include_str!("../../peers/full/haproxy.cfg"),
                "no cache of verified tokens, one key, no trace context, no histograms; error-limit for a breaker",
            ),
            Work::whole(Chain::Http2, "haproxy-http2.cfg", include_str!("../../peers/http2/haproxy.cfg")),
            Work::whole(Chain::Grpc, "haproxy-grpc.cfg", include_str!("../../peers/grpc/haproxy.cfg")),
        ],
        arguments: &["-db", "-f", "{config}"],
        environment: &[],
    },
    Bare {
        name: "envoy",
        work: &[
            Work::whole(Chain::Bare, "envoy.yaml", include_str!("../../peers/envoy.yaml")),
            Work::full(
                "envoy-full.yaml",
                include_str!("../../peers/full/envoy.yaml"),
                "scopes are passed on, not checked; no trace context; outlier detection for a breaker",
            ),
            // It sees what clients speak.
            Work::whole(Chain::Http2, "envoy.yaml", include_str!("../../peers/envoy.yaml")),
            Work::whole(Chain::Grpc, "envoy-grpc.yaml", include_str!("../../peers/grpc/envoy.yaml")),
        ],
        arguments: &["-c", "{config}", "--concurrency", "{workers}", "--use-dynamic-base-id", "--log-level", "error"],
        environment: &[],
    },
    Bare {
        name: "caddy",
        work: &[Work::whole(Chain::Bare, "Caddyfile", include_str!("../../peers/Caddyfile"))],
        arguments: &["run", "--config", "{config}", "--adapter", "caddyfile"],
        environment: &[("GOMAXPROCS", "{workers}")],
    },
    Bare {
        name: "pingora",
        work: &[Work { chain: Chain::Bare, config: None, lacks: "" }],
        arguments: &["--listen", "{listen}", "--upstream", "{upstream}", "--threads", "{workers}"],
        environment: &[],
    },
    Bare::reference("fastapi-httpx"),
    Bare::reference("fastapi-aiohttp"),
    Bare::reference("flask"),
    Bare::reference("node"),
];

/// What starts one of the reference gateways that a team writes by itself (`sim/peers/python`, `sim/peers/node`).
const REFERENCE: &[&str] = &["--listen", "{listen}", "--upstream", "{upstream}", "--workers", "{workers}"];

/// Our gateway for each chain; it sees what clients speak.
const OURS_WORK: [Work; 4] = [
    Work::whole(Chain::Bare, "ours.toml", include_str!("../../peers/ours.toml")),
    Work::whole(Chain::Full, "ours-full.toml", include_str!("../../peers/full/ours.toml")),
    Work::whole(Chain::Http2, "ours.toml", include_str!("../../peers/ours.toml")),
    Work::whole(Chain::Grpc, "ours-grpc.toml", include_str!("../../peers/grpc/ours.toml")),
];

/// The names of all known peers.
#[must_use]
pub fn known_names() -> Vec<&'static str> {
    BARE.iter().map(|bare| bare.name).collect()
}

/// Whether a known peer takes part without being named. The reference gateways do not: each costs many times what a
/// proxy does, and `sim article` is what asks for them.
#[must_use]
pub fn is_usual(name: &str) -> bool {
    BARE.iter().any(|bare| bare.name == name && !std::ptr::eq(bare.arguments, REFERENCE))
}

/// Whether a known peer can do this chain.
#[must_use]
pub fn is_able(name: &str, chain: Chain) -> bool {
    BARE.iter().any(|bare| bare.name == name && bare.work.iter().any(|work| work.chain == chain))
}

/// All configurations, each with its name, as they are committed.
#[must_use]
pub fn all_configs() -> Vec<(&'static str, &'static str)> {
    let mut all: Vec<_> =
        OURS_WORK.iter().chain(BARE.iter().flat_map(|bare| bare.work)).filter_map(|work| work.config).collect();
    all.sort_unstable();
    all.dedup();
    all
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
    /// What it does for a request.
    pub chain: Chain,
    /// Requests that clients have under way at once.
    pub connections: usize,
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
    /// What contenders do for a request.
    pub chain: Chain,
    /// Requests that clients have under way at once: as many upstream connections are kept open by all contenders.
    pub connections: usize,
}

/// Upstream connections that a contender keeps open: as many as it is asked for at once, so that what is compared is no
/// size of a pool.
pub(crate) fn keepalive(connections: usize) -> usize {
    connections.max(LEAST_KEPT)
}

#[derive(Debug, Clone)]
enum Program {
    Ours(Programs),
    Peer { bare: &'static Bare, path: PathBuf },
}

impl Program {
    /// How it does a chain; `None` when it cannot.
    fn work(&self, chain: Chain) -> Option<&'static Work> {
        match self {
            Self::Ours(_) => OURS_WORK.iter().find(|work| work.chain == chain),
            Self::Peer { bare, .. } => bare.work.iter().find(|work| work.chain == chain),
        }
    }
}

impl Contender {
    /// Our own gateway.
    #[must_use]
    pub fn ours(name: &str, programs: &Programs, workers: usize, place: &Place) -> Self {
        let version = match &programs.gateway {
            Some(path) => version_of(path, &["--version"]),
            None => format!("gateway {}", gateway::build::version()),
        };
        let program = Program::Ours(programs.clone());
        Self::new(name, version, (workers, program), place)
    }

    /// A peer by its name, when it is on this machine: where `path` says, where `cargo xtask peers` puts it, or among
    /// the system's programs.
    #[must_use]
    pub fn peer(name: &str, path: Option<&Path>, place: &Place) -> Option<Self> {
        let bare = BARE.iter().find(|bare| bare.name == name)?;
        let Found { path, version } = find(name, path)?;
        let program = Program::Peer { bare, path };
        program.work(place.chain)?;
        Some(Self::new(name, version, (1, program), place))
    }

    fn new(name: &str, version: String, (workers, program): (usize, Program), place: &Place) -> Self {
        let Place { cores, max_connections, max_pairs, chain, connections } = place.clone();
        let name = name.to_owned();
        Self { name, version, workers, cores, max_connections, max_pairs, chain, connections, program }
    }

    /// The same under another name.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The chain in words, for results: what it does, and what it lacks.
    #[must_use]
    pub fn chain_in_words(&self) -> String {
        let word = self.chain.word();
        match self.program.work(self.chain).map_or("", |work| work.lacks) {
            "" => word.to_owned(),
            lacks => format!("{word}; lacks: {lacks}"),
        }
    }

    /// Starts it in front of `upstream` and waits until it takes connections.
    ///
    /// # Errors
    /// When it cannot be started, or takes no connection in time.
    pub fn start(&self, upstream: SocketAddr, folder: &Path, jwks: &str) -> Result<Running, PeersError> {
        let fill = |text: &str, listen, config: &Path| self.fill(text, (listen, upstream), (folder, config), jwks);
        let log = folder.join(format!("{}.log", self.name));
        let template = self.program.work(self.chain).and_then(|work| work.config);
        match &self.program {
            Program::Ours(programs) => {
                let listen = SocketAddr::from(([127, 0, 0, 1], 0));
                let config = folder.join(format!("{}.toml", self.name));
                write(&config, &fill(template.map_or("", |(_, text)| text), listen, &config))?;
                let child = programs.start_gateway(&config, &log, &self.cores)?;
                let address = child.ready.listeners.first().copied();
                let address = address.ok_or_else(|| PeersError::NotServing { name: self.name.clone(), log })?;
                Ok(Running { process: child.process, address })
            }
            Program::Peer { bare, path } => {
                let listen = free_address().map_err(|source| PeersError::Start { name: self.name.clone(), source })?;
                let config = folder.join(template.map_or("none", |(file, _)| file));
                if let Some((_, template)) = template {
                    write(&config, &fill(template, listen, &config))?;
                }
                let mut command = Command::new(path);
                command.current_dir(folder);
                command.args(bare.arguments.iter().map(|argument| fill(argument, listen, &config)));
                command.envs(bare.environment.iter().map(|(name, value)| (name, fill(value, listen, &config))));
                let process = Process::start(&mut command, &log, &self.cores, false)
                    .map_err(|source| PeersError::Start { name: self.name.clone(), source })?;
                let mut running = Running { process, address: listen };
                if takes_connections(&mut running.process, listen) {
                    return Ok(running);
                }
                Err(PeersError::NotServing { name: self.name.clone(), log })
            }
        }
    }

    /// Fills the blanks of a template.
    fn fill(
        &self,
        text: &str,
        (listen, upstream): (SocketAddr, SocketAddr),
        (folder, config): (&Path, &Path),
        jwks: &str,
    ) -> String {
        let blanks = [
            ("{name}", self.name.clone()),
            ("{jwks}", jwks.to_owned()),
            ("{workers}", self.workers.to_string()),
            ("{max_connections}", self.max_connections.to_string()),
            ("{max_pairs}", self.max_pairs.to_string()),
            ("{keepalive}", keepalive(self.connections).to_string()),
            ("{listen}", listen.to_string()),
            ("{listen_host}", listen.ip().to_string()),
            ("{listen_port}", listen.port().to_string()),
            ("{upstream}", upstream.to_string()),
            ("{upstream_host}", upstream.ip().to_string()),
            ("{upstream_port}", upstream.port().to_string()),
            ("{dir}", folder.display().to_string()),
            ("{config}", config.display().to_string()),
        ];
        let text = if text.contains("{n}") { unrolled(text, ROUTES) } else { text.to_owned() };
        blanks.iter().fold(text, |text, (blank, value)| text.replace(blank, value))
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
}

fn write(path: &Path, text: &str) -> Result<(), PeersError> {
    std::fs::write(path, text).map_err(|source| PeersError::File { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_blank_of_every_configuration_is_filled() {
        let contender = Contender::ours("x", &Programs::default(), 3, &Place::default());
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for (name, template) in all_configs() {
            let places = (Path::new("/d"), Path::new("/d/c"));
            let filled = contender.fill(template, (address(8001), address(9001)), places, "[]");
            let blanks =
                ["{workers}", "{max_", "{keep", "{listen", "{upstream", "{dir}", "{config}", "{name}", "{jwks}", "{n}"];
            for word in blanks {
                assert!(!filled.contains(word), "{name} still has {word}");
            }
            assert!(filled.contains("9001"), "{name} does not name its upstream");
        }
    }

    #[test]
    fn nobody_keeps_fewer_upstream_connections_than_clients_have() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8001));
        let places = (Path::new("/d"), Path::new("/d/c"));
        for (connections, kept) in [(1, 256), (256, 256), (4_000, 4_000)] {
            let place = Place { connections, ..Place::default() };
            let contender = Contender::ours("x", &Programs::default(), 1, &place);
            for (name, template) in all_configs() {
                // HAProxy and Envoy have no such bound, and Pingora's is in its program.
                let line = match name {
                    _ if name.starts_with("nginx") => format!("keepalive {kept};"),
                    _ if name.starts_with("ours") => format!("max_idle_per_worker = {kept} "),
                    "Caddyfile" => format!("keepalive_idle_conns_per_host {kept}\n"),
                    _ => continue,
                };
                let filled = contender.fill(template, (address, address), places, "[]");
                assert!(filled.contains(&line), "{name} has no {line}:\n{filled}");
            }
        }
    }

    #[test]
    fn nginx_writes_no_answer_to_a_disk() {
        for (name, template) in all_configs().into_iter().filter(|(_, template)| template.contains("proxy_pass")) {
            assert!(template.contains("proxy_max_temp_file_size 0;"), "{name}");
        }
    }

    #[test]
    fn an_argument_is_filled_and_nothing_is_added() {
        let contender = Contender::ours("x", &Programs::default(), 1, &Place::default());
        let address = SocketAddr::from(([127, 0, 0, 1], 8001));
        let filled = contender.fill("{dir}/{name}", (address, address), (Path::new("/d"), Path::new("/c")), "");
        assert_eq!(filled, "/d/x");
    }

    #[test]
    fn every_known_program_can_take_part_and_no_other() {
        assert!(Contender::peer("apache", None, &Place::default()).is_none());
        for bare in &BARE {
            let chains: Vec<Chain> = bare.work.iter().map(|work| work.chain).collect();
            assert!(chains.contains(&Chain::Bare), "{}", bare.name);
            for (index, chain) in chains.iter().enumerate() {
                assert!(!chains[..index].contains(chain), "{}: {chain:?} twice", bare.name);
            }
        }
        for chain in Chain::value_variants() {
            assert!(OURS_WORK.iter().any(|work| work.chain == *chain), "{chain:?}");
        }
        let named: Vec<&str> = super::super::program::KNOWN.iter().map(|known| known.name).collect();
        assert_eq!(known_names(), named, "each program that is known can be started");
    }
}
