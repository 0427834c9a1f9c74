//! `gateway run`: serves until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;

use super::{COULD_NOT_RUN, DONE, USAGE, descriptors, output};
use crate::config::{self, LoadError, Loaded, Purpose, publish};
use crate::startup::{self, Signals};
use crate::telemetry::events::{EventFile, Kinds, write_to};
use crate::telemetry::notice;
use crate::telemetry::told::Voice;

/// The longest that the last events are waited for.
const EVENTS_FLUSH: Duration = Duration::from_secs(1);

/// Serve requests until SIGTERM or SIGINT, then drain. SIGHUP, or a change of the file, reloads.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway run --config gateway.toml\n  gateway run --to http://127.0.0.1:9001 --listen 0.0.0.0:8080\n\nAccess records go to standard output, events to standard error. A second SIGTERM or SIGINT ends it at once.\n\nExit codes: 0 ended by a signal or a drain, 1 the configuration is bad, 2 usage, 3 could not run."
)]
pub(super) struct Run {
    /// The configuration, as for `check`; the same as --config.
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "to"])]
    file: Option<PathBuf>,
    /// The configuration; ./gateway.toml when neither this nor --to is given.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Forward everything to this upstream; needs no file.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    to: Option<String>,
    /// Listen here instead of 127.0.0.1:8080; with --to only.
    #[arg(long, value_name = "ADDRESS", requires = "to", conflicts_with_all = ["file", "config"])]
    listen: Option<SocketAddr>,
    /// Serve the admin API here instead of 127.0.0.1:9901; with --to only.
    #[arg(long, value_name = "ADDRESS", requires = "to", conflicts_with_all = ["file", "config"])]
    admin: Option<SocketAddr>,
    /// Write events here, one JSON object a line, as in the admin API's /events.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// The kinds of events to write, separated by commas; all but `attempt` and `limit` when absent.
    #[arg(long, value_name = "KINDS", requires = "events", value_parser = Kinds::parse)]
    event_kinds: Option<Kinds>,
    /// Burn this many steps of work in each request, to test the performance gate.
    #[cfg(feature = "slow-down")]
    #[arg(long, value_name = "STEPS", hide = true, default_value_t = 0)]
    slow_down_steps: u32,
}

impl Run {
    /// Runs to the end.
    pub(super) fn run(&self) -> u8 {
        #[cfg(feature = "slow-down")]
        crate::slow_down::set(self.slow_down_steps);
        let path = self.config.clone().or_else(|| self.file.clone()).unwrap_or_else(|| PathBuf::from("gateway.toml"));
        let (load, path): (Load, _) = match &self.to {
            Some(url) => match publish::forwarding(url, self.listen, self.admin) {
                Ok(text) => (
                    Box::new(move || {
                        config::load_text(&text, Path::new("--to"), Purpose::Run).map_err(LoadError::Invalid)
                    }),
                    None,
                ),
                Err(why) => {
                    output::problem(&format!("error: --to {}: {why}", url.escape_debug()));
                    return USAGE;
                }
            },
            None => {
                let file = path.clone();
                (Box::new(move || config::load(&file, Purpose::Run)), Some(path))
            }
        };
        let (runtime, mut signals) = match listening() {
            Ok(listening) => listening,
            Err(error) => {
                notice::could_not_start(&error.to_string());
                return COULD_NOT_RUN;
            }
        };
        let Some(loaded) = runtime.block_on(load_unless_ended(load, &mut signals)) else {
            runtime.shutdown_background();
            return DONE;
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return output::unusable(&error),
        };
        let events = match self.events.as_deref().map(EventFile::open).transpose() {
            Ok(file) => file.map(|file| (file, self.event_kinds.unwrap_or_else(Kinds::rare))),
            Err(error) => {
                notice::could_not_start(&format!("--events: {error}"));
                return COULD_NOT_RUN;
            }
        };
        let code = runtime.block_on(serve(signals, loaded, path, events));
        // A thread that would not end is left behind; nobody waits for it.
        runtime.shutdown_background();
        code
    }
}

/// Reads the configuration.
type Load = Box<dyn FnOnce() -> Result<Loaded, LoadError> + Send>;

/// The control runtime, with the signals that it listens to. It is made before anything takes its time: one that comes
/// while files are read neither kills the process nor, where that is the first of a container, is lost.
fn listening() -> io::Result<(Runtime, Signals)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { Signals::new() });
    Ok((runtime, signals.map_err(|error| io::Error::new(error.kind(), format!("no signals: {error}")))?))
}

/// What was read, beside the loop: a large file, or a disk that stands still, keeps nobody from ending it. `None` where
/// a signal did; the others wait.
async fn load_unless_ended(load: Load, signals: &mut Signals) -> Option<Result<Loaded, LoadError>> {
    let loading = tokio::task::spawn_blocking(load);
    tokio::select! {
        loaded = loading => Some(loaded.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))),
        () = signals.end() => {
            notice::draining(&Voice::StandardError, "signal");
            notice::stopped(&Voice::StandardError, "drain", 0);
            None
        }
    }
}

async fn serve(signals: Signals, loaded: Loaded, path: Option<PathBuf>, events: Option<(EventFile, Kinds)>) -> u8 {
    let max_connections = loaded.config.server.max_connections;
    let descriptors = descriptors::take_all(max_connections);
    let running = match startup::start(loaded.config, path, loaded.files).await {
        Ok(running) => running,
        Err(error) => {
            notice::could_not_start(&error.0);
            return COULD_NOT_RUN;
        }
    };
    // First of all: who starts it waits for this line, and many read no other.
    running.say_ready();
    for warning in &loaded.warnings {
        notice::warning(&Voice::StandardError, warning);
    }
    running.reloader().keep_warnings(loaded.warnings);
    if let Err(most) = descriptors {
        notice::few_descriptors(most, max_connections);
    }
    let (end, ended) = tokio::sync::oneshot::channel();
    let shared = Arc::clone(running.gateway().shared());
    let writer = events.map(|(file, kinds)| {
        let follower = shared.events.follow(kinds, Some(0));
        tokio::spawn(write_to(file, (follower, shared.clock.clone()), shared.log.renewals(), ended))
    });
    let after = running.serve_until_signal(signals).await;
    if let (Some(writer), Ok(())) = (writer, end.send(())) {
        // A disk that stands still keeps nobody from ending.
        let _ = tokio::time::timeout(EVENTS_FLUSH, writer).await;
    }
    notice::stopped(&Voice::StandardError, after, shared.log.not_written());
    DONE
}
