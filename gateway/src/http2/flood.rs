//! What a client or an upstream may send in a second that costs the gateway work and is no request and no answer:
//! resets of a client, and frames that carry nothing. Counted in whole seconds from the first of each; time comes in.

use std::time::Instant;

use super::frames::Seen;
use crate::algorithms::per_second::PerSecond;

/// Frames that carry nothing, a second; without the pings that are excused.
const IDLE_FRAMES: u32 = 1000;

/// Pings that are excused in advance. A client that measures the path's bandwidth (gRPC's do) asks on a frame that has
/// reached it, as soon as it has its last answer, which on a short path is some thousand times a second: each HEADERS
/// and each DATA that went to it excuses one. No more are saved up than may come without any.
const EXCUSED_PINGS: u32 = IDLE_FRAMES;

/// Frames that carry nothing of an upstream. One that measures the path asks again as soon as it has its answer, which
/// on a short path is some thousand times a second; so many cost a hundredth of a core.
const IDLE_FRAMES_OF_UPSTREAM: u32 = 10_000;

/// Codes of RFC 9113, section 7, with which a server says that the client is at fault. What the gateway resets for
/// reasons of its own (`NO_ERROR`, `INTERNAL_ERROR`, `CANCEL`) is not held against the client.
const BLAMES: [u32; 5] = [0x1, 0x3, 0x5, 0x7, 0xb];

/// The code of a stream that was refused, and of one that came to its end.
const REFUSED_STREAM: u32 = 0x7;
const STREAM_CLOSED: u32 = 0x5;

/// Streams that are refused without being held against a client that had not seen the gateway's settings when it opened
/// them: until then nothing bounds how many it may have (RFC 9113, section 6.5.2). In all, for whoever never takes
/// note.
const UNAWARE_STREAMS: u32 = 1000;

/// What may happen how often.
#[derive(Debug)]
pub struct Allowance {
    resets: PerSecond,
    idle: PerSecond,
    /// Pings that are excused.
    pings: u32,
    unaware: Unaware,
}

/// What a client did before it knew the gateway's settings. Its streams come before its acknowledgement, and their
/// refusals may leave behind it, so that they are counted, not timed.
#[derive(Debug)]
struct Unaware {
    /// It has not acknowledged the settings.
    lasts: bool,
    /// Streams that it may still open in ignorance.
    left: u32,
    /// Resets of such streams that are not held against it: one that refuses, and one for what followed.
    refused: u32,
    closed: u32,
}

impl Unaware {
    fn opened(&mut self) {
        if self.lasts && self.left > 0 {
            self.left -= 1;
            self.refused += 1;
            self.closed += 1;
        }
    }

    /// Whether a reset with this code is excused.
    fn excuses(&mut self, code: u32) -> bool {
        let excused = match code {
            REFUSED_STREAM => &mut self.refused,
            STREAM_CLOSED => &mut self.closed,
            _ => return false,
        };
        let any = *excused > 0;
        *excused = excused.saturating_sub(1);
        any
    }
}

/// What may come of an upstream. Its resets end calls of the gateway's own, so that they are no more than those.
#[derive(Debug)]
pub(super) struct UpstreamAllowance {
    idle: PerSecond,
}

impl UpstreamAllowance {
    pub(super) fn new() -> Self {
        Self { idle: PerSecond::new(IDLE_FRAMES_OF_UPSTREAM) }
    }

    /// Counts a frame that came; `false` when it is one too many.
    pub(super) fn came(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> bool {
        match seen {
            Seen::Idle | Seen::Pinged | Seen::Acknowledged => self.idle.take(now()),
            Seen::Reset(_) | Seen::Opened | Seen::Carried => true,
        }
    }
}

impl Allowance {
    /// So many resets a second, of the client and for its faults.
    pub fn new(resets: u32) -> Self {
        let unaware = Unaware { lasts: true, left: UNAWARE_STREAMS, refused: 0, closed: 0 };
        Self { resets: PerSecond::new(resets), idle: PerSecond::new(IDLE_FRAMES), pings: 0, unaware }
    }

