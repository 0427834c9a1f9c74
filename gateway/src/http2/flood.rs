//! What a client or an upstream may send in a second that costs the gateway work and is no request and no answer:
//! resets of a client, and frames that carry nothing. Counted in whole seconds from the first of each; time comes in.
//!
//! A reset is excused where its own stream is a reason: its answer had begun, or it had lasted. Never for what became
//! of another, or a client would buy rapid resets with cheap answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::begun::{Begun, Interim};
use super::frames::Seen;
use crate::algorithms::per_second::PerSecond;

/// Frames that carry nothing, a second; without the pings that are excused.
const IDLE_FRAMES: u32 = 1000;

/// Pings that are excused in advance. A client that measures the path's bandwidth (gRPC's do) asks on a frame that has
/// reached it, as soon as it has its last answer, which on a short path is some thousand times a second: each HEADERS
/// and each DATA that went to it excuses one. No more are saved up than may come without any.
const EXCUSED_PINGS: u32 = IDLE_FRAMES;

/// Updates of windows that are excused by a frame that went to the client, and by so many bytes of DATA each. Most
/// clients send two for a frame, its stream's and the connection's; some for each piece that they read.
const UPDATES_OF_FRAME: u32 = 10;
const BYTES_OF_UPDATE: u32 = 1024;

/// Updates that are saved up: a client may have a window of hundreds of megabytes, and read all at once what came.
const EXCUSED_UPDATES: u32 = 200_000;

/// Frames that carry nothing of an upstream. One that measures the path asks again as soon as it has its answer, which
/// on a short path is some thousand times a second; so many cost a hundredth of a core.
const IDLE_FRAMES_OF_UPSTREAM: u32 = 10_000;

/// A stream that lasted so long before it was reset is no rapid one: a call whose deadline has passed, a page that was
/// left. Who has a hundred streams has no more than two thousand such resets a second (`TOGETHER`), each of a request
/// that was served for as long.
const LASTING: Duration = Duration::from_millis(100);

/// Streams that were opened within so much time are taken for as old as the first of them: one may be so much younger.
const TOGETHER: Duration = Duration::from_millis(50);

/// Resets that may be excused: one for each stream. No more are saved up, for whoever resets what is long over.
const EXCUSED_RESETS: u32 = 1000;

/// Resets that are excused in a second, whatever the reason: so many times what may come without any, and no less than
/// `EXCUSED_RESETS`.
const EXCUSED_TIMES: u32 = 10;

/// Codes of RFC 9113, section 7, with which a server says that the client is at fault. What the gateway resets for
/// reasons of its own (`NO_ERROR`, `INTERNAL_ERROR`, `CANCEL`) is not held against the client.
const BLAMES: [u32; 5] = [0x1, 0x3, 0x5, 0x7, 0xb];

/// The code of a stream that was refused, and of one that came to its end.
const REFUSED_STREAM: u32 = 0x7;
const STREAM_CLOSED: u32 = 0x5;

/// The code with which a server leaves a client that floods it.
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Streams that are refused without being held against a client that had not seen the gateway's settings when it opened
/// them: until then nothing bounds how many it may have (RFC 9113, section 6.5.2). In all, for whoever never takes
/// note.
const UNAWARE_STREAMS: u32 = 1000;

/// What may happen how often.
#[derive(Debug)]
pub struct Allowance {
    resets: PerSecond,
    streams: Streams,
    /// Streams of which a reset is excused since their answers are under way.
    begun: Begun,
    excused: PerSecond,
    idle: PerSecond,
    /// Pings that are excused.
    pings: u32,
    /// Updates of windows that are excused.
    updates: u32,
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

/// How old a client's streams are, roughly: no time is kept for each.
#[derive(Debug, Default)]
struct Streams {
    /// The last one that was opened. Numbers only rise.
    last: u32,
    /// Those that were opened, and not reset.
    left: u32,
    /// The first of those that were opened together of late, and when that was.
    late: Option<(u32, Instant)>,
    /// The same of those before.
    before: Option<(u32, Instant)>,
}

impl Streams {
    /// A block of header fields has begun on it.
    fn opened(&mut self, stream: u32, now: impl FnOnce() -> Instant) {
        if stream <= self.last {
            // Trailers.
            return;
        }
        self.last = stream;
        self.left = (self.left + 1).min(EXCUSED_RESETS);
        let now = now();
        if self.late.is_none_or(|(_, began)| now.saturating_duration_since(began) >= TOGETHER) {
            self.before = self.late.replace((stream, now));
        }
    }

