//! What is counted for an upstream: attempts by outcome, their time, connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::shards::{Shards, bump};
use super::{DurationHistogram, HistogramTotals, UpstreamHandshake};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// An answer below 500 came.
    Ok,
    /// An answer of 500 or more came.
    Status5xx,
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// What came was no valid answer.
    Invalid,
    /// The client left, or another attempt was faster.
    Cancelled,
}

impl AttemptOutcome {
    /// Whether the endpoint failed, as far as the outcome alone tells.
    #[inline]
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Cancelled)
    }

    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Status5xx,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Timeout,
        Self::Reset,
        Self::Invalid,
        Self::Cancelled,
    ];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Status5xx => "status_5xx",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What became of a wish to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryResult {
    /// The retry was answered well.
    Ok,
    /// The retry failed too.
    Failed,
    /// There was none: the upstream's budget was used up.
    NoBudget,
}

impl RetryResult {
    /// Every result, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Failed, Self::NoBudget];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NoBudget => "no_budget",
        }
    }
}

/// What became of a hedge, or of the wish for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HedgeResult {
    /// Its answer was the first good one.
    Won,
    /// Another attempt was faster.
    Lost,
    /// It failed, or was answered badly.
    Failed,
    /// There was none: the upstream's retry budget was used up.
    NoBudget,
    /// There was none: no other endpoint could take it.
    NoEndpoint,
}

impl HedgeResult {
    /// Every result, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Won, Self::Lost, Self::Failed, Self::NoBudget, Self::NoEndpoint];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::NoBudget => "no_budget",
            Self::NoEndpoint => "no_endpoint",
        }
    }
}

/// What happens to a pooled connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// Dialled, and in use at once.
    Opened,
    /// In use, now idle in a pool.
    Parked,
    /// Idle, now in use; also when a sibling worker borrows it, who counts it as its own.
    Taken,
    /// Closed while in use.
    ClosedBusy,
    /// Closed while idle.
    ClosedIdle,
}

/// The series of one upstream; shared by all snapshots that have an upstream of this name.
#[derive(Debug)]
pub struct UpstreamSeries {
    name: Arc<str>,
    shards: Shards<Shard>,
    /// Too rare and too dear to be counted apart for each worker.
    handshakes: [AtomicU64; UpstreamHandshake::ALL.len()],
}

/// Gauges of one worker may be negative, since a borrowed connection moves between shards: only sums mean something.
#[derive(Debug, Default)]
struct Shard {
    attempts: [AtomicU64; AttemptOutcome::ALL.len()],
    retries: [AtomicU64; RetryResult::ALL.len()],
    hedges: [AtomicU64; HedgeResult::ALL.len()],
    replays: AtomicU64,
    duration: DurationHistogram,
    opened: AtomicU64,
    busy: AtomicI64,
    idle: AtomicI64,
}

