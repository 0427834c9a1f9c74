//! Items that are gathered to be asked for together: which of them share a batch, and when a batch is sent.
//!
//! Of one key one batch is open at most. It is sent once its window has passed since its first item came, once it holds
//! as many items, or as many bytes of them, as it may; and where that is wanted, as soon as nothing of its key is under
//! way (as Nagle's algorithm does it, RFC 896). An item that is in it already is in it once, for all who want it.
//!
//! Invariants: who joins a batch is in it when it is sent, unless it leaves before; an item that nobody wants any more
//! is not asked for; a batch that nobody waits for is given up; a batch is sent once; what is kept is bounded, and who
//! finds no room asks alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When a batch is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// So long after its first item. Zero: at once.
    pub window: Duration,
    /// With so many items.
    pub most: usize,
    /// Before its items come to more bytes than this. One item alone may.
    pub most_bytes: usize,
    /// Also as soon as nothing of its key is under way.
    pub adaptive: bool,
}

/// Why a batch is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its window has passed.
    Window,
    /// It holds as much as it may.
    Full,
    /// Nothing of its key was under way.
    Idle,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Window, Self::Full, Self::Idle];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Full => "full",
            Self::Idle => "idle",
        }
    }
}

/// What is gathered. `V` is whatever sends a batch; it is handed out when it has to be told.
#[derive(Debug)]
pub struct Gathering<K, I, V> {
    /// The batch of a key that takes more.
    open: BTreeMap<K, u64>,
    /// Batches that have not been taken, by number.
    batches: BTreeMap<u64, Batch<K, I, V>>,
    /// Batches of a key that are closed and not done.
    under_way: BTreeMap<K, usize>,
    most: usize,
    next: u64,
}

#[derive(Debug)]
struct Batch<K, I, V> {
    key: K,
    value: V,
    /// How many want each.
    items: BTreeMap<I, usize>,
    bytes: usize,
    requests: usize,
    due: Instant,
    adaptive: bool,
    closed: Option<Reason>,
}

/// A place in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined<V> {
    /// The batch.
    pub number: u64,
    /// What sends it.
    pub value: V,
    /// It began with this one.
    pub is_first: bool,
    /// Its item was there already.
    pub is_merged: bool,
    /// These are to be told that their batch is to be sent now.
    pub send: Vec<V>,
}

/// A batch that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken<I, V> {
    /// Its items, in order, each once.
    pub items: Vec<I>,
    /// How many want them.
    pub requests: usize,
    /// Why it is sent.
    pub reason: Reason,
    /// What was kept of it.
    pub value: V,
}

/// What follows when somebody leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left<V> {
    /// Nobody waits for this any more.
    pub given_up: Option<V>,
    /// This is to be told that its batch is to be sent now.
    pub send: Option<V>,
}

impl<K: Ord + Clone, I: Ord + Clone, V: Clone> Gathering<K, I, V> {
    /// Nothing is gathered; at most so many batches will be at once.
    pub fn new(most: usize) -> Self {
        Self { open: BTreeMap::new(), batches: BTreeMap::new(), under_way: BTreeMap::new(), most, next: 0 }
    }

