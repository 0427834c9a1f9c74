//! One worker's way to a store: what its requests ask at the same moment travels together.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture, Shared};
use redis::{ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::flow::{Flow, Load};
use super::link::Link;
use super::script::Call;
use super::{Store, patience};
use crate::algorithms::send_window;
use crate::config::settings::store::Servers;

/// Calls that may wait for a worker's connection; beyond them the store counts as too slow.
pub(super) const WAITING: usize = 4096;
/// Calls that travel together.
const TOGETHER: usize = 256;
/// Round trips under way at once.
const UNDER_WAY: usize = 8;
/// Round trips whose time is up, of which it is still heard what came.
const UNDER_WAY_LATE: usize = 64;
/// How long it is listened for that.
pub(super) const LATE: Duration = Duration::from_secs(10);

/// A connection, the generation that it is of, and what is under way on it.
#[derive(Clone)]
struct Connection {
    link: Link,
    generation: u32,
    flow: Arc<Flow>,
}

impl Connection {
    fn new(link: Link, generation: u32) -> Self {
        Self { link, generation, flow: Flow::new(UNDER_WAY * TOGETHER) }
    }
}

/// What a trip brings: the connection, and an answer for each call.
type Back = (Connection, Vec<Result<Vec<i64>, String>>);

/// A connection that is being made: for all who wait for it.
type Making = Shared<BoxFuture<'static, RedisResult<Connection>>>;

/// How a trip gets its connection.
enum Way {
    /// One that is there.
    Kept(Connection),
    /// One that will be.
    Made(Making),
}

/// Who waits for an answer. When it is dropped there is none.
type Answer = oneshot::Sender<Result<Vec<i64>, Down>>;

/// The store has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down;

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Ask {
    call: Call,
    until: Instant,
    answer: Answer,
}

impl Ask {
    /// A call, and where its answer comes. Until then it has to be answered.
    pub fn new(call: Call, until: Instant) -> (Self, oneshot::Receiver<Result<Vec<i64>, Down>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { call, until, answer }, receiver)
    }
}

/// Carries calls until nobody can ask any more. Runs on the worker's own runtime.
pub(super) async fn run(store: Weak<Store>, worker: usize, mut asked: mpsc::Receiver<Ask>) {
    let (mut kept, mut making, mut trips) = (None::<Connection>, None::<Making>, JoinSet::new());
    let late = Arc::new(Semaphore::new(UNDER_WAY_LATE));
    let mut waiting = Vec::with_capacity(TOGETHER);
    let mut is_first = true;
    loop {
        // While there is no connection, one trip alone waits for it, and finds out for all.
        let most = if kept.is_some() { UNDER_WAY } else { 1 };
        let room = kept.as_ref().map_or(send_window::FIRST, |kept| kept.flow.room()).min(TOGETHER);
        let more = tokio::select! {
            biased;
            Some(ended) = trips.join_next(), if !trips.is_empty() => {
                // What a trip ended with is what the next one takes: a connection that failed is of no use.
                kept = match ended {
                    Ok(Ok(good)) => Some(good),
                    // Another one may have been made meanwhile.
                    Ok(Err(Some(bad))) => kept.filter(|kept| !Arc::ptr_eq(&kept.flow, &bad)),
                    Ok(Err(None)) | Err(_) => None,
                };
                continue;
            }
            // Nobody may have waited so long; who comes next has it.
            Some(made) = OptionFuture::from(making.clone()) => {
                (kept, making) = (made.ok().or(kept), None);
                continue;
            }
            more = asked.recv_many(&mut waiting, room), if trips.len() < most && room > 0 => more,
        };
        let Some(store) = store.upgrade().filter(|_| more > 0) else { return };
        let mut asks = std::mem::take(&mut waiting);
        // Whoever has waited for so long that no answer would come in time is told so, and not asked for any more.
        let soonest = store.now() + store.usually_takes(worker);
        asks.retain(|ask| ask.until > soonest);
        // A store that died since they were asked is not tried again and again. Who asked learns it by what is dropped.
        if asks.is_empty() || !store.health.is_up() {
            continue;
        }
        // A connection from before the store died is as dead as it was.
        kept = kept.filter(|kept| store.health.has_lived_since(kept.generation));
        let way = match &kept {
            Some(kept) => Way::Kept(kept.clone()),
            None => Way::Made(
                making
                    .get_or_insert_with(|| make(Arc::clone(&store), !std::mem::replace(&mut is_first, false)))
                    .clone(),
            ),
        };
        // From here on they are under way, so that the next ones find no room that is taken.
        let load = kept.as_ref().map(|kept| kept.flow.depart(asks.len(), store.now_ns()));
        trips.spawn(travel((store, worker), (way, load), asks, Arc::clone(&late)));
    }
}

