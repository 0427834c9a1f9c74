//! How many requests an endpoint can work on at once, found from how long its answers take.
//!
//! A limit by a gradient, as in Netflix's concurrency-limits (`Gradient2Limit`): the time that an answer takes now is
//! held against the time that it takes while nobody queues, and the limit moves by their ratio, with the square root of
//! the limit as room for a queue (Envoy's `adaptive_concurrency`). Three things differ, each for a reason that a
//! simulation beside this file shows:
//!
//! - **A limit is in force only while there is more load than the endpoint can bear.** It begins where a queue has
//!   stood for a while and has grown as no queue of a steady load does by chance (`Queue::evidence`), and ends when
//!   nothing has been refused for a while. So steady load meets no limit at all, whatever
//!   its bursts, and nothing has to be probed to be ready for more.
//! - **The time that is compared follows Little's law** (waiting over rate), where that is less than what was measured.
//!   What was measured began a whole queue ago: a limit that follows it swings.
//! - **The base is not averaged while a limit is in force**, or it would learn the queue (`Gradient2Limit` drifts so
//!   under a long overload). It is measured anew: for some answers the limit eases to four fifths of what the
//!   endpoint works on at once, and their time, without a queue, is the base. That happens only while requests are
//!   being refused anyway, and costs less than a hundredth of the rate.
//!
//! Plain state: `now` comes in. One for each endpoint; all workers share it behind a lock and read the limit beside it.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The least that is ever allowed, but while the base is measured.
pub const MIN_LIMIT: u32 = 8;
/// Fewer that wait are no queue.
const QUEUE: u32 = 32;
/// How much of its capacity an endpoint keeps in reserve under a load that is to meet no limit.
const RESERVE: f64 = 0.2;
/// How uneven arrivals and work may be: the sum of their squared coefficients of variation. Poisson arrivals have 1,
/// and so has exponential work; 2 leaves room for work of which a twentieth takes ten times as long.
const UNEVEN: f64 = 3.0;
/// A queue is more load than the endpoint can bear where chance would make it with a probability of e to the power of
/// minus this: one in a million.
const EVIDENCE: f64 = 14.0;
/// A window is this long, or twice the base.
const WINDOW: Duration = Duration::from_millis(100);
/// A window is never longer, however slow answers are.
const LONGEST_WINDOW: Duration = Duration::from_secs(2);
/// Answers that a window needs to say anything, unless many wait and none comes.
const ENOUGH: u32 = 10;
/// A window that does not get them is given up after this many times its length.
const PATIENT_WINDOWS: u32 = 10;
/// There is a queue where answers take this many times the base.
const QUEUED: f64 = 3.0;
/// For how long it has to stand before there is a limit, or four times the base: a burst, a pause, a stolen core pass.
const STANDING: Duration = Duration::from_millis(300);
/// What answers may take under a limit, in times of the base (`rttTolerance` of `Gradient2Limit`).
const TOLERANCE: f64 = 1.5;
/// The part of the way to the wanted limit that a window goes.
const SMOOTHING: f64 = 0.3;
/// How far a window may move the limit (Envoy's bounds of the gradient).
const GRADIENT: (f64, f64) = (0.5, 2.0);
/// No limit is in force any more when nothing was refused for this long.
const CALM: Duration = Duration::from_secs(2);
/// Without a limit, the base follows what answers take with this time constant; down it goes ten times faster.
const LONG_AVERAGE: f64 = 10.0;
/// The base is measured for the first time this soon after a limit came into force, then this often, or after a hundred
/// times the base.
const FIRST_MEASURE: Duration = Duration::from_secs(1);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// It is measured only where each of so many windows has refused something: what a limit that is about to end refuses
/// by chance is no overload, and easing the limit then would refuse more.
const PRESSED: u32 = 5;
/// Of what the endpoint works on at once, the part that is let in while the base is measured; never less than a third
/// of the limit, or a base that is much too small would leave nothing to measure.
const EASED: f64 = 0.8;
const EASED_LEAST: f64 = 1.0 / 3.0;
/// Answers that make a measurement, and the fewest that are used when time is up.
const MEASURED: u32 = 40;
const MEASURED_LEAST: u32 = 5;
/// A measurement lasts so many times the base that it finds.
const MEASURED_TIMES: f64 = 3.0;
/// The longest that a measurement takes, or twenty times the base, if it has the fewest answers by then.
const MEASURE_FOR: Duration = Duration::from_millis(250);
/// The longest that it takes anyhow.
const MEASURE_AT_MOST: Duration = Duration::from_secs(4);

