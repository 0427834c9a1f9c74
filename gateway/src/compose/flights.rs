//! Identical requests that share one call (`coalesce`): whoever asks first begins it, who asks for the same meanwhile
//! waits for its answer, and each is answered as if it had asked alone.
//!
//! Invariants: a call is shared by requests that are alike in all that goes upstream, but for what tells clients apart
//! and nothing else (`key.rs`), and of one proven identity; an answer is given to several only if it may be, and is
//! whole in memory; one that may not is one request's, and the others ask for themselves. The call has the route's own
//! time, and lives as long as anybody waits for it: who leaves harms nobody, and the last one takes the call along.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use http::HeaderMap;
use http::uri::PathAndQuery;

use super::call::{Call, Called, called};
use super::key;
use super::landed::{Landed, What, land};
use crate::algorithms::joint_work::{Joined, JointWork};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::response_body::{Answer, Behind};
use crate::telemetry::metrics::CoalesceResult;
use crate::telemetry::recorder::Calls;
use crate::timer::{Wait, Watch};

/// Calls of a worker that can be joined at once; a request that finds no room asks for itself.
const MOST: usize = 1024;
/// Without a time of the route's, a call can be joined for so long.
const OLDEST: Duration = Duration::from_secs(5);
/// Who waits does so for a little longer than the call may take, so that it is the call that is late: then its
/// endpoint's breaker hears of it, and a fallback is given.
const GRACE: Duration = Duration::from_millis(20);

type Landing<N> = Shared<Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>>>;
type Key = Box<[u8]>;

/// What those who wait for a call have of it.
#[derive(Clone)]
struct Flight<N: Network> {
    landing: Landing<N>,
    /// Its answer's head has come: the time until then is over, and was kept.
    has_head: Arc<AtomicBool>,
    /// What is noted of it.
    notes: Calls,
}

/// Calls of a worker that can be joined.
pub struct Flights<N: Network>(Mutex<JointWork<Key, Flight<N>>>);

impl<N: Network> Default for Flights<N> {
    fn default() -> Self {
        Self(Mutex::new(JointWork::new(MOST)))
    }
}

/// What a request comes to that may share a call.
pub enum Turn<N: Network> {
    /// It asks for itself.
    Alone,
    /// An answer that several get.
    Given(ResponseHead, Bytes),
    /// The call's answer, for this one alone; these bytes of its body have been read.
    Taken(Box<(Answer<N>, Behind)>),
    /// This request's own time is up; the call goes on for others.
    Late,
    /// The call failed; the last one says whether the route's fixed answer is given in its place.
    Failed(Box<GatewayError>, bool),
}

impl<N: Network> Flights<N> {
    /// Requests that wait for calls which can be joined.
    pub fn waiting(&self) -> usize {
        self.with(|flights| flights.waiting())
    }