/// Makes a connection in a task of its own, which lasts as long as that may take, whoever waits for it. One that is
/// made in place of another goes to a store that may have been away meanwhile.
fn make(store: Arc<Store>, again: bool) -> Making {
    let made = tokio::spawn(async move {
        let link = connect(&store).await?;
        if again {
            store.health.came_back(store.now());
        }
        Ok(Connection::new(link, store.health.generation()))
    });
    async move { made.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into())) }.boxed().shared()
}

async fn connect(store: &Store) -> RedisResult<Link> {
    let connecting = Link::connect(&store.settings, store.settings.command_timeout.max(LATE));
    let late = || Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no connection in time").into());
    // A cluster's client waits for each of its nodes before it asks one where everything is.
    let rounds = if matches!(store.settings.servers, Servers::Cluster(_)) { 2 } else { 1 };
    tokio::time::timeout(rounds * store.settings.connect_timeout, connecting).await.unwrap_or_else(|_| late())
}

/// One round trip. The connection that is good for the next one; or, of one that is not, what was under way on it.
///
/// It is judged by the time since it left: who has waited for long before it leaves says nothing about the store.
async fn travel(
    (store, worker): (Arc<Store>, usize),
    (way, load): (Way, Option<Load>),
    asks: Vec<Ask>,
    late: Arc<Semaphore>,
) -> Result<Connection, Option<Arc<Flow>>> {
    let (generation, may_take) = (store.health.generation(), store.settings.command_timeout);
    let (calls, asks): (Vec<Call>, Vec<Answer>) = asks.into_iter().map(|ask| (ask.call, ask.answer)).unzip();
    let under_way = store.silence(worker).departed(store.now_ns());
    let mut trip = Box::pin(there_and_back(Arc::clone(&store), way, calls));
    let (mut until, mut is_late) = (store.now() + may_take, false);
    let back = loop {
        if let Some(back) = patience::wait(&store, until, &mut trip).await {
            break Some(back);
        }
        let (now, load) = (store.now_ns(), load.as_ref());
        if let Some(load) = load.filter(|_| !is_late) {
            load.are_late(now, may_take);
        }
        is_late = true;
        let patience = load.map_or(Duration::ZERO, |load| load.patience(now, may_take));
        if patience.is_zero() {
            break None;
        }
        until = store.now() + patience;
    };
    if matches!(back, Some(Ok(_))) && !is_late {
        under_way.answered(store.now_ns());
        if let Some(load) = &load {
            load.answered(store.now_ns(), may_take);
        }
    } else {
        drop(under_way);
    }
    let arrived = match back {
        Some(back) => arrive(&store, generation, back, asks),
        None => {
            store.health.failed(generation, "no answer in time");
            // The server may do yet what it was told. Who asked has gone on, and wants to know what came of it.
            if let Ok(place) = late.try_acquire_owned() {
                tokio::spawn(come_late(store, trip, asks, place));
            }
            None
        }
    };
    arrived.ok_or_else(|| load.map(|load| Arc::clone(load.flow())))
}

