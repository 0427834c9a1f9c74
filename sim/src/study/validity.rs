//! Which turns count as measurements, and what to know of those that do not: pure.
//!
//! A turn with an answer that was not as expected measured something else than its claim is about: a refusal costs
//! less than what is refused. It decides nothing. Where the driver may have been the limit, requests a second and
//! latencies are the driver's, and are left out; CPU a request holds for that rate.

use loadgen::result::bounds::MOST_STOLEN;
use serde_json::{Value, json};

use super::experiment::Load;
use super::figure::Sample;
use crate::rounds::turn::Turn;
use crate::rounds::{BUSY, HEADROOM, REUSED};
use crate::statistics::median;

/// Figures that are the driver's where a contender waited for it.
const OF_THE_DRIVER: [&str; 3] = ["requests_per_second", "p50_us", "p99_us"];

/// What the turns of one arm showed, round by round.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Requests a second of the driver straight to the mock, under the same load.
    direct_rps: f64,
    samples: Vec<Option<Sample>>,
    not_ok: u64,
    /// Turns in which it waited for the driver.
    waited: usize,
    reuse: Vec<f64>,
}

impl Shown {
    /// Nothing yet.
    pub(super) fn beside(direct_rps: f64) -> Self {
        Self { direct_rps, ..Self::default() }
    }

    /// A round without its turn.
    pub(super) fn skip(&mut self) {
        self.samples.push(None);
    }

    /// Its turn of a round.
    pub(super) fn put(&mut self, turn: &Turn, load: &Load, idle_rss: u64) {
        let has_headroom = self.direct_rps >= HEADROOM * turn.requests_per_second();
        let waited = !has_headroom && turn.core_share() < BUSY;
        let mut figures = figures(turn, load, idle_rss);
        if let (true, Some(figures)) = (waited, figures.as_object_mut()) {
            figures.retain(|name, _| !OF_THE_DRIVER.contains(&name.as_str()));
        }
        self.not_ok += turn.not_ok;
        self.waited += usize::from(waited);
        self.reuse.push(turn.reuse_ratio);
        let is_valid = turn.finished > 0 && turn.not_ok == 0;
        self.samples.push(Some(Sample { figures, is_valid, is_lost: false }));
    }

    /// The times of the last round cannot be believed.
    fn spoil(&mut self) {
        if let Some(Some(sample)) = self.samples.last_mut() {
            sample.is_valid = false;
        }
    }

    /// Round by round.
    pub(super) fn into_samples(self) -> Vec<Option<Sample>> {
        self.samples
    }

    /// What to know of them.
    pub(super) fn notes(&self, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if self.not_ok > 0 {
            notes.push(format!("{name}: {} answers were not as expected", self.not_ok));
        }
        if self.waited > 0 {
            notes.push(format!(
                "{name}: waited for driver or mock in {} of {} turns: its CPU a request holds for that rate, its requests/s \
                 and latencies are the driver's and left out",
                self.waited,
                self.reuse.len()
            ));
        }
        if let Some(reuse) = median(&self.reuse).filter(|reuse| *reuse < REUSED) {
            notes.push(format!("{name}: {:.1} % of upstream requests on an open connection", reuse * 100.0));
        }
        notes
    }
}

/// Judges a round by what the host took of the machine's time meanwhile; says so where it was too much.
pub(super) fn judge_round(round: usize, steal_ratio: f64, all: &mut [Shown]) -> Option<String> {
    (steal_ratio > MOST_STOLEN).then(|| {
        all.iter_mut().for_each(Shown::spoil);
        format!("round {round} does not count: the host took {:.1} % of the machine's time", steal_ratio * 100.0)
    })
}

