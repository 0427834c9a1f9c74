//! The gateway of a world: the data plane of the binary, on the simulated network and clock.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway::admin::metrics_page;
use gateway::clock::Clock;
use gateway::config::{Config, Purpose, load_text};
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::telemetry::AccessLog;
use gateway::worker::keep_house;
use tokio::sync::watch;
use turmoil::net::TcpListener;

use super::events;
use super::journal::{Journal, now_ns};
use super::names::Names;
use super::network::{Doors, Simulated};
use super::records::parse;
use crate::history::EventKind;
use crate::scenario::model::{EventAct, EventPart};

/// The host's name.
pub(crate) const HOST: &str = "gateway";
/// Wall-clock time when the gateway starts: 2023-11-14T22:13:20Z, the same in every run.
pub(super) const EPOCH: Duration = Duration::from_secs(1_700_000_000);
/// How often the access log is emptied: its queue holds a second of any rate that a world has.
const COLLECT: Duration = Duration::from_millis(100);

/// The gateway as its world sees it from outside.
#[derive(Clone, Default)]
pub(crate) struct Handle(Rc<RefCell<Option<Running>>>);

struct Running {
    gateway: Arc<Gateway<Simulated>>,
    drain: watch::Sender<bool>,
    zero_unix_us: i64,
}

/// What the gateway still holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Requests in the whole gateway.
    pub requests: u32,
    /// Requests at its endpoints.
    pub attempts: u32,
    /// Lines of the access log that found no room.
    pub lines_dropped: u64,
}

/// What it starts with.
#[derive(Clone)]
pub(crate) struct Setting {
    /// Which mocks refuse connections.
    pub doors: Doors,
    pub text: String,
    pub port: u16,
    pub seed: u64,
    pub events: Vec<EventPart>,
    /// What its endpoints are called.
    pub names: Names,
}

/// Serves until the world ends.
pub(crate) async fn serve(setting: Setting, handle: Handle, journal: Journal) -> turmoil::Result {
    let config = read(&setting.text)?;
    // One for each core would be another world on another machine.
    let shards = config.server.workers.max(1);
    let costs = config.rate_limits.iter().map(|limit| (limit.name.clone(), limit.cost)).collect();
    let log = AccessLog::kept(&config.telemetry.access_log, shards);
    let clock = Clock::starting_at(EPOCH);
    let started = turmoil::sim_elapsed().unwrap_or_default();
    debug_assert!(started.is_zero(), "breakers are judged by windows that begin with the world: {started:?}");
    let world = World { network: Simulated { doors: setting.doors.clone() }, clock, seed: setting.seed, shards };
    let gateway = Arc::new(Gateway::with_log(config, world, log));
    let (drain, draining) = watch::channel(false);
    let us = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(0);
    let zero_unix_us = us(EPOCH) - us(started) + us(super::journal::HEAD_START);
    *handle.0.borrow_mut() = Some(Running { gateway: Arc::clone(&gateway), drain, zero_unix_us });
    gateway.keep_watch();
    for shard in gateway.shards() {
        tokio::task::spawn_local(keep_house(Arc::clone(&gateway), Arc::clone(shard)));
    }
    let follower = events::follow(&gateway);
    tokio::task::spawn_local(events::collect(follower, setting.names.clone(), (started, costs), journal.clone()));
    tokio::task::spawn_local(collect(handle.clone(), journal.clone()));
    tokio::task::spawn_local(obey(setting.clone(), Arc::clone(&gateway), journal));
    accept(&gateway, setting.port, draining).await
}

/// Hands each connection to the next worker, as the accept thread does with workers of equal load.
async fn accept(gateway: &Gateway<Simulated>, port: u16, mut draining: watch::Receiver<bool>) -> turmoil::Result {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    for shard in gateway.shards().iter().cycle() {
        let drained = draining.clone();
        tokio::select! {
            biased;
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                tokio::spawn(connection::serve(Arc::clone(shard), stream, peer, drained, ()));
            }
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    drop(listener);
    std::future::pending().await
}

/// Does what the scenario says, at its time.
async fn obey(setting: Setting, gateway: Arc<Gateway<Simulated>>, journal: Journal) {
    for event in &setting.events {
        let wait = event.at.saturating_sub(Duration::from_nanos(now_ns())) + early();
        // Virtual time: it passes as soon as nobody has anything else to do.
        tokio::time::sleep(wait).await;
        match event.act {
            EventAct::Reload(_) => {
                let applied = read(&setting.text).ok().and_then(|config| gateway.apply(config).ok());
                journal.event(EventKind::Reload { version: applied.unwrap_or(0), ok: applied.is_some() });
            }
            // The world's reader lets nothing else pass.
            _ => journal.anomaly("event", format!("{:?} cannot be simulated", event.act)),
        }
    }
}

/// What is left of the head start.
fn early() -> Duration {
    super::journal::HEAD_START.saturating_sub(turmoil::sim_elapsed().unwrap_or_default())
}

fn read(text: &str) -> Result<Config, String> {
    let loaded = load_text(text, Path::new("scenario.gateway.toml"), Purpose::Run);
    loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
}

async fn collect(handle: Handle, journal: Journal) {
    loop {
        // Virtual time: it passes as soon as nobody has anything else to do.
        tokio::time::sleep(COLLECT).await;
        handle.collect(&journal);
    }
}

impl Handle {
    /// Moves the access records that are there to the journal.
    pub(crate) fn collect(&self, journal: &Journal) {
        let running = self.0.borrow();
        let Some(running) = &*running else { return };
        let lines = running.gateway.shared().log.take();
        journal.with(|pages| {
            pages.trace.note_bytes(&lines);
            if let Some(log) = &mut pages.log {
                log.extend_from_slice(&lines);
            }
            for line in String::from_utf8_lossy(&lines).lines() {
                match parse(line, 0, running.zero_unix_us) {
                    Some(record) => pages.history.records.push(record),
                    None => pages.unreadable_records += 1,
                }
            }
        });
    }

    /// Its page of metrics.
    pub(crate) fn metrics(&self) -> String {
        let running = self.0.borrow();
        let page = running.as_ref().map(|running| metrics_page(&running.gateway)).unwrap_or_default();
        String::from_utf8_lossy(&page).into_owned()
    }

    /// Begins to drain: nothing is accepted from now on, and answers close their connections.
    pub(crate) fn drain(&self) {
        if let Some(running) = &*self.0.borrow() {
            running.gateway.begin_drain();
            // Without a receiver nobody is left to be told.
            let _ = running.drain.send(true);
        }
    }

    /// What it holds now.
    pub(crate) fn held(&self) -> Held {
        let running = self.0.borrow();
        let Some(running) = &*running else { return Held::default() };
        let shared = running.gateway.shared();
        let upstreams = running.gateway.upstreams();
        let at_endpoints = |upstream: &Arc<gateway::upstream::Upstream<Simulated>>| -> u32 {
            upstream.active().endpoints.iter().map(|endpoint| endpoint.in_flight.count()).sum()
        };
        Held {
            requests: shared.in_flight.count(),
            attempts: upstreams.iter().map(at_endpoints).sum(),
            lines_dropped: shared.log.dropped(),
        }
    }
}
