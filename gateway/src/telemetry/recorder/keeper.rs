//! All rings of a gateway, and who writes into them and reads them.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ring::{Entry, Ring};
use crate::config::settings;

/// Requests of one lane that a worker writes down in a second: of a flood the first ones tell enough.
const MOST_A_SECOND: u64 = 256;
/// Room for the text of most requests.
const TEXT: usize = 2048;

/// What a request is of note for; a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted(u8);

impl Wanted {
    /// It failed: a problem was answered, a status of 400 or more, or the answer broke off.
    pub const FAILED: Self = Self(1);
    /// It took long.
    pub const SLOW: Self = Self(2);
    /// The lot fell on it.
    pub const SAMPLED: Self = Self(4);
    /// It took more than one attempt, however it ended.
    pub const RETRIED: Self = Self(8);
    /// Each of them, with its name in the admin API.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::FAILED, "failed"), (Self::SLOW, "slow"), (Self::SAMPLED, "sampled"), (Self::RETRIED, "retried")];

    /// Both sets together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same where `holds`, else nothing.
    #[must_use]
    pub fn when(self, holds: bool) -> Self {
        if holds { self } else { Self(0) }
    }

    /// Whether it holds any of the others.
    pub fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::ALL.into_iter().filter(|(one, _)| self.has(*one)).map(|(_, name)| name).collect()
    }
}

/// What kind of failure a request is, where it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its client's.
    OfClient,
    /// No endpoint was asked for it: none may be, or there is no room. Of an outage these are most, and they know
    /// nothing of what began it.
    TurnedAway,
    /// An upstream's or the gateway's.
    OfService,
}

/// Rings of a worker, apart so that a flood in one pushes out nothing of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Failures of upstreams and of the gateway.
    Failed,
    /// Slow ones that did not fail so.
    Slow,
    /// Failures that clients brought about.
    Refused,
    /// Those that were well in the end, but not at once.
    Retried,
    /// Those for which no endpoint was asked.
    TurnedAway,
    /// The rest.
    Sampled,
}

impl Lane {
    const COUNT: usize = 6;

    /// Where a request belongs. `failure` is what kind it is if it failed.
    pub fn of(wanted: Wanted, failure: Failure) -> Self {
        match failure {
            Failure::OfService if wanted.has(Wanted::FAILED) => Self::Failed,
            Failure::TurnedAway if wanted.has(Wanted::FAILED) => Self::TurnedAway,
            _ if wanted.has(Wanted::SLOW) => Self::Slow,
            _ if wanted.has(Wanted::FAILED) => Self::Refused,
            _ if wanted.has(Wanted::RETRIED) => Self::Retried,
            _ => Self::Sampled,
        }
    }
}

/// A request that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What it is of note for.
    pub wanted: Wanted,
    /// When it ended, microseconds of the monotonic clock: their order is the requests'.
    pub ended_us: i64,
    /// One JSON object.
    pub text: Arc<[u8]>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Requests now.
    pub requests: usize,
    /// What they take, bytes.
    pub bytes: usize,
    /// Requests of note that were not written down, since there were too many at once or they were too large.
    pub passed_over: u64,
}

#[derive(Debug, Default)]
struct Track {
    ring: Mutex<Ring>,
    /// A second in the upper half, and in the lower how many were written down in it.
    pace: AtomicU64,
    passed_over: AtomicU64,
}

/// One worker's rings. Aligned so that two workers' locks do not share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard([Track; Lane::COUNT]);

/// The flight recorder of one gateway.
#[derive(Debug)]
pub struct Recorder {
    shards: Box<[Shard]>,
    /// Requests, and bytes, that one ring may hold; none while the recorder is off.
    most: AtomicUsize,
    most_bytes: AtomicUsize,
    /// A request is sampled when its lot is below this.
    sampled: AtomicU64,
}

impl Recorder {
    /// An empty one for so many workers.
    pub fn new(settings: &settings::telemetry::Recorder, workers: usize) -> Self {
        let shards = (0..workers.max(1)).map(|_| Shard::default()).collect();
        let numbers = (AtomicUsize::default(), AtomicUsize::default(), AtomicU64::default());
        let recorder = Self { shards, most: numbers.0, most_bytes: numbers.1, sampled: numbers.2 };
        recorder.configure(settings);
        recorder
    }

