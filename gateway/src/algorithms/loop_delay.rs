//! How much of the load a worker turns away, from how late its loop is.
//!
//! A proportional-integral controller of a queue's delay, as PIE is (RFC 8033): the part that is refused grows with
//! how late the loop is and with how long it has been, until the loop is no later than a target. Like PIE it lets
//! bursts pass: nothing is refused before the loop has been late, at every look, for a while. So a stolen core, a long
//! pause or a burst of new connections is no overload; a queue that stands is.
//!
//! The gains are larger than PIE's, since what is controlled answers at once and not after a round trip of a network.
//! The queue's delay changes by `load x (1 - r) x (wanted - refused)` seconds a second, where a refusal costs the part
//! `r` of a request. At twice the capacity and `r` = 0.2 that is close to critically damped, with a time constant of
//! half a second.

use std::time::{Duration, Instant};

use super::criticality::Criticality;

/// How late the loop may be while it refuses something.
pub const TARGET: Duration = Duration::from_millis(50);
/// A loop that is no later has nothing that waits: what was needed a moment ago is halved at each such look.
pub const ON_TIME: Duration = Duration::from_millis(10);
/// For how long it has to be later than that, at every look, before anything is refused.
pub const STANDING: Duration = Duration::from_millis(500);
/// Refusing alone does not help any more: no new requests are read from here until the loop is back at the target.
pub const PAUSE: Duration = Duration::from_millis(200);
/// A part refused for each second that the loop is late beyond the target.
const PROPORTIONAL: f64 = 3.0;
/// The same for each second that it stays so late.
const INTEGRAL: f64 = 3.0;
/// More delay than this says no more.
const LATEST: f64 = 0.4;
/// The longest time between two looks that counts.
const LONGEST_LOOK: f64 = 0.1;
/// A class's share of what arrives follows with this weight.
const RECENT: f64 = 0.3;

/// The controller of one worker.
#[derive(Debug, Clone, Default)]
pub struct LoopDelay {
    looked: Option<Instant>,
    /// Since when every look found it late.
    late_since: Option<Instant>,
    /// It has been late for long enough, and has not been well for long enough since.
    overloaded: bool,
    /// Since when every look found it on time, and nothing was refused.
    well_since: Option<Instant>,
    integral: f64,
    paused: bool,
}

/// What a worker is to do until the next look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Verdict {
    /// The part of all requests that is refused.
    pub refused: f64,
    /// No new requests are read, and what is critical is refused too.
    pub paused: bool,
}

impl LoopDelay {
    /// The loop was found this late.
    pub fn observe(&mut self, now: Instant, delay: Duration) -> Verdict {
        let since = self.looked.replace(now).map_or(0.0, |looked| now.saturating_duration_since(looked).as_secs_f64());
        let late = delay > TARGET;
        if !self.overloaded {
            if !late {
                self.late_since = None;
                return Verdict::default();
            }
            if now.saturating_duration_since(*self.late_since.get_or_insert(now)) < STANDING {
                return Verdict::default();
            }
            self.overloaded = true;
        }
        let excess = delay.as_secs_f64().min(LATEST) - TARGET.as_secs_f64();
        self.integral = (self.integral + INTEGRAL * excess * since.min(LONGEST_LOOK)).clamp(0.0, 1.0);
        if delay <= ON_TIME {
            self.integral /= 2.0;
        }
        let refused = (self.integral + PROPORTIONAL * excess).clamp(0.0, 1.0);
        if refused > 0.0 || delay > ON_TIME {
            self.well_since = None;
        } else if now.saturating_duration_since(*self.well_since.get_or_insert(now)) >= STANDING {
            // The overload is over: the next one has to stand anew.
            *self = Self { looked: self.looked, ..Self::default() };
            return Verdict::default();
        }
        self.paused = delay >= PAUSE || (self.paused && late);
        Verdict { refused, paused: self.paused }
    }
}

/// What arrives of each class, as far as a worker that refuses something has counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrivals([f64; Criticality::COUNT]);

impl Arrivals {
    /// So many arrived since the last call.
    pub fn count(&mut self, arrived: [u32; Criticality::COUNT]) {
        for (mean, now) in self.0.iter_mut().zip(arrived) {
            *mean += (f64::from(now) - *mean) * RECENT;
        }
    }