impl UpstreamSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        Self { name, shards: Shards::new(workers), handshakes: Default::default() }
    }

    /// The upstream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts one attempt that has ended; `duration` runs to the answer's head or the failure.
    #[inline]
    pub fn attempt(&self, worker: usize, outcome: AttemptOutcome, duration: Duration) {
        let (shard, alone) = self.shards.own(worker);
        alone.bump(&shard.attempts[outcome as usize], 1);
        shard.duration.record(duration, alone);
    }

    /// Answers that came, over all workers.
    pub fn answers(&self) -> u64 {
        let answered = [AttemptOutcome::Ok, AttemptOutcome::Status5xx];
        let of = |shard: &Shard| -> u64 {
            answered.iter().map(|outcome| shard.attempts[*outcome as usize].load(Ordering::Relaxed)).sum()
        };
        self.shards.used().map(of).sum()
    }

    /// Counts a retry that has ended, or was not granted.
    pub fn retried(&self, worker: usize, result: RetryResult) {
        bump(&self.shards.of(worker).retries[result as usize], 1);
    }

    /// Counts a hedge that has ended, or was not sent.
    pub fn hedged(&self, worker: usize, result: HedgeResult) {
        bump(&self.shards.of(worker).hedges[result as usize], 1);
    }

    /// Counts a request that goes out again on a new connection, as the pooled one had been closed.
    pub fn replayed(&self, worker: usize) {
        bump(&self.shards.of(worker).replays, 1);
    }

    /// Counts a TLS handshake with an endpoint that has ended.
    pub fn shook_hands(&self, result: UpstreamHandshake) {
        self.handshakes[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// TLS handshakes that ended so.
    pub fn handshakes(&self, result: UpstreamHandshake) -> u64 {
        self.handshakes[result as usize].load(Ordering::Relaxed)
    }

    /// Counts what happens to a connection.
    #[inline]
    pub fn connection(&self, worker: usize, event: ConnectionEvent) {
        let (shard, alone) = self.shards.own(worker);
        let (busy, idle) = match event {
            ConnectionEvent::Opened => {
                alone.bump(&shard.opened, 1);
                (1, 0)
            }
            ConnectionEvent::Parked => (-1, 1),
            ConnectionEvent::Taken => (1, -1),
            ConnectionEvent::ClosedBusy => (-1, 0),
            ConnectionEvent::ClosedIdle => (0, -1),
        };
        alone.shift(&shard.busy, busy);
        alone.shift(&shard.idle, idle);
    }

    /// The sum over all workers; `None` while nothing happened.
    pub fn totals(&self) -> Option<UpstreamTotals> {
        let mut totals = UpstreamTotals::default();
        let (mut used, mut busy, mut idle) = (false, 0_i64, 0_i64);
        for shard in self.shards.used() {
            used = true;
            for (total, count) in totals.attempts.iter_mut().zip(&shard.attempts) {
                *total += count.load(Ordering::Relaxed);
            }
            for (total, count) in totals.retries.iter_mut().zip(&shard.retries) {
                *total += count.load(Ordering::Relaxed);
            }
            for (total, count) in totals.hedges.iter_mut().zip(&shard.hedges) {
                *total += count.load(Ordering::Relaxed);
            }
            totals.replays += shard.replays.load(Ordering::Relaxed);
            shard.duration.add_to(&mut totals.duration);
            totals.opened += shard.opened.load(Ordering::Relaxed);
            busy += shard.busy.load(Ordering::Relaxed);
            idle += shard.idle.load(Ordering::Relaxed);
        }
        // Shards are read one after the other: a connection that moves meanwhile may be missed, never shown negative.
        totals.busy = u64::try_from(busy).unwrap_or(0);
        totals.idle = u64::try_from(idle).unwrap_or(0);
        used.then_some(totals)
    }
}

/// An upstream's numbers as they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTotals {
    /// Attempts, in the order of [`AttemptOutcome::ALL`].
    pub attempts: [u64; AttemptOutcome::ALL.len()],
    /// Retries, in the order of [`RetryResult::ALL`].
    pub retries: [u64; RetryResult::ALL.len()],
    /// Hedges, in the order of [`HedgeResult::ALL`].
    pub hedges: [u64; HedgeResult::ALL.len()],
    /// Attempts that met a closed connection of the pool and went on by a new one.
    pub replays: u64,
    /// Time of attempts.
    pub duration: HistogramTotals,
    /// Connections ever opened.
    pub opened: u64,
    /// Connections in use.
    pub busy: u64,
    /// Connections waiting in pools.
    pub idle: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_outcome() {
        let series = UpstreamSeries::new("u".into(), 2);
        assert_eq!(series.totals(), None);
        for (at, outcome) in AttemptOutcome::ALL.into_iter().enumerate() {
            for _ in 0..=at {
                series.attempt(at % 2, outcome, Duration::from_micros(80));
            }
        }
        let totals = series.totals().unwrap();
        assert_eq!(totals.attempts, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((totals.duration.count(), totals.duration.sum_ns), (36, 36 * 80_000));
    }

    #[test]
    fn a_borrowed_connection_is_counted_once() {
        use ConnectionEvent::{ClosedBusy, ClosedIdle, Opened, Parked, Taken};
        let series = UpstreamSeries::new("u".into(), 2);
        let shown = || series.totals().map(|totals| (totals.opened, totals.busy, totals.idle)).unwrap();
        series.connection(0, Opened);
        series.connection(0, Parked);
        assert_eq!(shown(), (1, 0, 1));
        series.connection(1, Taken);
        assert_eq!(shown(), (1, 1, 0));
        series.connection(1, ClosedBusy);
        series.connection(1, Opened);
        series.connection(1, Parked);
        series.connection(1, ClosedIdle);
        assert_eq!(shown(), (2, 0, 0));
    }
}
