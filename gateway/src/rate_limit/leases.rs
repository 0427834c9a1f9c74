//! Tokens that were taken from a store in chunks, and not used yet.
//!
//! All workers share a key's chunk, and one of them at a time fetches the next, with a request's tokens for each that
//! waits for it: those are used when they come, so they do not count as held. Tokens have been paid for when they
//! come, so in the long run nobody gets more than the rate; at one moment all gateways together may let through what
//! they hold beside what the bucket holds. The bound of a chunk keeps that below half of a burst. What is not used is
//! given back after a quarter of a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::flight::number;
use super::floors::Back;
use super::key::{Key, ShortId};
use super::rule::{Rule, Tier};
use super::tabs::Seen;
use crate::algorithms::gcra::Quota;
use crate::algorithms::lease::{Chunk, most};
use crate::locked::lock;
use crate::store::{By, Call, Down, Posted, Script};

/// Locks that keys are spread over.
const SHARDS: usize = 64;
/// A chunk that nobody took from for so long is given back, nanoseconds.
const IDLE: u64 = 250_000_000;

/// Keys by their hashes.
type Shard = Mutex<HashMap<u64, Arc<Lease>>>;

/// The leases of one rule. Bounded: only keys of the last quarter of a second are here, at most `max_keys` of them.
#[derive(Debug)]
pub struct Leases {
    shards: Box<[Shard]>,
}

#[derive(Debug)]
struct Lease {
    /// Whose turn it is to fetch.
    turn: tokio::sync::Mutex<()>,
    /// Requests that wait for it.
    waiting: AtomicU64,
    held: Mutex<Held>,
    /// What the key is called in the store.
    name: String,
    tier: Tier,
}

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    /// The bucket's TAT, when it was last seen.
    tat: u64,
    /// No time before that at which it was.
    last_used: u64,
    /// When the store last had too few tokens.
    refused_at: Option<u64>,
}

/// What came of asking for one request's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// They were there.
    pub taken: bool,
    /// The bucket's TAT, as if what is held were still in it.
    pub tat: u64,
    /// The time by which that was so: a request that waited came before it.
    pub now: u64,
}

/// Why there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The store has no answer, as far as this request could wait for one.
    InVain,
    /// Nobody waited for it: it is silent, and this gateway's share helps; or it was not to be asked.
    Skipped,
}

