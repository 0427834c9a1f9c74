//! The real gateway inside the test's process, on free ports, with its access log in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway::builder::Builder;
use gateway::config::{Loaded, Purpose, load};
use gateway::reload::ReloadReport;
use gateway::shutdown::Drained;
use gateway::startup::{self, Running};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::{eventually, guarded};

/// A gateway that serves.
pub(crate) struct Gateway {
    running: Running,
    folder: TempDir,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where operators connect.
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    /// Starts with this configuration; listener, admin and access log are added to it.
    pub(crate) async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, complete(folder.path(), text)).unwrap();
        let Loaded { config, files, .. } = load(&path, Purpose::Run).unwrap_or_else(|error| panic!("{error:?}"));
        let running = startup::start(config, Some(path), files).await.unwrap_or_else(|error| panic!("{}", error.0));
        let (address, admin) = (running.listeners[0], running.admin.unwrap());
        Self { running, folder, address, admin }
    }

    /// Starts with what the program around it registers in code.
    pub(crate) async fn built(text: &str, register: impl FnOnce(Builder) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, complete(folder.path(), text)).unwrap();
        let builder = register(gateway::gateway::Gateway::builder().config_file(&path));
        let running = builder.start().await.unwrap_or_else(|error| panic!("{error}"));
        let (address, admin) = (running.listeners[0], running.admin.unwrap());
        Self { running, folder, address, admin }
    }

    /// Reads its file anew.
    pub(crate) async fn reload(&self) -> ReloadReport {
        self.reload_by("signal").await
    }

    /// The same, asked for by this: `file` is what the watcher says.
    pub(crate) async fn reload_by(&self, cause: &'static str) -> ReloadReport {
        self.running.reloader().reload(cause).await
    }

    /// Starts with one route for everything, and one worker.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        Self::with("", upstream).await
    }

    /// The same, with these lines in `[server]`.
    pub(crate) async fn with(server: &str, upstream: SocketAddr) -> Self {
        Self::start(&one_route(server, "", upstream)).await
    }

    /// The same, with these lines in the route.
    pub(crate) async fn with_route(route: &str, upstream: SocketAddr) -> Self {
        Self::start(&one_route("", route, upstream)).await
    }

    /// Where clients connect, in the order of its listeners.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.running.listeners
    }

    /// A connection to it.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Asks on a connection of its own.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.client().await.ask(bytes).await
    }

    /// Gets a path on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n")).await
    }

    /// What so many requests on one connection are answered.
    pub(crate) async fn statuses(&self, count: usize) -> Vec<u16> {
        let mut client = self.client().await;
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status);
        }
        statuses
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, method: &str, path: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n", self.admin);
        Client::connect(self.admin).await.ask(head).await
    }

    /// The gateway itself.
    pub(crate) fn inner(&self) -> &gateway::gateway::Gateway<gateway::network::Sockets> {
        self.running.gateway()
    }

    /// Access records, once there are so many; more is a failure.
    pub(crate) async fn records(&self, count: usize) -> Vec<Value> {
        self.records_of(count, |_| true).await
    }

    /// The same of requests that were let in: a gateway that gets too little of a busy machine turns some away.
    pub(crate) async fn records_let_in(&self, count: usize) -> Vec<Value> {
        self.records_of(count, |record| record["code"] != "overloaded").await
    }

    async fn records_of(&self, count: usize, counts: impl Fn(&Value) -> bool) -> Vec<Value> {
        let path = self.folder.path().join("access.log");
        let mut lines = Vec::new();
        eventually(&format!("{count} access records"), || {
            self.inner().shared().log.flush(std::time::Duration::from_secs(1));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(&counts).collect();
            lines.len() >= count
        })
        .await;
        assert_eq!(lines.len(), count, "one record for each request: {lines:#?}");
        lines
    }

    /// The only access record.
    pub(crate) async fn record(&self) -> Value {
        self.records(1).await.remove(0)
    }

    /// The access log's bytes, once there are so many lines.
    pub(crate) async fn log_text(&self, count: usize) -> String {
        self.records(count).await;
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }

    /// A sample of `/metrics`, by its name and labels as written.
    pub(crate) async fn metric(&self, sample: &str) -> Option<f64> {
        let page = self.admin("GET", "/metrics").await;
        let text = String::from_utf8(page.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
        line.map(|value| value.split(' ').next().unwrap().parse().unwrap())
    }

    /// Requests that endpoints work on, over all upstreams.
    pub(crate) fn in_flight(&self) -> u32 {
        let upstreams = self.inner().upstreams();
        let of = |upstream: &std::sync::Arc<gateway::upstream::Upstream<gateway::network::Sockets>>| -> u32 {
            upstream.active().endpoints.iter().map(|endpoint| endpoint.in_flight.count()).sum()
        };
        upstreams.iter().map(of).sum()
    }

    /// Open connections to endpoints, and how many of them are idle.
    pub(crate) fn upstream_connections(&self) -> (u32, usize) {
        let (mut open, mut idle) = (0, 0);
        for upstream in self.inner().upstreams() {
            for endpoint in &upstream.active().endpoints {
                open += endpoint.connections.count();
                idle += endpoint.idle_connections();
            }
        }
        (open, idle)
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn at_rest(&self) {
        eventually("nothing in flight", || self.in_flight() == 0).await;
    }

    /// The configuration's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Writes another configuration, completed like the first; the watcher sees it, or is told.
    pub(crate) fn rewrite(&self, text: &str) {
        std::fs::write(self.file(), complete(self.folder.path(), text)).unwrap();
    }

    /// Drains to the end.
    pub(crate) async fn drain(self) -> (Drained, TempDir) {
        (guarded("the drain's end", self.running.drain()).await, self.folder)
    }
}

/// One route for everything.
pub(crate) fn one_route(server: &str, route: &str, upstream: SocketAddr) -> String {
    format!(
        "[server]\n{server}\n\n[upstreams.up]\nendpoints = ['{upstream}']\n\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n{route}\n"
    )
}

fn complete(folder: &Path, text: &str) -> String {
    let log = format!("[telemetry.access_log]\noutput = '{}'\n", folder.join("access.log").display());
    // Stories about records have the table themselves.
    let (log, text) = match text.split_once("[telemetry.access_log]\n") {
        Some((before, after)) => (String::new(), format!("{before}{log}{after}")),
        None => (log, text.to_owned()),
    };
    let workers = if text.contains("[server]") { "" } else { "[server]\nworkers = 1\n" };
    let text = text.replacen("[server]\n", "[server]\nworkers = 1\n", usize::from(!text.contains("workers = ")));
    // Most stories are about one attempt; those about more say so.
    let once = if text.contains("retry") { "" } else { "[defaults.route]\nretry = { attempts = 1 }\n\n" };
    let listener = if text.contains("[[listeners]]") { "" } else { "[[listeners]]\naddress = '127.0.0.1:0'\n\n" };
    format!("{workers}{listener}[admin]\naddress = '127.0.0.1:0'\n\n{log}\n{once}{text}")
}
