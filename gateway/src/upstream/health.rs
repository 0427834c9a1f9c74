//! Active checks: an endpoint is asked now and then, beside its requests, whether it is well.
//!
//! A check is one connection, one GET, one answer's head: any 2xx is good; gRPC may be asked in its own way instead
//! (`check_http2`). Checks of an endpoint never overlap, and
//! their times are off by a tenth. They run on the control runtime, so that a busy worker delays none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Notify;

use super::check_http2;
use super::dial::{Dialled, dial};
use super::endpoint::Endpoint;
use super::state::Upstream;
use super::transport::is_quiet;
use crate::algorithms::health::{Health, next_wait};
use crate::algorithms::rng::Draws;
use crate::config::settings;
use crate::http1::{Client, RequestHead};
use crate::network::Network;
use crate::request_body::RequestBody;

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
    /// What a task checks the endpoint by.
    checked_by: Option<settings::upstream::Health>,
}

impl Checks {
    /// Whether checks say nothing against it.
    #[inline]
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    /// What the last check came to, where there was one.
    pub fn last(&self) -> Option<Arc<str>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    /// The next check is wanted now.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Says that the caller will check the endpoint so; false when somebody does already.
    fn claim(&self, settings: &settings::upstream::Health) -> bool {
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = known.checked_by.as_ref() != Some(settings);
        if claimed {
            known.checked_by = Some(settings.clone());
        }
        claimed
    }

    /// Whether the endpoint is still to be checked so. Where it is not to be checked at all, what checks said holds no
    /// more.
    fn is_claimed(&self, settings: &settings::upstream::Health, wanted: Option<&settings::upstream::Health>) -> bool {
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = known.checked_by.as_ref() == Some(settings);
        if mine && wanted != Some(settings) {
            known.checked_by = None;
            if wanted.is_none() {
                known.health = Health::default();
                known.last = None;
                self.unhealthy.store(false, Ordering::Relaxed);
            }
            return false;
        }
        mine
    }

    /// Keeps what a check came to; the new verdict, if it is another.
    fn observe(&self, outcome: &Result<(), Arc<str>>, settings: &settings::upstream::Health) -> Option<bool> {
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        known.last = Some(outcome.clone().err().unwrap_or_else(|| Arc::from("ok")));
        let verdict = known.health.observe(outcome.is_ok(), settings.thresholds);
        self.unhealthy.store(!known.health.is_healthy(), Ordering::Relaxed);
        verdict
    }
}

/// Starts the checks that an upstream's settings ask for and that nobody runs yet. They end by themselves when the
/// endpoint or the settings go.
pub(super) fn start_checks<N: Network>(upstream: &Arc<Upstream<N>>, network: &N) {
    let active = upstream.active();
    let Some(settings) = &active.settings.health else { return };
    for endpoint in &active.endpoints {
        if endpoint.health.claim(settings) {
            let (upstream, endpoint) = (Arc::downgrade(upstream), Arc::downgrade(endpoint));
            tokio::spawn(keep_checking(upstream, endpoint, network.clone(), settings.clone()));
        }
    }
}

async fn keep_checking<N: Network>(
    upstream: Weak<Upstream<N>>,
    endpoint: Weak<Endpoint<N>>,
    network: N,
    settings: settings::upstream::Health,
) {
    let mut draws = Draws::new(endpoint.upgrade().map_or(0, |endpoint| seed(&endpoint)));
    loop {
        let Some((strong, checked)) = upstream.upgrade().zip(endpoint.upgrade()) else { return };
        if !is_wanted(&strong, &checked, &settings) {
            return;
        }
        checked.standing.guard.set_checked(true);
        let outcome = check(&network, &strong, &checked, &settings).await;
        let verdict = checked.health.observe(&outcome, &settings);
        let detail = outcome.as_ref().map_or_else(Arc::clone, |()| Arc::from("ok"));
        strong.checked(&checked, outcome.is_ok(), verdict, &detail);
        drop(strong);
        // Sooner where a breaker waits for it; the endpoint is kept meanwhile, for no longer than an interval.
        let _ = tokio::time::timeout(next_wait(settings.interval, &mut draws), checked.health.hurry.notified()).await;
    }
}

/// Whether the endpoint is in use and is to be checked so.
fn is_wanted<N: Network>(
    upstream: &Upstream<N>,
    endpoint: &Arc<Endpoint<N>>,
    settings: &settings::upstream::Health,
) -> bool {
    let active = upstream.active();
    let in_use = active.endpoints.iter().any(|known| Arc::ptr_eq(known, endpoint));
    let wanted = active.settings.health.as_ref().filter(|_| in_use);
    let claimed = endpoint.health.is_claimed(settings, wanted);
    if !claimed && wanted.is_none() {
        endpoint.standing.guard.set_checked(false);
        upstream.judge(upstream.surroundings.clock.now());
    }
    claimed
}

/// One check.
async fn check<N: Network>(
    network: &N,
    upstream: &Upstream<N>,
    endpoint: &Endpoint<N>,
    settings: &settings::upstream::Health,
) -> Result<(), Arc<str>> {
    let ask = async {
        let around = (&upstream.surroundings.clock, &*upstream.series);
        let way = endpoint.way();
        let Dialled { stream, .. } = dial(network, endpoint, &way, around, settings.timeout)
            .await
            .map_err(|error| Arc::from(error.to_string()))?;
        if way.carriers.is_some() {
            return check_http2::ask(endpoint, stream, around, &settings.path).await;
        }
        let mut client = Client::new(stream, is_quiet::<N>);
        client.begin(&request(endpoint, settings), RequestBody::Empty);
        let head = std::future::poll_fn(|cx| client.poll_head(cx)).await;
        let head = head.map_err(|error| Arc::from(error.to_string()))?;
        if head.status.is_success() { Ok(()) } else { Err(Arc::from(format!("status {}", head.status.as_u16()))) }
    };
    tokio::time::timeout(settings.timeout, ask).await.unwrap_or_else(|_| Err(Arc::from("no answer in time")))
}

fn request<N: Network>(endpoint: &Endpoint<N>, settings: &settings::upstream::Health) -> RequestHead {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(header::HOST, endpoint.host.clone());
    headers.insert(header::USER_AGENT, USER_AGENT);
    RequestHead::alone(settings.path.clone(), headers)
}

/// Endpoints' checks fall apart by their addresses.
fn seed<N: Network>(endpoint: &Endpoint<N>) -> u64 {
    crate::algorithms::hash_ring::stable_hash(endpoint.address.as_bytes())
}
