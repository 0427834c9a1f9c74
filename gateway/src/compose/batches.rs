//! Requests that become one call (`[[batches]]`): they are gathered for a window, or until there are enough of them,
//! asked for together, and each is answered with its own item.
//!
//! Invariants: requests share a call only where all that goes upstream is alike but for their ids, and what tells
//! clients apart (`key.rs`); of one proven identity, or, where the batch says so, of any, and then the call carries
//! nobody's; what is wrong with one id, or missing of it, is told to who asked for it alone. The call has as much time
//! as the last of its requests has left when it is sent, and lives as long as anybody waits for it: who leaves harms
//! nobody, and the last one takes it along.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::Notify;

use super::aggregate::Parameters;
use super::batch::Batch;
use super::call::{Call, Called, called, invalid, judge, read};
use super::flights::{late, wait};
use super::items::{Found, Items};
use super::key;
use super::stage::headers_of_parts;
use crate::algorithms::gathering::{Gathering, Joined, Left, Reason, Taken};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::shard::Shard;
use crate::telemetry::recorder::Calls;
use crate::telemetry::tracing::Value;
use crate::timer::{Wait, Watch};

/// Batches of a worker that are gathered at once; a request that finds no room is a batch of its own.
const MOST: usize = 1024;
/// What says who asks, and has no place in a call for several subjects.
const OF_ONE_SUBJECT: [http::HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

type Flight<N> = Shared<Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>>>;
type Key = Box<[u8]>;
type Table<N> = Gathering<Key, Arc<str>, Handle<N>>;

/// Batches of a worker that are gathered.
pub struct Batches<N: Network>(Mutex<Table<N>>);

impl<N: Network> Default for Batches<N> {
    fn default() -> Self {
        Self(Mutex::new(Gathering::new(MOST)))
    }
}

impl<N: Network> Batches<N> {
    /// Requests that wait in batches which have not been sent.
    pub fn waiting(&self) -> usize {
        self.with(|table| table.waiting())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Table<N>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What those who wait for a batch have of it.
#[derive(Clone)]
struct Handle<N: Network> {
    flight: Flight<N>,
    signal: Arc<Signal>,
    /// What is noted of its call.
    notes: Calls,
}

/// Tells a batch that it is to be sent, and others when it was.
#[derive(Default)]
struct Signal {
    is_due: Notify,
    sent: OnceLock<Instant>,
    /// Until when somebody waits, as far as is known.
    until: Mutex<Until>,
}

/// Until when the last of those who wait does; in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    /// Nobody waits so far.
    #[default]
    Nobody,
    /// Its time is over then; and whether that is less than the batch gives, as its client wished.
    End(Instant, bool),
    /// Somebody has all the time there is.
    Ever,
}

impl Signal {
    /// A request waits until then; for ever, if it has no time of its own.
    fn waits_until(&self, end: Option<Instant>, is_hurried: bool) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(end.map_or(Until::Ever, |end| Until::End(end, is_hurried)));
    }

    /// When the time of the last of those is over, if it ever is, and whether it is that one's own.
    fn until(&self) -> Option<(Instant, bool)> {
        match *self.until.lock().unwrap_or_else(PoisonError::into_inner) {
            Until::End(end, is_hurried) => Some((end, is_hurried)),
            Until::Nobody | Until::Ever => None,
        }
    }
}

/// What a batch came to, and its exchange, which knows the way that it took.
struct Landed<N: Network> {
    /// `None` where a bug ended the call.
    exchange: Option<Box<Exchange<N>>>,
    /// How many requests were in it.
    requests: u32,
    what: Result<Items, Box<GatewayError>>,
}

/// One who waits.
struct Seat<'a, N: Network> {
    batches: &'a Batches<N>,
    number: u64,
    id: Arc<str>,
    weight: usize,
}

impl<N: Network> Drop for Seat<'_, N> {
    fn drop(&mut self) {
        // What is given up is dropped when nobody holds the table.
        let Left { given_up, send } = self.batches.with(|table| table.leave(self.number, &self.id, self.weight));
        drop(given_up);
        tell(send);
    }
}

fn tell<N: Network>(handles: impl IntoIterator<Item = Handle<N>>) {
    handles.into_iter().for_each(|handle| handle.signal.is_due.notify_one());
}

/// A batch before it is sent.
struct Gathered<N: Network> {
    batch: Arc<Batch>,
    exchange: Box<Exchange<N>>,
    headers: RequestFields,
    /// The parameters of its first request's path.
    ranges: Box<[(u32, u32)]>,
    signal: Arc<Signal>,
    place: Place,
}

/// Where the items of a batch come from.
enum Place {
    /// From this one of the table, at this time or when it is told.
    Open(Key, u64, Instant),
    /// It is one request's.
    Alone(Arc<str>),
}