    /// Takes over new settings under running requests; what does not fit any more goes.
    pub fn configure(&self, settings: &settings::telemetry::Recorder) {
        let rings = self.shards.len() * Lane::COUNT;
        let most = if settings.requests == 0 { 0 } else { (settings.requests / rings).max(1) };
        let most_bytes = settings.max_bytes / rings;
        self.most.store(most, Ordering::Relaxed);
        self.most_bytes.store(most_bytes, Ordering::Relaxed);
        // The conversion of a float saturates.
        let sampled = if most == 0 { 0.0 } else { settings.sample.clamp(0.0, 1.0) * u64::MAX as f64 };
        self.sampled.store(sampled as u64, Ordering::Relaxed);
        for track in self.shards.iter().flat_map(|shard| &shard.0) {
            lock(track).shrink(most, most_bytes);
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.most.load(Ordering::Relaxed) > 0
    }

    /// Whether the lot falls on a request; `lot` is random, and the same whenever it is asked for.
    #[inline]
    pub fn samples(&self, lot: u64) -> bool {
        lot < self.sampled.load(Ordering::Relaxed)
    }

    /// Whether a request would be written down now. Ask before anything is put together for it.
    pub fn has_room(&self, worker: usize, lane: Lane, second: u64) -> bool {
        if !self.is_on() {
            return false;
        }
        let pace = self.track(worker, lane).pace.load(Ordering::Relaxed);
        pace >> 32 < second || pace & 0xffff_ffff < MOST_A_SECOND
    }

    /// Writes a request down, with what `write` appends: one JSON object. `second` counts from any moment.
    pub fn keep(
        &self,
        (worker, second): (usize, u64),
        (lane, wanted): (Lane, Wanted),
        (id, ended_us): (&[u8], i64),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let track = self.track(worker, lane);
        if !self.has_room(worker, lane, second) {
            if self.is_on() {
                track.passed_over.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let pace = track.pace.load(Ordering::Relaxed);
        // A worker is alone here; threads of an embedding program may let some more pass.
        track.pace.store(if pace >> 32 < second { second << 32 | 1 } else { pace + 1 }, Ordering::Relaxed);
        let mut text = Vec::with_capacity(TEXT);
        write(&mut text);
        let entry = Entry { wanted: wanted.0, ended_us, id: hash(id), text: text.into() };
        let bounds = (self.most.load(Ordering::Relaxed), self.most_bytes.load(Ordering::Relaxed));
        if !lock(track).push(entry, bounds) {
            track.passed_over.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is of note for any of these, the newest first.
    pub fn newest(&self, wanted: Wanted) -> Vec<Kept> {
        self.collect(|entry| Wanted(entry.wanted).has(wanted))
    }

    /// Those that may have this id, the newest first.
    pub fn find(&self, id: &[u8]) -> Vec<Kept> {
        let id = hash(id);
        self.collect(|entry| entry.id == id)
    }

    fn collect(&self, is_meant: impl Fn(&Entry) -> bool) -> Vec<Kept> {
        let mut kept = Vec::new();
        for track in self.shards.iter().flat_map(|shard| &shard.0) {
            let ring = lock(track);
            kept.extend(ring.iter().rev().filter(|entry| is_meant(entry)).map(|entry| Kept {
                wanted: Wanted(entry.wanted),
                ended_us: entry.ended_us,
                text: Arc::clone(&entry.text),
            }));
        }
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.ended_us));
        kept
    }

    /// How much is kept.
    pub fn fill(&self) -> Fill {
        let mut fill = Fill::default();
        for track in self.shards.iter().flat_map(|shard| &shard.0) {
            let (requests, bytes) = lock(track).fill();
            fill.requests += requests;
            fill.bytes += bytes;
            fill.passed_over += track.passed_over.load(Ordering::Relaxed);
        }
        fill
    }

    fn track(&self, worker: usize, lane: Lane) -> &Track {
        &self.shards[worker % self.shards.len()].0[lane as usize]
    }
}

/// Nothing can be half done under it.
fn lock(track: &Track) -> MutexGuard<'_, Ring> {
    track.ring.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::telemetry::Slow;

    fn settings(requests: usize, max_bytes: usize, sample: f64) -> settings::telemetry::Recorder {
        settings::telemetry::Recorder { requests, max_bytes, slow: Slow::Never, sample }
    }

    fn recorder(requests: usize, workers: usize) -> Recorder {
        Recorder::new(&settings(requests, 1 << 20, 0.5), workers)
    }

    /// Keeps one that ended at this time.
    fn keep(recorder: &Recorder, worker: usize, (lane, wanted): (Lane, Wanted), ended_us: i64) {
        let id = ended_us.to_string();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(id.as_bytes());
        recorder.keep((worker, ended_us as u64 / 1_000_000), (lane, wanted), (id.as_bytes(), ended_us), write);
    }

    fn told(kept: &[Kept]) -> Vec<i64> {
        kept.iter().map(|kept| kept.ended_us).collect()
    }

    #[test]
    fn readers_see_all_workers_newest_first_and_choose_what_they_want() {
        let recorder = recorder(400, 3);
        keep(&recorder, 0, (Lane::Failed, Wanted::FAILED), 3);
        keep(&recorder, 1, (Lane::Refused, Wanted::FAILED), 5);
        keep(&recorder, 2, (Lane::Slow, Wanted::SLOW.and(Wanted::SAMPLED)), 4);
        keep(&recorder, 0, (Lane::Sampled, Wanted::SAMPLED), 1);
        assert_eq!(told(&recorder.newest(Wanted::FAILED)), [5, 3]);
        assert_eq!(told(&recorder.newest(Wanted::SAMPLED)), [4, 1]);
        assert_eq!(told(&recorder.newest(Wanted::SLOW.and(Wanted::FAILED))), [5, 4, 3]);
        assert_eq!(told(&recorder.find(b"4")), [4]);
        assert!(recorder.find(b"6").is_empty());
        assert_eq!(recorder.newest(Wanted::SLOW)[0].wanted.names(), ["slow", "sampled"]);
        assert_eq!(recorder.fill().requests, 4);
    }

    #[test]
    fn a_flood_of_one_kind_pushes_out_no_other_and_is_thinned() {
        let recorder = recorder(100, 1);
        keep(&recorder, 0, (Lane::Failed, Wanted::FAILED), 1);
        for number in 0..10_000 {
            keep(&recorder, 0, (Lane::Refused, Wanted::FAILED), 2 + number);
        }
        assert_eq!(*told(&recorder.newest(Wanted::FAILED)).last().unwrap(), 1);
        let fill = recorder.fill();
        assert_eq!((fill.requests, fill.passed_over), (17, 10_000 - MOST_A_SECOND));
        assert!(!recorder.has_room(0, Lane::Refused, 0) && recorder.has_room(0, Lane::Slow, 0));
        keep(&recorder, 0, (Lane::Refused, Wanted::FAILED), 1_000_000);
        assert_eq!(told(&recorder.newest(Wanted::FAILED))[0], 1_000_000, "another second, another part");
        assert!(recorder.has_room(0, Lane::Refused, 0), "who began in the second before counts in this one");
    }

    #[test]
    fn who_was_turned_away_since_pushes_out_nobody_who_knows_how_it_began() {
        let recorder = recorder(100, 1);
        let lane = |failure| Lane::of(Wanted::FAILED, failure);
        keep(&recorder, 0, (lane(Failure::OfService), Wanted::FAILED), 1);
        // For longer than a second, so that it is not their pace that spares the first.
        for number in 1..10_000 {
            keep(&recorder, 0, (lane(Failure::TurnedAway), Wanted::FAILED), number * 10_000);
        }
        let kept = told(&recorder.newest(Wanted::FAILED));
        assert_eq!((kept.len(), kept.last()), (17, Some(&1)));
    }

    #[test]
    fn other_settings_hold_at_once_and_off_is_empty() {
        let recorder = recorder(100, 1);
        for number in 0..20 {
            keep(&recorder, 0, (Lane::Slow, Wanted::SLOW), number);
        }
        recorder.configure(&settings(12, 1 << 20, 1.0));
        assert_eq!(told(&recorder.newest(Wanted::SLOW)), [19, 18]);
        assert!(recorder.samples(u64::MAX - 1) && recorder.samples(0));
        recorder.configure(&settings(0, 1 << 20, 1.0));
        keep(&recorder, 0, (Lane::Slow, Wanted::SLOW), 30);
        assert_eq!((recorder.fill(), recorder.is_on(), recorder.samples(0)), (Fill::default(), false, false));
        assert!(!recorder.has_room(0, Lane::Slow, 9));
    }

    #[test]
    fn what_is_larger_than_a_ring_is_passed_over() {
        let recorder = Recorder::new(&settings(80, 1 << 16, 0.0), 1);
        let write = |out: &mut Vec<u8>| out.resize(20_000, b'x');
        recorder.keep((0, 0), (Lane::Slow, Wanted::SLOW), (b"id", 1), write);
        assert_eq!(recorder.fill(), Fill { requests: 0, bytes: 0, passed_over: 1 });
        assert!(!recorder.samples(0), "a share of nothing");
    }

    #[test]
    fn a_failure_that_is_slow_too_is_kept_with_the_failures_of_its_kind() {
        let both = Wanted::FAILED.and(Wanted::SLOW);
        let of_both = [Failure::OfService, Failure::OfClient, Failure::TurnedAway].map(|one| Lane::of(both, one));
        assert_eq!(of_both, [Lane::Failed, Lane::Slow, Lane::TurnedAway]);
        assert_eq!(Lane::of(Wanted::FAILED, Failure::OfClient), Lane::Refused);
        assert_eq!(Lane::of(Wanted::SAMPLED, Failure::OfService), Lane::Sampled);
        let again = Wanted::RETRIED.and(Wanted::SAMPLED);
        let lane = Lane::of(again, Failure::OfClient);
        assert_eq!(lane, Lane::Retried, "a storm of retries pushes out neither failures nor samples");
        assert_eq!(Lane::of(again.and(Wanted::FAILED), Failure::OfService), Lane::Failed);
        assert_eq!(Wanted::SLOW.when(false).names(), [""; 0]);
    }
}