    /// The part of each class that is refused, so that `part` of all are: the least important first, and the most
    /// important never, unless `hard`. While nothing is known of what arrives, the same part of all others.
    pub fn spread(&self, part: f64, hard: bool) -> [f64; Criticality::COUNT] {
        let all: f64 = self.0.iter().sum();
        let mut left = all * part;
        Criticality::ALL.map(|class| {
            if class == Criticality::Critical && !hard {
                return 0.0;
            }
            let arrived = self.0[class as usize];
            if all <= 0.0 || arrived <= 0.0 {
                // A class of which nothing has come: as what is refused of all.
                return if all <= 0.0 || left > 0.0 { part } else { 0.0 };
            }
            let refused = (left / arrived).clamp(0.0, 1.0);
            left = (left - arrived).max(0.0);
            refused
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(10);

    #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
    fn zero() -> Instant {
        Instant::now()
    }

    /// A worker with a queue: seconds of work that wait, and looks at it every ten milliseconds or a turn later.
    struct Worker {
        controller: LoopDelay,
        now: Instant,
        /// Seconds of work in the queue.
        backlog: f64,
        served: f64,
        refused: f64,
        verdict: Verdict,
    }

    impl Worker {
        fn new() -> Self {
            let controller = LoopDelay::default();
            Self { controller, now: zero(), backlog: 0.0, served: 0.0, refused: 0.0, verdict: Verdict::default() }
        }

        /// For so long, load comes as a multiple of capacity, a refusal costs `cost` of a request, and the core is
        /// there for this part of the time.
        fn run(&mut self, seconds: f64, load: f64, cost: f64, core: f64) -> f64 {
            let end = self.now + Duration::from_secs_f64(seconds);
            let step = Duration::from_millis(1);
            let (mut due, mut latest) = (self.now + LOOK, 0.0_f64);
            // A look stands in the same queue as all else.
            let mut fires = None;
            while self.now < end {
                self.now += step;
                let dt = step.as_secs_f64();
                let refused = load * self.verdict.refused * dt;
                self.backlog += load * dt - refused + refused * cost;
                self.refused += refused;
                self.served += load * dt - refused;
                self.backlog = (self.backlog - dt * core).max(0.0);
                latest = latest.max(self.backlog);
                if self.now >= due && fires.is_none() {
                    fires = Some(self.now + Duration::from_secs_f64(self.backlog / core.max(0.001)));
                }
                if fires.is_some_and(|fires| self.now >= fires) {
                    self.verdict = self.controller.observe(self.now, self.now.saturating_duration_since(due));
                    (due, fires) = (self.now + LOOK, None);
                }
            }
            latest
        }
    }

    #[test]
    fn below_capacity_nothing_is_refused_however_long() {
        for load in [0.3, 0.8, 0.99] {
            let mut worker = Worker::new();
            worker.run(60.0, load, 0.3, 1.0);
            assert_eq!(worker.refused, 0.0);
        }
    }

    #[test]
    fn a_core_that_is_stolen_for_a_moment_is_no_overload() {
        for load in [0.3, 0.6, 0.8] {
            let mut worker = Worker::new();
            for _ in 0..20 {
                worker.run(2.0, load, 0.3, 1.0);
                worker.run(0.1, load, 0.3, 0.0);
            }
            // What has waited for 100 ms is worked off within STANDING, or half a second at four fifths.
            if load < 0.7 {
                assert_eq!(worker.refused, 0.0, "load {load}");
            } else {
                assert!(worker.refused < 0.01 * worker.served, "load {load}: {}", worker.refused);
            }
        }
    }

    #[test]
    fn at_twice_the_capacity_all_of_the_core_serves_or_refuses() {
        for (load, cost) in [(2.0, 0.0), (4.0, 0.1), (2.0, 0.1), (2.0, 0.3), (1.2, 0.3), (3.0, 0.2)] {
            let mut worker = Worker::new();
            // A queue without an end, in which looks wait too: the first seconds overshoot.
            worker.run(20.0, load, cost, 1.0);
            let (served, refused) = (worker.served, worker.refused);
            let latest = worker.run(20.0, load, cost, 1.0);
            let goodput = (worker.served - served) / 20.0;
            let bound = (1.0 - load * cost) / (1.0 - cost);
            assert!((goodput / bound - 1.0).abs() < 0.02, "load {load}, cost {cost}: {goodput} of {bound}");
            assert!(worker.refused > refused);
            assert!(latest < 0.06, "load {load}, cost {cost}: {latest} s late");
        }
    }

    #[test]
    fn after_the_overload_nothing_is_refused_and_the_loop_is_on_time() {
        let mut worker = Worker::new();
        worker.run(10.0, 2.0, 0.3, 1.0);
        worker.run(3.0, 0.7, 0.3, 1.0);
        let refused = worker.refused;
        let latest = worker.run(20.0, 0.7, 0.3, 1.0);
        assert_eq!(worker.refused, refused);
        assert!(latest < 0.001, "{latest}");
    }

    #[test]
    fn reading_is_paused_when_refusing_does_not_help_and_goes_on_at_the_target() {
        let mut controller = LoopDelay::default();
        let start = zero();
        let standing = u32::try_from(STANDING.as_millis() / LOOK.as_millis()).unwrap();
        let mut verdicts = (0..standing + 40).map(|look: u32| {
            let delay = if look < standing + 20 { PAUSE * 2 } else { TARGET * 9 / 10 };
            controller.observe(start + LOOK * look, delay)
        });
        let before = verdicts.by_ref().take(standing as usize).all(|verdict| verdict == Verdict::default());
        assert!(before, "not before it has stood");
        assert!(verdicts.by_ref().take(20).all(|verdict| verdict.paused && verdict.refused > 0.9));
        assert!(verdicts.all(|verdict| !verdict.paused));
    }

    #[test]
    fn the_least_important_is_refused_first_and_the_critical_only_at_last() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.spread(0.4, false), [0.4, 0.4, 0.4, 0.0], "nothing is known yet");
        for _ in 0..50 {
            arrivals.count([20, 50, 20, 10]);
        }
        let close = |parts: [f64; 4], to: [f64; 4]| parts.iter().zip(to).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(arrivals.spread(0.1, false), [0.5, 0.0, 0.0, 0.0]));
        assert!(close(arrivals.spread(0.2, false), [1.0, 0.0, 0.0, 0.0]));
        assert!(close(arrivals.spread(0.45, false), [1.0, 0.5, 0.0, 0.0]));
        assert!(close(arrivals.spread(0.8, false), [1.0, 1.0, 0.5, 0.0]));
        assert!(close(arrivals.spread(1.0, false), [1.0, 1.0, 1.0, 0.0]), "the critical is served");
        assert!(close(arrivals.spread(1.0, true), [1.0, 1.0, 1.0, 1.0]), "but for the hard limit");
        assert!(close(arrivals.spread(0.95, true), [1.0, 1.0, 1.0, 0.5]));
    }
}
