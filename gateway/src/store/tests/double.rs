//! A store for tests in virtual time: what the scripts do, in one process, as late as a test wants it.
#![expect(clippy::disallowed_methods, reason = "this time is virtual: tokio's, paused")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::time::{Instant, sleep, sleep_until};

use super::scripts::Buckets;
use crate::locked::lock;
use crate::store::Script;

/// How long a command takes to the store and its answer back, by the gateway's number and the time since the start.
pub(crate) type Delay = Box<dyn Fn(u16, Duration) -> (Duration, Duration) + Send + Sync>;

/// A store. Gateways reach it by its name in place of a host, and their numbers in place of a port.
pub(crate) struct Double {
    origin: Instant,
    delay: Delay,
    troubles: Troubles,
    kept: Mutex<Kept>,
    connections: AtomicUsize,
}

/// Times from the start.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// In which it does nothing.
    pub(crate) stalls: Vec<(Duration, Duration)>,
    /// In which nobody is there; it has forgotten everything when it is back.
    pub(crate) dead: Option<(Duration, Duration)>,
    /// What it needs for each command, one after the other.
    pub(crate) each: Duration,
}

#[derive(Default)]
struct Kept {
    forgot: bool,
    /// When it has done what it was asked so far.
    free_at: Option<Instant>,
    buckets: Buckets,
    beats: HashMap<String, Instant>,
}

static ALL: LazyLock<Mutex<HashMap<String, Arc<Double>>>> = LazyLock::new(Mutex::default);

impl Double {
    /// Puts one up under a name of its own.
    pub(crate) fn put_up(name: &str, delay: Delay, troubles: Troubles) -> Arc<Self> {
        let (kept, connections) = (Mutex::default(), AtomicUsize::new(0));
        let double = Arc::new(Self { origin: Instant::now(), delay, troubles, kept, connections });
        lock(&ALL).insert(name.to_owned(), Arc::clone(&double));
        double
    }

    /// The one of this name.
    pub(crate) fn find(name: &str) -> Option<Arc<Self>> {
        lock(&ALL).get(name).cloned()
    }

    /// Somebody connects.
    pub(crate) fn connect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were ever made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many tokens, of this time, a bucket lacks.
    pub(crate) fn lacks(&self, key: &str, token: u64) -> u64 {
        let (kept, token) = (lock(&self.kept), token as i64);
        let debt = kept.buckets.0.get(key).map_or(0, |bucket| bucket.debt(token, self.now()));
        (debt.max(0) as u64).div_ceil(token as u64)
    }

    fn now(&self) -> i64 {
        self.origin.elapsed().as_nanos() as i64 + 1
    }

    /// Waits until it has done what came before, and so many commands.
    async fn work(&self, commands: usize) {
        let until = {
            let mut kept = lock(&self.kept);
            let until = kept.free_at.unwrap_or(self.origin).max(Instant::now()) + self.troubles.each * commands as u32;
            kept.free_at = Some(until);
            until
        };
        // virtual time
        sleep_until(until).await;
    }

    pub(crate) async fn send(&self, gateway: u16, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let (there, back) = (self.delay)(gateway, self.origin.elapsed());
        // virtual time
        sleep(there).await;
        while let Some((_, until)) =
            self.troubles.stalls.iter().find(|(from, until)| (*from..*until).contains(&self.origin.elapsed()))
        {
            // virtual time
            sleep_until(self.origin + *until).await;
        }
        if let Some((from, until)) = self.troubles.dead {
            let now = self.origin.elapsed();
            if (from..until).contains(&now) {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
            }
            let mut kept = lock(&self.kept);
            if now >= until && !kept.forgot {
                *kept = Kept { forgot: true, ..Kept::default() };
            }
        }
        if !self.troubles.each.is_zero() {
            self.work(commands.len()).await;
        }
        let answers = commands.iter().map(|command| Ok(self.run(command))).collect();
        // virtual time
        sleep(back).await;
        Ok(answers)
    }

    fn run(&self, command: &Cmd) -> Value {
        let mut words = command.args_iter().map(|word| match word {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        let (_evalsha, script) = (words.next(), words.next().unwrap());
        let count: usize = words.next().unwrap().parse().unwrap();
        let keys: Vec<String> = words.by_ref().take(count).collect();
        let mut kept = lock(&self.kept);
        if script == Script::Alive.hash() {
            kept.beats.insert(words.next().unwrap(), Instant::now());
            kept.beats.retain(|_, at| at.elapsed() < Duration::from_secs(5));
            return Value::Int(kept.beats.len() as i64);
        }
        let numbers: Vec<i64> = words.map(|word| word.parse().unwrap()).collect();
        let now = self.now();
        let answer = if script == Script::Charge.hash() {
            kept.buckets.charge(now, &keys, &numbers)
        } else {
            kept.buckets.lease(now, &keys[0], &numbers)
        };
        Value::Array(answer.into_iter().map(Value::Int).collect())
    }
}
