//! One step in a store for some buckets of a request, and what becomes of it when its answer comes too late.
//!
//! A request that waited in vain is decided here, by what this gateway knows; but the store may do yet what it was
//! told. So the answer is waited for when the request has long gone. Tokens that were taken for a request that was
//! refused go back; those for one that was let through pay for it; and where the store refused what was let through,
//! it stays on the key's tab, which the next request pays first. So a late answer moves tokens, and adds none.

use std::sync::Arc;

use smallvec::SmallVec;

use super::floors::Back;
use super::key::{Key, ShortId};
use super::rule::{Rule, Tier};
use super::tabs::{Bucket, Due, Seen};
use crate::algorithms::gcra::{Quota, Refused};
use crate::config::settings::rate_limit::OnFailure;
use crate::store::{By, Call, Down, Posted, Script, Store};

/// A bucket in a store that a request has to be let through by.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Its rule's place in the route.
    pub(super) index: usize,
    pub(super) rule: &'a Arc<Rule>,
    pub(super) store: &'a Arc<Store>,
    pub(super) key: Key<'a>,
    /// What the key is called in the store, once it is known that the store is asked.
    pub(super) id: Option<ShortId>,
    pub(super) tier: Tier,
    pub(super) hash: u64,
}

/// What a store says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// The first that refused, counted from one; 0 where none did.
    pub(super) refused: usize,
    /// By its clock.
    time_us: i64,
    /// What each bucket lacks, nanoseconds, and whether it only watches and would have refused.
    pub(super) debts: SmallVec<[(u64, bool); 2]>,
    /// What was paid of what was owed to each, nanoseconds.
    paid: SmallVec<[u64; 2]>,
}

/// What this gateway did about one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// What the call pays of the key's tab.
    paying: u64,
    /// What was put on the tab for this request.
    shared: u64,
    /// The request was decided without the store: what the store took for it pays the tab, or goes back.
    alone: bool,
}

/// A step that is under way. When it is dropped before its answer came, somebody else waits for that.
pub(super) struct Flight<'a> {
    store: &'a Arc<Store>,
    worker: usize,
    /// When it had last come back when it was asked.
    back_at: u64,
    asked: &'a [Asked<'a>],
    marks: SmallVec<[Mark; 2]>,
    posted: Option<Posted>,
}

impl Asked<'_> {
    fn leg(&self) -> Leg<'_> {
        Leg { rule: self.rule, tier: self.tier, hash: self.hash }
    }

    /// What the key is called in the store.
    pub(super) fn id(&self) -> ShortId {
        self.id.unwrap_or_else(|| ShortId::of(&self.key))
    }

    /// What the bucket is called there.
    fn name(&self) -> String {
        self.rule.name_in_store(self.id(), self.tier)
    }

    /// What is known of the bucket.
    pub(super) fn seen(&self, now: u64) -> Seen {
        self.leg().seen(now)
    }

    /// Takes the request's tokens from this gateway's share of the rule. `holds`: the store may have taken them too.
    ///
    /// # Errors
    /// There are not enough.
    pub(super) fn take_share(&self, now: u64, holds: bool) -> Result<u64, Refused> {
        let quota = (self.rule.quota(self.tier), self.store.gateways());
        let (seen, bounds) = (self.seen(now), (self.rule.settings.max_keys, holds));
        let bucket = || Bucket { name: self.name().into(), tier: self.tier };
        self.rule.state.tabs.take(self.hash, quota, seen, bounds, bucket)
    }
}

