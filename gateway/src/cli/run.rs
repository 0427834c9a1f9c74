//! `gateway run`: serves until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{BAD, COULD_NOT_RUN, DONE};
use crate::config::{self, LoadError, Loaded, Purpose};
use crate::startup::{self, Running};
use crate::telemetry::notice;

/// Serves requests until SIGTERM or SIGINT, then drains. SIGHUP, or a change of the file, reloads.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration; ./gateway.toml when neither this nor --to is given
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Forward everything to this upstream; needs no file
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    to: Option<String>,
    /// Listen here instead of 127.0.0.1:8080; with --to only
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    listen: Option<String>,
}

impl Run {
    /// Runs to the end.
    pub(super) fn run(&self) -> u8 {
        let path = self.config.clone().unwrap_or_else(|| PathBuf::from("gateway.toml"));
        let (loaded, path) = match &self.to {
            Some(url) => (
                config::load_text(&whole_configuration(url, self.listen.as_deref()), Path::new("--to"), Purpose::Run)
                    .map_err(LoadError::Invalid),
                None,
            ),
            None => (config::load(&path, Purpose::Run), Some(path)),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                notice::config_refused(&error);
                return if matches!(error, LoadError::Invalid(_)) { BAD } else { COULD_NOT_RUN };
            }
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                notice::could_not_start(&error.to_string());
                return COULD_NOT_RUN;
            }
        };
        let code = runtime.block_on(serve(loaded, path));
        // A second signal leaves threads behind that nobody waits for.
        runtime.shutdown_background();
        code
    }
}

fn whole_configuration(url: &str, listen: Option<&str>) -> String {
    let listener = listen.map(|address| format!("[[listeners]]\naddress = {address:?}\n")).unwrap_or_default();
    format!("{listener}[[routes]]\nname = \"all\"\npath = \"/{{*rest}}\"\nupstream = {url:?}\n")
}

async fn serve(loaded: Loaded, path: Option<PathBuf>) -> u8 {
    for warning in &loaded.warnings {
        notice::warning(warning);
    }
    let (Ok(mut hang_up), Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::hangup()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        notice::could_not_start("signals cannot be handled");
        return COULD_NOT_RUN;
    };
    let running = match startup::start(loaded.config, path, loaded.files).await {
        Ok(running) => running,
        Err(error) => {
            notice::could_not_start(&error.0);
            return COULD_NOT_RUN;
        }
    };
    notice::ready(&running.listeners, running.admin);
    loop {
        tokio::select! {
            _ = hang_up.recv() => reload(&running).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = running.drain_asked() => break,
        }
    }
    notice::draining();
    tokio::select! {
        _drained = running.drain() => {}
        // A second signal: at once.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    DONE
}

async fn reload(running: &Running) {
    let report = running.reloader().reload("signal").await;
    notice::reload(&report);
}
