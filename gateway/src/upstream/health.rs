//! Active checks: an endpoint is asked now and then, beside its requests, whether it is well.
//!
//! A check is one connection, one GET, one answer's head, whose status is good or not; gRPC may be asked in its own way
//! instead (`check_http2`). Checks of an endpoint never overlap, and their times are off by a tenth. They run on the
//! control runtime, so that a busy worker delays none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::{HeaderValue, header};
use tokio::sync::Notify;

use super::check_http2;
use super::dial::{Dialled, dial};
use super::endpoint::Endpoint;
use super::guard::Guard;
use super::state::Upstream;
use super::transport::{Transport, is_quiet};
use crate::algorithms::health::{Health, next_wait};
use crate::algorithms::rng::Draws;
use crate::config::settings;
use crate::http1::{Client, RequestHead};
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;

/// Who asks, to whoever reads the endpoint's log.
pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static("portcullis-health");

/// What checks of one endpoint have come to.
#[derive(Debug, Default)]
pub struct Checks {
    unhealthy: AtomicBool,
    state: Mutex<Known>,
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Known {
    health: Health,
    /// What the last check came to.
    last: Option<Arc<str>>,
    /// What the last one came to that failed.
    last_bad: Option<Arc<str>>,
    /// What a task checks the endpoint by: the task holds it.
    claim: Weak<settings::upstream::Health>,
}

/// Somebody else checks the endpoint by now, or nobody.
struct NotMine;

impl Checks {
    /// Whether checks say nothing against it.
    #[inline]
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    /// What the last check came to, where there was one.
    pub fn last(&self) -> Option<Arc<str>> {
        self.known().last.clone()
    }

    /// Why checks fail, for as long as they say something against it: also when the last one was good, and more of
    /// these are wanted.
    pub fn last_bad(&self) -> Option<Arc<str>> {
        self.known().last_bad.clone()
    }

    /// Whether all that checks say against it is that it does not answer what they ask for, as a path that it does not
    /// have: a status below 500, or gRPC's UNIMPLEMENTED.
    pub fn may_ask_wrongly(&self) -> bool {
        let known = self.known();
        let why = known.last_bad.as_deref().unwrap_or_default();
        let status = why.strip_prefix("status ").and_then(|status| status.parse::<u16>().ok());
        status.is_some_and(|status| status < 500) || why == "grpc-status 12"
    }

    /// The next check is wanted now.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to check the endpoint so, for as long as it is claimed by this; `None` where somebody does already.
    fn claim(&self, settings: &settings::upstream::Health) -> Option<Arc<settings::upstream::Health>> {
        let mut known = self.known();
        if known.claim.upgrade().is_some_and(|held| *held == *settings) {
            return None;
        }
        let claim = Arc::new(settings.clone());
        known.claim = Arc::downgrade(&claim);
        Some(claim)
    }

    /// Whoever checks the endpoint otherwise than is wanted ends, even if its settings come back before it looks. Where
    /// nobody is to check it, what checks said holds no more.
    pub(super) fn end_others(&self, wanted: Option<&settings::upstream::Health>, guard: &Guard) {
        let mut known = self.known();
        if wanted.is_none() {
            known.health = Health::default();
            (known.last, known.last_bad) = (None, None);
            self.unhealthy.store(false, Ordering::Relaxed);
            guard.set_checked(None);
        }
        if known.claim.upgrade().is_some_and(|held| wanted != Some(&*held)) {
            known.claim = Weak::new();
            self.hurry();
        }
    }

    /// A check begins, if it is still by this claim.
    fn begin(&self, claim: &Arc<settings::upstream::Health>) -> Result<(), NotMine> {
        self.known().is_claimed_by(claim)
    }