impl<'a> Flight<'a> {
    /// Asks the store for the tokens of all of these, which share a slot.
    ///
    /// # Errors
    /// Nobody asks that store now.
    pub(super) fn start(store: &'a Arc<Store>, by: By<'_>, asked: &'a [Asked<'a>], now: u64) -> Result<Self, Down> {
        let (worker, back_at) = (by.worker, store.health.back_at());
        let mut flight = Self { store, worker, back_at, asked, marks: SmallVec::new(), posted: None };
        let mut call = Call::new(Script::Charge);
        for one in asked {
            let (quota, seen) = (one.rule.quota(one.tier), one.seen(now));
            let paying = one.rule.state.tabs.pay(one.hash, seen);
            flight.marks.push(Mark { paying, ..Mark::default() });
            let terms = Terms {
                cost: number(quota.cost()),
                floor: one.rule.state.floors.of(one.hash, seen, flight.back(quota)),
                may_refuse: !one.rule.settings.shadow,
                owed: paying,
            };
            terms.add(&mut call, one.name(), quota);
        }
        call.numbers.push(store.time_there_us());
        flight.posted = Some(store.post(by, call)?);
        Ok(flight)
    }

    fn back(&self, quota: &Quota) -> Back {
        Back { at: self.back_at, window: quota.window() }
    }

    /// The store's answer.
    ///
    /// # Errors
    /// There is none in time.
    pub(super) async fn land(&mut self, now: u64) -> Result<Charged, Down> {
        let Some(posted) = &mut self.posted else { return Err(Down) };
        let Some(answer) = posted.in_time().await else { return Err(Down) };
        self.posted = None;
        let charged = answer.ok().and_then(|answer| Charged::read(&answer, self.asked.len()));
        if let Some(charged) = &charged {
            self.store.heard_time(charged.time_us);
        }
        for (at, one) in self.asked.iter().enumerate() {
            let leg = one.leg();
            // A bucket from which nothing is taken is left as it was: what it was told is not kept.
            if charged.as_ref().is_some_and(|charged| charged.has_taken(at)) {
                let back = self.back(one.rule.quota(one.tier));
                one.rule.state.floors.told(one.hash, now, back, one.rule.settings.max_keys);
            }
            let mark = &mut self.marks[at];
            let paying = (std::mem::take(&mut mark.paying), charged.as_ref().map(|charged| charged.of(at)));
            let rest = leg.settle(paying, now);
            if rest > 0 {
                leg.refund(self.store, self.worker, one.name(), rest);
            }
        }
        charged.ok_or(Down)
    }

    /// Decides about one bucket by this gateway's share, after all.
    ///
    /// # Errors
    /// There are not enough tokens.
    pub(super) fn take_share(&mut self, at: usize, now: u64) -> Result<u64, Refused> {
        let holds = self.posted.is_some();
        let taken = self.asked[at].take_share(now, holds);
        let shared = if taken.is_ok() && holds { self.asked[at].rule.quota(self.asked[at].tier).cost() } else { 0 };
        self.marks[at].shared = shared;
        taken
    }

    /// The request is let through or refused without any of the store's tokens. Where a rule lets everything through
    /// meanwhile, what the store takes for it is rightly taken.
    pub(super) fn decided_alone(&mut self) {
        for (one, mark) in self.asked.iter().zip(&mut self.marks) {
            mark.alone = one.rule.settings.shared.as_ref().is_none_or(|shared| shared.on_failure != OnFailure::Open);
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let each = self.asked.iter().zip(&self.marks);
        match (self.posted.take(), tokio::runtime::Handle::try_current()) {
            (Some(posted), Ok(runtime)) => {
                let late = |(one, mark): (&Asked<'_>, &Mark)| Late {
                    rule: Arc::clone(one.rule),
                    tier: one.tier,
                    hash: one.hash,
                    name: one.name(),
                    mark: *mark,
                };
                runtime.spawn(come_late(posted, Arc::clone(self.store), self.worker, each.map(late).collect()));
            }
            _ => {
                for (one, mark) in each.filter(|(_, mark)| mark.paying + mark.shared > 0) {
                    one.leg().release(*mark, self.store.now_ns());
                }
            }
        }
    }
}

/// A bucket that a late answer is about.
struct Late {
    rule: Arc<Rule>,
    tier: Tier,
    hash: u64,
    name: String,
    mark: Mark,
}

/// Waits for an answer that no request waits for any more.
async fn come_late(posted: Posted, store: Arc<Store>, worker: usize, buckets: Box<[Late]>) {
    let answer = posted.whenever().await.ok().and_then(|answer| Charged::read(&answer, buckets.len()));
    let now = store.now_ns();
    for (at, Late { rule, tier, hash, name, mark }) in buckets.into_iter().enumerate() {
        let leg = Leg { rule: &rule, tier, hash };
        let Some(charged) = &answer else {
            leg.release(mark, now);
            continue;
        };
        let (debt, paid) = charged.of(at);
        let mut rest = leg.settle((mark.paying + mark.shared, Some((debt, paid))), now);
        if mark.alone && charged.has_taken(at) {
            rest += rule.state.tabs.credit(hash, rule.quota(tier).cost(), leg.seen(now));
        }
        if rest > 0 {
            leg.refund(&store, worker, name, rest);
        }
    }
}

/// Keys whose tabs are paid at once.
const PAID_AT_ONCE: usize = 1_000;