    /// Whether it is excused that the client resets this one.
    fn excuse(&mut self, stream: u32, now: Instant) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        let group = [self.late, self.before].into_iter().flatten().find(|(first, _)| stream >= *first);
        any && match group {
            Some((_, began)) => now.saturating_duration_since(began) >= LASTING,
            // One from before all that is remembered; or from before the first of all, and then it was never opened.
            None => self.before.is_some(),
        }
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
            Seen::Idle | Seen::Pinged | Seen::Acknowledged | Seen::Left { .. } => self.idle.take(now()),
            // The frame that bounds fields has been counted.
            Seen::Reset { .. } | Seen::Opened { .. } | Seen::Carried { .. } | Seen::Widened | Seen::Bounded { .. } => {
                true
            }
        }
    }
}

impl Allowance {
    /// So many resets a second, of the client and for its faults.
    pub fn new(resets: u32) -> Self {
        let unaware = Unaware { lasts: true, left: UNAWARE_STREAMS, refused: 0, closed: 0 };
        Self {
            resets: PerSecond::new(resets),
            streams: Streams::default(),
            begun: Begun::default(),
            excused: PerSecond::new(resets.saturating_mul(EXCUSED_TIMES).max(EXCUSED_RESETS)),
            idle: PerSecond::new(IDLE_FRAMES),
            pings: 0,
            updates: 0,
            unaware,
        }
    }

    /// Where is said which heads of answers are interim ones.
    pub fn interim(&self) -> Arc<Interim> {
        Arc::clone(&self.begun.interim)
    }

    /// Counts a frame that came from the client; `false` when it is one too many.
    pub(super) fn came(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> bool {
        match seen {
            Seen::Reset { stream, .. } => self.was_reset(stream, now()),
            Seen::Pinged if self.pings > 0 => {
                self.pings -= 1;
                true
            }
            Seen::Widened if self.updates > 0 => {
                self.updates -= 1;
                true
            }
            Seen::Idle | Seen::Pinged | Seen::Widened | Seen::Left { .. } => self.idle.take(now()),
            Seen::Acknowledged => {
                self.unaware.lasts = false;
                self.idle.take(now())
            }
            Seen::Opened { stream, .. } => {
                self.streams.opened(stream, now);
                self.unaware.opened();
                true
            }
            Seen::Carried { .. } | Seen::Bounded { .. } => true,
        }
    }

    /// Counts a stream that the client has reset: not one that lasted, nor one whose answer had begun.
    #[cold]
    fn was_reset(&mut self, stream: u32, now: Instant) -> bool {
        let (had_begun, has_lasted) = (self.begun.ended(stream), self.streams.excuse(stream, now));
        (had_begun || has_lasted) && self.excused.take(now) || self.resets.take(now)
    }

    /// Counts a frame that went to the client: a client can make its server reset its streams
    /// (CVE-2025-8671, "MadeYouReset"). `false` when it is one too many.
    pub(super) fn went(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> bool {
        match seen {
            Seen::Reset { stream, code } => {
                self.begun.ended(stream);
                !BLAMES.contains(&code) || self.unaware.excuses(code) || self.resets.take(now())
            }
            Seen::Opened { stream, ends: false } => {
                self.begun.head_went(stream);
                self.excuse_answers(0)
            }
            Seen::Opened { stream, ends: true } => {
                self.begun.ended(stream);
                self.excuse_answers(0)
            }
            Seen::Carried { stream, ends, bytes } => {
                if ends {
                    self.begun.ended(stream);
                }
                self.excuse_answers(bytes)
            }
            // `h2` has bounds of its own: of errors in all, of heads in too many pieces, of small DATA.
            Seen::Left { code } => code != ENHANCE_YOUR_CALM,
            _ => true,
        }
    }

    /// A frame with so many bytes of DATA went out, to which the client may have something to say.
    fn excuse_answers(&mut self, bytes: u32) -> bool {
        self.pings = (self.pings + 1).min(EXCUSED_PINGS);
        self.updates = (self.updates + UPDATES_OF_FRAME + bytes / BYTES_OF_UPDATE).min(EXCUSED_UPDATES);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A reset with this code, of a stream that nobody opened.
    fn reset(code: u32) -> Seen {
        Seen::Reset { stream: 1, code }
    }

    fn opened(stream: u32) -> Seen {
        Seen::Opened { stream, ends: false }
    }

    /// DATA of a stream that goes on.
    const CARRIED: Seen = Seen::Carried { stream: 1, ends: false, bytes: 16_384 };

    #[test]
    fn d_resets_beyond_the_allowance_of_a_second_are_too_many_whoever_makes_them() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(3);
        assert!(allowance.came(reset(8), || start));
        assert!(allowance.went(reset(1), || start), "made by the server, for the client's fault");
        assert!(allowance.went(reset(2), || start), "the gateway's own: not counted");
        assert!(allowance.came(reset(8), || start));
        assert!(!allowance.came(reset(8), || start + SECOND / 2));
        assert!(allowance.came(reset(8), || start + SECOND), "another second");
    }

    #[test]
    fn d_a_client_that_was_told_to_be_calm_has_sent_too_much() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(3);
        assert!(allowance.went(Seen::Left { code: 0 }, || start), "a drain");
        assert!(allowance.came(Seen::Left { code: ENHANCE_YOUR_CALM }, || start), "the client's own word");
        assert!(!allowance.went(Seen::Left { code: ENHANCE_YOUR_CALM }, || start));
    }

    #[test]
    fn d_a_stream_that_was_never_opened_is_no_old_one() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(0);
        assert!(allowance.came(opened(33), || start));
        assert!(!allowance.came(reset(8), || start + SECOND), "stream 1 is below the first of all");
    }