/// How an attempt ended, as far as it says something about the endpoint's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An answer came.
    Answered,
    /// It failed at once, or in another way that took no place in a queue; its time says nothing.
    Failed,
    /// Nobody knows how long it would have taken: it was given up.
    Dropped,
}

/// What a window has seen.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    answered: u32,
    took: f64,
    ended: u32,
    waiting: u64,
    peak: u32,
    refused: bool,
}

/// A queue that stands, while there is no limit.
#[derive(Debug, Clone, Copy)]
struct Queue {
    since: Instant,
    /// How many waited before it.
    before: u32,
    /// The most that waited in it.
    peak: u32,
    ended: u32,
}

impl Queue {
    /// How surely it is no chance: minus the logarithm of the probability with which a steady load makes it.
    ///
    /// A queue is a random walk: while an endpoint ends `n` requests, a load that leaves it a reserve makes its queue
    /// shorter by `reserve x n`, with a variance of `n x uneven` (Kingman's approximation of heavy traffic, for any
    /// spread of arrivals and work). It is held against a walk that grew by as much in that time, or, where it took
    /// longer, in the likeliest time: that a queue stays as long as it is says nothing.
    fn evidence(&self, seconds: f64, waiting: u32, usual: f64) -> f64 {
        let grown = f64::from(waiting.saturating_sub(self.before));
        // An endpoint that is stuck ends nothing: what it usually does says how much of this is chance.
        let ended = f64::from(self.ended).max(usual * seconds).min(grown / RESERVE).max(1.0);
        (grown + RESERVE * ended).powi(2) / (2.0 * UNEVEN * ended)
    }
}

/// A measurement of the base.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    asked: Instant,
    /// When the queue was gone.
    since: Option<Instant>,
    limit: u32,
    ended: u32,
    waiting: u64,
}

/// The limit of one endpoint.
#[derive(Debug, Clone)]
pub struct AdaptiveLimit {
    limit: Option<f64>,
    /// Seconds that an answer takes while nobody queues.
    base: Option<f64>,
    window: Window,
    /// The queue that has stood since some window.
    queue: Option<Queue>,
    /// How many waited when there was last no queue.
    lull: u32,
    /// Attempts that end each second while there is no queue.
    usual: f64,
    /// Since when nothing was refused.
    calm: Option<Instant>,
    /// Windows in a row that refused something.
    pressed: u32,
    measurement: Option<Measurement>,
    measure_at: Instant,
    /// Attempts that ended each second, in the last window.
    rate: f64,
}

/// A limit as it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The limit in force.
    pub limit: Option<u32>,
    /// What an answer takes while nobody queues.
    pub base: Option<Duration>,
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, answered: 0, took: 0.0, ended: 0, waiting: 0, peak: 0, refused: false }
    }
}

impl AdaptiveLimit {
    /// Nothing is known, nothing is limited.
    pub fn new(now: Instant) -> Self {
        Self {
            limit: None,
            base: None,
            window: Window::new(now),
            queue: None,
            lull: 0,
            usual: 0.0,
            calm: None,
            pressed: 0,
            measurement: None,
            measure_at: now,
            rate: 0.0,
        }
    }

    /// How many may wait for an answer at once; `None` while there is no limit.
    pub fn limit(&self) -> Option<u32> {
        match (self.limit, &self.measurement) {
            (Some(_), Some(measurement)) => Some(measurement.limit),
            // Bounded by `peak`, which is a u32, and what it grows by from there.
            (Some(limit), None) => Some(limit as u32),
            (None, _) => None,
        }
    }