/// Pays what is owed for keys of a rule, though nobody asks about them: other gateways must not take for free what this
/// one let through while the store was away.
pub(super) fn pay_tabs(rule: &Arc<Rule>, store: &Arc<Store>) {
    if rule.state.tabs.is_empty() || !store.health.is_up() {
        return;
    }
    let known = |hash| rule.cells().known(hash).unwrap_or(0);
    for Due { hash, bucket, amount } in rule.state.tabs.due(store.now_ns(), PAID_AT_ONCE, known) {
        let (quota, name) = (rule.quota(bucket.tier), String::from(bucket.name));
        let mut call = Call::new(Script::Charge);
        // A request that costs nothing.
        Terms { owed: amount, ..Terms::default() }.add(&mut call, name.clone(), quota);
        call.numbers.push(store.time_there_us());
        let mark = Mark { paying: amount, ..Mark::default() };
        let late = Late { rule: Arc::clone(rule), tier: bucket.tier, hash, name, mark };
        match store.post(By::worker(store.house()), call) {
            Ok(posted) => drop(tokio::spawn(come_late(posted, Arc::clone(store), store.house(), Box::new([late])))),
            Err(Down) => Leg { rule, tier: late.tier, hash }.release(mark, store.now_ns()),
        }
    }
}

/// One bucket of a flight.
#[derive(Clone, Copy)]
struct Leg<'a> {
    rule: &'a Rule,
    tier: Tier,
    hash: u64,
}

impl Leg<'_> {
    fn seen(&self, now: u64) -> Seen {
        Seen { known: self.rule.cells().known(self.hash).unwrap_or(0), now }
    }

    /// Takes note of what the store said of the bucket, debt and payment, and frees what was held; what was paid too
    /// much.
    fn settle(&self, (held, said): (u64, Option<(u64, u64)>), now: u64) -> u64 {
        let (debt, paid) = said.unwrap_or_default();
        if debt > 0 {
            self.rule.cells().raise(self.hash, now, now.saturating_add(debt));
        }
        if held == 0 { paid } else { self.rule.state.tabs.settle(self.hash, (held, paid), self.seen(now)) }
    }

    /// What was held is owed, as far as anybody knows.
    fn release(&self, mark: Mark, now: u64) {
        self.settle((mark.paying + mark.shared, None), now);
    }

    fn refund(&self, store: &Arc<Store>, worker: usize, name: String, amount: u64) {
        let rule = self.rule;
        refund(store, worker, name, (amount, rule.quota(self.tier)));
        rule.cells().lower(self.hash, amount);
    }
}

/// Gives tokens back to the store: so much time of this quota.
pub(super) fn refund(store: &Arc<Store>, worker: usize, name: String, (amount, quota): (u64, &Quota)) {
    let mut call = Call::new(Script::Charge);
    Terms { cost: -number(amount), may_refuse: true, ..Terms::default() }.add(&mut call, name, quota);
    call.numbers.push(0);
    store.tell(worker, call);
}

/// What `charge.lua` is asked of one bucket; nanoseconds.
#[derive(Default)]
struct Terms {
    /// Below zero, it is given back.
    cost: i64,
    /// What the bucket lacks at least.
    floor: u64,
    /// Whether it may refuse, or only watches.
    may_refuse: bool,
    /// What is paid first.
    owed: u64,
}

impl Terms {
    /// Adds it to a call, in the script's order.
    fn add(&self, call: &mut Call, name: String, quota: &Quota) {
        let Self { cost, floor, may_refuse, owed } = *self;
        call.keys.push(name);
        let [window, floor, owed, interval] = [quota.window(), floor, owed, quota.interval()].map(number);
        call.numbers.extend([cost, window, floor, i64::from(may_refuse), owed, interval]);
    }
}

impl Charged {
    /// Reads what `charge.lua` answers about so many buckets; `None` where it is something else.
    fn read(answer: &[i64], count: usize) -> Option<Self> {
        let [refused, time_us, rest @ ..] = answer else { return None };
        let refused = usize::try_from(*refused).ok().filter(|refused| *refused <= count)?;
        let (debts, paid) = rest.split_at_checked(count)?;
        if !(paid.is_empty() || paid.len() == count) {
            return None;
        }
        let debt = |debt: &i64| if *debt < 0 { (debt.abs_diff(-1), true) } else { (debt.unsigned_abs(), false) };
        let paid = paid.iter().map(|paid| u64::try_from(*paid).ok()).collect::<Option<_>>()?;
        Some(Self { refused, time_us: *time_us, debts: debts.iter().map(debt).collect(), paid })
    }

    /// Whether the request's tokens were taken from a bucket.
    fn has_taken(&self, at: usize) -> bool {
        self.refused == 0 && self.debts.get(at).is_some_and(|(_, watched)| !watched)
    }

    /// What a bucket lacks, and what was paid to it.
    fn of(&self, at: usize) -> (u64, u64) {
        (self.debts.get(at).map_or(0, |debt| debt.0), self.paid.get(at).copied().unwrap_or(0))
    }
}

/// A number of nanoseconds or tokens, which all are far below 2^63.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
