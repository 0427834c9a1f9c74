//! One worker's way to a store: what its requests ask at the same moment travels together.

use std::sync::{Arc, Weak};
use std::time::Instant;

use redis::{ErrorKind, ServerErrorKind, Value};
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
    let (mut link, mut trips) = (None::<Link>, JoinSet::new());
    let mut waiting = Vec::with_capacity(TOGETHER);
    loop {
        let more = tokio::select! {
            biased;
            Some(ended) = trips.join_next(), if !trips.is_empty() => {
                // A connection that failed is of no use to anybody.
                if ended.is_ok_and(|is_well: bool| !is_well) {
                    link = None;
                }
                continue;
            }
            more = asked.recv_many(&mut waiting, TOGETHER), if trips.len() < UNDER_WAY => more,
        };
        let Some(store) = store.upgrade().filter(|_| more > 0) else { return };
        let asks = std::mem::replace(&mut waiting, Vec::with_capacity(TOGETHER));
        // A store that died since they were asked is not tried again and again.
        if !store.health.is_up() {
            refuse(asks);
            continue;
        }
        let through = match &link {
            Some(link) => link.clone(),
            None => match connect(&store, &asks).await {
                Ok(new) => link.insert(new).clone(),
                Err(()) => {
                    refuse(asks);
                    continue;
                }
            },
        };
        trips.spawn(travel(store, through, asks));
    }
}

fn refuse(asks: Vec<Ask>) {
    for ask in asks {
        // Who asked may have left.
        let _ = ask.answer.send(Err(Down));
    }
}

/// A connection, as long as the first of those who wait for it has time.
async fn connect(store: &Arc<Store>, asks: &[Ask]) -> Result<Link, ()> {
    let generation = store.health.generation();
    let until = asks.iter().map(|ask| ask.until).min().unwrap_or_else(|| store.now());
    match tokio::time::timeout_at(until.into(), Link::connect(&store.settings)).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(error)) => {
            store.health.failed(generation, &error.to_string());
            Err(())
        }
        Err(_late) => {
            store.health.failed(generation, "no connection in time");
            Err(())
        }
    }
}

/// One round trip. Whether the connection is as it was.
async fn travel(store: Arc<Store>, mut link: Link, asks: Vec<Ask>) -> bool {
    let generation = store.health.generation();
    let until = asks.iter().map(|ask| ask.until).min().unwrap_or_else(|| store.now());
    let calls: Vec<&Call> = asks.iter().map(|ask| &ask.call).collect();
    let answers = match tokio::time::timeout_at(until.into(), call(&mut link, &calls)).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => {
            store.health.failed(generation, &error.to_string());
            refuse(asks);
            return false;
        }
        Err(_late) => {
            store.health.failed(generation, "no answer in time");
            refuse(asks);
            return false;
        }
    };
    let mut wrong = None;
    for (ask, answer) in asks.into_iter().zip(answers) {
        let answer = answer.map_err(|error| {
            wrong = Some(error);
            Down
        });
        let _ = ask.answer.send(answer);
    }
    match wrong {
        None => {
            store.health.answered(generation);
            true
        }
        // It speaks, but cannot do what it is for: a replica, a server that loads its data, one that is full.
        Some(error) => {
            store.health.failed(generation, &error);
            false
        }
    }
}

/// Calls scripts. One that the store has not seen, or forgot, is sent to it once, and nobody is told.
pub(super) async fn call(link: &mut Link, calls: &[&Call]) -> redis::RedisResult<Vec<Result<Vec<i64>, String>>> {
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

fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

fn numbers(answer: Value) -> Result<Vec<i64>, String> {
    match answer {
        Value::ServerError(error) => Err(redis::RedisError::from(error).to_string()),
        Value::Int(number) => Ok(vec![number]),
        Value::Array(values) => values
            .into_iter()
            .map(|value| if let Value::Int(number) = value { Ok(number) } else { Err("an answer of no number") })
            .collect::<Result<_, _>>()
            .map_err(str::to_owned),
        _ => Err(redis::RedisError::from((ErrorKind::UnexpectedReturnType, "an answer of no numbers")).to_string()),
    }
}