/// Waits on for a trip whose time is up. An answer speaks for the store's being well again.
async fn come_late(
    store: Arc<Store>,
    trip: impl Future<Output = RedisResult<Back>>,
    asks: Vec<Answer>,
    _place: OwnedSemaphorePermit,
) {
    if let Ok(Ok((_connection, answers))) = tokio::time::timeout(LATE, trip).await
        && tell(asks, answers).is_none()
    {
        store.health.answered_late();
    }
}

/// What came back from a trip is told to who asked, and to those who judge the store.
fn arrive(store: &Store, generation: u32, back: RedisResult<Back>, asks: Vec<Answer>) -> Option<Connection> {
    match back.map(|(connection, answers)| (connection, tell(asks, answers))) {
        Ok((connection, None)) => {
            store.health.answered(generation);
            Some(connection)
        }
        // It speaks, but cannot do what it is for: a replica, a server that loads its data, one that is full.
        Ok((_, Some(error))) => {
            store.health.failed(generation, &error);
            None
        }
        // Dropped with the closure: who asked learns that there is no answer.
        Err(error) => {
            store.health.failed(generation, &error.to_string());
            None
        }
    }
}

/// Tells answers to who asked, who may have left; the last that is none.
fn tell(asks: Vec<Answer>, answers: Vec<Result<Vec<i64>, String>>) -> Option<String> {
    let mut wrong = None;
    for (ask, answer) in asks.into_iter().zip(answers) {
        let answer = answer.map_err(|error| {
            wrong = Some(error);
            Down
        });
        let _ = ask.send(answer);
    }
    wrong
}

/// Calls on a connection that is kept, or on a new one. One that was kept may have been closed since: then once more on
/// a new one. At worst a request pays twice.
async fn there_and_back(store: Arc<Store>, way: Way, calls: Vec<Call>) -> RedisResult<Back> {
    let mut connection = match way {
        Way::Kept(mut kept) => match call(&mut kept.link, &calls, store.health.there_for()).await {
            Ok(answers) => return Ok((kept, answers)),
            Err(error) if error.is_timeout() || !error.is_unrecoverable_error() => return Err(error),
            Err(_closed) => {
                let link = connect(&store).await?;
                store.health.came_back(store.now());
                Connection::new(link, store.health.generation())
            }
        },
        Way::Made(making) => making.await?,
    };
    let answers = call(&mut connection.link, &calls, store.health.there_for()).await?;
    Ok((connection, answers))
}

/// Calls scripts of a store that is there for so long, nanoseconds. One that the store has not seen, or forgot, is sent
/// to it once, and nobody is told.
pub(super) async fn call(
    link: &mut Link,
    calls: &[Call],
    there_for: u64,
) -> RedisResult<Vec<Result<Vec<i64>, String>>> {
    let commands: Vec<_> = calls.iter().map(|call| call.command(false, there_for)).collect();
    let mut answers = link.send(&commands).await?;
    let unknown: Vec<usize> = (0..answers.len()).filter(|at| is_unknown(&answers[*at])).collect();
    if !unknown.is_empty() {
        // It has forgotten its scripts, and may have forgotten more.
        let commands: Vec<_> = unknown.iter().map(|at| calls[*at].command(true, 0)).collect();
        for (at, answer) in unknown.into_iter().zip(link.send(&commands).await?) {
            answers[at] = answer;
        }
    }
    Ok(answers.into_iter().map(numbers).collect())
}

fn is_unknown(answer: &RedisResult<Value>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

fn numbers(answer: RedisResult<Value>) -> Result<Vec<i64>, String> {
    match answer.map_err(|error| error.to_string())? {
        Value::Int(number) => Ok(vec![number]),
        Value::Array(values) => values
            .into_iter()
            .map(|value| if let Value::Int(number) = value { Ok(number) } else { Err("an answer of no number") })
            .collect::<Result<_, _>>()
            .map_err(str::to_owned),
        _ => Err("an answer of no numbers".to_owned()),
    }
}
