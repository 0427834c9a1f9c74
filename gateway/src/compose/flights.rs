//! Identical requests that share one call (`coalesce`): whoever asks first begins it, who asks for the same meanwhile
//! waits for its answer, and each is answered as if it had asked alone.
//!
//! Invariants: a call is shared by requests that are alike in all that goes upstream, but for what tells clients apart
//! and nothing else (`key.rs`), and of one proven identity; an answer is given to several only if it may be, and is
//! whole in memory; one that may not is one request's, and the others ask for themselves. The call has the route's own
//! time, and lives as long as anybody waits for it: who leaves harms nobody, and the last one takes the call along.
//!
//! Each worker has its own table of those who wait, and one of them makes the call for all (`all_flights.rs`). Its work
//! is done by that worker alone: by whoever waits there, or by a task once only others wait.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Shared;

use super::all_flights::{AllFlights, Course, Key, Place};
use super::call::{Call, Called, called};
use super::key;
use super::landed::{Landed, What, land};
use crate::algorithms::joint_work::{Joined, JointWork};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::response_body::{Answer, Behind};
use crate::telemetry::metrics::CoalesceResult;
use crate::telemetry::recorder::Calls;
use crate::timer::{Wait, Watch};

/// Calls that those of a worker can wait for at once; a request that finds no room asks for itself.
const MOST: usize = 1024;
/// Without a time of the route's, a call can be joined for so long.
const OLDEST: Duration = Duration::from_secs(5);
/// Who waits does so for a little longer than the call may take, so that it is the call that is late: then its
/// endpoint's breaker hears of it, and a fallback is given.
const GRACE: Duration = Duration::from_millis(20);

type Landing<N> = Shared<Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>>>;

/// What those of a worker who wait for a call have of it.
struct Flight<N: Network> {
    landing: Landing<N>,
    awaited: Arc<Mutex<Awaited<N>>>,
}

/// Which call they wait for: it is another one once that is given up which was another worker's.
#[derive(Clone)]
struct Awaited<N: Network> {
    course: Arc<Course<N>>,
    /// Their own worker makes it.
    is_own: bool,
}

/// What a worker has to know to make a call after all.
struct Terms {
    key: Key,
    /// When the call begins that they make if nobody does.
    began: Instant,
    /// So old a call is joined no more.
    oldest: Duration,
    notes: Calls,
}

type Table<N> = JointWork<Key, Arc<Flight<N>>>;

