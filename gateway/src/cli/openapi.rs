//! `gateway openapi`: the document of what clients may ask for, without a gateway that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::output;
use super::{BAD, COULD_NOT_RUN, DONE, USAGE};
use crate::clock::Clock;
use crate::config::settings::api_document::{ApiDocument, Key};
use crate::config::settings::{Config, Listener};
use crate::config::{Purpose, load};
use crate::gateway::{Gateway, World};
use crate::network::Sockets;
use crate::openapi::{Given, Keeper, Listening, Wanted, merged};
use crate::telemetry::access_log::AccessLog;
use crate::upstream::discovery;

/// Print what clients may ask for as one OpenAPI 3.1 document: the routes, and what their services say of themselves.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway openapi --config gateway.toml --out openapi.json\n  gateway openapi --offline --host api.example.com\n  gateway openapi --listener public\n\nUpstreams are asked for the documents that routes name by a path; files are read. Nothing else is sent, and nothing is started.\n\nExit codes: 0 done, 1 the configuration is bad or a document is missing, 2 no listener is called so, 3 the file cannot be read or written."
)]
pub(super) struct Openapi {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// Write it to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Ask no upstream: documents that would be asked for are left out, and named.
    #[arg(long)]
    offline: bool,
    /// Only what a client finds that asks for this host.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Only what a client finds that comes by the listener of this name.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
}

impl Openapi {
    pub(super) fn run(&self) -> u8 {
        let loaded = match load(&self.config, Purpose::Check) {
            Ok(loaded) => loaded,
            Err(error) => return output::unusable(&error),
        };
        let config = loaded.config;
        if let Some(Err(why)) = self.listener.as_deref().map(|name| config.listener(name)) {
            output::problem(&format!("error: {why}"));
            return USAGE;
        }
        let given = if self.offline { left_out(&config) } else { asked(&config) };
        let listening =
            |listener: &Listener| Listening { address: listener.address, is_secure: listener.tls.is_some() };
        let is_asked_for =
            |listener: &&Listener| self.listener.is_none() || listener.name.as_deref() == self.listener();
        let listeners: Vec<Listening> = config.listeners.iter().filter(is_asked_for).map(listening).collect();
        let host = self.host.as_ref().map(|host| host.to_ascii_lowercase());
        let wanted = Wanted { listeners: &listeners, listener: self.listener(), host: host.as_deref(), given: &given };
        let document = merged(&config, &wanted);
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        if let Some(file) = &self.out
            && let Err(error) = std::fs::write(file, format!("{text}\n"))
        {
            output::problem(&format!("error: cannot write {}: {error}", file.display()));
            return COULD_NOT_RUN;
        }
        let written = if self.out.is_none() { output::result(&text) } else { DONE };
        self.report(&document).max(written)
    }

    fn listener(&self) -> Option<&str> {
        self.listener.as_deref()
    }

    /// Says what is not in the document.
    fn report(&self, document: &Value) -> u8 {
        let mut code = DONE;
        for told in document["x-documents"].as_array().into_iter().flatten() {
            let Some(missing) = told["missing"].as_str() else { continue };
            let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
            output::problem(&format!("the document {} of route {}: {missing}", text("from"), text("route")));
            if !self.offline {
                code = BAD;
            }
        }
        if let Some(file) = &self.out {
            output::problem(&summary(file, document));
        }
        code
    }
}

fn summary(file: &Path, document: &Value) -> String {
    let paths = document["paths"].as_object().map_or(0, serde_json::Map::len);
    format!("{}: written ({paths} {})", file.display(), if paths == 1 { "path" } else { "paths" })
}

/// The documents that would be asked for, none of them there.
fn left_out(config: &Config) -> BTreeMap<Key, Given> {
    let asked = config.routes.iter().filter_map(|route| match &route.openapi {
        Some(document @ ApiDocument::Upstream { .. }) => Some(document.key(route)),
        Some(ApiDocument::File(_)) | None => None,
    });
    asked
        .map(|key| (key, Given { text: None, failed: Some("left out, as nobody was to be asked".to_owned()) }))
        .collect()
}

/// The documents that upstreams give.
fn asked(config: &Config) -> BTreeMap<Key, Given> {
    if left_out(config).is_empty() {
        return BTreeMap::new();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return left_out(config);
    };
    let given = runtime.block_on(async {
        let world = World { network: Sockets, clock: Clock::system(), seed: 0, shards: 1 };
        // Nothing is logged: no request passes.
        let log = AccessLog::kept(&config.telemetry.access_log, 1);
        let gateway = Arc::new(Gateway::with_log(config.clone(), world, log));
        for upstream in gateway.upstreams() {
            // One that is not found is told by who asks it.
            let _ = discovery::refresh(&upstream, &Sockets).await;
        }
        let keeper = Keeper::new(gateway, Vec::new());
        keeper.ask(true).await;
        keeper.given()
    });
    runtime.shutdown_background();
    given
}
