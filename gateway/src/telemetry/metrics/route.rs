//! What is counted for a route: requests by status class and code, time in all, time that the gateway added.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::exemplar::{Exemplar, Exemplars};
use super::route_results::{CacheUse, CoalesceResult, FallbackResult, MirrorResult, WordResult};
use super::shards::{Shards, bump};
use super::{DurationHistogram, HistogramTotals, OverheadHistogram};
use crate::config::settings::compress::Coding;
use crate::error::Code;

const CODES: usize = Code::ALL.len();
/// Status classes 1xx to 5xx.
const CLASSES: usize = 5;
/// Statuses that gRPC has: `OK` (0) to `UNAUTHENTICATED` (16).
const GRPC_STATUSES: usize = 17;

/// The series of one route; shared by all snapshots that have a route of this name.
#[derive(Debug)]
pub struct RouteSeries {
    name: Arc<str>,
    /// What a slow request takes longer than, nanoseconds.
    slow_above_ns: AtomicU64,
    shards: Shards<Shard>,
    exemplars: Exemplars,
}

#[derive(Debug, Default)]
struct Shard {
    /// Requests without a problem, by class.
    ok: [AtomicU64; CLASSES],
    duration: DurationHistogram,
    overhead: OverheadHistogram,
    rare: OnceLock<Box<Rare>>,
}

/// What policies came to that most routes do not have.
#[derive(Debug, Default)]
struct Policies {
    /// Words of another service.
    words: [AtomicU64; WordResult::ALL.len()],
    /// Compressed answers, their bytes before and after.
    by_coding: [[AtomicU64; 3]; Coding::ALL.len()],
    /// Answers that were left as they are for want of memory.
    left: AtomicU64,
    /// What requests came to that may share a call.
    coalesced: [AtomicU64; CoalesceResult::ALL.len()],
    /// How requests came by their answers where answers are kept.
    cached: [AtomicU64; CacheUse::ALL.len()],
    /// What became of copies.
    mirrored: [AtomicU64; MirrorResult::ALL.len()],
    /// Calls of gRPC, by the status that their callers were told.
    grpc: [AtomicU64; GRPC_STATUSES],
    /// Requests that failed by their clients' own deadlines.
    own_deadlines: AtomicU64,
}

/// Made when a worker first counts something of it: most routes of a large configuration never do.
#[derive(Debug, Default)]
struct Rare {
    /// Requests answered with the code's own status class.
    plain: [AtomicU64; CODES],
    /// What fallbacks came to.
    fallbacks: [AtomicU64; FallbackResult::ALL.len()],
    /// Requests whose status was of another class, as when an answer broke off after `200 OK`; by class, then code.
    late: OnceLock<Box<[[AtomicU64; CODES]; CLASSES]>>,
    policies: OnceLock<Box<Policies>>,
}