impl From<Down> for Missed {
    fn from(_: Down) -> Self {
        Self::InVain
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Leases {
    fn shard(&self, hash: u64) -> MutexGuard<'_, HashMap<u64, Arc<Lease>>> {
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    fn of(&self, rule: &Rule, (key, tier, hash): (&Key<'_>, Tier, u64), now: u64) -> Option<Arc<Lease>> {
        let mut shard = self.shard(hash);
        if let Some(lease) = shard.get(&hash) {
            return Some(Arc::clone(lease));
        }
        if shard.len() >= rule.settings.max_keys.div_ceil(SHARDS) {
            return None;
        }
        let lease = Arc::new(Lease {
            turn: tokio::sync::Mutex::new(()),
            waiting: AtomicU64::new(0),
            held: Mutex::new(Held {
                chunk: Chunk::default(),
                tat: rule.cells().look(hash),
                last_used: now,
                refused_at: None,
            }),
            name: rule.name_in_store(ShortId::of(key), tier),
            tier,
        });
        shard.insert(hash, Arc::clone(&lease));
        Some(lease)
    }

    /// Keys that hold tokens, and how many they hold.
    pub fn held(&self) -> (usize, u64) {
        let tokens = |shard: &Shard| {
            let shard = lock(shard);
            (shard.len(), shard.values().map(|lease| lock(&lease.held).chunk.tokens()).sum::<u64>())
        };
        self.shards.iter().map(tokens).fold((0, 0), |(keys, sum), (more, tokens)| (keys + more, sum + tokens))
    }
}

/// A request that waits for its turn.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn of(lease: &'a Lease) -> Self {
        lease.waiting.fetch_add(1, Ordering::Relaxed);
        Self(&lease.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lease {
    /// Whoever comes while one fetches waits for what it brings, but no longer than until then.
    async fn turn(&self, until: Instant) -> Result<tokio::sync::MutexGuard<'_, ()>, Down> {
        if let Ok(turn) = self.turn.try_lock() {
            return Ok(turn);
        }
        let _waiting = Waiting::of(self);
        tokio::time::timeout_at(until.into(), self.turn.lock()).await.map_err(|_late| Down)
    }

    /// Takes a request's tokens from what is held. What was let through without any is paid first.
    fn spend(&self, rule: &Rule, (hash, quota): (u64, &Quota), now: u64) -> Option<Outcome> {
        let mut held = lock(&self.held);
        held.last_used = now.max(held.last_used);
        held.pay(rule, (hash, quota), u64::MAX, now);
        let taken = held.chunk.spend(quota.cost_tokens());
        taken.then(|| held.outcome(quota, true))
    }
}

impl Held {
    /// Pays what is owed for the key, with so many tokens at most.
    fn pay(&mut self, rule: &Rule, (hash, quota): (u64, &Quota), most: u64, now: u64) {
        let tabs = &rule.state.tabs;
        if tabs.is_empty() {
            return;
        }
        let seen = Seen { known: rule.cells().known(hash).unwrap_or(0), now };
        let owed = tabs.bring_to(hash, seen).div_ceil(quota.interval()).min(self.chunk.tokens()).min(most);
        if owed > 0 && self.chunk.spend(owed) {
            tabs.credit(hash, owed.saturating_mul(quota.interval()), seen);
        }
    }

    fn outcome(&self, quota: &Quota, taken: bool) -> Outcome {
        let unused = self.chunk.tokens().saturating_mul(quota.interval());
        Outcome { taken, tat: self.tat.saturating_sub(unused), now: self.last_used }
    }
}

/// Takes a request's tokens from the chunk that is held, and asks for no other.
///
/// `None`: there is no room for another key.
///
/// # Errors
/// They are not in it.
pub(super) fn take_held(rule: &Rule, who: (&Key<'_>, Tier, u64), now: u64) -> Result<Option<Outcome>, Missed> {
    let Some(lease) = rule.state.leases.of(rule, who, now) else { return Ok(None) };
    lease.spend(rule, (who.2, rule.quota(who.1)), now).map(Some).ok_or(Missed::Skipped)
}

/// Takes a request's tokens: from the chunk that is held, or from the next one.
///
/// `None`: there is no room for another key.
///
/// # Errors
/// The store has no answer, or was not waited for: nothing was taken.
pub async fn take(
    rule: &Arc<Rule>,
    by: By<'_>,
    who: (&Key<'_>, Tier, u64),
    max_lease: u64,
    now: u64,
) -> Result<Option<Outcome>, Missed> {
    let (tier, hash) = (who.1, who.2);
    let (Some(store), quota) = (&rule.store, rule.quota(tier)) else { return Err(Missed::Skipped) };
    let Some(lease) = rule.state.leases.of(rule, who, now) else { return Ok(None) };
    if let Some(outcome) = lease.spend(rule, (hash, quota), now) {
        return Ok(Some(outcome));
    }
    if rule.has_share() && store.is_silent_somewhere() {
        return Err(Missed::Skipped);
    }
    // Nobody waits for longer than a command may take, in whose turn it may be.
    let until = store.now() + store.settings.command_timeout;
    let _turn = lease.turn(until).await?;
    let (arrived, now) = (now, now.max(store.now_ns()));
    if let Some(outcome) = lease.spend(rule, (hash, quota), now) {
        return Ok(Some(outcome));
    }
    // The one before may have learnt that there are none. Others may give some back, which is not known here: so that
    // is believed for as long as they may take to do so.
    let tat = rule.cells().known(hash).unwrap_or(0);
    let refused_at = lock(&lease.held).refused_at;
    let is_fresh = refused_at.is_some_and(|at| now.saturating_sub(at) < IDLE);
    // Who was waiting already when that was asked was asked for, too.
    if is_fresh && (quota.wait(tat, now) > 0 || refused_at >= Some(arrived)) {
        return Ok(Some(Outcome { taken: false, tat, now }));
    }
    // A store that was away may have forgotten.
    let back = Back { at: store.health.back_at(), window: quota.window() };
    let floor = rule.state.floors.of(hash, Seen { known: tat, now }, back);
    let most = most(quota.burst(), store.gateways(), max_lease);
    let owed = rule.state.tabs.owed(hash, Seen { known: tat, now }).div_ceil(quota.interval());
    let others = lease.waiting.load(Ordering::Relaxed).saturating_mul(quota.cost_tokens());
    let beside = owed.saturating_add(others).min(quota.burst());
    let wanted = lock(&lease.held).chunk.wanted(quota.cost_tokens(), most, now).saturating_add(beside);
    let mut call = Call::new(Script::Lease);
    call.keys.push(lease.name.clone());
    call.numbers.extend([quota.interval(), quota.window(), floor, wanted, 0].map(number));
    let mut posted = store.post(by, call)?;
    posted.give_up_at(until);
    let (rule, lease) = (Arc::clone(rule), Arc::clone(&lease));
    let fetched = Fetched { rule, lease, hash, wanted, owed, back, posted: Some(posted) };
    Ok(Some(fetched.receive(now).await?))
}

/// A chunk that is on its way. When nobody waits for it any more it is put where the next request finds it.
struct Fetched {
    rule: Arc<Rule>,
    lease: Arc<Lease>,
    hash: u64,
    /// Tokens that were asked for.
    wanted: u64,
    /// How many of them are for what was let through without any.
    owed: u64,
    /// When the store had last come back when it was asked.
    back: Back,
    posted: Option<Posted>,
}

impl Fetched {
    /// Waits for it, and takes a request's tokens from it.
    async fn receive(mut self, now: u64) -> Result<Outcome, Down> {
        let Some(posted) = &mut self.posted else { return Err(Down) };
        let Some(answer) = posted.in_time().await else { return Err(Down) };
        self.posted = None;
        let mut held = self.put(&answer?, now)?;
        let quota = self.rule.quota(self.lease.tier);
        let taken = held.chunk.spend(quota.cost_tokens());
        if !taken {
            held.refused_at = Some(now);
        }
        Ok(held.outcome(quota, taken))
    }

    /// Puts what came to what is held.
    fn put(&self, answer: &[i64], now: u64) -> Result<MutexGuard<'_, Held>, Down> {
        let [granted, _at, debt] = answer[..] else { return Err(Down) };
        let (granted, debt) = (u64::try_from(granted).unwrap_or(0), u64::try_from(debt).unwrap_or(0));
        self.rule.state.floors.told(self.hash, now, self.back, self.rule.settings.max_keys);
        let mut held = lock(&self.lease.held);
        held.chunk.receive(granted, now);
        (held.tat, held.last_used) = (now.saturating_add(debt), now.max(held.last_used));
        // Fewer than were asked for: there are no more.
        held.refused_at = (granted < self.wanted).then_some(now);
        // By what was known of the bucket when it was asked, and no more than was asked for it: by what is known now,
        // what has come back meanwhile would be owed again, and paid with the tokens of whoever asks.
        held.pay(&self.rule, (self.hash, self.rule.quota(self.lease.tier)), self.owed, now);
        self.rule.cells().raise(self.hash, now, held.tat);
        Ok(held)
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        let (Some(posted), Ok(runtime)) = (self.posted.take(), tokio::runtime::Handle::try_current()) else { return };
        let (rule, lease) = (Arc::clone(&self.rule), Arc::clone(&self.lease));
        let (hash, wanted, owed, back) = (self.hash, self.wanted, self.owed, self.back);
        let late = Self { rule, lease, hash, wanted, owed, back, posted: None };
        runtime.spawn(async move {
            if let (Some(store), Ok(answer)) = (late.rule.store.clone(), posted.whenever().await) {
                drop(late.put(&answer, store.now_ns()));
            }
        });
    }
}

/// Puts a request's tokens back into the chunk.
pub(super) fn give_back(rule: &Rule, hash: u64, tier: Tier) {
    // A chunk that went back to the store meanwhile stays there: nobody gets more for it.
    if let Some(lease) = rule.state.leases.shard(hash).get(&hash) {
        lock(&lease.held).chunk.return_unused(rule.quota(tier).cost_tokens());
    }
}

/// Gives back to the store what nobody used for a while.
pub(super) fn end_idle(rule: &Rule, now: u64) {
    let Some(store) = &rule.store else { return };
    for shard in &rule.state.leases.shards {
        let mut ended = Vec::new();
        lock(shard).retain(|hash, lease| {
            let idle = now.saturating_sub(lock(&lease.held).last_used) >= IDLE;
            // One that is being fetched for is in use.
            let ends = idle && Arc::strong_count(lease) == 1;
            if ends {
                ended.push((*hash, Arc::clone(lease)));
            }
            !ends
        });
        for (hash, lease) in ended {
            let (quota, tokens) = (rule.quota(lease.tier), lock(&lease.held).chunk.take_all());
            if tokens == 0 {
                continue;
            }
            let mut call = Call::new(Script::Lease);
            call.keys.push(lease.name.clone());
            call.numbers.extend([quota.interval(), quota.window(), 0, 0, tokens].map(number));
            rule.cells().lower(hash, tokens.saturating_mul(quota.interval()));
            // This is the house's work, in its own runtime: a worker's way would move there.
            store.tell(store.house(), call);
        }
    }
}
