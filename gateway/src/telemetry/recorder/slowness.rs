//! From which time on a request of a route is slow, where that is a percentile of the route's requests lately.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::telemetry::Slow;
use crate::telemetry::metrics::{HistogramTotals, RouteSeries};

/// How often it is found out anew.
const EVERY: Duration = Duration::from_secs(10);
/// What a count weighs a turn later, in percent: half of what is known is of the last half minute.
const KEPT_PERCENT: u64 = 80;
/// Requests without which a percentile says nothing.
const ENOUGH: u64 = 100;
/// What one request counts, so that it can fade.
const ONE: u64 = 1000;

/// What was seen of routes lately.
#[derive(Debug, Default)]
pub struct Slowness {
    routes: HashMap<Arc<str>, Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    /// Counts since the start, as they were at the last turn.
    before: Vec<u64>,
    /// Counts that fade, [`ONE`] a request.
    lately: HistogramTotals,
}

impl Slowness {
    /// One turn: looks at what the routes did since the last one, and says where slow begins.
    pub fn turn(&mut self, slow: Slow, routes: &[Arc<RouteSeries>]) {
        let Slow::Percentile(percent) = slow else {
            self.routes.clear();
            return;
        };
        self.routes.retain(|name, _| routes.iter().any(|route| route.name() == name));
        for route in routes {
            let Some(totals) = route.totals() else { continue };
            let lately = self.routes.entry(Arc::clone(route.name())).or_default();
            lately.see(&totals.duration);
            route.set_slow_above(lately.above(percent));
        }
    }
}

impl Lately {
    fn see(&mut self, totals: &HistogramTotals) {
        let counts: Vec<u64> = totals.buckets.iter().map(|(_, count)| *count).collect();
        if self.lately.buckets.is_empty() {
            self.lately.buckets = totals.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
            self.before = vec![0; counts.len()];
        }
        for (((_, lately), before), now) in self.lately.buckets.iter_mut().zip(&self.before).zip(&counts) {
            *lately = *lately * KEPT_PERCENT / 100 + now.saturating_sub(*before) * ONE;
        }
        self.before = counts;
    }

    /// What a slow request takes longer than; `None` while too little was seen.
    fn above(&self, percent: u8) -> Option<Duration> {
        if self.lately.count() < ENOUGH * ONE {
            return None;
        }
        self.lately.quantile_ns(f64::from(percent) / 100.0).map(Duration::from_nanos)
    }
}

/// Finds out again and again, for as long as the runtime lives. `look` gives what `slow` is now, and the routes.
pub async fn keep_pace(look: impl Fn() -> (Slow, Vec<Arc<RouteSeries>>)) {
    let mut slowness = Slowness::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let (slow, routes) = look();
        slowness.turn(slow, &routes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Registry;

    fn serve(route: &RouteSeries, requests: u32, ms: u64) {
        for _ in 0..requests {
            route.record(0, 200, None, Duration::from_millis(ms), None);
        }
    }

    #[test]
    fn slow_is_what_few_requests_of_the_same_route_take() {
        let registry = Registry::new(1);
        let (fast, slow) = (registry.route("fast"), registry.route("slow"));
        let (routes, mut slowness) = ([fast.clone(), slow.clone()], Slowness::default());
        serve(&fast, 99, 1);
        serve(&slow, 100, 400);
        slowness.turn(Slow::Percentile(99), &routes);
        assert!(!fast.is_slow(Duration::from_secs(3600)), "ninety-nine say nothing yet");
        serve(&fast, 99, 1);
        serve(&fast, 1, 50);
        serve(&slow, 100, 400);
        slowness.turn(Slow::Percentile(99), &routes);
        assert!(fast.is_slow(Duration::from_millis(20)) && !fast.is_slow(Duration::from_millis(1)));
        assert!(slow.is_slow(Duration::from_millis(700)) && !slow.is_slow(Duration::from_millis(400)));
    }

    #[test]
    fn what_was_long_ago_fades_and_silence_ends_it() {
        let registry = Registry::new(1);
        let (route, mut slowness) = (registry.route("r"), Slowness::default());
        serve(&route, 1000, 1);
        slowness.turn(Slow::Percentile(95), std::slice::from_ref(&route));
        assert!(route.is_slow(Duration::from_millis(40)));
        for _ in 0..30 {
            serve(&route, 200, 100);
            slowness.turn(Slow::Percentile(95), std::slice::from_ref(&route));
        }
        assert!(!route.is_slow(Duration::from_millis(100)), "that is usual by now");
        for _ in 0..30 {
            slowness.turn(Slow::Percentile(95), std::slice::from_ref(&route));
        }
        assert!(!route.is_slow(Duration::from_secs(3600)), "nothing is known any more");
    }
}
