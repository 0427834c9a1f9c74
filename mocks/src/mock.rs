//! A running mock: services on their own threads, from a builder to the drop that ends them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::calls::Calls;
use crate::counters::Counters;
use crate::faults::{Delay, Origin, Problems, Rule, Station, WAITING_ROOM, matching_nothing};
use crate::journal::{Entry, Journal};
use crate::server::shared::Shared;
use crate::server::{socket::Port, worker};
use crate::tls::Tls;
use crate::world::{Endpoint, World};

/// The journal's default size: 40 s at 5,000 requests a second, about 50 MB when it is full.
const JOURNAL: usize = 200_000;

/// Ports with their listeners, in the order of the endpoints.
type Ports = Vec<(Port, socket2::Socket)>;

/// Why a mock did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread or runtime could be made.
    #[error("cannot start a worker: {0}")]
    Worker(#[from] std::io::Error),
    /// The service's name cannot stand in a header, or a service has no endpoint.
    #[error("{0}")]
    Invalid(#[from] Problems),
}

/// How a mock is to be. Every part has a default: one service `mock` with one endpoint on a free port of 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Builder {
    services: Vec<Service>,
    seed: u64,
    threads: usize,
    rules: Vec<Rule>,
    control: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
    journal: usize,
}

/// A service that is to be.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    addresses: Vec<SocketAddr>,
    time: Option<Delay>,
    servers: u32,
    room: u32,
    calls: Vec<Arc<Calls>>,
    tls: Option<Tls>,
}

