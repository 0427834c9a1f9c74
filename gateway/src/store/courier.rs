//! One worker's way to a store: what its requests ask at the same moment travels together.

use std::sync::{Arc, Weak};
use std::time::Instant;

use redis::{ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Store;
use super::link::Link;
use super::script::Call;

/// Calls that may wait for a worker's connection; beyond them the store counts as too slow.
pub(super) const WAITING: usize = 4096;
/// Calls that travel together.
const TOGETHER: usize = 256;
/// Round trips under way at once.
const UNDER_WAY: usize = 8;

/// The store has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Down;

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Ask {
    call: Call,
    until: Instant,
    answer: oneshot::Sender<Result<Vec<i64>, Down>>,
}

impl Ask {
    /// A call, and where its answer comes. Until then it has to be answered.
    pub fn new(call: Call, until: Instant) -> (Self, oneshot::Receiver<Result<Vec<i64>, Down>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { call, until, answer }, receiver)
    }
}

/// Carries calls until nobody can ask any more. Runs on the worker's own runtime.
pub(super) async fn run(store: Weak<Store>, mut asked: mpsc::Receiver<Ask>) {
    let (mut link, mut trips) = (None::<(Link, u32)>, JoinSet::new());
    let mut waiting = Vec::with_capacity(TOGETHER);
    loop {
        // While there is no connection, one trip alone makes it; others would make as many.
        let most = if link.is_some() { UNDER_WAY } else { 1 };
        let more = tokio::select! {
            biased;
            Some(ended) = trips.join_next(), if !trips.is_empty() => {
                // What a trip ended with is what the next one takes: a connection that failed is of no use.
                link = ended.unwrap_or(None);
                continue;
            }
            more = asked.recv_many(&mut waiting, TOGETHER), if trips.len() < most => more,
        };
        let Some(store) = store.upgrade().filter(|_| more > 0) else { return };
        let asks = std::mem::replace(&mut waiting, Vec::with_capacity(TOGETHER));
        // A store that died since they were asked is not tried again and again.
        if !store.health.is_up() {
            refuse(asks);
            continue;
        }
        // A connection from before the store died is as dead as it was.
        link = link.filter(|(_, generation)| *generation == store.health.generation());
        trips.spawn(travel(store, link.clone(), asks));
    }
}

fn refuse(asks: Vec<Ask>) {
    for ask in asks {
        let _ = ask.answer.send(Err(Down));
    }
}

/// One round trip. The connection that is good for the next one, and the generation that it is of.
async fn travel(store: Arc<Store>, kept: Option<(Link, u32)>, asks: Vec<Ask>) -> Option<(Link, u32)> {
    let generation = store.health.generation();
    let until = asks.iter().map(|ask| ask.until).min().unwrap_or_else(|| store.now());
    let calls: Vec<&Call> = asks.iter().map(|ask| &ask.call).collect();
    let trip = tokio::time::timeout_at(until.into(), there_and_back(&store, kept.map(|(link, _)| link), &calls)).await;
    let (link, answers) = match trip {
        Ok(Ok(back)) => back,
        Ok(Err(error)) => {
            store.health.failed(generation, &error.to_string());
            refuse(asks);
            return None;
        }
        Err(_late) => {
            store.health.failed(generation, "no answer in time");
            refuse(asks);
            return None;
        }
    };
    let mut wrong = None;
    for (ask, answer) in asks.into_iter().zip(answers) {
        let answer = answer.map_err(|error| {
            wrong = Some(error);
            Down
        });
        // Who asked may have left.
        let _ = ask.answer.send(answer);
    }
    match wrong {
        None => {
            store.health.answered(generation);
            Some((link, generation))
        }
        // It speaks, but cannot do what it is for: a replica, a server that loads its data, one that is full.
        Some(error) => {
            store.health.failed(generation, &error);
            None
        }
    }
}

/// Calls on a connection that is kept, or on a new one. One that was kept may have been closed since: then once more on
/// a new one. At worst a request pays twice.
async fn there_and_back(
    store: &Store,
    kept: Option<Link>,
    calls: &[&Call],
) -> RedisResult<(Link, Vec<Result<Vec<i64>, String>>)> {
    if let Some(mut link) = kept {
        match call(&mut link, calls).await {
            Ok(answers) => return Ok((link, answers)),
            Err(error) if error.is_timeout() || !error.is_unrecoverable_error() => return Err(error),
            Err(_closed) => {}
        }
    }
    let mut link = Link::connect(&store.settings).await?;
    let answers = call(&mut link, calls).await?;
    Ok((link, answers))
}

/// Calls scripts. One that the store has not seen, or forgot, is sent to it once, and nobody is told.
pub(super) async fn call(link: &mut Link, calls: &[&Call]) -> RedisResult<Vec<Result<Vec<i64>, String>>> {
    let commands: Vec<_> = calls.iter().map(|call| call.command(false)).collect();
    let mut answers = link.send(&commands).await?;
    let unknown: Vec<usize> = (0..answers.len()).filter(|at| is_unknown(&answers[*at])).collect();
    if !unknown.is_empty() {
        let commands: Vec<_> = unknown.iter().map(|at| calls[*at].command(true)).collect();
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