    /// How it stands.
    pub fn look(&self) -> Look {
        Look { limit: self.limit(), base: self.base.map(Duration::from_secs_f64) }
    }

    /// When somebody should call `tick`, if nothing ends until then.
    pub fn due(&self) -> Instant {
        self.window.since + self.length()
    }

    /// An attempt ended that began `took` ago. `waiting` others still wait for their answers; `refused` says that a
    /// request has met the limit since the last call.
    pub fn settle(&mut self, now: Instant, end: End, took: Duration, waiting: u32, refused: bool) {
        if end == End::Answered {
            self.window.answered += 1;
            self.window.took += took.as_secs_f64();
        }
        if end != End::Dropped {
            self.window.ended += 1;
            self.window.waiting += u64::from(waiting);
            if let Some(measurement) = self.measurement.as_mut().filter(|measurement| measurement.since.is_some()) {
                measurement.ended += 1;
                measurement.waiting += u64::from(waiting);
            }
        }
        self.tick(now, waiting, refused);
    }

    /// Does what time alone does.
    pub fn tick(&mut self, now: Instant, waiting: u32, refused: bool) {
        self.window.peak = self.window.peak.max(waiting);
        self.window.refused |= refused;
        if self.measurement.is_some() {
            self.measure(now, waiting);
            return;
        }
        let (age, length) = (now.saturating_duration_since(self.window.since), self.length());
        if age < length {
            return;
        }
        // Without a base there is nothing to hold a window against: the first has to have its answers.
        let stuck = self.base.is_some() && waiting >= if self.limit.is_some() { MIN_LIMIT } else { QUEUE };
        if self.window.ended >= ENOUGH || stuck {
            self.close(now, age.as_secs_f64(), waiting);
        } else if age >= length * PATIENT_WINDOWS {
            // Too little happens here to know anything, or to need a limit.
            (self.limit, self.queue, self.lull) = (None, None, waiting);
            self.window = Window::new(now);
        }
    }

    fn length(&self) -> Duration {
        self.times_base(2.0, WINDOW).min(LONGEST_WINDOW)
    }

    /// So many times the base, and at least this.
    fn times_base(&self, times: f64, least: Duration) -> Duration {
        Duration::from_secs_f64(self.base.unwrap_or(0.0) * times).max(least)
    }