/// Gathers this request with others, and waits for its item; `params` are its parameters' ranges of the path, `send`
/// makes calls.
///
/// # Errors
/// 400 and 414 of an id that cannot be asked for, 404 of one that is not there; why the call failed.
pub async fn gather<N, F>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    params: &[(u32, u32)],
    send: impl FnOnce(Call<N>) -> F + Send + 'static,
) -> Result<Bytes, Box<GatewayError>>
where
    N: Network,
    F: Future<Output = Called<N>> + Send + 'static,
{
    let batch = exchange.route().and_then(|route| route.batch.clone());
    let batch = batch.ok_or_else(|| GatewayError::new(Code::Internal, "The route is no batch."))?;
    let id = batch.id(Parameters { path: exchange.path(), ranges: params })?;
    let (shard, weight) = (Arc::clone(&exchange.shard), batch.weight(&id));
    let (handle, number, is_first) = join(exchange, &batch, (&id, weight), headers, params, send);
    let seat = number.map(|number| Seat { batches: &shard.batches, number, id: Arc::clone(&id), weight });
    exchange.calls = Some(handle.notes.waited_for(is_first));
    let end = exchange.timeout.and_then(|timeout| exchange.started.checked_add(timeout));
    handle.signal.waits_until(end, exchange.hurried);
    // Of an answer for many, nobody has anything before all of it is there.
    let landed = wait(exchange, handle.flight, || false).await;
    // Until it was sent, it is the gateway that let the request wait.
    let sent = handle.signal.sent.get().map(|sent| (*sent).max(exchange.started));
    exchange.upstream_began = sent.map(|sent| shard.shared.clock.moment(sent));
    let Some(landed) = landed else {
        exchange.gives_up_call();
        return Err(late());
    };
    drop(seat);
    take(exchange, &landed, &id, is_first)
}

/// Joins the open batch, or begins one: what answers it, its number where others may join it too, and whether it is the
/// first.
fn join<N, F>(
    exchange: &Exchange<N>,
    batch: &Arc<Batch>,
    (id, weight): (&Arc<str>, usize),
    headers: &RequestFields,
    params: &[(u32, u32)],
    send: impl FnOnce(Call<N>) -> F + Send + 'static,
) -> (Handle<N>, Option<u64>, bool)
where
    N: Network,
    F: Future<Output = Called<N>> + Send + 'static,
{
    let headers = headers_of_call(headers.clone(), batch);
    let others = batch.others(Parameters { path: exchange.path(), ranges: params });
    let key = key::of_batch(exchange, &headers, others, batch.settings.across_subjects);
    let now = exchange.now();
    let begin = |number: Option<u64>| {
        let place = match number {
            Some(number) => Place::Open(key.clone(), number, now + batch.terms.window),
            None => Place::Alone(Arc::clone(id)),
        };
        let notes = Calls::shared();
        let call = exchange.call_for_many(&batch.settings, &notes);
        let signal = Arc::<Signal>::default();
        let gathered = Gathered {
            batch: Arc::clone(batch),
            exchange: call,
            headers,
            ranges: params.into(),
            signal: Arc::clone(&signal),
            place,
        };
        let flight: Pin<Box<dyn Future<Output = Arc<Landed<N>>> + Send>> = Box::pin(fly(gathered, send));
        Handle { flight: flight.shared(), signal, notes }
    };
    let joined = exchange.shard.batches.with(|table| table.join(&key, (id, weight), (&batch.terms, now), begin));
    match joined {
        Ok(Joined { number, value, is_first, is_merged, send }) => {
            if is_merged {
                batch.series.merged(exchange.shard.index);
            }
            tell(send);
            (value, Some(number), is_first)
        }
        Err(begin) => (begin(None), None, true),
    }
}

/// This request's part of what came.
fn take<N: Network>(
    exchange: &mut Exchange<N>,
    landed: &Landed<N>,
    id: &str,
    is_first: bool,
) -> Result<Bytes, Box<GatewayError>> {
    exchange.connection.deadlines.clear(Wait::Exchange);
    exchange.batch_size = Some(landed.requests);
    if let Some(call) = &landed.exchange {
        exchange.came_by(call, is_first, landed.what.is_ok());
    }
    match landed.what.as_ref().map(|items| items.get(id)) {
        Ok(Found::Item(item)) => Ok(item),
        Ok(Found::Missing) => {
            Err(Box::new(GatewayError::new(Code::ItemNotFound, "The upstream has no item of this id.")))
        }
        Ok(Found::Twice) => {
            Err(Box::new(GatewayError::new(Code::UpstreamInvalid, "The upstream has two items of this id.")))
        }
        Err(problem) => Err(Box::new(problem.again())),
    }
}

