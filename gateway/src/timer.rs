//! Deadlines of one connection or one exchange, and the one timer that watches them all.
//!
//! A timer entry for each wait of each request would be inserted and removed thousands of times a second for nothing:
//! hardly any wait ever runs out. So whoever waits writes its deadline into a slot (one relaxed store), and a single
//! sleeping timer is re-armed only when it fires or when an earlier deadline appears. When it fires, slots whose time
//! has come are marked as expired, and their owners, polled by the same task, see the mark.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::coop::has_budget_remaining;
use tokio::time::Sleep;

use crate::clock::{Clock, Since};

/// What is being waited for. One slot each: HTTP/1 serves one exchange at a time on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Wait {
    /// The first byte of a next request.
    Idle = 0,
    /// The rest of a request head.
    Head = 1,
    /// The upstream's response head.
    Exchange = 2,
    /// The next bytes of a request body, until its answer begins.
    RequestBody = 3,
    /// The last byte of a request body.
    RequestTotal = 4,
    /// The next bytes either way, once an answer has begun, or of a tunnel. Before, an upstream to take more of a
    /// request that has no time-out.
    ResponseBody = 5,
    /// The client to take bytes.
    Write = 6,
    /// Nothing: after this long an idle connection gives its buffers back.
    Doze = 7,
}

const SLOTS: usize = 8;
const NEVER: u64 = u64::MAX;

/// The slots. Times are ticks of the clock, in milliseconds.
#[derive(Debug)]
pub struct Deadlines {
    clock: Clock,
    at: [AtomicU64; SLOTS],
    expired: AtomicU8,
}