impl RouteSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        let shards = Shards::new(workers);
        Self { name, slow_above_ns: AtomicU64::new(u64::MAX), shards, exemplars: Exemplars::default() }
    }

    /// The route's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// From now on what takes longer than this is slow; `None`: nothing is.
    pub fn set_slow_above(&self, above: Option<Duration>) {
        let above = above.map_or(u64::MAX, |above| u64::try_from(above.as_nanos()).unwrap_or(u64::MAX));
        self.slow_above_ns.store(above, Ordering::Relaxed);
    }

    /// Whether a request that took so long is slow.
    #[inline]
    pub fn is_slow(&self, took: Duration) -> bool {
        let ns = took.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(took.subsec_nanos()));
        ns > self.slow_above_ns.load(Ordering::Relaxed)
    }

    /// Counts one request that has ended. `overhead` is the time that the gateway itself added, where it was measured.
    ///
    #[inline]
    pub fn record(
        &self,
        worker: usize,
        status: u16,
        code: Option<Code>,
        duration: Duration,
        overhead: Option<Duration>,
    ) {
        let (shard, alone) = self.shards.own(worker);
        match code {
            None => alone.bump(&shard.ok[class(status)], 1),
            Some(code) => shard.record_failure(class(status), code),
        }
        shard.duration.record(duration, alone);
        if let Some(overhead) = overhead {
            shard.overhead.record(overhead, alone);
        }
    }

    /// Shows a traced request as an example of those that take as long.
    #[cold]
    pub fn show(&self, exemplar: Exemplar) {
        self.exemplars.keep(exemplar);
    }

    /// Counts what a fallback came to.
    #[cold]
    pub fn fell_back(&self, worker: usize, result: FallbackResult) {
        bump(&self.shards.of(worker).rare.get_or_init(Box::default).fallbacks[result as usize], 1);
    }

    /// Counts what another service's word came to.
    #[cold]
    pub fn heard(&self, worker: usize, result: WordResult) {
        bump(&self.shards.of(worker).policies().words[result as usize], 1);
    }

    /// Requests of which another service did not say whether they pass: those that were refused for that, and those
    /// that passed all the same.
    pub fn unheard(&self) -> [u64; 2] {
        let mut totals = [0; 2];
        let policies = self.shards.used().filter_map(|shard| shard.rare.get()?.policies.get());
        for policies in policies {
            for (total, result) in totals.iter_mut().zip([WordResult::Failed, WordResult::FailedOpen]) {
                *total += policies.words[result as usize].load(Ordering::Relaxed);
            }
        }
        totals
    }

    /// Counts an answer that was compressed, as far as it went.
    #[cold]
    pub fn compressed(&self, worker: usize, coding: Coding, before: u64, after: u64) {
        let counts = &self.shards.of(worker).policies().by_coding[coding as usize];
        for (count, by) in counts.iter().zip([1, before, after]) {
            bump(count, by);
        }
    }

    /// Counts an answer that was left as it is, since there was no memory to compress it.
    #[cold]
    pub fn left_uncompressed(&self, worker: usize) {
        bump(&self.shards.of(worker).policies().left, 1);
    }

    /// Counts what a request came to that may share a call.
    #[cold]
    pub fn coalesced(&self, worker: usize, result: CoalesceResult) {
        bump(&self.shards.of(worker).policies().coalesced[result as usize], 1);
    }

    /// Counts how a request came by its answer where answers are kept.
    #[cold]
    pub fn came_by(&self, worker: usize, by: CacheUse) {
        bump(&self.shards.of(worker).policies().cached[by as usize], 1);
    }

    /// Counts what became of a copy.
    #[cold]
    pub fn mirrored(&self, worker: usize, result: MirrorResult) {
        bump(&self.shards.of(worker).policies().mirrored[result as usize], 1);
    }

    /// Counts a call of gRPC whose caller was told this status.
    #[cold]
    pub fn told_grpc_status(&self, worker: usize, status: u8) {
        let (shard, alone) = self.shards.own(worker);
        alone.bump(&shard.policies().grpc[usize::from(status).min(GRPC_STATUSES - 1)], 1);
    }

    /// Counts a request that was answered with 5xx as the time was up that its client had given it.
    #[cold]
    pub fn ran_out_of_clients_time(&self, worker: usize) {
        bump(&self.shards.of(worker).policies().own_deadlines, 1);
    }

    /// What half of its requests take at most; `None` where fewer than so many have ended, or they take longer than is
    /// measured.
    pub fn median(&self, least: u64) -> Option<Duration> {
        let mut totals = HistogramTotals::default();
        for shard in self.shards.used() {
            shard.duration.add_to(&mut totals);
        }
        (totals.count() >= least).then(|| totals.quantile_ns(0.5)).flatten().map(Duration::from_nanos)
    }

    /// The sum over all workers; `None` while no request has ended.
    pub fn totals(&self) -> Option<RouteTotals> {
        let mut requests = [[0_u64; CODES + 1]; CLASSES];
        let mut totals = RouteTotals::default();
        let mut used = false;
        for shard in self.shards.used() {
            used = true;
            shard.add_requests(&mut requests);
            let rare = shard.rare.get();
            let fallbacks = rare.into_iter().flat_map(|rare| &rare.fallbacks);
            for (total, count) in totals.fallbacks.iter_mut().zip(fallbacks) {
                *total += count.load(Ordering::Relaxed);
            }
            if let Some(policies) = rare.and_then(|rare| rare.policies.get()) {
                policies.add_to(&mut totals);
            }
            shard.duration.add_to(&mut totals.duration);
            shard.overhead.add_to(&mut totals.overhead);
        }
        self.exemplars.add_to(&mut totals.duration);
        for (class, counts) in requests.iter().enumerate() {
            for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                totals.requests.push((class as u8 + 1, at.checked_sub(1).map(|code| Code::ALL[code]), *count));
            }
        }
        used.then_some(totals)
    }
}

