//! A token bucket kept as one number: the generic cell rate algorithm (GCRA).
//!
//! A bucket of `burst` tokens fills by one token every `interval`. Instead of tokens and the time at which they were
//! counted it remembers the **theoretical arrival time** (TAT): when the bucket will be full again. A request that
//! costs `c` tokens passes if the bucket, after it, is full again at most `burst` intervals from now; then the TAT
//! moves on by `c` intervals. What a request has to wait for is a subtraction, so `Retry-After` is exact.
//!
//! Times are whole nanoseconds of one clock, on which nothing is older than zero. The interval is rounded up to the
//! nanosecond: no bucket ever lets more through than its rate says; it lets less through by at most one part in a
//! billion for each token a second.
//!
//! Sources: ITU-T I.371 (virtual scheduling); Brandur Leach, "Rate limiting, cells, and GCRA" (2015); the crate
//! `governor`, which is the oracle of the tests below. It has neither refunds nor other rates for old state.

use std::time::Duration;

/// The longest time in which a bucket may fill: 73 years. Beyond it sums of times could overflow.
pub const LONGEST: u64 = 1 << 61;

/// How many tokens there can be, how fast they come back, and how many a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Time for one token, nanoseconds; at least 1.
    interval: u64,
    /// Time that a request's tokens take to come back, nanoseconds.
    cost: u64,
    /// Time that the empty bucket takes to fill, nanoseconds.
    window: u64,
}

/// A request that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The same request passes after this time, if nobody else takes the tokens; nanoseconds, at least 1.
    pub wait: u64,
}

impl Quota {
    /// `rate` tokens in each `period`, at most `burst` of them, `cost` for a request. Zero counts as one.
    pub fn new(rate: u64, period: Duration, burst: u64, cost: u64) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(LONGEST);
        let interval = period.div_ceil(rate.max(1)).clamp(1, LONGEST);
        let of = |tokens: u64| interval.saturating_mul(tokens.max(1)).min(LONGEST);
        Self { interval, cost: of(cost), window: of(burst) }
    }

    /// Whether a bucket of this size fills within [`LONGEST`] at this rate.
    pub fn is_countable(rate: u64, period: Duration, burst: u64) -> bool {
        let interval = period.as_nanos().div_ceil(u128::from(rate.max(1)));
        interval.saturating_mul(u128::from(burst)) <= u128::from(LONGEST)
    }

    /// The same quota with a rate of one part in `parts`; the burst shrinks with it, but never below one request.
    #[must_use]
    pub fn share(self, parts: u64) -> Self {
        let parts = parts.max(1);
        let interval = self.interval.saturating_mul(parts).min(LONGEST);
        let tokens = |time: u64| time / self.interval;
        let cost = tokens(self.cost).saturating_mul(interval).min(LONGEST);
        let window = (tokens(self.window) / parts).saturating_mul(interval).clamp(cost, LONGEST);
        Self { interval, cost, window }
    }

    /// What the bucket lacks of being full, as time.
    #[inline]
    fn debt(tat: u64, now: u64) -> u64 {
        tat.saturating_sub(now)
    }

    /// Takes a request's tokens: the new TAT.
    ///
    /// # Errors
    /// There are not enough; nothing is taken.
    #[inline]
    pub fn take(&self, tat: u64, now: u64) -> Result<u64, Refused> {
        let after = Self::debt(tat, now).saturating_add(self.cost);
        if after <= self.window { Ok(now.saturating_add(after)) } else { Err(Refused { wait: after - self.window }) }
    }

    /// How long a request has to wait, nanoseconds; 0 if it would pass.
    #[inline]
    pub fn wait(&self, tat: u64, now: u64) -> u64 {
        Self::debt(tat, now).saturating_add(self.cost).saturating_sub(self.window)
    }

    /// Gives the tokens of one request back: as if it had never been, whoever took tokens since.
    #[inline]
    pub fn refund(&self, tat: u64) -> u64 {
        tat.saturating_sub(self.cost)
    }

    /// Whole tokens that are there.
    pub fn remaining(&self, tat: u64, now: u64) -> u64 {
        self.window.saturating_sub(Self::debt(tat, now)) / self.interval
    }

    /// Time until the bucket is full, nanoseconds.
    pub fn full_in(&self, tat: u64, now: u64) -> u64 {
        Self::debt(tat, now)
    }

    /// The TAT of an empty bucket.
    pub fn empty(&self, now: u64) -> u64 {
        now.saturating_add(self.window)
    }

    /// The TAT under this quota of a bucket that was kept under another: so many tokens are missing as before, at most
    /// all.
    pub fn rescale(&self, tat: u64, now: u64, from: &Self) -> u64 {
        let debt = u128::from(Self::debt(tat, now));
        let debt = debt * u128::from(self.interval) / u128::from(from.interval);
        now.saturating_add(u64::try_from(debt).unwrap_or(u64::MAX).min(self.window))
    }

    /// Time for one token, nanoseconds.
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// Time that a request's tokens take to come back, nanoseconds.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Time that the empty bucket takes to fill, nanoseconds.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Tokens that a request takes.
    pub fn cost_tokens(&self) -> u64 {
        self.cost / self.interval
    }

    /// Tokens that the full bucket holds.
    pub fn burst(&self) -> u64 {
        self.window / self.interval
    }
}

#[cfg(test)]
mod tests;