    #[test]
    fn d_frames_that_carry_nothing_have_an_allowance_of_their_own() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        assert!((0..IDLE_FRAMES).all(|_| allowance.came(Seen::Idle, || start)));
        assert!(!allowance.came(Seen::Idle, || start));
        assert!(allowance.came(reset(8), || start));
        assert!(allowance.went(Seen::Idle, || start), "answers to pings are the gateway's");
    }

    #[test]
    fn d_a_ping_for_each_frame_that_went_to_the_client_is_excused_and_no_more() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        for _ in 0..10 * IDLE_FRAMES {
            assert!(allowance.went(CARRIED, || start));
            assert!(allowance.came(Seen::Pinged, || start), "it measures the path");
        }
        // What was excused long ago, and not used, is not saved up without end.
        assert!((0..10 * IDLE_FRAMES).all(|_| allowance.went(opened(1), || start)));
        assert!((0..EXCUSED_PINGS + IDLE_FRAMES).all(|_| allowance.came(Seen::Pinged, || start)));
        assert!(!allowance.came(Seen::Pinged, || start));
        assert!(allowance.went(CARRIED, || start));
        assert!(!allowance.came(Seen::Idle, || start), "it excuses a ping, nothing else");
    }

    #[test]
    fn d_refusals_are_not_held_against_a_client_that_had_not_seen_the_settings() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        assert!((0..20).all(|_| allowance.came(opened(1), || start)));
        assert!(allowance.came(Seen::Acknowledged, || start));
        assert!((0..20).all(|_| allowance.went(reset(REFUSED_STREAM), || start)), "they left behind its word");
        assert!((0..20).all(|_| allowance.went(reset(STREAM_CLOSED), || start)), "and what followed on them");
        assert!((0..20).all(|_| allowance.came(opened(1), || start)));
        assert!(allowance.went(reset(REFUSED_STREAM), || start), "within the allowance of all");
        assert!(!allowance.went(reset(REFUSED_STREAM), || start), "it knows how many it may have");
    }

    #[test]
    fn d_who_never_takes_note_of_the_settings_is_not_excused_for_ever() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(0);
        let mut refused = || {
            allowance.came(opened(1), || start);
            allowance.went(reset(REFUSED_STREAM), || start)
        };
        assert!((0..UNAWARE_STREAMS).all(|_| refused()));
        assert!(!refused());
        let mut allowance = Allowance::new(0);
        assert!(allowance.came(opened(1), || start));
        assert!(!allowance.went(reset(1), || start), "a malformed head is no ignorance");
    }

    #[test]
    fn d_streams_that_lasted_may_be_reset_and_rapid_ones_may_not() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let cancel = |number: u32| Seen::Reset { stream: 2 * number + 1, code: 8 };
        let mut allowance = Allowance::new(3);
        // Ten calls at a time, each with a deadline of 150 ms: hundreds a second of one connection.
        for turn in 0..100 {
            let began = start + 150 * turn * Duration::from_millis(1);
            let calls = 10 * turn..10 * (turn + 1);
            assert!(calls.clone().all(|number| allowance.came(opened(2 * number + 1), || began)));
            let late = began + Duration::from_millis(150);
            assert!(calls.clone().all(|number| allowance.came(cancel(number), || late)), "in turn {turn}");
        }
        let later = start + 100 * SECOND;
        let mut rapid = |number: u32| {
            allowance.came(opened(2 * number + 1), || later);
            allowance.came(cancel(number), || later)
        };
        assert_eq!((1000..2000).take_while(|number| rapid(*number)).count(), 3, "as many as the allowance has");
    }

    #[test]
    fn d_a_stream_excuses_one_reset_whoever_is_named() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(0);
        assert!((0..5).all(|number| allowance.came(opened(2 * number + 1), || start)));
        assert!(allowance.came(opened(3), || start), "trailers open nothing");
        assert!((0..5).all(|_| allowance.came(reset(8), || start + SECOND)));
        assert!(!allowance.came(reset(8), || start + SECOND));

        // Those that came late are as young as they are, whatever was opened before them.
        let mut allowance = Allowance::new(0);
        let at = |ms| start + Duration::from_millis(ms);
        for (number, ms) in [(0, 0), (1, 60), (2, 100), (3, 130)] {
            assert!(allowance.came(opened(2 * number + 1), || at(ms)));
        }
        let cancel = |number: u32| Seen::Reset { stream: 2 * number + 1, code: 8 };
        assert!(allowance.came(cancel(0), || at(140)));
        assert!(!allowance.came(cancel(2), || at(140)));
        assert!(!allowance.came(cancel(3), || at(220)));
    }

    #[test]
    fn d_a_head_that_went_out_excuses_the_reset_of_its_own_stream_alone() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let cancel = |stream: u32| Seen::Reset { stream, code: 8 };
        let mut allowance = Allowance::new(0);
        // A download that is cancelled, a call whose deadline passes behind the head.
        for stream in (1..400).step_by(2) {
            assert!(allowance.came(opened(stream), || start) && allowance.went(opened(stream), || start));
            assert!(allowance.came(cancel(stream), || start), "{stream}");
        }
        let ended = Seen::Opened { stream: 1, ends: true };
        let last = Seen::Carried { stream: 1, ends: true, bytes: 0 };
        for (what, went) in [
            ("another's", vec![opened(3)]),
            ("an answer that is all head", vec![ended]),
            ("one that is over", vec![opened(1), last]),
            ("one with trailers", vec![opened(1), CARRIED, ended]),
            ("one that the gateway reset", vec![opened(1), Seen::Reset { stream: 1, code: 2 }]),
        ] {
            let mut allowance = Allowance::new(0);
            assert!(allowance.came(opened(1), || start));
            assert!(went.into_iter().all(|seen| allowance.went(seen, || start)));
            assert!(!allowance.came(cancel(1), || start), "{what}");
        }
        let mut allowance = Allowance::new(0);
        allowance.interim().announce(1);
        assert!(allowance.came(opened(1), || start) && allowance.went(opened(1), || start));
        assert!(!allowance.came(cancel(1), || start), "a 100 is no answer");
    }

    #[test]
    fn d_resets_that_are_excused_have_a_bound_too() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        for (resets, most) in [(0, EXCUSED_RESETS), (3, EXCUSED_RESETS + 3), (1000, 11_000)] {
            let mut allowance = Allowance::new(resets);
            let mut cancelled = |stream: u32, now| {
                allowance.came(opened(stream), || now);
                allowance.went(opened(stream), || now);
                allowance.came(Seen::Reset { stream, code: 8 }, || now)
            };
            assert_eq!((0..20_000).take_while(|number| cancelled(2 * number + 1, start)).count(), most as usize);
            assert!(cancelled(50_001, start + SECOND), "another second");
        }
    }

    #[test]
    fn d_updates_of_windows_are_excused_by_what_the_client_reads() {
        let start = crate::clock::Clock::starting_at(Duration::ZERO).now();
        let mut allowance = Allowance::new(1);
        // One for the stream and one for the connection, for each 4 KiB that are read of each frame.
        for _ in 0..100_000 {
            assert!(allowance.went(CARRIED, || start));
            assert!((0..8).all(|_| allowance.came(Seen::Widened, || start)));
        }
        // It reads what was buffered meanwhile; what it never used is not saved up without end.
        let left = EXCUSED_UPDATES - 8 + IDLE_FRAMES;
        assert_eq!((0..2 * left).take_while(|_| allowance.came(Seen::Widened, || start)).count(), left as usize);

        let mut allowance = Allowance::new(1);
        assert!((0..IDLE_FRAMES).all(|_| allowance.came(Seen::Widened, || start)));
        assert!(!allowance.came(Seen::Widened, || start), "nothing was read");
    }
}