impl Deadlines {
    /// No deadline is set.
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, at: std::array::from_fn(|_| AtomicU64::new(NEVER)), expired: AtomicU8::new(0) })
    }

    /// A time as the clock counts.
    #[inline]
    pub fn since(&self, at: Instant) -> Since {
        self.clock.since(at)
    }

    /// Sets `wait` to run out `after` this time; `None` clears it.
    #[inline]
    pub fn set(&self, wait: Wait, now: Instant, after: Option<Duration>) {
        match after {
            Some(_) => self.set_since(wait, self.clock.since(now), after),
            None => self.clear(wait),
        }
    }

    /// The same for who knows the time as the clock counts.
    #[inline]
    pub fn set_since(&self, wait: Wait, now: Since, after: Option<Duration>) {
        let tick = after.map_or(NEVER, |after| now.plus(after).ticks_ms().saturating_add(1));
        self.at[wait as usize].store(tick, Ordering::Relaxed);
        self.unmark(bit(wait));
    }

    /// Sets two at once.
    #[inline]
    pub fn set_both(&self, now: Since, first: (Wait, Duration), second: (Wait, Duration)) {
        let tick = now.ticks_ms();
        let mut both = 0;
        for (wait, after) in [first, second] {
            let after = after.as_secs().saturating_mul(1000).saturating_add(u64::from(after.subsec_millis()));
            // Rounded up, as in `set`: both times may have lost a part of a millisecond.
            self.at[wait as usize].store(tick.saturating_add(after).saturating_add(2), Ordering::Relaxed);
            both |= bit(wait);
        }
        self.unmark(both);
    }

    /// Forgets `wait`, and that it has run out, if it has: what is waited for next is another thing.
    #[inline]
    pub fn clear(&self, wait: Wait) {
        self.at[wait as usize].store(NEVER, Ordering::Relaxed);
        self.unmark(bit(wait));
    }

    /// Takes marks away. Hardly ever is there one: a load is cheaper than to change the byte.
    #[inline]
    fn unmark(&self, bits: u8) {
        if self.expired.load(Ordering::Relaxed) & bits != 0 {
            self.expired.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Whether the deadline is set and has not run out.
    #[inline]
    pub fn is_set(&self, wait: Wait) -> bool {
        self.at[wait as usize].load(Ordering::Relaxed) != NEVER
    }

    /// The time that is left; `None` where the deadline is not set.
    pub fn left(&self, wait: Wait, now: Instant) -> Option<Duration> {
        let at = self.at[wait as usize].load(Ordering::Relaxed);
        (at != NEVER).then(|| Duration::from_millis(at.saturating_sub(self.clock.ticks_ms(now))))
    }

    /// Whether the timer found that `wait` has run out since it was last set or forgotten.
    #[inline]
    pub fn has_expired(&self, wait: Wait) -> bool {
        self.expired.load(Ordering::Relaxed) & bit(wait) != 0
    }

    /// Its time is up, though no deadline of its own said so: another one that stands for it has run out.
    pub fn run_out(&self, wait: Wait) {
        self.at[wait as usize].store(NEVER, Ordering::Relaxed);
        self.expired.fetch_or(bit(wait), Ordering::Relaxed);
    }

    fn earliest(&self) -> u64 {
        self.at.iter().map(|at| at.load(Ordering::Relaxed)).min().unwrap_or(NEVER)
    }

    /// Marks what has run out by `now`; says whether there is any.
    fn expire(&self, now: u64) -> bool {
        let mut any = false;
        for (slot, at) in self.at.iter().enumerate() {
            if at.load(Ordering::Relaxed) <= now {
                at.store(NEVER, Ordering::Relaxed);
                self.expired.fetch_or(1 << slot, Ordering::Relaxed);
                any = true;
            }
        }
        any
    }
}

fn bit(wait: Wait) -> u8 {
    1 << (wait as u8)
}

/// The one sleeping timer that watches a set of deadlines. Polled by the task that owns them, after that task's work.
#[derive(Debug)]
pub struct Watch {
    deadlines: Arc<Deadlines>,
    sleep: Pin<Box<Sleep>>,
    armed: u64,
    /// Who is woken when the timer fires, once it has been told.
    told: Option<Waker>,
}

impl Watch {
    /// Watches these deadlines; must be made inside a runtime.
    pub fn new(deadlines: Arc<Deadlines>) -> Self {
        let far = tokio::time::Instant::from_std(deadlines.clock.at_tick(0) + Duration::from_secs(86_400 * 365));
        Self { deadlines, sleep: Box::pin(tokio::time::sleep_until(far)), armed: NEVER, told: None }
    }

    /// Polls `work`, and again whenever a deadline has run out, so that it sees that.
    pub fn poll_with<T>(&mut self, cx: &mut Context<'_>, mut work: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        loop {
            if let Poll::Ready(done) = work(cx) {
                return Poll::Ready(done);
            }
            if self.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ready when at least one deadline has just run out; it is marked then, and is not reported again.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let earliest = self.deadlines.earliest();
            if earliest < self.armed {
                let at = tokio::time::Instant::from_std(self.deadlines.clock.at_tick(earliest));
                self.sleep.as_mut().reset(at);
                self.armed = earliest;
                self.told = None;
            }
            if self.armed == NEVER {
                return Poll::Pending;
            }
            let told = self.told.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if told && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                // A task whose turn is used up is sent to the queue's end, and the timer has been told nothing.
                self.told = has_budget_remaining().then(|| cx.waker().clone());
                return Poll::Pending;
            }
            self.armed = NEVER;
            let now = self.deadlines.clock.ticks_ms(self.deadlines.clock.now());
            if self.deadlines.expire(now) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> (Clock, Arc<Deadlines>, Watch) {
        let clock = Clock::starting_at(Duration::ZERO);
        let deadlines = Deadlines::new(clock.clone());
        (clock, Arc::clone(&deadlines), Watch::new(deadlines))
    }

    async fn expired(watch: &mut Watch) {
        std::future::poll_fn(|cx| watch.poll_expired(cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_deadline_fires_first_and_once() {
        let (clock, deadlines, mut watch) = watch();
        let start = clock.now();
        deadlines.set(Wait::Idle, start, Some(Duration::from_secs(75)));
        deadlines.set(Wait::Exchange, start, Some(Duration::from_secs(15)));

        expired(&mut watch).await;
        assert!(deadlines.has_expired(Wait::Exchange) && !deadlines.has_expired(Wait::Idle));
        assert_eq!((clock.now() - start).as_secs(), 15);

        expired(&mut watch).await;
        assert!(deadlines.has_expired(Wait::Idle));
        assert_eq!((clock.now() - start).as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_away_does_not_fire_at_its_old_time() {
        let (clock, deadlines, mut watch) = watch();
        let start = clock.now();
        deadlines.set(Wait::ResponseBody, start, Some(Duration::from_secs(1)));
        // The watch is armed for the old time, then the body moves.
        let _ = std::future::poll_fn(|cx| Poll::Ready(watch.poll_expired(cx))).await;
        deadlines.set(Wait::ResponseBody, start, Some(Duration::from_secs(5)));
        expired(&mut watch).await;
        assert_eq!((clock.now() - start).as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_is_noticed_after_a_later_one_was_armed() {
        let (clock, deadlines, mut watch) = watch();
        let start = clock.now();
        deadlines.set(Wait::Idle, start, Some(Duration::from_secs(60)));
        let _ = std::future::poll_fn(|cx| Poll::Ready(watch.poll_expired(cx))).await;
        deadlines.set(Wait::Head, start, Some(Duration::from_secs(2)));
        expired(&mut watch).await;
        assert!(deadlines.has_expired(Wait::Head));
        assert_eq!((clock.now() - start).as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_turn_is_used_up_is_told_of_its_deadline_all_the_same() {
        let (clock, deadlines, mut watch) = watch();
        deadlines.set(Wait::Exchange, clock.now(), Some(Duration::from_secs(3)));
        std::future::poll_fn(|cx| {
            while std::pin::pin!(tokio::task::coop::consume_budget()).poll(cx).is_ready() {}
            assert!(watch.poll_expired(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let told = tokio::time::timeout(Duration::from_secs(60), expired(&mut watch)).await;
        assert!(told.is_ok(), "nobody was woken");
        assert!(deadlines.has_expired(Wait::Exchange));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_for_which_another_one_stands_is_marked_and_fires_no_more() {
        let (clock, deadlines, mut watch) = watch();
        let start = clock.now();
        deadlines.set(Wait::Write, start, Some(Duration::from_secs(1)));
        deadlines.run_out(Wait::Write);
        assert!(deadlines.has_expired(Wait::Write) && !deadlines.is_set(Wait::Write));
        deadlines.set(Wait::Head, start, Some(Duration::from_secs(2)));
        expired(&mut watch).await;
        assert!(deadlines.has_expired(Wait::Head));
        assert_eq!((clock.now() - start).as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn setting_a_slot_again_or_forgetting_it_takes_its_mark_away_and_no_others() {
        let (clock, deadlines, mut watch) = watch();
        let again: [fn(&Clock, &Deadlines); 3] = [
            |clock, deadlines| deadlines.set(Wait::Write, clock.now(), Some(Duration::from_secs(1))),
            |clock, deadlines| {
                let second = Duration::from_secs(1);
                deadlines.set_both(clock.since(clock.now()), (Wait::Write, second), (Wait::Doze, second));
            },
            |_, deadlines| deadlines.clear(Wait::Write),
        ];
        for begin in again {
            for wait in [Wait::Write, Wait::Head] {
                deadlines.set(wait, clock.now(), Some(Duration::from_millis(1)));
            }
            expired(&mut watch).await;
            assert!(deadlines.has_expired(Wait::Write) && deadlines.has_expired(Wait::Head));
            begin(&clock, &deadlines);
            assert!(!deadlines.has_expired(Wait::Write) && deadlines.has_expired(Wait::Head));
            deadlines.clear(Wait::Write);
            deadlines.clear(Wait::Doze);
        }
    }
}
