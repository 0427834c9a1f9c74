//! A store for tests in virtual time: what the scripts do, in one process, as late as a test wants it.
#![expect(clippy::disallowed_methods, reason = "this time is virtual: tokio's, paused")]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::time::{Instant, sleep, sleep_until};

use crate::store::Script;

/// How long a command takes to the store and its answer back, by the gateway's number and the time since the start.
pub(crate) type Delay = Box<dyn Fn(u16, Duration) -> (Duration, Duration) + Send + Sync>;

/// A store. Gateways reach it by its name in place of a host, and their numbers in place of a port.
pub(crate) struct Double {
    origin: Instant,
    delay: Delay,
    /// Times in which it does nothing.
    stalls: Vec<(Duration, Duration)>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    buckets: HashMap<String, u64>,
    beats: HashMap<String, Instant>,
}

static ALL: LazyLock<Mutex<HashMap<String, Arc<Double>>>> = LazyLock::new(Mutex::default);

impl Double {
    /// Puts one up under a name of its own.
    pub(crate) fn put_up(name: &str, delay: Delay, stalls: Vec<(Duration, Duration)>) -> Arc<Self> {
        let double = Arc::new(Self { origin: Instant::now(), delay, stalls, kept: Mutex::default() });
        ALL.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&double));
        double
    }

    /// The one of this name.
    pub(crate) fn find(name: &str) -> Option<Arc<Self>> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) async fn send(&self, gateway: u16, commands: &[Cmd]) -> Vec<RedisResult<Value>> {
        let (there, back) = (self.delay)(gateway, self.origin.elapsed());
        // virtual time
        sleep(there).await;
        while let Some((_, until)) =
            self.stalls.iter().find(|(from, until)| (*from..*until).contains(&self.origin.elapsed()))
        {
            // virtual time
            sleep_until(self.origin + *until).await;
        }
        let answers = commands.iter().map(|command| Ok(self.run(command))).collect();
        // virtual time
        sleep(back).await;
        answers
    }

    fn run(&self, command: &Cmd) -> Value {
        let mut words = command.args_iter().map(|word| match word {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        let (_evalsha, script) = (words.next(), words.next().unwrap());
        let count: usize = words.next().unwrap().parse().unwrap();
        let keys: Vec<String> = words.by_ref().take(count).collect();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if script == Script::Alive.hash() {
            kept.beats.insert(words.next().unwrap(), Instant::now());
            kept.beats.retain(|_, at| at.elapsed() < Duration::from_secs(5));
            return Value::Int(kept.beats.len() as i64);
        }
        let numbers: Vec<i64> = words.map(|word| word.parse().unwrap()).collect();
        let now = self.origin.elapsed().as_nanos() as u64 + 1;
        let answer = if script == Script::Charge.hash() {
            charge(&mut kept.buckets, now, &keys, &numbers)
        } else {
            lease(&mut kept.buckets, now, &keys[0], &numbers)
        };
        Value::Array(answer.into_iter().map(Value::Int).collect())
    }
}

/// `charge.lua`, of rates that stay.
fn charge(buckets: &mut HashMap<String, u64>, now: u64, keys: &[String], numbers: &[i64]) -> Vec<i64> {
    let (mut debts, mut paid, mut passes, mut refused) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let (numbers, sent) = (&numbers[..6 * keys.len()], numbers[6 * keys.len()]);
    let age = if sent > 0 { (now as i64 - sent * 1000).clamp(0, 10_000_000_000) } else { 0 };
    for (at, (key, told)) in keys.iter().zip(numbers.chunks(6)).enumerate() {
        let [cost, window, floor, enforced, owed, _token] = told else { panic!("six numbers for each bucket") };
        let known = buckets.get(key).map_or(0, |tat| tat.saturating_sub(now) as i64);
        let debt = known.max(*floor - age).clamp(0, *window);
        paid.push((*owed).min(window - debt));
        debts.push(debt + paid[at]);
        passes.push(*cost <= 0 || debts[at] + cost <= *window);
        if !passes[at] && *enforced == 1 && refused == 0 {
            refused = at as i64 + 1;
        }
    }
    let mut answer = vec![refused, (now / 1000) as i64];
    for (at, key) in keys.iter().enumerate() {
        let taken = refused == 0 && passes[at];
        let debt = (debts[at] + if taken { numbers[6 * at] } else { 0 }).max(0);
        buckets.insert(key.clone(), now + debt as u64);
        answer.push(if refused == 0 && !passes[at] { -debt - 1 } else { debt });
    }
    if numbers.chunks(6).any(|told| told[4] > 0) {
        answer.extend(paid);
    }
    answer
}

/// `lease.lua`.
fn lease(buckets: &mut HashMap<String, u64>, now: u64, key: &str, numbers: &[i64]) -> Vec<i64> {
    let [token, window, floor, wanted, back] = numbers else { panic!("five numbers") };
    let known = buckets.get(key).map_or(0, |tat| tat.saturating_sub(now) as i64);
    let debt = (known.max(*floor).clamp(0, *window) - back * token).max(0);
    let taken = (*wanted).min((window - debt) / token).max(0);
    let debt = debt + taken * token;
    buckets.insert(key.to_owned(), now + debt as u64);
    vec![taken, (now / 1000) as i64, debt]
}