impl Policies {
    fn add_to(&self, totals: &mut RouteTotals) {
        for (total, count) in totals.words.iter_mut().zip(&self.words) {
            *total += count.load(Ordering::Relaxed);
        }
        for (totals, counts) in totals.compressed.iter_mut().zip(&self.by_coding) {
            totals.answers += counts[0].load(Ordering::Relaxed);
            totals.before += counts[1].load(Ordering::Relaxed);
            totals.after += counts[2].load(Ordering::Relaxed);
        }
        totals.left_uncompressed += self.left.load(Ordering::Relaxed);
        totals.own_deadlines += self.own_deadlines.load(Ordering::Relaxed);
        for (total, count) in totals.mirrored.iter_mut().zip(&self.mirrored) {
            *total += count.load(Ordering::Relaxed);
        }
        for (total, count) in totals.coalesced.iter_mut().zip(&self.coalesced) {
            *total += count.load(Ordering::Relaxed);
        }
        for (total, count) in totals.cached.iter_mut().zip(&self.cached) {
            *total += count.load(Ordering::Relaxed);
        }
        for (total, count) in totals.grpc.iter_mut().zip(&self.grpc) {
            *total += count.load(Ordering::Relaxed);
        }
    }
}

impl Shard {
    fn policies(&self) -> &Policies {
        self.rare.get_or_init(Box::default).policies.get_or_init(Box::default)
    }

    #[cold]
    fn record_failure(&self, class: usize, code: Code) {
        let failed = self.rare.get_or_init(Box::default);
        if class == self::class(code.status().as_u16()) {
            bump(&failed.plain[code as usize], 1);
        } else {
            bump(&failed.late.get_or_init(Box::default)[class][code as usize], 1);
        }
    }

    fn add_requests(&self, requests: &mut [[u64; CODES + 1]; CLASSES]) {
        for (class, count) in self.ok.iter().enumerate() {
            requests[class][0] += count.load(Ordering::Relaxed);
        }
        let Some(failed) = self.rare.get() else { return };
        for (at, code) in Code::ALL.iter().enumerate() {
            requests[class(code.status().as_u16())][at + 1] += failed.plain[at].load(Ordering::Relaxed);
            for (class, late) in failed.late.get().into_iter().flat_map(|late| late.iter().enumerate()) {
                requests[class][at + 1] += late[at].load(Ordering::Relaxed);
            }
        }
    }
}

/// 0 for 1xx to 4 for 5xx; what is no status counts as 5xx.
#[inline]
fn class(status: u16) -> usize {
    usize::from(status / 100).wrapping_sub(1).min(CLASSES - 1)
}

/// A route's numbers as they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// Status class (1 to 5), code (`None` is `ok`) and count; counts of zero are left out.
    pub requests: Vec<(u8, Option<Code>, u64)>,
    /// What fallbacks came to, in the order of [`FallbackResult::ALL`].
    pub fallbacks: [u64; FallbackResult::ALL.len()],
    /// What requests came to that may share a call, in the order of [`CoalesceResult::ALL`].
    pub coalesced: [u64; CoalesceResult::ALL.len()],
    /// How requests came by their answers where answers are kept, in the order of [`CacheUse::ALL`].
    pub cached: [u64; CacheUse::ALL.len()],
    /// What became of copies, in the order of [`MirrorResult::ALL`].
    pub mirrored: [u64; MirrorResult::ALL.len()],
    /// Calls of gRPC, by the status that their callers were told.
    pub grpc: [u64; GRPC_STATUSES],
    /// Requests that were answered with 5xx as their clients' own deadlines were up.
    pub own_deadlines: u64,
    /// Words of another service, in the order of [`WordResult::ALL`].
    pub words: [u64; WordResult::ALL.len()],
    /// Compressed answers, in the order of [`Coding::ALL`].
    pub compressed: [CompressedTotals; Coding::ALL.len()],
    /// Answers that were left as they are for want of memory.
    pub left_uncompressed: u64,
    /// Whole time of requests.
    pub duration: HistogramTotals,
    /// Time that the gateway added.
    pub overhead: HistogramTotals,
}