impl Service {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            addresses: Vec::new(),
            time: None,
            servers: 0,
            room: WAITING_ROOM,
            calls: Vec::new(),
            tls: None,
        }
    }

    /// The queue of each endpoint.
    fn station(&self) -> Option<Station> {
        self.time.clone().map(|time| Station { servers: self.servers, time, room: self.room })
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            services: Vec::new(),
            seed: 0,
            threads: 1,
            rules: Vec::new(),
            control: None,
            gateway: None,
            journal: JOURNAL,
        }
    }

    /// Adds a service; the endpoints that are added next are its own.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        self.services.push(Service::new(name));
        self
    }

    /// Whether a service was named, or a part of one.
    pub(crate) fn has_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// Rules of this that no request to its services could hit.
    pub(crate) fn rules_for_nothing(&self) -> Problems {
        let of = |service: &'_ Service| -> Vec<u16> {
            let ports: Vec<u16> = service.addresses.iter().map(SocketAddr::port).collect();
            if ports.is_empty() { vec![0] } else { ports }
        };
        let there = self.services.iter().flat_map(|service| {
            of(service).into_iter().enumerate().map(|(place, port)| (service.name.as_str(), place, port))
        });
        matching_nothing(&self.rules, &there.collect::<Vec<_>>())
    }

    /// The service whose parts are added now; `mock` if none was named.
    fn last(&mut self) -> &mut Service {
        if self.services.is_empty() {
            self.services.push(Service::new("mock"));
        }
        let last = self.services.len() - 1;
        &mut self.services[last]
    }

    /// Adds an endpoint at this address; port 0 is a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.last().addresses.push(address);
        self
    }

    /// How long the last service takes for a request; nothing by default. A [`Delay::Queue`] says all three of time,
    /// servers and waiting room.
    #[must_use]
    pub fn service_time(mut self, time: Delay) -> Self {
        let last = self.last();
        match time {
            Delay::Queue(station) => {
                (last.time, last.servers, last.room) = (Some(station.time), station.servers, station.room);
            }
            time => last.time = Some(time),
        }
        self
    }

    /// How many requests each endpoint of the last service serves at once; 0 = any number, which is the default. The
    /// others wait in line. Without a service time nobody waits.
    #[must_use]
    pub fn servers(mut self, servers: u32) -> Self {
        self.last().servers = servers;
        self
    }

    /// How many requests may wait at each endpoint of the last service; the others are answered 503.
    #[must_use]
    pub fn waiting_room(mut self, requests: u32) -> Self {
        self.last().room = requests;
        self
    }

    /// Adds endpoints on free ports of 127.0.0.1.
    #[must_use]
    pub fn endpoints(mut self, count: usize) -> Self {
        for _ in 0..count {
            self = self.listen(free_port());
        }
        self
    }

    /// Adds calls that the last service makes before it answers. Of several, the first whose path matches are made.
    #[must_use]
    pub fn calls(mut self, calls: Calls) -> Self {
        self.last().calls.push(Arc::new(calls));
        self
    }

    /// Lets the last service speak TLS at all of its endpoints, and nothing else.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.last().tls = Some(tls);
        self
    }

    /// The gateway through which services call each other.
    #[must_use]
    pub fn gateway(mut self, address: SocketAddr) -> Self {
        self.gateway = Some(address);
        self
    }

    /// The seed of everything random; 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Worker threads; 1 by default.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Opens a control port; port 0 is a free one.
    #[must_use]
    pub fn control(mut self, address: SocketAddr) -> Self {
        self.control = Some(address);
        self
    }

    /// Entries that the journal keeps.
    #[must_use]
    pub fn journal(mut self, entries: usize) -> Self {
        self.journal = entries.max(1);
        self
    }

    /// Starts it. It serves when this returns.
    ///
    /// # Errors
    /// An address that is taken, a name that cannot be a header's value, or no resources for a thread.
    pub async fn start(self) -> Result<Mock, StartError> {
        self.launch()
    }

    /// The same outside of a runtime; nothing here waits.
    ///
    /// # Errors
    /// As `start`.
    pub fn launch(self) -> Result<Mock, StartError> {
        let threads = self.threads;
        let (mut mock, ports) = self.open(threads)?;
        mock.threads.extend(worker::start(&mock.world, ports, threads, &mock.stop.subscribe())?);
        Ok(mock)
    }

    /// The same without a thread for the services: they are served while their [`Shared`] is given turns. The control
    /// port has its own thread all the same.
    ///
    /// # Errors
    /// As `start`.
    pub fn launch_shared(self) -> Result<(Mock, Shared), StartError> {
        let (mock, ports) = self.open(1)?;
        let shared = worker::start_shared(&mock.world, ports)?;
        Ok((mock, shared))
    }

    /// Opens all ports; nobody serves them yet, but for the control port.
    fn open(mut self, threads: usize) -> Result<(Mock, Ports), StartError> {
        self.last();
        self.check_names()?;
        let (mut endpoints, mut ports) = (Vec::new(), Vec::new());
        for service in &self.services {
            let (one, station) = ([free_port()], service.station());
            let addresses = if service.addresses.is_empty() { &one[..] } else { &service.addresses };
            for (index, address) in addresses.iter().enumerate() {
                let opened = Port::open(*address);
                let (port, listener) = opened.map_err(|source| StartError::Listen { address: *address, source })?;
                let (name, number) = (&service.name, endpoints.len());
                let address = port.address();
                let endpoint = Endpoint::new(name, index, number, address, station.as_ref(), &service.calls);
                endpoints.push(Arc::new(Endpoint { tls: service.tls.clone(), ..endpoint }));
                ports.push((port, listener));
            }
        }
        let journal = Journal::new(self.journal, threads);
        let world = Arc::new(World::new(self.seed, endpoints, self.rules, journal));
        world.gateway.store(self.gateway.map(|address| Arc::new(address.to_string())));
        let stop = watch::Sender::new(false);
        let control =
            self.control.map(|address| crate::control::open(address, &world, stop.subscribe())).transpose()?;
        let (control, control_thread) = control.unzip();
        Ok((Mock { world, control, stop, threads: control_thread.into_iter().collect() }, ports))
    }

    fn check_names(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for Service { name, .. } in &self.services {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                problems.add(format!("services.{name}"), "a name is made of visible ASCII characters");
            }
        }
        problems.or(())
    }
}