    /// Counts a frame that came from the client; `false` when it is one too many.
    pub(super) fn came(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> bool {
        match seen {
            Seen::Reset(_) => self.resets.take(now()),
            Seen::Pinged if self.pings > 0 => {
                self.pings -= 1;
                true
            }
            Seen::Idle | Seen::Pinged => self.idle.take(now()),
            Seen::Acknowledged => {
                self.unaware.lasts = false;
                self.idle.take(now())
            }
            Seen::Opened => {
                self.unaware.opened();
                true
            }
            Seen::Carried => true,
        }
    }

    /// Counts a frame that went to the client: a client can make its server reset its streams
    /// (CVE-2025-8671, "MadeYouReset"). `false` when it is one too many.
    pub(super) fn went(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> bool {
        match seen {
            Seen::Reset(code) if BLAMES.contains(&code) && !self.unaware.excuses(code) => self.resets.take(now()),
            Seen::Opened | Seen::Carried => {
                self.pings = (self.pings + 1).min(EXCUSED_PINGS);
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn d_resets_beyond_the_allowance_of_a_second_are_too_many_whoever_makes_them() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(3);
        assert!(allowance.came(Seen::Reset(8), || start));
        assert!(allowance.went(Seen::Reset(1), || start), "made by the server, for the client's fault");
        assert!(allowance.went(Seen::Reset(2), || start), "the gateway's own: not counted");
        assert!(allowance.came(Seen::Reset(8), || start));
        assert!(!allowance.came(Seen::Reset(8), || start + SECOND / 2));
        assert!(allowance.came(Seen::Reset(8), || start + SECOND), "another second");
    }

    #[test]
    fn d_frames_that_carry_nothing_have_an_allowance_of_their_own() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        assert!((0..IDLE_FRAMES).all(|_| allowance.came(Seen::Idle, || start)));
        assert!(!allowance.came(Seen::Idle, || start));
        assert!(allowance.came(Seen::Reset(8), || start));
        assert!(allowance.went(Seen::Idle, || start), "answers to pings are the gateway's");
    }

    #[test]
    fn d_a_ping_for_each_frame_that_went_to_the_client_is_excused_and_no_more() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        for _ in 0..10 * IDLE_FRAMES {
            assert!(allowance.went(Seen::Carried, || start));
            assert!(allowance.came(Seen::Pinged, || start), "it measures the path");
        }
        // What was excused long ago, and not used, is not saved up without end.
        assert!((0..10 * IDLE_FRAMES).all(|_| allowance.went(Seen::Opened, || start)));
        assert!((0..EXCUSED_PINGS + IDLE_FRAMES).all(|_| allowance.came(Seen::Pinged, || start)));
        assert!(!allowance.came(Seen::Pinged, || start));
        assert!(allowance.went(Seen::Carried, || start));
        assert!(!allowance.came(Seen::Idle, || start), "it excuses a ping, nothing else");
    }

    #[test]
    fn d_refusals_are_not_held_against_a_client_that_had_not_seen_the_settings() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        assert!((0..20).all(|_| allowance.came(Seen::Opened, || start)));
        assert!(allowance.came(Seen::Acknowledged, || start));
        assert!((0..20).all(|_| allowance.went(Seen::Reset(REFUSED_STREAM), || start)), "they left behind its word");
        assert!((0..20).all(|_| allowance.went(Seen::Reset(STREAM_CLOSED), || start)), "and what followed on them");
        assert!((0..20).all(|_| allowance.came(Seen::Opened, || start)));
        assert!(allowance.went(Seen::Reset(REFUSED_STREAM), || start), "within the allowance of all");
        assert!(!allowance.went(Seen::Reset(REFUSED_STREAM), || start), "it knows how many it may have");
    }

    #[test]
    fn d_who_never_takes_note_of_the_settings_is_not_excused_for_ever() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(0);
        let mut refused = || {
            allowance.came(Seen::Opened, || start);
            allowance.went(Seen::Reset(REFUSED_STREAM), || start)
        };
        assert!((0..UNAWARE_STREAMS).all(|_| refused()));
        assert!(!refused());
        let mut allowance = Allowance::new(0);
        assert!(allowance.came(Seen::Opened, || start));
        assert!(!allowance.went(Seen::Reset(1), || start), "a malformed head is no ignorance");
    }
}
