//! `sim peers`: our gateway and other gateways on the same work, in interleaved rounds.
//!
//! All contenders are up; in each round each gets its turn, in a seeded random order, so that drift of the machine hits
//! all alike. A contender has one worker on a core of its own; the driver and the mock share another. What is compared
//! is CPU time a request, which does not depend on who waits for whom; requests a second are the contender's own only
//! where its core was busy, and the result says so.

mod board;
mod chain;
mod contender;
pub(crate) mod idle;
pub(crate) mod program;
mod rounds;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::{rfc3339, unix_seconds};
use loadgen::environment::{CpuTicks, Environment};
use loadgen::stdout;
use reports::result::{Peer, ResultFile};
use serde_json::Value;

use crate::children::{ChildError, MockService, Programs};
use crate::folder::Folder;
use crate::rounds::Cores;
use crate::rounds::turn::{Arm, Road, TurnError, bytes_target};
use board::Board;
pub use chain::Chain;
use chain::Equipment;
pub use contender::{Contender, OURS, Place, all_configs, is_able, is_usual, known_names};
pub(crate) use contender::{Running, keepalive};

/// What a comparison is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which gateway and mocks to start.
    pub programs: Programs,
    /// Peers by name; empty means all that are found.
    pub with: Vec<String>,
    /// Paths of peers that are not where they are looked for.
    pub bins: BTreeMap<String, PathBuf>,
    /// Rounds.
    pub rounds: u32,
    /// Measured time of each turn.
    pub turn: Duration,
    /// What contenders do for a request.
    pub chain: Chain,
    /// Bytes of each answer.
    pub body: u64,
    /// Client connections.
    pub connections: usize,
    /// The gateway once more with this many workers.
    pub workers: Option<usize>,
    /// Measure the memory of this many idle connections too.
    pub idle: Option<usize>,
    /// The seed of the order.
    pub seed: u64,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Why there was no comparison.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// A peer was asked for that is not here.
    #[error("{name} is not on this machine: `cargo xtask peers` brings it, or name it with --bin {name}=PATH")]
    Missing {
        /// The peer.
        name: String,
    },
    /// A contender could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Who.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A contender takes no connections.
    #[error("{name} does not serve; see {log}")]
    NotServing {
        /// Who.
        name: String,
        /// Its output.
        log: PathBuf,
    },
    /// The gateway or the mock does not serve.
    #[error("{0}")]
    Child(#[from] ChildError),
    /// No tokens can be signed.
    #[error("tokens: {0}")]
    Keys(#[from] loadgen::request::KeyError),
    /// A turn did not happen.
    #[error("{0}")]
    Turn(#[from] TurnError),
    /// A file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The driver could not be pinned, or the limit of open files not be raised.
    #[error("{0}")]
    Machine(io::Error),
}

/// Runs the comparison.
///
/// # Errors
/// When someone cannot be started, gives wrong bytes, or a file cannot be written.
pub fn peers(options: &Options) -> Result<ExitCode, PeersError> {
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let started_at = rfc3339(unix_seconds());
    let folder = Folder::make(options.out.as_deref(), "peers");
    let folder = folder.map_err(|(path, source)| PeersError::File { path, source })?.path().to_path_buf();
    let cores = Cores::find();
    let (max_connections, max_pairs) =
        idle::raise_file_limit(options.idle.unwrap_or(0)).map_err(PeersError::Machine)?;
    let (chain, connections) = (options.chain, options.connections);
    let place = Place { cores: cores.contender(), max_connections, max_pairs, chain, connections };
    let contenders = contenders(options, &place)?;
    let equipment = Equipment::of(options.chain)?;
    equipment.write(&folder).map_err(|source| PeersError::File { path: folder.clone(), source })?;
    let service = MockService { name: "mock", endpoints: 1, seed: options.seed };
    let mock = options.programs.start_mock(&service, &folder.join("mock.log"), &cores.load())?;
    let upstream = mock.ready.listeners[0];
    let road = Road {
        mock: &mock,
        body: options.body,
        connections: options.connections,
        seed: options.seed,
        luggage: &equipment.luggage,
        stop: &stop,
    };
    let mut running = Vec::new();
    for contender in &contenders {
        let started = contender.start(upstream, &folder, &equipment.jwks)?;
        road.check_bytes(started.arm(&contender.name))?;
        running.push(started);
    }
    cores.pin_driver().map_err(PeersError::Machine)?;
    let steal_before = CpuTicks::read();
    let idle_rss: Vec<u64> = running.iter().map(|one| one.process.usage().rss_bytes).collect();
    let per_idle = options.idle.map(|connections| measure_idle(&running, options.body, connections));
    let arms: Vec<Arm<'_>> = running.iter().zip(&contenders).map(|(one, contender)| one.arm(&contender.name)).collect();
    let measured = rounds::run(options, &road, &arms)?;
    let mut environment = Environment::read(&steal_before);
    (environment.pinning, environment.cores) = (cores.pinning(), cores.count);
    let board = Board { options, contenders: &contenders, measured: &measured, idle_rss, per_idle };
    let result = board.result_file(&environment, started_at, stop.load(Ordering::Relaxed));
    write_result(options, &result, &folder)?;
    drop(running);
    Ok(if result.validity.valid { ExitCode::SUCCESS } else { ExitCode::from(4) })
}

/// Ours first, then the peers that were asked for, or all that are here.
fn contenders(options: &Options, place: &Place) -> Result<Vec<Contender>, PeersError> {
    let mut contenders = vec![Contender::ours(OURS, &options.programs, 1, place)];
    if let Some(workers) = options.workers {
        // On every core: more workers than one core would only take turns.
        let name = format!("{OURS}-{workers}-workers");
        contenders.push(Contender::ours(
            &name,
            &options.programs,
            workers,
            &Place { cores: Vec::new(), ..place.clone() },
        ));
    }
    let asked: Vec<String> = if options.with.is_empty() {
        known_names().into_iter().filter(|name| is_usual(name)).map(str::to_owned).collect()
    } else {
        options.with.clone()
    };
    for name in asked {
        let path = options.bins.get(&name).map(PathBuf::as_path);
        // What the goal of the whole chain is held against.
        if options.chain == Chain::Full && name == "nginx" {
            let bare = Contender::peer(&name, path, &Place { chain: Chain::Bare, ..place.clone() });
            contenders.extend(bare.map(|bare| bare.called("nginx-bare")));
        }
        match Contender::peer(&name, path, place) {
            Some(contender) => contenders.push(contender),
            None if options.with.is_empty() => {}
            None => return Err(PeersError::Missing { name }),
        }
    }
    Ok(contenders)
}

/// Memory of an idle connection, bytes, for each contender; `None` for one that does not hold so many.
fn measure_idle(running: &[Running], body: u64, connections: usize) -> Vec<Option<f64>> {
    let measure =
        |one: &Running| idle::bytes_per_connection(&one.process, &bytes_target(one.address, body), connections).ok();
    running.iter().map(measure).collect()
}

fn write_result(options: &Options, result: &ResultFile, folder: &Path) -> Result<(), PeersError> {
    let path = folder.join("result.json");
    reports::files::write_whole(&path, &result.to_json())
        .and_then(|()| reports::files::write(result, folder, folder))
        .map_err(|source| PeersError::File { path: path.clone(), source })?;
    let text = if options.json {
        result.to_json()
    } else {
        let ordered = ordered(&result.peers);
        let lines = reports::text::peers(ordered.into_iter()).join("\n");
        let mut text = format!("\n{lines}\nours/theirs: CPU a request of the gateway over that of the peer.\n");
        for (name, peer) in &result.peers {
            let other = |key: &str| peer.other.get(key).and_then(Value::as_f64);
            if let Some(bytes) = other("idle_connection_bytes") {
                text += &format!("{name}: {:.1} KB for each idle connection\n", bytes / 1_000.0);
            }
        }
        for (name, peer) in result.peers.iter().filter(|(_, peer)| peer.chain.contains("lacks")) {
            text += &format!("{name}: {}\n", peer.chain);
        }
        for note in &result.validity.notes {
            text += &format!("note: {note}\n");
        }
        for reason in &result.validity.reasons {
            text += &format!("not valid: {reason}\n");
        }
        let verdict = if result.validity.valid { "valid" } else { "INVALID" };
        text + &format!("{verdict}; configurations, logs, result.json and report.html are in {}\n", folder.display())
    };
    stdout::print(&text).map_err(|source| PeersError::File { path: stdout::NAME.into(), source })
}

/// Ours first, the others by what they cost.
fn ordered(peers: &BTreeMap<String, Peer>) -> Vec<(&str, &Peer)> {
    let mut list: Vec<(&str, &Peer)> = peers.iter().map(|(name, peer)| (name.as_str(), peer)).collect();
    list.sort_by(|(one_name, one), (other_name, other)| {
        let key = |name: &str| name != OURS;
        key(one_name).cmp(&key(other_name)).then(one.cpu_us_per_request.total_cmp(&other.cpu_us_per_request))
    });
    list
}