/// Calls that those of a worker wait for and can join.
pub struct Flights<N: Network>(Mutex<Table<N>>);

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

    fn with<T>(&self, look: impl FnOnce(&mut Table<N>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<N: Network> Flight<N> {
    /// Begins a call on behalf of this request and of who joins it, or follows that of another worker. Says too when
    /// the call began.
    fn begin<F>(
        exchange: &Exchange<N>,
        (headers, target): (&RequestFields, &PathQuery),
        (key, now, oldest): (&Key, Instant, Duration),
        send: impl FnOnce(Call<N>) -> F + Send + 'static,
    ) -> (Arc<Self>, Instant)
    where
        F: Future<Output = Called<N>> + Send + 'static,
    {
        let terms = Terms { key: Arc::clone(key), began: now, oldest, notes: Calls::shared() };
        let (exchange, headers) = (exchange.shared_call(&terms.notes), headers.clone());
        let place = terms.place(&exchange.shard.shared.flights, now);
        let call = Call { exchange, headers, target: target.clone(), body: RequestBody::Empty };
        let (began, awaited) = (place.course().began, Arc::new(Mutex::new(Awaited::of(&place))));
        let landing: Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>> =
            Box::pin(fly(call, (terms, place), Arc::clone(&awaited), send));
        (Arc::new(Self { landing: landing.shared(), awaited }), began)
    }

    /// Which call is waited for by now.
    fn awaited(&self) -> Awaited<N> {
        lock(&self.awaited).clone()
    }
}

impl<N: Network> Drop for Flight<N> {
    /// Of this worker nobody waits any more. Where others' do, the call goes on for them.
    fn drop(&mut self) {
        let Awaited { course, is_own } = self.awaited();
        if !is_own || !course.is_followed() {
            return;
        }
        // Where the worker itself ends, the call is given up, and one of those who follow it makes another.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let landing = self.landing.clone();
        runtime.spawn(async move {
            tokio::select! {
                biased;
                _ = landing => {}
                () = course.is_left() => {}
            }
        });
    }
}

impl<N: Network> Awaited<N> {
    fn of(place: &Place<N>) -> Self {
        Self { course: Arc::clone(place.course()), is_own: matches!(place, Place::Leads(_)) }
    }
}

impl Terms {
    /// Makes the call, or follows who does.
    fn place<N: Network>(&self, all: &AllFlights<N>, now: Instant) -> Place<N> {
        all.join(&self.key, (now, self.oldest), Course::new(self.began, self.notes.clone()))
    }
}

fn lock<N: Network>(awaited: &Mutex<Awaited<N>>) -> MutexGuard<'_, Awaited<N>> {
    awaited.lock().unwrap_or_else(PoisonError::into_inner)
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
    headers: &RequestFields,
    target: &PathQuery,
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
    let (now, key) = (exchange.now(), Key::from(key::of(exchange, headers, target)));
    let given = exchange.route().and_then(|route| route.settings.timeout);
    // One that is nearly out of time says little to who has just come.
    let oldest = given.map_or(OLDEST, |given| given / 2);
    let begin = || Flight::begin(exchange, (headers, target), (&key, now, oldest), send);
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
    exchange.upstream_began = Some(shard.shared.clock.moment(now));
    // Who is the first of a worker that follows another one's call has joined that one.
    let began = |awaited: &Awaited<N>| is_first && awaited.is_own;
    let awaited = flight.awaited();
    exchange.calls = Some(awaited.course.notes.waited_for(began(&awaited)));
    let landed = wait(exchange, flight.landing.clone(), || flight.awaited().course.has_head()).await;
    let awaited = flight.awaited();
    exchange.calls = Some(awaited.course.notes.waited_for(began(&awaited)));
    let Some(landed) = landed else {
        exchange.count_coalesced(CoalesceResult::Late);
        return Turn::Late;
    };
    let done = shard.flights.with(|flights| flights.done(&seat.key, seat.number));
    drop(done);
    drop(seat);
    take(exchange, &landed, began(&awaited))
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
    Box::new(GatewayError::upstream_late())
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
                let began = exchange.upstream_began.take().map_or(exchange.started, |began| began.at);
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

/// The call itself; or the end of another worker's, and the call only where that one is given up.
async fn fly<N, F>(
    mut call: Call<N>,
    (mut terms, mut place): (Terms, Place<N>),
    awaited: Arc<Mutex<Awaited<N>>>,
    send: impl FnOnce(Call<N>) -> F,
) -> Arc<Landed<N>>
where
    N: Network,
    F: Future<Output = Called<N>>,
{
    let shard = Arc::clone(&call.exchange.shard);
    let lead = loop {
        let following = match place {
            Place::Leads(lead) => break lead,
            Place::Follows(following) => following,
        };
        if let Some(landed) = following.end().await {
            return landed;
        }
        // A call that begins now is as old as it is, however long those have waited who make it.
        terms.began = shard.shared.clock.now();
        place = terms.place(&shard.shared.flights, terms.began);
        *lock(&awaited) = Awaited::of(&place);
        call.exchange.is_needed_late();
    };
    let mut watch = Watch::new(Arc::clone(&call.exchange.connection.deadlines));
    let landing = async {
        let Called { exchange, answer, covered } = called(send(call), &mut watch).await;
        let what = match answer {
            Ok(answer) => {
                lead.course().head_came();
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
    let landed = Arc::new(landed);
    lead.tell(&landed);
    landed
}
