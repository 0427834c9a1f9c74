//! `/livez` and `/readyz`, for orchestrators, and the public keys of passports, for services; they need no token.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::State;
use crate::config::settings::upstream::Endpoints;
use crate::network::Network;
use crate::upstream::Upstream;

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> (StatusCode, &'static str) {
    if state.gateway.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !has_looked_around(&state) {
        (StatusCode::SERVICE_UNAVAILABLE, "discovering\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// Whether the name of each discovered upstream has been looked up once since the start, whatever came of it. From then
/// on it holds: a name that a reload brings, or one that fails, takes the gateway from none of its clients.
fn has_looked_around<N: Network>(state: &State<N>) -> bool {
    if state.has_looked_around.load(Ordering::Relaxed) {
        return true;
    }
    let is_known = |upstream: &Arc<Upstream<N>>| {
        let active = upstream.active();
        matches!(active.settings.endpoints, Endpoints::Static(_)) || upstream.lookup.has_ended()
    };
    let known = state.gateway.upstreams().iter().all(is_known);
    state.has_looked_around.store(known, Ordering::Relaxed);
    known
}

/// The keys that verify passports; a service may keep them for a minute, and asks again for a `kid` that it does not
/// know.
pub(super) async fn passport_keys<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Response {
    let none = || serde_json::json!({ "keys": [] });
    let keys = state.gateway.shared().identity.passport_keys().unwrap_or_else(none);
    ([(header::CACHE_CONTROL, "max-age=60")], Json(keys)).into_response()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::sync::watch;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Files, Purpose, load_text};
    use crate::gateway::{Gateway, World};
    use crate::openapi::Keeper;
    use crate::reload::Reloader;
    use crate::upstream::discovery::keep_fresh;

    /// Knows nobody.
    #[derive(Clone)]
    pub(crate) struct Nowhere;

    impl Network for Nowhere {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    /// A gateway that knows nobody, under this configuration, as the admin API has it.
    pub(crate) fn state(text: &str) -> (Arc<Gateway<Nowhere>>, Arc<State<Nowhere>>) {
        let text = format!("[telemetry.access_log]\noutput = 'off'\n{text}");
        let config = load_text(&text, Path::new("a.toml"), Purpose::Check).unwrap().config;
        let world = World { network: Nowhere, clock: Clock::system(), seed: 1, shards: 1 };
        let gateway = Arc::new(Gateway::new(config, world).unwrap());
        let reloader = Arc::new(Reloader::new(Arc::clone(&gateway), None, Files::default()));
        let documents = Keeper::new(Arc::clone(&gateway), Vec::new());
        let state = State::new(&gateway, &reloader, &Arc::default(), Vec::new(), watch::Sender::new(false), documents);
        (gateway, state)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_once_each_name_has_been_looked_up_whatever_came_of_it() {
        let (gateway, state) =
            state("[upstreams.up]\ndiscovery = { dns = 'up.test:1' }\n[[routes]]\npath = '/'\nupstream = 'up'\n");
        let probe = async || ready(Shared(Arc::clone(&state))).await;
        assert_eq!(probe().await, (StatusCode::SERVICE_UNAVAILABLE, "discovering\n"));
        let upstream = gateway.upstreams().remove(0);
        let claim = upstream.claim_discovery().unwrap();
        // virtual time
        let looked =
            tokio::time::timeout(Duration::from_secs(1), keep_fresh(Arc::downgrade(&upstream), Nowhere, claim));
        assert!(looked.await.is_err(), "it goes on");
        assert_eq!(probe().await, (StatusCode::OK, "ready\n"));
        gateway.begin_drain();
        assert_eq!(probe().await, (StatusCode::SERVICE_UNAVAILABLE, "draining\n"));
    }
}
