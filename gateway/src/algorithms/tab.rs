//! What one gateway let through of a shared bucket without asking for it, and has yet to pay.
//!
//! While the place where a bucket is kept does not answer, each gateway lets its share through: rate and burst over the
//! number of gateways. That begins with what was last seen of the bucket. Each such request goes on the **tab**, at its
//! whole cost; when the bucket can be asked again the tab is paid first. So tokens are taken late, but taken: what
//! others took meanwhile does not come on top for long.
//!
//! A tab never holds more than the share's burst, and once the bucket that was seen would be full it is forgotten at
//! the share's rate. So after a long silence, in which all gateways lived on their shares, their tabs together are what
//! the bucket lacks, and nobody pays for what had come back long before.
//!
//! Times and amounts are nanoseconds, as in [`super::gcra`].

use super::gcra::{Quota, Refused};

/// A tab for one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tab {
    /// Tokens as time, at the rule's own rate.
    owed: u64,
    /// When `owed` was true.
    at: u64,
    /// The part of it that somebody is about to pay, or that may turn out to be paid.
    held: u64,
    /// Gateways that the bucket was last shared by.
    parts: u64,
}

impl Tab {
    /// Forgets what has come back: from the time on at which the bucket that was seen is full.
    fn bring_to(&mut self, known: u64, now: u64) {
        let idle = now.saturating_sub(self.at.max(known));
        self.owed = self.owed.saturating_sub(idle / self.parts.max(1));
        self.at = now.max(self.at);
    }

    /// What is owed; `known` is the bucket's TAT as it was last seen.
    pub fn owed(&self, known: u64, now: u64) -> u64 {
        let mut tab = *self;
        tab.bring_to(known, now);
        tab.owed
    }

    /// Takes a request's tokens from the share of one among `parts` gateways: the share's TAT from then on.
    ///
    /// # Errors
    /// There are not enough; nothing is taken.
    pub fn take(&mut self, quota: &Quota, parts: u64, known: u64, now: u64) -> Result<u64, Refused> {
        self.bring_to(known, now);
        self.parts = parts.max(1);
        let tat = quota.share(self.parts).take(self.tat(known, now), now)?;
        self.owed = self.owed.saturating_add(quota.cost());
        Ok(tat)
    }

    /// When the share is full again.
    pub fn tat(&self, known: u64, now: u64) -> u64 {
        known.max(now).saturating_add(self.owed(known, now).saturating_mul(self.parts.max(1)))
    }

    /// Keeps so much of it from being paid by anybody else.
    pub fn hold(&mut self, amount: u64) {
        self.held = self.held.saturating_add(amount);
    }

    /// What is to be paid now; it is held from then on.
    pub fn pay(&mut self, known: u64, now: u64) -> u64 {
        self.bring_to(known, now);
        let due = self.owed.saturating_sub(self.held);
        self.hold(due);
        due
    }

    /// What was held is free again.
    pub fn release(&mut self, held: u64) {
        self.held = self.held.saturating_sub(held);
    }

    /// Tokens were paid, or were not taken after all: what they are more than was owed.
    pub fn credit(&mut self, amount: u64, known: u64, now: u64) -> u64 {
        self.bring_to(known, now);
        let rest = amount.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(amount);
        rest
    }

    /// Whether there is nothing to remember.
    pub fn is_settled(&self, known: u64, now: u64) -> bool {
        self.held == 0 && self.owed(known, now) == 0
    }

    /// The same tokens at another rate. Nothing is held from then on: whoever holds some releases it at the old rate,
    /// which is not what it would be now. What is paid twice for that comes back as the rest of a credit.
    pub fn rescale(&mut self, from: &Quota, to: &Quota) {
        let scaled = |amount: u64| {
            let amount = u128::from(amount) * u128::from(to.interval()) / u128::from(from.interval());
            u64::try_from(amount).unwrap_or(u64::MAX)
        };
        self.owed = scaled(self.owed).min(to.window());
        self.held = 0;
    }
}

#[cfg(test)]
mod tests;
