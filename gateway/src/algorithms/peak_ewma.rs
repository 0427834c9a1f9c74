//! Peak EWMA: how slow an endpoint has been lately, and how likely it fails, and how much worse than another that makes
//! it.
//!
//! **Latency.** A sample above the estimate replaces it at once, one below draws it down with the time since the last:
//! an endpoint that turns slow is seen at its first slow answer, and believed only after a while to be fast again. It
//! is worse by its latency times its requests in flight (Finagle's `PeakEwma`, tower's and linkerd's after it). Peaks
//! of equals differ by chance, so a factor of two in latency says nothing.
//!
//! **Failures.** Whoever fails fast would look fast, and idle. So a failure says nothing of latency: it counts in a
//! share of failures, and it is worse by the square of the share that does well (linkerd makes a failure a latency of
//! five seconds instead, so that one alone empties an endpoint for a minute). Requests in flight shrink by that share
//! where failures are fast, so the square leaves a failing endpoint below its part, and never above.
//!
//! **Age.** What was not seen for long is not known any more: an estimate goes over into what both endpoints that are
//! compared are taken for. So an endpoint that was slow, or that failed, is tried again in time; one that is new is
//! taken to be like the others, and draws no herd; and one that was away does not look fast for having been idle
//! (which it does where estimates decay towards zero, as in Finagle). Who has been heard of for a short time has met
//! few peaks: that it is faster than the other is believed in time, that it is slower at once.

use std::time::Duration;

/// The time in which what was seen loses two thirds of its weight; Finagle's and linkerd's default.
pub const DECAY: Duration = Duration::from_secs(10);
/// The least weight of a newest outcome in the share of failures: it is that of about the last fifteen.
const LEAST_WEIGHT: f64 = 1.0 / 8.0;
/// The time after which older outcomes count for a third in the share of failures.
const FAILURE_DECAY: Duration = Duration::from_secs(1);
/// The share of failures is taken to be at most this, so that a load stays finite.
const MOST_FAILING: f64 = 0.99;

/// Peaks of endpoints that are alike differ by chance; up to this factor they say nothing.
const NOISE: f64 = 2.0;
/// Requests in flight that both are taken to have besides: among few, one more says little. By simulation: with less,
/// weights are kept less well where a few are in flight; with more, a busy endpoint is left later.
const CALM: f64 = 4.0;
/// Nothing is faster than this, seconds: so ratios stay finite.
const LEAST_LATENCY: f64 = 1e-6;

/// What an attempt says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// It was answered after so long.
    Answered(Duration),
    /// It failed, or was refused.
    Failed,
}

/// What is known of an endpoint. Times are nanoseconds of any clock that all callers share.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Seconds; `None` before the first answer.
    latency: Option<f64>,
    /// Between 0 and 1.
    failing: f64,
    /// When it was last heard of.
    heard_ns: u64,
    /// Since when it has been heard of without a long silence.
    since_ns: u64,
}

/// An estimate as it is at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Seconds; `None` where nothing is known.
    pub latency: Option<f64>,
    /// The share of failures, between 0 and 1.
    pub failing: f64,
    /// How far it is to be believed: 1 for what was just heard, 0 for nothing.
    pub trust: f64,
    /// How far it is to be believed that it is fast: 0 for who was heard of for the first time, 1 after a while.
    pub proven: f64,
}

impl Estimate {
    /// Takes a sample.
    pub fn hear(&mut self, sample: Sample, now_ns: u64) {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.heard_ns));
        self.heard_ns = self.heard_ns.max(now_ns);
        if self.latency.is_none() || since > DECAY {
            self.since_ns = now_ns;
        }
        // What is old has lost weight by the time that something new comes.
        let before = self.failing * left(since, FAILURE_DECAY);
        let weight = (1.0 - left(since, FAILURE_DECAY)).max(LEAST_WEIGHT);
        let failed = if sample == Sample::Failed { 1.0 } else { 0.0 };
        self.failing = (before + weight * (failed - before)).clamp(0.0, 1.0);
        if let Sample::Answered(took) = sample {
            let took = took.as_secs_f64();
            self.latency = Some(match self.latency {
                Some(known) if took < known => took + (known - took) * left(since, DECAY),
                _ => took,
            });
        }
    }

    /// What it comes to at this time.
    pub fn at(&self, now_ns: u64) -> Seen {
        let trust = left(Duration::from_nanos(now_ns.saturating_sub(self.heard_ns)), DECAY);
        let proven = 1.0 - left(Duration::from_nanos(self.heard_ns.saturating_sub(self.since_ns)), DECAY);
        Seen { latency: self.latency, failing: self.failing * trust, trust, proven }
    }
}