fn free_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Running services. Dropping it closes their ports and all connections before it returns; those of a [`Shared`] are
/// closed when that is dropped.
#[derive(Debug)]
pub struct Mock {
    world: Arc<World>,
    control: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Mock {
    /// A mock that is to be described.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The first endpoint's address.
    pub fn addr(&self) -> SocketAddr {
        // A mock is never made without an endpoint.
        self.world.endpoints.first().map_or_else(free_port, |endpoint| endpoint.address)
    }

    /// All endpoints' addresses, in the order of the services and of their endpoints.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.world.endpoints.iter().map(|endpoint| endpoint.address).collect()
    }

    /// The names of the services, in their order.
    pub fn services(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.world.endpoints.iter().map(|endpoint| endpoint.service.as_str()).collect();
        names.dedup();
        names
    }

    /// The addresses of one service.
    pub fn addrs_of(&self, service: &str) -> Vec<SocketAddr> {
        let of_it = self.world.endpoints.iter().filter(|endpoint| endpoint.service == service);
        of_it.map(|endpoint| endpoint.address).collect()
    }

    /// The control port's address.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// `http://` (`https://` where it speaks TLS) and the first endpoint's address, then `path`.
    pub fn url(&self, path: &str) -> String {
        let is_secured = self.world.endpoints.first().is_some_and(|endpoint| endpoint.tls.is_some());
        format!("{}://{}{path}", if is_secured { "https" } else { "http" }, self.addr())
    }

    /// Replaces the rules, also for connections that are open. Listeners close and open shortly afterwards; `settled`
    /// waits for them.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        self.set_rules_from(rules, Origin::Now);
    }

    /// The same, their times and request numbers counting from this origin.
    pub fn set_rules_from(&self, rules: impl IntoIterator<Item = Rule>, origin: Origin) {
        self.world.set_rules(&rules.into_iter().collect::<Vec<Rule>>(), origin);
    }

    /// Sets the gateway through which services call each other.
    pub fn set_gateway(&self, address: SocketAddr) {
        self.world.gateway.store(Some(Arc::new(address.to_string())));
    }

    /// The rules in force.
    pub fn rules(&self) -> Vec<Rule> {
        self.world.rules.load().rules().cloned().collect()
    }

    /// The journal, oldest first. A request is in it when it is over.
    pub fn journal(&self) -> Vec<Entry> {
        self.world.journal_since(0, usize::MAX)
    }

    /// Counts over all endpoints.
    pub fn counters(&self) -> Counters {
        let mut total = Counters::default();
        self.world.endpoints.iter().for_each(|endpoint| total.add(&endpoint.live.snapshot()));
        total
    }

    /// Counts of the n-th endpoint, in the order of `addrs`; zeros where there is none.
    pub fn counters_of(&self, endpoint: usize) -> Counters {
        self.world.endpoints.get(endpoint).map(|endpoint| endpoint.live.snapshot()).unwrap_or_default()
    }

    /// Back to the first rules, no counts and an empty journal.
    pub fn reset(&self) {
        self.world.reset(Origin::Now);
    }

    /// Waits until this many requests are over since the start or the last reset; one that hangs counts from when its
    /// hanging begins.
    pub async fn wait_for_requests(&self, count: u64) {
        self.world.wait_until(|world| world.recorded_or_hanging() >= count).await;
    }

    /// Waits until the journal has this many entries since the start or the last reset, the dropped ones too.
    pub async fn wait_for_entries(&self, count: u64) {
        self.world.wait_until(|world| world.journal.recorded() >= count).await;
    }

    /// Waits until each listener is closed or open, as the rules in force want it.
    pub async fn settled(&self) {
        self.world.settled().await;
    }

    /// Waits until this many connections were accepted.
    pub async fn wait_for_accepts(&self, count: u64) {
        let accepts = |world: &World| world.endpoints.iter().map(|one| one.live.snapshot().accepts).sum::<u64>();
        self.world.wait_until(|world| accepts(world) >= count).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}