/// The batch itself: waits until it is to be sent, and makes the call.
async fn fly<N, F>(gathered: Gathered<N>, send: impl FnOnce(Call<N>) -> F) -> Arc<Landed<N>>
where
    N: Network,
    F: Future<Output = Called<N>>,
{
    let Gathered { batch, mut exchange, headers, ranges, signal, place } = gathered;
    let mut span = exchange.open_batch();
    let shard = Arc::clone(&exchange.shard);
    let (taken, _under_way) = closed(&shard, place, &signal).await;
    let _ = signal.sent.set(exchange.now());
    exchange.has_until(signal.until());
    batch.series.sent(shard.index, taken.requests, taken.reason);
    let requests = u32::try_from(taken.requests).unwrap_or(u32::MAX);
    let asking = ask(&batch, exchange, (headers, &ranges), taken.ids, send);
    // A bug costs those who are in it this answer, and no more than this one.
    let landed = AssertUnwindSafe(asking).catch_unwind().await;
    let (exchange, what) = landed.unwrap_or_else(|_| {
        shard.shared.metrics.gateway().panicked();
        (None, Err(Box::new(GatewayError::new(Code::Internal, "The gateway met a bug."))))
    });
    if let Some(span) = &mut span {
        span.came_to(what.is_err(), ("gateway.batch_size", Value::number(requests)));
    }
    Arc::new(Landed { exchange, requests, what })
}

/// What is sent.
struct Sent {
    ids: Vec<Arc<str>>,
    requests: usize,
    reason: Reason,
}

/// Waits until the batch takes no more.
async fn closed<'a, N: Network>(shard: &'a Shard<N>, place: Place, signal: &Signal) -> (Sent, Option<UnderWay<'a, N>>) {
    let (key, number, due) = match place {
        Place::Open(key, number, due) => (key, number, due),
        // There was no room for it to wait in.
        Place::Alone(id) => return (Sent { ids: vec![id], requests: 1, reason: Reason::Full }, None),
    };
    loop {
        let now = shard.shared.clock.now();
        if let Some(taken) = shard.batches.with(|table| table.take(number, now)) {
            let Taken { items: ids, requests, reason, value } = taken;
            drop(value);
            return (Sent { ids, requests, reason }, Some(UnderWay { batches: &shard.batches, key }));
        }
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = signal.is_due.notified() => {}
        }
    }
}

/// A call that is under way; what was gathered meanwhile may be sent once it is not.
struct UnderWay<'a, N: Network> {
    batches: &'a Batches<N>,
    key: Key,
}

impl<N: Network> Drop for UnderWay<'_, N> {
    fn drop(&mut self) {
        let next = self.batches.with(|table| table.done(&self.key));
        tell(next);
    }
}

type Landing<N> = (Option<Box<Exchange<N>>>, Result<Items, Box<GatewayError>>);

/// Makes the call, and takes its answer apart.
async fn ask<N, F>(
    batch: &Batch,
    mut exchange: Box<Exchange<N>>,
    (headers, ranges): (RequestFields, &[(u32, u32)]),
    ids: Vec<Arc<str>>,
    send: impl FnOnce(Call<N>) -> F,
) -> Landing<N>
where
    N: Network,
    F: Future<Output = Called<N>>,
{
    let Ok((target, body)) = batch.request(Parameters { path: exchange.path(), ranges }, &ids) else {
        let problem = GatewayError::new(Code::BadRequest, "The path cannot be asked for.");
        return (Some(exchange), Err(Box::new(problem)));
    };
    (exchange.uri, exchange.path) = (target.clone().into(), None);
    let (deadlines, clock) = (Arc::clone(&exchange.connection.deadlines), exchange.shard.shared.clock.clone());
    let rules = Arc::clone(&exchange.snapshot.header_rules);
    let body = RequestBody::whole(body, Arc::clone(&deadlines), clock, rules);
    let mut watch = Watch::new(deadlines);
    let called = called(send(Call { exchange, headers, target, body }), &mut watch).await;
    let Called { exchange, answer, .. } = called;
    let most = batch.settings.max_response;
    let read = match answer.and_then(|answer| judge(answer, &exchange, most)) {
        Ok(source) => read(&exchange, source, most, &mut watch).await,
        Err(problem) => Err(problem),
    };
    let what = read.and_then(|body| {
        Items::of(body, &batch.settings, ids).ok_or_else(|| invalid("it has no array of items where it should be"))
    });
    (Some(exchange), what.map_err(for_all))
}

/// A call's failure as each of those is told who wait for it. A status that says who asks, how often, or that the
/// upstream is at fault is each one's; any other is about the call, which none of them wrote.
fn for_all(mut problem: Box<GatewayError>) -> Box<GatewayError> {
    problem.detail = format!("The call for all items failed. {}", problem.detail).into();
    if problem.code == Code::PartFailed {
        problem.code = Code::BatchFailed;
        let passes = |status: StatusCode| status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 429);
        problem.part = problem.part.take().filter(|part| part.status.is_some_and(passes));
    }
    problem
}

/// What the call is sent of a client's headers.
fn headers_of_call(headers: RequestFields, batch: &Batch) -> RequestFields {
    let mut headers = headers_of_parts(headers);
    if batch.settings.across_subjects {
        headers.retain(|name, _| !OF_ONE_SUBJECT.iter().any(|own| own.as_str().as_bytes() == name));
    }
    if !batch.settings.body.is_empty() {
        headers.insert(&header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers
}