/// What is left of a weight after this time.
fn left(since: Duration, decay: Duration) -> f64 {
    (-since.as_secs_f64() / decay.as_secs_f64()).exp()
}

/// How much worse the first of two endpoints does than the second: above 1 where it does worse. `busy` is what each has
/// in flight, as a part of what it should bear. Above zero and finite.
pub fn compare((first, first_busy): (Seen, f64), (second, second_busy): (Seen, f64)) -> f64 {
    let slower = match (first.latency, second.latency) {
        (Some(one), Some(other)) => {
            // What both are taken for as far as they are not believed.
            let usual =
                (one * first.trust + other * second.trust) / (first.trust + second.trust).max(f64::MIN_POSITIVE);
            believed(one, usual, first, second) / believed(other, usual, second, first)
        }
        _ => 1.0,
    };
    let well = |seen: Seen| 1.0 - seen.failing.min(MOST_FAILING);
    let sicker = well(second) / well(first);
    beyond_noise(slower) * sicker * sicker * (first_busy + CALM) / (second_busy + CALM)
}

/// An endpoint's latency as far as it is believed, seconds.
fn believed(latency: f64, usual: f64, own: Seen, other: Seen) -> f64 {
    let trust = if latency < usual { own.trust * proven(own, other) } else { own.trust };
    (usual + (latency - usual) * trust).max(LEAST_LATENCY)
}

/// How far an endpoint has proven to be fast, beside one that had so long for it.
fn proven(own: Seen, other: Seen) -> f64 {
    if own.proven < other.proven { own.proven / other.proven } else { 1.0 }
}