/// Compressed answers of one coding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompressedTotals {
    /// How many.
    pub answers: u64,
    /// Bytes of their bodies as they came.
    pub before: u64,
    /// Bytes of their bodies as they went.
    pub after: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_class_and_code() {
        let series = RouteSeries::new("r".into(), 2);
        assert_eq!(series.totals(), None);
        let ms = Duration::from_millis(1);
        for (worker, status, code) in [
            (0, 200, None),
            (1, 204, None),
            (1, 404, None),
            (0, 499, None),
            (0, 429, Some(Code::RateLimited)),
            (1, 429, Some(Code::RateLimited)),
            (1, 200, Some(Code::UpstreamReset)),
            (0, 502, Some(Code::UpstreamReset)),
            (0, 0, None),
            (0, 999, None),
        ] {
            series.record(worker, status, code, ms, (status == 200).then_some(ms));
        }
        let totals = series.totals().unwrap();
        assert_eq!(
            totals.requests,
            [
                (2, None, 2),
                (2, Some(Code::UpstreamReset), 1),
                (4, None, 2),
                (4, Some(Code::RateLimited), 2),
                (5, None, 2),
                (5, Some(Code::UpstreamReset), 1),
            ]
        );
        assert_eq!((totals.duration.count(), totals.overhead.count()), (10, 2));
        assert_eq!(totals.duration.sum_ns, 10_000_000);
    }

    #[test]
    fn fallbacks_are_counted_by_what_they_came_to() {
        let series = RouteSeries::new("r".into(), 2);
        for (at, result) in FallbackResult::ALL.iter().enumerate() {
            (0..=at).for_each(|n| series.fell_back(n % 2, *result));
        }
        assert_eq!(series.totals().unwrap().fallbacks, [1, 2, 3, 4]);
    }

    #[test]
    fn words_of_another_service_are_counted_by_what_they_came_to() {
        let series = RouteSeries::new("r".into(), 2);
        for (at, result) in WordResult::ALL.iter().enumerate() {
            (0..=at).for_each(|n| series.heard(n % 2, *result));
        }
        assert_eq!(series.totals().unwrap().words, [1, 2, 3, 4, 5, 6]);
        assert_eq!(series.unheard(), [4, 5]);
    }

    #[test]
    fn calls_of_grpc_are_counted_by_the_status_that_was_told() {
        let series = RouteSeries::new("r".into(), 2);
        for (worker, status) in [(0, 0), (1, 0), (1, 14), (0, 16), (0, 255)] {
            series.told_grpc_status(worker, status);
        }
        let told = series.totals().unwrap().grpc;
        assert_eq!((told[0], told[14], told[16], told.iter().sum::<u64>()), (2, 1, 2, 5));
    }

    #[test]
    fn deadlines_of_clients_own_are_counted_beside_what_they_were_answered() {
        let series = RouteSeries::new("r".into(), 2);
        (0..3).for_each(|n| series.ran_out_of_clients_time(n % 2));
        assert_eq!(series.totals().unwrap().own_deadlines, 3);
    }

    #[test]
    fn compressed_answers_are_counted_by_coding_with_their_bytes() {
        let series = RouteSeries::new("r".into(), 2);
        series.compressed(0, Coding::Gzip, 100, 40);
        series.compressed(1, Coding::Gzip, 50, 30);
        series.compressed(1, Coding::Zstd, 7, 9);
        series.left_uncompressed(0);
        let totals = series.totals().unwrap();
        let of = |answers, before, after| CompressedTotals { answers, before, after };
        assert_eq!(totals.compressed, [of(2, 150, 70), of(1, 7, 9)]);
        assert_eq!(totals.left_uncompressed, 1);
    }

    #[test]
    fn every_code_is_told_apart() {
        let series = RouteSeries::new("r".into(), 1);
        for (at, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, at, "codes are numbered in order");
            series.record(0, code.status().as_u16(), Some(*code), Duration::ZERO, None);
        }
        let mut codes: Vec<_> =
            series.totals().unwrap().requests.iter().map(|(_, code, count)| (code.unwrap(), *count)).collect();
        codes.sort_by_key(|(code, _)| *code as usize);
        assert_eq!(codes, Code::ALL.iter().map(|code| (*code, 1)).collect::<Vec<_>>());
    }

    #[test]
    fn ten_thousand_routes_on_two_workers_stay_small() {
        let shard = size_of::<Shard>().next_multiple_of(64) + size_of::<RouteSeries>() + 2 * 16;
        assert!(10_000 * 2 * shard < 15_000_000, "{shard} bytes for a route and worker");
    }
}