    /// Joins the open batch of this key with an item of so many bytes, or begins one; `begin` makes what sends it, of
    /// its number.
    ///
    /// # Errors
    /// There is no room for more: `begin`, for who goes on alone.
    pub fn join<B: FnOnce(Option<u64>) -> V>(
        &mut self,
        key: &K,
        (item, bytes): (&I, usize),
        (terms, now): (&Terms, Instant),
        begin: B,
    ) -> Result<Joined<V>, B> {
        let mut send = Vec::new();
        if let Some((&number, batch)) = self.open.get(key).and_then(|n| Some((n, self.batches.get_mut(n)?))) {
            let is_merged = batch.items.contains_key(item);
            if is_merged || batch.bytes.saturating_add(bytes) <= terms.most_bytes {
                batch.requests += 1;
                *batch.items.entry(item.clone()).or_insert(0) += 1;
                batch.bytes += if is_merged { 0 } else { bytes };
                let (value, is_full) = (batch.value.clone(), batch.items.len() >= terms.most);
                if is_full {
                    send.extend(self.close(number, Reason::Full));
                }
                return Ok(Joined { number, value, is_first: false, is_merged, send });
            }
        }
        if self.batches.len() >= self.most {
            return Err(begin);
        }
        if let Some(full) = self.open.get(key).copied() {
            send.extend(self.close(full, Reason::Full));
        }
        let number = self.next;
        self.next += 1;
        let is_idle = terms.adaptive && !self.under_way.contains_key(key);
        let value = begin(Some(number));
        let batch = Batch {
            key: key.clone(),
            value: value.clone(),
            items: BTreeMap::from([(item.clone(), 1)]),
            bytes,
            requests: 1,
            due: now + terms.window,
            adaptive: terms.adaptive,
            closed: None,
        };
        self.batches.insert(number, batch);
        self.open.insert(key.clone(), number);
        let reason = match () {
            () if terms.most <= 1 => Some(Reason::Full),
            () if terms.window.is_zero() => Some(Reason::Window),
            () => is_idle.then_some(Reason::Idle),
        };
        send.extend(reason.and_then(|reason| self.close(number, reason)));
        Ok(Joined { number, value, is_first: true, is_merged: false, send })
    }

    /// Takes the batch, if it is to be sent by now: its window has passed, or it was closed before.
    pub fn take(&mut self, number: u64, now: Instant) -> Option<Taken<I, V>> {
        let batch = self.batches.get(&number)?;
        if batch.closed.is_none() {
            if now < batch.due {
                return None;
            }
            self.close(number, Reason::Window);
        }
        let batch = self.batches.remove(&number)?;
        let reason = batch.closed.unwrap_or(Reason::Window);
        Some(Taken { items: batch.items.into_keys().collect(), requests: batch.requests, reason, value: batch.value })
    }

    /// A batch of this key that was taken is done. What is to be sent now, since nothing is under way any more.
    pub fn done(&mut self, key: &K) -> Option<V> {
        let left = self.under_way.get_mut(key)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.under_way.remove(key);
        let number = self.open.get(key).copied()?;
        if !self.batches.get(&number)?.adaptive {
            return None;
        }
        self.close(number, Reason::Idle)
    }

    /// One who wanted this item of a batch has left. Nothing follows once the batch has been taken.
    pub fn leave(&mut self, number: u64, item: &I, bytes: usize) -> Left<V> {
        let nothing = Left { given_up: None, send: None };
        let Some(batch) = self.batches.get_mut(&number) else { return nothing };
        let Some(wanted) = batch.items.get_mut(item) else { return nothing };
        batch.requests -= 1;
        *wanted -= 1;
        if *wanted > 0 {
            return nothing;
        }
        batch.items.remove(item);
        batch.bytes -= bytes;
        if !batch.items.is_empty() {
            return nothing;
        }
        let Some(batch) = self.batches.remove(&number) else { return nothing };
        let send = if batch.closed.is_some() {
            self.done(&batch.key)
        } else {
            self.open.remove(&batch.key);
            None
        };
        Left { given_up: Some(batch.value), send }
    }

    /// How many wait in batches that have not been sent.
    pub fn waiting(&self) -> usize {
        self.batches.values().map(|batch| batch.requests).sum()
    }

    /// It takes no more, and is to be sent.
    fn close(&mut self, number: u64, reason: Reason) -> Option<V> {
        let batch = self.batches.get_mut(&number)?;
        batch.closed = Some(reason);
        self.open.remove(&batch.key);
        *self.under_way.entry(batch.key.clone()).or_insert(0) += 1;
        Some(batch.value.clone())
    }
}

#[cfg(test)]
mod tests;