/// What a ratio of latencies tells beyond chance.
fn beyond_noise(ratio: f64) -> f64 {
    if ratio > NOISE {
        ratio / NOISE
    } else if ratio < 1.0 / NOISE {
        ratio * NOISE
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn answered(ms: u64) -> Sample {
        Sample::Answered(Duration::from_millis(ms))
    }

    /// Samples, each so many milliseconds after the one before.
    fn after(samples: &[(u64, Sample)]) -> (Estimate, u64) {
        let (mut estimate, mut now) = (Estimate::default(), 0);
        for (wait, sample) in samples {
            now += wait * MS;
            estimate.hear(*sample, now);
        }
        (estimate, now)
    }

    #[test]
    fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let (mut estimate, now) = after(&[(0, answered(2)), (100, answered(300))]);
        assert_eq!(estimate.latency, Some(0.3));
        let mut at = now;
        for _ in 0..100 {
            at += 100 * MS;
            estimate.hear(answered(2), at);
        }
        let left = estimate.latency.unwrap();
        assert!((0.10..0.12).contains(&left), "a third after ten seconds: {left}");
    }

    #[test]
    fn what_fails_is_seen_within_some_requests_and_one_failure_is_little() {
        let (estimate, now) = after(&[(1, answered(5)), (1, Sample::Failed)]);
        assert!((0.12..0.13).contains(&estimate.at(now).failing));
        let mut failing = estimate;
        (0..15).for_each(|n| failing.hear(Sample::Failed, now + n * MS));
        assert!(failing.at(now).failing > 0.85);
        assert_eq!(failing.latency, estimate.latency, "a failure is no latency");
        let mut well = failing;
        (0..40).for_each(|n| well.hear(answered(5), now + n * MS));
        assert!(well.at(now).failing < 0.01);
    }

    #[test]
    fn a_good_answer_after_a_silence_makes_old_failures_forgotten() {
        let (mut estimate, now) = after(&[(1, answered(5)); 3]);
        (0..50).for_each(|_| estimate.hear(Sample::Failed, now));
        estimate.hear(answered(5), now + 5_000 * MS);
        assert!(estimate.at(now + 5_000 * MS).failing < 0.01);
    }

    #[test]
    fn who_is_unknown_or_was_away_is_like_the_other() {
        // Both have been heard of for a minute.
        let steady = |ms: u64| {
            let samples: Vec<_> = (0..60).map(|_| (1_000, answered(ms))).collect();
            after(&samples)
        };
        let ((slow, now), (fast, _)) = (steady(300), steady(2));
        let unknown = Estimate::default();
        assert_eq!(compare((unknown.at(now), 0.0), (fast.at(now), 0.0)), 1.0, "a new endpoint draws no herd");
        assert!(compare((unknown.at(now), 4.0), (unknown.at(now), 0.0)) > 1.9, "requests in flight decide");
        assert!(compare((slow.at(now), 0.0), (fast.at(now), 0.0)) > 50.0);
        assert!(compare((fast.at(now), 0.0), (slow.at(now), 0.0)) < 0.02);

        let later = now + 60_000 * MS;
        let heard = |mut estimate: Estimate, ms| {
            (0..60).for_each(|n| estimate.hear(answered(ms), now + n * 1_000 * MS));
            estimate.at(later)
        };
        assert_eq!(compare((slow.at(later), 0.0), (heard(fast, 2), 0.0)), 1.0, "a slow endpoint is tried again");
        assert_eq!(compare((fast.at(later), 0.0), (heard(slow, 300), 0.0)), 1.0, "who was away does not look fast");
    }

    #[test]
    fn to_be_slow_is_believed_at_once_and_to_be_fast_in_time() {
        let samples: Vec<_> = (0..60).map(|_| (1_000, answered(20))).collect();
        let (known, now) = after(&samples);
        let young = |ms: u64| {
            let mut estimate = Estimate::default();
            estimate.hear(answered(ms), now);
            estimate.at(now)
        };
        assert!(compare((young(200), 0.0), (known.at(now), 0.0)) > 4.5);
        assert_eq!(compare((young(2), 0.0), (known.at(now), 0.0)), 1.0);
        assert!(compare((young(200), 0.0), (young(2), 0.0)) > 45.0, "where all are new, what is seen counts");
    }

    /// Whatever part of its answers fail at once: what it has in flight shrinks by that part, and it does still no
    /// better than one that does well.
    #[test]
    fn to_be_fast_to_fail_is_no_merit() {
        for percent in 0..=100 {
            let part = f64::from(percent) / 100.0;
            let well = Seen { latency: Some(0.02), failing: 0.0, trust: 1.0, proven: 1.0 };
            let sick = Seen { failing: part, ..well };
            for in_flight in [0.0, 1.0, 5.0, 100.0] {
                let worse = compare((sick, in_flight * (1.0 - part)), (well, in_flight));
                assert!(worse >= 0.999_999, "{percent} % at {in_flight}: {worse}");
            }
        }
    }

    proptest! {
        #[test]
        fn estimates_stay_within_what_was_heard(
            samples in prop::collection::vec((0_u64..20_000, prop::option::of(0_u64..10_000)), 1..100),
            wait in 0_u64..1_000_000,
        ) {
            let heard: Vec<(u64, Sample)> =
                samples.iter().map(|(wait, took)| (*wait, took.map_or(Sample::Failed, answered))).collect();
            let (estimate, now) = after(&heard);
            let seen = estimate.at(now + wait * MS);
            prop_assert!((0.0..=1.0).contains(&seen.failing) && (0.0..=1.0).contains(&seen.trust));
            let took: Vec<f64> = samples.iter().filter_map(|(_, took)| Some((*took)? as f64 / 1e3)).collect();
            let low = took.iter().copied().fold(f64::MAX, f64::min);
            let high = took.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(seen.latency.is_some(), !took.is_empty());
            if let Some(latency) = seen.latency {
                prop_assert!(latency >= low - 1e-9 && latency <= high + 1e-9, "{latency} of {low} to {high}");
            }
            let other = (Estimate::default().at(now), 0.0);
            let (there, back) = (compare((seen, 3.0), other), compare(other, (seen, 3.0)));
            prop_assert!(there > 0.0 && there.is_finite() && (there * back - 1.0).abs() < 1e-9, "{there} and {back}");
        }
    }
}