    /// Keeps what a check came to; the new verdict, if it is another.
    fn observe(
        &self,
        outcome: &Result<(), Arc<str>>,
        claim: &Arc<settings::upstream::Health>,
    ) -> Result<Option<bool>, NotMine> {
        let mut known = self.known();
        known.is_claimed_by(claim)?;
        known.last = Some(outcome.clone().err().unwrap_or_else(|| Arc::from("ok")));
        if let Err(why) = outcome {
            known.last_bad = Some(Arc::clone(why));
        }
        let verdict = known.health.observe(outcome.is_ok(), claim.thresholds);
        self.unhealthy.store(!known.health.is_healthy(), Ordering::Relaxed);
        Ok(verdict)
    }
}

impl Known {
    fn is_claimed_by(&self, claim: &Arc<settings::upstream::Health>) -> Result<(), NotMine> {
        if std::ptr::eq(self.claim.as_ptr(), Arc::as_ptr(claim)) { Ok(()) } else { Err(NotMine) }
    }
}

/// Starts the checks that an upstream's settings ask for and that nobody runs yet. They end by themselves when the
/// endpoint or the settings go.
pub(super) fn start_checks<N: Network>(upstream: &Arc<Upstream<N>>, network: &N) {
    let active = upstream.active();
    let Some(settings) = &active.settings.health else { return };
    for endpoint in &active.endpoints {
        if let Some(claim) = endpoint.health.claim(settings) {
            let (upstream, endpoint) = (Arc::downgrade(upstream), Arc::downgrade(endpoint));
            tokio::spawn(keep_checking(upstream, endpoint, network.clone(), claim));
        }
    }
}

async fn keep_checking<N: Network>(
    upstream: Weak<Upstream<N>>,
    endpoint: Weak<Endpoint<N>>,
    network: N,
    claim: Arc<settings::upstream::Health>,
) {
    let mut draws = Draws::new(endpoint.upgrade().map_or(0, |endpoint| seed(&endpoint)));
    loop {
        let Some((strong, checked)) = upstream.upgrade().zip(endpoint.upgrade()) else { return };
        let Ok(()) = checked.health.begin(&claim) else { return };
        if let Some(outcome) = check(&network, &strong, &checked, &claim).await {
            let Ok(verdict) = checked.health.observe(&outcome, &claim) else { return };
            let detail = outcome.as_ref().map_or_else(Arc::clone, |()| Arc::from("ok"));
            strong.checked(&checked, outcome.is_ok(), verdict, &detail);
        }
        drop(strong);
        // Sooner where a breaker waits for it; the endpoint is kept meanwhile, for no longer than an interval.
        let _ = tokio::time::timeout(next_wait(claim.interval, &mut draws), checked.health.hurry.notified()).await;
    }
}

/// One check; `None` where it came to nothing for want of a socket, which says nothing about the endpoint.
async fn check<N: Network>(
    network: &N,
    upstream: &Upstream<N>,
    endpoint: &Endpoint<N>,
    settings: &settings::upstream::Health,
) -> Option<Result<(), Arc<str>>> {
    let ask = async {
        let around = (&upstream.surroundings.clock, &*upstream.series);
        let way = endpoint.way();
        let stream = match dial(network, endpoint, &way, around, settings.timeout).await {
            Ok(Dialled { stream, .. }) => stream,
            Err(error) if error.is_own_lack() => return None,
            Err(error) => return Some(Err(Arc::from(error.to_string()))),
        };
        if way.carriers.is_some() {
            return Some(check_http2::ask(endpoint, stream, around, settings).await);
        }
        Some(ask_plainly::<N>(endpoint, stream, settings).await)
    };
    let late = || -> Arc<str> { endpoint.unresolved().map_or_else(|| Arc::from("no answer in time"), Arc::from) };
    tokio::time::timeout(settings.timeout, ask).await.unwrap_or_else(|_| Some(Err(late())))
}

/// One check by HTTP/1.1.
async fn ask_plainly<N: Network>(
    endpoint: &Endpoint<N>,
    stream: Transport<N::Stream>,
    settings: &settings::upstream::Health,
) -> Result<(), Arc<str>> {
    let mut client = Client::new(stream, is_quiet::<N>);
    client.begin(&request(endpoint, settings), RequestBody::Empty);
    let head = std::future::poll_fn(|cx| client.poll_head(cx)).await;
    let head = head.map_err(|error| Arc::from(error.to_string()))?;
    settings.judge(head.status)
}

fn request<N: Network>(endpoint: &Endpoint<N>, settings: &settings::upstream::Health) -> RequestHead {
    let mut headers = RequestFields::with_capacity(3);
    headers.insert(&header::HOST, settings.host.as_ref().unwrap_or(&endpoint.host).clone());
    headers.insert(&header::USER_AGENT, USER_AGENT);
    RequestHead::alone(settings.path.clone().into(), headers)
}

/// Endpoints' checks fall apart by their addresses.
fn seed<N: Network>(endpoint: &Endpoint<N>) -> u64 {
    crate::algorithms::hash_ring::stable_hash(endpoint.address.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use tokio::io::DuplexStream;

    use super::*;
    use crate::clock::Clock;
    use crate::config::settings::upstream::Endpoints;
    use crate::config::{Purpose, load_text};
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::watch::Surroundings;

    /// Nobody is there; how often it was tried.
    #[derive(Clone, Default)]
    struct Nobody {
        tried: Arc<AtomicU32>,
        /// The gateway's own machine has nothing to try with.
        has_no_socket: bool,
    }

    impl Network for Nobody {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> std::io::Result<DuplexStream> {
            self.tried.fetch_add(1, Ordering::Relaxed);
            let refused = if self.has_no_socket { libc::EMFILE } else { libc::ECONNREFUSED };
            Err(std::io::Error::from_raw_os_error(refused))
        }

        async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
            Err(std::io::ErrorKind::NotFound.into())
        }

        fn adopt(&self, stream: DuplexStream) -> std::io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    fn settings(health: &str) -> Arc<settings::Upstream> {
        let text = format!("[upstreams.up]\nendpoints = ['127.0.0.1:1', '127.0.0.1:2']\n{health}\n");
        let loaded = load_text(&text, Path::new("a.toml"), Purpose::Check);
        Arc::clone(&loaded.unwrap().config.upstreams[0])
    }

    fn apply(upstream: &Arc<Upstream<Nobody>>, settings: &Arc<settings::Upstream>, network: &Nobody) {
        let Endpoints::Static(endpoints) = &settings.endpoints else { panic!("they are written") };
        upstream.apply(Arc::clone(settings), endpoints);
        start_checks(upstream, network);
    }

    /// Lets so much time go by.
    async fn pass(seconds: u64) {
        // virtual time
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn reloads_leave_one_task_for_each_endpoint_and_end_what_checks_said_at_once() {
        let one = settings("health = { path = '/', interval = '10s', timeout = '1s' }");
        let other = settings("health = { path = '/other', interval = '10s', timeout = '1s' }");
        let (network, series) = (Nobody::default(), Metrics::new(1).upstream("up"));
        let surroundings = Arc::new(Surroundings::new(Clock::system(), Arc::default(), Arc::default()));
        let upstream = Arc::new(Upstream::new(Arc::clone(&one), series, surroundings, 1));
        for settings in [&one, &other, &one, &other, &one] {
            apply(&upstream, settings, &network);
            pass(1).await;
        }
        let before = network.tried.load(Ordering::Relaxed);
        pass(1_000).await;
        let checks = network.tried.load(Ordering::Relaxed) - before;
        assert!((180..=230).contains(&checks), "two endpoints, every ten seconds: {checks}");
        assert!(upstream.active().endpoints.iter().all(|endpoint| !endpoint.health.is_healthy()));
        apply(&upstream, &settings(""), &network);
        assert!(upstream.active().endpoints.iter().all(|endpoint| endpoint.health.is_healthy()));
        assert!(upstream.active().scopes[0].is_well(), "nobody says anything against them");
        let ended = network.tried.load(Ordering::Relaxed);
        pass(1_000).await;
        assert_eq!(network.tried.load(Ordering::Relaxed), ended);
    }

    #[test]
    fn why_checks_fail_is_told_as_long_as_they_do_also_after_a_good_one() {
        let one = settings("health = { path = '/', timeout = '1s', unhealthy_after = 1, healthy_after = 2 }");
        let checks = Checks::default();
        let claim = checks.claim(one.health.as_ref().unwrap()).unwrap();
        for outcome in [Err(Arc::from("it answered 503")), Ok(())] {
            assert!(checks.observe(&outcome, &claim).is_ok());
        }
        assert!(!checks.is_healthy(), "one is not enough");
        assert_eq!((checks.last().as_deref(), checks.last_bad().as_deref()), (Some("ok"), Some("it answered 503")));
    }

    /// A resolver that says nothing.
    #[derive(Clone)]
    struct Mute;

    impl Network for Mute {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> std::io::Result<DuplexStream> {
            Err(std::io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
            std::future::pending().await
        }

        fn adopt(&self, stream: DuplexStream) -> std::io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_not_resolved_is_not_told_as_a_service_that_does_not_answer() {
        let text = "[upstreams.up]\nendpoints = ['direct.example:80']\nhealth = { path = '/', timeout = '1s' }\n";
        let loaded = load_text(text, Path::new("a.toml"), Purpose::Check).unwrap();
        let settings = Arc::clone(&loaded.config.upstreams[0]);
        let surroundings = Arc::new(Surroundings::new(Clock::system(), Arc::default(), Arc::default()));
        let upstream: Upstream<Mute> =
            Upstream::new(Arc::clone(&settings), Metrics::new(1).upstream("up"), surroundings, 1);
        let Endpoints::Static(endpoints) = &settings.endpoints else { panic!("it is written") };
        upstream.apply(Arc::clone(&settings), endpoints);
        let endpoint = Arc::clone(&upstream.active().endpoints[0]);
        let checked = check(&Mute, &upstream, &endpoint, settings.health.as_ref().unwrap()).await;
        let why = checked.unwrap().unwrap_err();
        assert_eq!(&*why, "the name direct.example was not resolved in time");
        assert_eq!(endpoint.unresolved().as_deref(), Some(&*why), "requests are told so too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_for_which_there_is_no_socket_says_nothing_about_the_endpoint() {
        let one = settings("health = { path = '/', interval = '10s', timeout = '1s' }");
        let network = Nobody { has_no_socket: true, ..Nobody::default() };
        let surroundings = Arc::new(Surroundings::new(Clock::system(), Arc::default(), Arc::default()));
        let upstream = Arc::new(Upstream::new(Arc::clone(&one), Metrics::new(1).upstream("up"), surroundings, 1));
        apply(&upstream, &one, &network);
        pass(1_000).await;
        assert!(network.tried.load(Ordering::Relaxed) > 100);
        assert!(upstream.active().endpoints.iter().all(|endpoint| endpoint.health.is_healthy()));
    }
}