    /// A window is over.
    fn close(&mut self, now: Instant, seconds: f64, waiting: u32) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        self.rate = f64::from(window.ended) / seconds;
        let measured = (window.answered > 0).then(|| window.took / f64::from(window.answered));
        let by_littles_law = window.waiting as f64 / f64::from(window.ended.max(1)) / self.rate;
        let now_takes =
            if window.ended == 0 { f64::INFINITY } else { measured.unwrap_or(f64::INFINITY).min(by_littles_law) };
        let Some(base) = self.base else {
            self.base = measured.filter(|_| window.answered >= ENOUGH);
            (self.usual, self.lull) = (self.rate, waiting);
            return;
        };
        match self.limit {
            None => self.watch(now, &window, (seconds, waiting), (base, measured, now_takes)),
            Some(limit) => self.follow(now, &window, (limit, waiting), (base, now_takes)),
        }
    }

    /// No limit is in force: is there a queue that stands, and is it more than chance?
    fn watch(
        &mut self,
        now: Instant,
        window: &Window,
        (seconds, waiting): (f64, u32),
        (base, measured, now_takes): (f64, Option<f64>, f64),
    ) {
        if now_takes > base * QUEUED && window.peak >= QUEUE {
            let begun = Queue { since: window.since, before: self.lull, peak: 0, ended: 0 };
            let queue = self.queue.get_or_insert(begun);
            queue.peak = queue.peak.max(window.peak);
            queue.ended = queue.ended.saturating_add(window.ended);
            let (queue, stood) = (*queue, now.saturating_duration_since(queue.since));
            let evidence = queue.evidence(stood.as_secs_f64(), waiting, self.usual);
            if stood >= self.times_base(4.0, STANDING) && evidence >= EVIDENCE {
                self.queue = None;
                // Twice what is worked on at once is wide enough, and the sooner measured.
                let wide = (2.0 * self.rate * base).max(f64::from(QUEUE));
                self.limit = Some(f64::from(queue.peak).min(wide));
                self.calm = None;
                self.measure_at = now + self.times_base(10.0, FIRST_MEASURE);
            }
            return;
        }
        self.queue = None;
        self.lull = waiting;
        let towards = |constant: f64| 1.0 - (-seconds / constant).exp();
        self.usual += (self.rate - self.usual) * towards(LONG_AVERAGE);
        if let Some(measured) = measured {
            let constant = if measured < base { LONG_AVERAGE / 10.0 } else { LONG_AVERAGE };
            self.base = Some(base + (measured - base) * towards(constant));
        }
    }

    /// A limit is in force: it moves by the gradient, or ends.
    fn follow(&mut self, now: Instant, window: &Window, (limit, waiting): (f64, u32), (base, now_takes): (f64, f64)) {
        self.pressed = if window.refused { self.pressed.saturating_add(1) } else { 0 };
        if window.refused {
            self.calm = None;
        } else if now.saturating_duration_since(*self.calm.get_or_insert(window.since)) >= self.times_base(10.0, CALM) {
            // What waits now is what waits without a limit.
            (self.limit, self.lull, self.usual) = (None, waiting, self.rate);
            return;
        }
        let slower = TOLERANCE * base / now_takes;
        let gradient = if now_takes > 0.0 { slower.clamp(GRADIENT.0, GRADIENT.1) } else { GRADIENT.1 };
        let wanted = limit * gradient + limit.sqrt();
        // What nobody met cannot be too low.
        if wanted < limit || window.refused {
            let next = limit + (wanted - limit) * SMOOTHING;
            self.limit = Some(next.clamp(f64::from(MIN_LIMIT), f64::from(u32::MAX)));
        }
        if now >= self.measure_at && self.pressed >= PRESSED && self.rate > 0.0 {
            let eased = (self.rate * base * EASED).max(limit * EASED_LEAST).min(limit) as u32;
            self.measurement = Some(Measurement { asked: now, since: None, limit: eased, ended: 0, waiting: 0 });
        }
    }

    /// The base is being measured: is that enough?
    ///
    /// By Little's law again. A mean of times would be too short: the first to end are those that take the least.
    fn measure(&mut self, now: Instant, waiting: u32) {
        let longest = self.times_base(20.0, MEASURE_FOR);
        let Some(measurement) = &mut self.measurement else { return };
        if measurement.since.is_none() && waiting <= measurement.limit {
            measurement.since = Some(now);
        }
        let age = measurement.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)).as_secs_f64();
        let ended = f64::from(measurement.ended);
        let fresh = measurement.waiting as f64 / ended / (ended / age);
        // Who waits is counted without the one that ended: where that was mostly nobody, the law has seen nothing.
        let usable = measurement.ended >= MEASURED_LEAST && 2 * measurement.waiting >= u64::from(measurement.ended);
        let enough = usable && measurement.ended >= MEASURED && age >= MEASURED_TIMES * fresh;
        let lasted = now.saturating_duration_since(measurement.asked);
        let over = enough || (usable && lasted >= longest) || lasted >= MEASURE_AT_MOST.max(longest);
        if !over {
            return;
        }
        let mut settled = true;
        if usable {
            let base = self.base.unwrap_or(fresh);
            // A little off is chance; far off is news, and is looked at again soon.
            let close_by = fresh < base * 2.0 && fresh > base / 2.0;
            settled = close_by;
            self.base = Some(if close_by { f64::midpoint(base, fresh) } else { fresh });
        }
        self.measurement = None;
        let wait = if settled { self.times_base(100.0, MEASURE_EVERY) } else { self.times_base(10.0, FIRST_MEASURE) };
        self.measure_at = now + wait;
        self.window = Window::new(now);
    }
}
