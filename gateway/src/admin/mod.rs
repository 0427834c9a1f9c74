//! The operator's API: an axum program on the control runtime, so that it answers while the data plane is saturated.

mod access;
mod audit;
mod breakers;
mod cache;
mod drain;
mod endpoints;
mod events;
mod explain;
mod in_force;
mod limits;
mod metrics;
mod openapi;
mod page;
mod probes;
mod problems;
mod requests;
mod serve;
mod view;
mod write;

pub use endpoints::keep_counting;
pub use metrics::metrics_page;
pub(crate) use metrics::whole_page;
pub use problems::keep_looking;
pub use serve::serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::connections::Connections;
use crate::gateway::Gateway;
use crate::network::{Network, Sockets};
use crate::openapi::Keeper;
use crate::reload::Reloader;

/// What the admin API looks at and acts on.
pub struct State<N: Network = Sockets> {
    gateway: Arc<Gateway<N>>,
    reloader: Arc<Reloader<N>>,
    /// `None` where the gateway is mounted in a program, which also says who may ask.
    serves: Option<Serves>,
    documents: Arc<Keeper<N>>,
    token: Option<Box<str>>,
    started: std::time::Instant,
    /// What is wrong, and since when.
    problems: problems::Problems,
    /// The name of each upstream that has one has been looked up.
    has_looked_around: AtomicBool,
}

/// What a gateway has that serves by itself.
struct Serves {
    connections: Arc<Connections>,
    /// Connections of each worker.
    loads: Vec<Arc<AtomicUsize>>,
    ask_drain: watch::Sender<bool>,
}

impl<N: Network> State<N> {
    /// The state of one gateway. The token is the one that it was started with: a reload does not lock operators out.
    pub fn new(
        gateway: &Arc<Gateway<N>>,
        reloader: &Arc<Reloader<N>>,
        connections: &Arc<Connections>,
        loads: Vec<Arc<AtomicUsize>>,
        ask_drain: watch::Sender<bool>,
        documents: Arc<Keeper<N>>,
    ) -> Arc<Self> {
        let token = gateway.snapshot().config.admin.as_ref().and_then(|admin| admin.token.as_deref().map(Box::from));
        let serves = Serves { connections: Arc::clone(connections), loads, ask_drain };
        Self::with(gateway, reloader, documents, (Some(serves), token))
    }

    /// The same of one that is mounted in a program.
    pub fn mounted(gateway: &Arc<Gateway<N>>, reloader: &Arc<Reloader<N>>, documents: Arc<Keeper<N>>) -> Arc<Self> {
        Self::with(gateway, reloader, documents, (None, None))
    }

    fn with(
        gateway: &Arc<Gateway<N>>,
        reloader: &Arc<Reloader<N>>,
        documents: Arc<Keeper<N>>,
        (serves, token): (Option<Serves>, Option<Box<str>>),
    ) -> Arc<Self> {
        Arc::new(Self {
            started: gateway.shared().clock.now(),
            gateway: Arc::clone(gateway),
            reloader: Arc::clone(reloader),
            serves,
            documents,
            token,
            problems: problems::Problems::default(),
            has_looked_around: AtomicBool::new(false),
        })
    }
}

/// The routes. Every one but the probes, the passport's public keys and the pages' files passes `access`. Paths within
/// the pages are relative, so that a program may nest them under one of its own.
pub fn router<N: Network>(state: Arc<State<N>>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics::<N>))
        .route("/status", get(view::status::<N>))
        .route("/problems", get(problems::problems::<N>))
        .route("/config", get(in_force::config::<N>))
        .route("/upstreams", get(view::upstreams::<N>))
        .route("/routes", get(view::routes::<N>))
        .route("/breakers", get(breakers::breakers::<N>))
        .route("/breakers/{upstream}/{endpoint}/{action}", post(breakers::force::<N>))
        .route("/cache", get(cache::cache::<N>))
        .route("/cache/purge", post(cache::purge::<N>))
        .route("/limits", get(limits::limits::<N>))
        .route("/events", get(events::events::<N>))
        .route("/requests", get(requests::list::<N>))
        .route("/requests/{*id}", get(requests::one::<N>))
        .route("/explain", get(explain::explain::<N>))
        .route("/openapi.json", get(openapi::document::<N>))
        .route("/reload", post(write::reload::<N>))
        .route("/drain", post(write::drain::<N>))
        .fallback(view::not_found)
        .method_not_allowed_fallback(view::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), access::check::<N>))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), audit::watch::<N>));
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready::<N>))
        .route("/jwks.json", get(probes::passport_keys::<N>))
        .method_not_allowed_fallback(view::method_not_allowed)
        .merge(page::router())
        .merge(openapi::page())
        .merge(guarded)
        .layer(axum::middleware::map_response(access::harden))
        .with_state(state)
}
