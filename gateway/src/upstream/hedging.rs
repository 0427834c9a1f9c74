//! When a second attempt begins beside a slow first one: after a fixed time, or after what most requests of the route
//! take at this upstream.
//!
//! What was seen belongs to the upstream and the route's name, and outlives configuration. A request reads one number;
//! who has seen an answer takes a lock for some tens of instructions. None of it is there where nothing is hedged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::algorithms::latency::Latencies;
use crate::config::settings::route::{Hedge, HedgeAfter};

/// After so many samples the quantile is worked out anew.
const FRESH: u32 = 16;

/// How a route hedges.
#[derive(Debug)]
pub struct Hedging {
    /// Attempts beside the first, at most.
    pub max: u32,
    after: HedgeAfter,
    observed: Arc<Observed>,
}

impl Hedging {
    /// As these settings say, with what was seen before.
    pub fn new(hedge: &Hedge, observed: Arc<Observed>) -> Self {
        Self { max: hedge.max, after: hedge.after, observed }
    }

    /// How long an attempt is waited for before another begins; `None` while too little was seen to tell.
    pub fn after(&self) -> Option<Duration> {
        match self.after {
            HedgeAfter::Fixed(after) => Some(after),
            HedgeAfter::Percentile(_) => {
                let us = self.observed.quantile_us.load(Ordering::Relaxed);
                (us > 0).then(|| Duration::from_micros(us))
            }
        }
    }

    /// A request's first attempt took so long, or longer, if it was given up then.
    ///
    /// One sample for each request, and never that of a hedge: so the share of requests that are slower than a quantile
    /// stays what the quantile says, however many attempts are cut short at it.
    pub fn saw(&self, took: Duration) {
        let HedgeAfter::Percentile(percent) = self.after else { return };
        let mut seen = self.observed.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (latencies, count) = &mut *seen;
        latencies.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        *count = count.wrapping_add(1);
        if count.is_multiple_of(FRESH) {
            // Less than a microsecond is no wait: then nothing is known.
            self.observed.quantile_us.store(latencies.quantile(percent).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// What one route has seen of its upstream's latency.
#[derive(Debug, Default)]
pub struct Observed {
    seen: Mutex<(Latencies, u32)>,
    /// The quantile that was asked for last, in microseconds; 0 while it is unknown.
    quantile_us: AtomicU64,
}

/// What routes have seen of one upstream, by their names.
#[derive(Debug, Default)]
pub struct Sightings(Mutex<Vec<(Arc<str>, Arc<Observed>)>>);

impl Sightings {
    /// What this route has seen: as before, or nothing yet. Forgets routes that no configuration has any more.
    pub fn of(&self, route: &Arc<str>) -> Arc<Observed> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, observed)| name == route || Arc::strong_count(observed) > 1);
        if let Some((_, observed)) = known.iter().find(|(name, _)| name == route) {
            return Arc::clone(observed);
        }
        let observed = Arc::<Observed>::default();
        known.push((Arc::clone(route), Arc::clone(&observed)));
        observed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_percentile(observed: Arc<Observed>) -> Hedging {
        Hedging::new(&Hedge { after: HedgeAfter::Percentile(95), max: 1 }, observed)
    }

    #[test]
    fn a_quantile_is_known_after_a_while_and_outlives_a_reload() {
        let sightings = Sightings::default();
        let route: Arc<str> = "orders".into();
        let hedging = by_percentile(sightings.of(&route));
        (0..90).for_each(|_| hedging.saw(Duration::from_millis(4)));
        assert_eq!(hedging.after(), None);
        (0..40).for_each(|_| hedging.saw(Duration::from_millis(4)));
        let after = hedging.after().unwrap();
        assert!((4_000..4_260).contains(&after.as_micros()), "{after:?}");

        let reloaded = by_percentile(sightings.of(&route));
        assert_eq!(reloaded.after(), Some(after));
        assert_eq!(by_percentile(sightings.of(&"another".into())).after(), None);
        drop((hedging, reloaded));
        assert_eq!(by_percentile(sightings.of(&"third".into())).after(), None);
        assert_eq!(sightings.0.lock().unwrap().len(), 1, "routes that are gone are forgotten");
    }

    #[test]
    fn a_fixed_time_is_what_it_is() {
        let fixed = Hedge { after: HedgeAfter::Fixed(Duration::from_millis(20)), max: 2 };
        let hedging = Hedging::new(&fixed, Arc::default());
        hedging.saw(Duration::from_secs(9));
        assert_eq!(hedging.after(), Some(Duration::from_millis(20)));
    }
}
