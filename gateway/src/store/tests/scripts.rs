//! What the scripts do, in plain Rust: for the double, and held against a real server by `against_redis.rs`.

use std::collections::HashMap;

/// The longest age of a call that is believed, nanoseconds.
const OLDEST: i64 = 10_000_000_000;

/// A bucket as it is kept: when it is full again, and the time of one token; nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) tat: i64,
    pub(crate) token: i64,
}

impl Bucket {
    /// What it lacks by this time of a token.
    pub(crate) fn debt(&self, token: i64, now: i64) -> i64 {
        let debt = self.tat - now;
        if self.token == token { debt } else { (i128::from(debt) * i128::from(token) / i128::from(self.token)) as i64 }
    }
}

/// The buckets of a store.
#[derive(Debug, Default)]
pub(crate) struct Buckets(pub(crate) HashMap<String, Bucket>);

impl Buckets {
    fn debt(&self, key: &str, token: i64, now: i64) -> i64 {
        self.0.get(key).map_or(0, |bucket| bucket.debt(token, now))
    }

    fn keep(&mut self, key: &str, debt: i64, token: i64, now: i64) {
        if debt > 0 {
            self.0.insert(key.to_owned(), Bucket { tat: now + debt, token });
        } else {
            self.0.remove(key);
        }
    }

    /// `charge.lua`.
    pub(crate) fn charge(&mut self, now: i64, keys: &[String], numbers: &[i64]) -> Vec<i64> {
        let (numbers, sent) = (&numbers[..6 * keys.len()], numbers[6 * keys.len()]);
        // The script's clock counts whole microseconds.
        let age = if sent > 0 { (now - sent * 1000).clamp(0, OLDEST) } else { 0 };
        let (mut debts, mut paid, mut takes, mut refused) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (at, (key, told)) in keys.iter().zip(numbers.chunks(6)).enumerate() {
            let [cost, window, floor, enforced, owed, token] = *told else { panic!("six numbers for each bucket") };
            let mut debt = self.debt(key, token, now).max(floor - age).max(0);
            if debt > window {
                debt = window;
                self.keep(key, debt, token, now);
            }
            let pays = owed.min(window - debt);
            if pays > 0 {
                debt += pays;
                self.keep(key, debt, token, now);
            }
            let fits = cost <= 0 || debt + cost <= window;
            if !fits && enforced == 1 && refused == 0 {
                refused = at as i64 + 1;
            }
            takes.push(if fits { cost } else { 0 });
            debts.push(debt);
            paid.push(pays);
        }
        let mut answer = vec![refused, now / 1000];
        for (at, key) in keys.iter().enumerate() {
            let taken = refused == 0 && takes[at] != 0;
            if taken {
                debts[at] = (debts[at] + takes[at]).max(0);
                self.keep(key, debts[at], numbers[6 * at + 5], now);
            }
            answer.push(if refused == 0 && !taken { -debts[at] - 1 } else { debts[at] });
        }
        if numbers.chunks(6).any(|told| told[4] > 0) {
            answer.extend(paid);
        }
        answer
    }

    /// `lease.lua`.
    pub(crate) fn lease(&mut self, now: i64, key: &str, numbers: &[i64]) -> Vec<i64> {
        let [token, window, floor, wanted, back] = *numbers else { panic!("five numbers") };
        let debt = self.debt(key, token, now).max(floor).clamp(0, window);
        let debt = (debt - back * token).max(0);
        // As there, one nanosecond decides about no token.
        let taken = wanted.min((window - debt + 1) / token).max(0);
        let debt = (debt + taken * token).min(window);
        self.keep(key, debt, token, now);
        vec![taken, now / 1000, debt]
    }
}