fn figures(turn: &Turn, load: &Load, idle_rss: u64) -> Value {
    let cpu_us = turn.cpu_us_per_request();
    json!({
        "cpu_us_per_request": cpu_us,
        "requests_per_second": turn.requests_per_second(),
        "requests_per_core": if cpu_us > 0.0 { 1e6 / cpu_us } else { 0.0 },
        "p50_us": turn.latency_us(0.5),
        "p99_us": turn.latency_us(0.99),
        "rss_bytes": turn.rss_bytes,
        "idle_rss_bytes": idle_rss,
        "bytes_per_core": if cpu_us > 0.0 { load.body as f64 * 1e6 / cpu_us } else { 0.0 },
        "core_share": turn.core_share(),
        "reuse_ratio": turn.reuse_ratio,
        "calls_per_request": turn.calls_per_request,
        "not_ok": turn.not_ok,
        "failed_share": turn.not_ok as f64 / turn.finished.max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use reports::result::{Claim, ClaimVerdict, Unit};

    use super::*;
    use crate::study::experiment::{Draw, Figure};
    use crate::study::figure::{Samples, drawn};
    use crate::study::verdict::judge;

    /// A second of a full core, at 10,000 requests a second.
    fn turn() -> Turn {
        let mut latency = Histogram::new(3).unwrap();
        latency.record(400_000).unwrap();
        Turn {
            finished: 10_000,
            not_ok: 0,
            dropped: 0,
            wall_ns: 1_000_000_000,
            cpu_us: 1_000_000.0,
            rss_bytes: 1 << 20,
            driver_share: 0.5,
            reuse_ratio: 1.0,
            calls_per_request: 1.0,
            latency,
            lag_p50_ns: 0,
            lag_p99_ns: 0,
        }
    }

    /// Six rounds with these turns, beside a driver that does 20,000 a second.
    fn shown(turn: &Turn) -> Shown {
        let mut shown = Shown::beside(20_000.0);
        (0..6).for_each(|_| shown.put(turn, &Load::USUAL, 0));
        shown
    }

    const CPU: Draw = Draw::Of("ours", "cpu_us_per_request");

    /// Whether a claim holds that asks for at most 200 us a request.
    fn verdict(shown: Shown) -> ClaimVerdict {
        let samples: Samples = [("ours".to_owned(), shown.into_samples())].into();
        let figure = Figure::timed("CPU a request", Unit::Us, CPU).most(200.0).core();
        let mut claim = Claim { figures: vec![drawn(&figure, &samples, 6)], ..Claim::default() };
        judge(&mut claim);
        claim.verdict
    }

    #[test]
    fn cheap_refusals_are_no_cheap_requests() {
        assert_eq!(verdict(shown(&turn())), ClaimVerdict::Holds);
        let refusing = shown(&Turn { not_ok: 1_700, ..turn() });
        assert_eq!(refusing.notes("4000"), ["4000: 10200 answers were not as expected"]);
        assert_eq!(verdict(refusing), ClaimVerdict::NotMeasured);
        assert_eq!(verdict(shown(&Turn { finished: 0, ..turn() })), ClaimVerdict::NotMeasured, "nothing was answered");
    }

    #[test]
    fn who_waits_for_the_driver_shows_what_a_request_costs_and_no_more() {
        let of = |turn: &Turn, name: &str| shown(turn).into_samples()[0].as_ref().unwrap().figures.get(name).cloned();
        let fast = Turn { finished: 15_000, cpu_us: 900_000.0, ..turn() };
        for name in OF_THE_DRIVER {
            assert!(of(&turn(), name).is_some() && of(&fast, name).is_none(), "{name}");
        }
        assert!(of(&fast, "cpu_us_per_request").is_some_and(|cpu| cpu == 60.0));
        let notes = shown(&fast).notes("64");
        assert!(notes[0].contains("waited for driver or mock in 6 of 6 turns") && notes.len() == 1, "{notes:?}");
        let full = Turn { cpu_us: 990_000.0, ..fast };
        assert!(of(&full, "p99_us").is_some() && shown(&full).notes("64").is_empty(), "its own core was the limit");
    }

    #[test]
    fn a_round_that_the_host_took_time_of_does_not_count() {
        let mut all = [shown(&turn()), shown(&turn())];
        assert_eq!(judge_round(6, 0.009, &mut all), None);
        let said = judge_round(6, 0.04, &mut all).unwrap();
        assert_eq!(said, "round 6 does not count: the host took 4.0 % of the machine's time");
        for shown in all {
            let valid: Vec<bool> = shown.into_samples().into_iter().flatten().map(|sample| sample.is_valid).collect();
            assert_eq!(valid, [true, true, true, true, true, false]);
        }
    }

    #[test]
    fn connections_that_are_opened_anew_are_told() {
        assert!(shown(&Turn { reuse_ratio: 0.995, ..turn() }).notes("64").is_empty());
        let notes = shown(&Turn { reuse_ratio: 0.41, ..turn() }).notes("nginx-4000");
        assert_eq!(notes, ["nginx-4000: 41.0 % of upstream requests on an open connection"]);
        let mut stopped = Shown::beside(1.0);
        stopped.skip();
        assert!(stopped.notes("x").is_empty() && stopped.into_samples()[0].is_none());
    }
}
