//! What a client may send in a second that costs the gateway work and is no request: resets, and frames that carry
//! nothing. Counted in whole seconds from the first of each; time comes in.

use std::time::{Duration, Instant};

use super::frames::Seen;

const SECOND: Duration = Duration::from_secs(1);

/// Frames that carry nothing, a second. Clients that measure the path's bandwidth send some tens of pings.
const IDLE_FRAMES: u32 = 1000;

/// Codes of RFC 9113, section 7, with which a server says that the client is at fault. What the gateway resets for
/// reasons of its own (`NO_ERROR`, `INTERNAL_ERROR`, `CANCEL`) is not held against the client.
const BLAMES: [u32; 5] = [0x1, 0x3, 0x5, 0x7, 0xb];

/// What may happen how often.
#[derive(Debug)]
pub struct Allowance {
    resets: Rate,
    idle: Rate,
}

#[derive(Debug)]
struct Rate {
    most: u32,
    count: u32,
    began: Option<Instant>,
}

impl Rate {
    fn new(most: u32) -> Self {
        Self { most, count: 0, began: None }
    }

    /// Counts one; `false` when it is one too many.
    fn take(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            (self.began, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.most
    }
}

impl Allowance {
    /// So many resets a second, of the client and for its faults.
    pub fn new(resets: u32) -> Self {
        Self { resets: Rate::new(resets), idle: Rate::new(IDLE_FRAMES) }
    }

    /// Counts a frame that came from the client; `false` when it is one too many.
    pub(super) fn came(&mut self, seen: Seen, now: Instant) -> bool {
        match seen {
            Seen::Reset(_) => self.resets.take(now),
            Seen::Idle => self.idle.take(now),
        }
    }

    /// Counts a frame that went to the client: a client can make its server reset its streams
    /// (CVE-2025-8671, "MadeYouReset"). `false` when it is one too many.
    pub(super) fn went(&mut self, seen: Seen, now: Instant) -> bool {
        match seen {
            Seen::Reset(code) if BLAMES.contains(&code) => self.resets.take(now),
            Seen::Reset(_) | Seen::Idle => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_resets_beyond_the_allowance_of_a_second_are_too_many_whoever_makes_them() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(3);
        assert!(allowance.came(Seen::Reset(8), start));
        assert!(allowance.went(Seen::Reset(1), start), "made by the server, for the client's fault");
        assert!(allowance.went(Seen::Reset(2), start), "the gateway's own: not counted");
        assert!(allowance.came(Seen::Reset(8), start));
        assert!(!allowance.came(Seen::Reset(8), start + SECOND / 2));
        assert!(allowance.came(Seen::Reset(8), start + SECOND), "another second");
    }

    #[test]
    fn d_frames_that_carry_nothing_have_an_allowance_of_their_own() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        assert!((0..IDLE_FRAMES).all(|_| allowance.came(Seen::Idle, start)));
        assert!(!allowance.came(Seen::Idle, start));
        assert!(allowance.came(Seen::Reset(8), start));
        assert!(allowance.went(Seen::Idle, start), "answers to pings are the gateway's");
    }
}