    fn with<T>(&self, look: impl FnOnce(&mut JointWork<Key, Flight<N>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One who waits.
struct Seat<'a, N: Network> {
    flights: &'a Flights<N>,
    key: Key,
    number: u64,
}

impl<N: Network> Drop for Seat<'_, N> {
    fn drop(&mut self) {
        // What is given up is dropped when nobody holds the table.
        let given_up = self.flights.with(|flights| flights.leave(&self.key, self.number));
        drop(given_up);
    }
}

/// Joins the call that this request may share, or begins it, and waits for its answer. `send` makes calls.
pub async fn share<N, F>(
    exchange: &mut Exchange<N>,
    headers: &HeaderMap,
    target: &PathAndQuery,
    send: impl FnOnce(Call<N>) -> F + Send + 'static,
) -> Turn<N>
where
    N: Network,
    F: Future<Output = Called<N>> + Send + 'static,
{
    if key::is_for_itself(headers) {
        return Turn::Alone;
    }
    let shard = Arc::clone(&exchange.shard);
    let (now, key) = (exchange.now(), key::of(exchange, headers, target));
    let given = exchange.route().and_then(|route| route.settings.timeout);
    // One that is nearly out of time says little to who has just come.
    let oldest = given.map_or(OLDEST, |given| given / 2);
    let begin = || {
        let notes = Calls::shared();
        let (exchange, headers) = (exchange.shared_call(&notes), headers.clone());
        let call = Call { exchange, headers, target: target.clone(), body: RequestBody::Empty };
        let has_head = Arc::<AtomicBool>::default();
        let landing: Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>> =
            Box::pin(fly(call, Arc::clone(&has_head), send));
        Flight { landing: landing.shared(), has_head, notes }
    };
    let (joined, old) = shard.flights.with(|flights| flights.join(&key, now, oldest, begin));
    drop(old);
    let (number, flight, is_first) = match joined {
        Joined::First(number, flight) => (number, flight, true),
        Joined::Another(number, flight) => (number, flight, false),
        Joined::Full => {
            exchange.count_coalesced(CoalesceResult::Full);
            return Turn::Alone;
        }
    };
    let seat = Seat { flights: &shard.flights, key, number };
    exchange.upstream_began = Some(now);
    let Flight { landing, has_head, notes } = flight;
    exchange.calls = Some(notes.waited_for(is_first));
    let Some(landed) = wait(exchange, landing, || has_head.load(Ordering::Relaxed)).await else {
        exchange.count_coalesced(CoalesceResult::Late);
        return Turn::Late;
    };
    let done = shard.flights.with(|flights| flights.done(&seat.key, seat.number));
    drop(done);
    drop(seat);
    take(exchange, &landed, is_first)
}

/// Waits for what several wait for, for as long as this request has time; or to its end where `is_in_time` says, once
/// that time is over, that what it was given for has come.
pub(super) async fn wait<N: Network, T: Clone>(
    exchange: &Exchange<N>,
    mut flight: Shared<Pin<Box<dyn Future<Output = T> + Send>>>,
    is_in_time: impl Fn() -> bool,
) -> Option<T> {
    let deadlines = &exchange.connection.deadlines;
    if !exchange.hurried {
        let patience = exchange.timeout.map(|timeout| timeout + GRACE);
        deadlines.set_since(Wait::Exchange, exchange.since, patience);
    }
    poll_fn(|cx| match Pin::new(&mut flight).poll(cx) {
        Poll::Ready(landed) => Poll::Ready(Some(landed)),
        Poll::Pending if deadlines.has_expired(Wait::Exchange) && !is_in_time() => Poll::Ready(None),
        Poll::Pending => {
            exchange.answer_roll_call(None);
            Poll::Pending
        }
    })
    .await
}

/// What a request is told whose time was up first.
pub(super) fn late() -> Box<GatewayError> {
    Box::new(GatewayError::new(Code::UpstreamTimeout, "The upstream did not answer in time."))
}

/// This request's part of what came.
fn take<N: Network>(exchange: &mut Exchange<N>, landed: &Landed<N>, is_first: bool) -> Turn<N> {
    let result = if is_first { CoalesceResult::Began } else { CoalesceResult::Shared };
    let turn = match &landed.what {
        What::Whole(head, body) => Turn::Given(head.clone(), body.clone()),
        What::Failed(problem, covered) => Turn::Failed(Box::new(problem.again()), *covered),
        What::One(one) => match one.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(taken) => Turn::Taken(taken),
            // It has no time left to ask for itself.
            None if exchange.is_out_of_time(exchange.now()) => {
                exchange.count_coalesced(CoalesceResult::Late);
                return Turn::Late;
            }
            None => {
                exchange.count_coalesced(CoalesceResult::Unshared);
                exchange.calls = None;
                // What it has waited for was another one's call.
                let began = exchange.upstream_began.take().unwrap_or(exchange.started);
                exchange.awaited += exchange.now().saturating_duration_since(began);
                return Turn::Alone;
            }
        },
    };
    exchange.connection.deadlines.clear(Wait::Exchange);
    exchange.count_coalesced(result);
    if let Some(call) = &landed.exchange {
        exchange.came_by(call, is_first, !matches!(turn, Turn::Failed(..)));
    }
    turn
}

/// The call itself.
async fn fly<N, F>(call: Call<N>, has_head: Arc<AtomicBool>, send: impl FnOnce(Call<N>) -> F) -> Arc<Landed<N>>
where
    N: Network,
    F: Future<Output = Called<N>>,
{
    let shard = Arc::clone(&call.exchange.shard);
    let mut watch = Watch::new(Arc::clone(&call.exchange.connection.deadlines));
    let landing = async {
        let Called { exchange, answer, covered } = called(send(call), &mut watch).await;
        let what = match answer {
            Ok(answer) => {
                has_head.store(true, Ordering::Relaxed);
                land(&exchange, answer).await
            }
            Err(problem) => What::Failed(problem, covered),
        };
        Landed { exchange: Some(exchange), what }
    };
    // A bug costs those who wait this answer, and no more than this one: who comes next begins anew.
    let landed = AssertUnwindSafe(landing).catch_unwind().await.unwrap_or_else(|_| {
        shard.shared.metrics.gateway().panicked();
        let problem = GatewayError::new(Code::Internal, "The gateway met a bug.");
        Landed { exchange: None, what: What::Failed(Box::new(problem), false) }
    });
    Arc::new(landed)
}
