//! Whether a run can be believed: the rules of bench-methods, each with its reason in words.

use super::bounds::{MOST_BUSY, MOST_LAG_US, MOST_MISSED, MOST_STOLEN};
use super::{Lag, Offered, Quantiles, Validity, micros, round};
use crate::files;
use crate::journey::users::Ended;
use crate::recorder::{Phase, Recorder};
use crate::sample::Totals;

/// The users' process may work for this share of the cores that it may use.
const MOST_BUSY_USERS: f64 = 0.7;

/// What a run is forgiven, and what it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leeway {
    /// Drops are judged by an expectation of their own, so they are no reason here.
    pub drops_are_judged: bool,
    /// Someone ended the run early.
    pub interrupted: bool,
}

impl Validity {
    /// Judges a run: drops, achieved rate, pacer lag, driver's CPU, stolen time.
    #[must_use]
    pub fn judge(recorder: &Recorder, totals: &Totals, offered: Option<Offered>, steal_ratio: f64) -> Self {
        Self::judge_with(recorder, totals, offered, steal_ratio, Leeway::default())
    }

    /// As [`Validity::judge`], with leeway.
    #[must_use]
    pub fn judge_with(
        recorder: &Recorder,
        totals: &Totals,
        offered: Option<Offered>,
        steal_ratio: f64,
        leeway: Leeway,
    ) -> Self {
        let spent = totals.while_sending();
        let lag = Quantiles::of(recorder.pacer_lag());
        let ended: u64 = recorder.phases().iter().map(Phase::requests).sum();
        let mut reasons = Vec::new();
        if leeway.interrupted {
            let ended_ns = totals.stopped_ns.unwrap_or(totals.wall_ns);
            reasons.push(format!("the run was ended after {:.1} s", ended_ns as f64 / 1e9));
            if totals.given_up > 0 {
                reasons.push(format!("{} requests that had no answer by then were given up", totals.given_up));
            }
        }
        let mut achieved = 1.0;
        if let Some(offered) = offered {
            achieved = ended as f64 / offered.arrivals.max(1) as f64;
            open_reasons(&mut reasons, recorder, totals, offered, leeway);
        } else if totals.gave_up {
            reasons.push(format!(
                "no request could be begun for seconds while none was under way, and the run gave up after {:.1} s",
                totals.wall_ns as f64 / 1e9
            ));
        }
        let busy = totals.sending.share(totals.sending.cpu_ns);
        if busy > MOST_BUSY {
            reasons.push(format!(
                "the driver's thread was busy for {:.0} % while it sent, so it may be what was measured: ask for less, \
                 or give it a core of its own",
                busy * 100.0
            ));
        }
        if steal_ratio > MOST_STOLEN {
            reasons.push(format!("the host took {:.1} % of the machine's time", steal_ratio * 100.0));
        }
        if totals.unopened > 0 {
            reasons.push(format!(
                "this machine had no socket for a connection, {} times (of {} open files, or of the ports that it may \
                 use, none was left): ask for fewer connections, or raise its limits",
                totals.unopened,
                files::limit()
            ));
        }
        if ended == 0 {
            reasons.push(match totals.finished {
                0 => "no request ended".to_owned(),
                all => format!("all {all} requests ended within the warm-up, which counts for nothing"),
            });
        }
        Self {
            valid: reasons.is_empty(),
            reasons,
            dropped: dropped(recorder),
            pacer_lag_us: Lag { p50: lag.p50, p99: lag.p99 },
            achieved_over_offered: round(achieved, 1e4),
            client_cpu_ratio: round(spent.share(spent.cpu_ns), 1e3),
            client_spin_ratio: round(spent.share(spent.spun_ns), 1e3),
            steady_from_ms: 0,
        }
    }

    /// Judges a run of journeys: the closed model, whose users are a process of its own that may use `cores` cores.
    #[must_use]
    pub fn judge_journeys(
        recorder: &Recorder,
        ended: &Ended,
        cores: usize,
        steal_ratio: f64,
        interrupted: bool,
    ) -> Self {
        let leeway = Leeway { drops_are_judged: false, interrupted };
        let mut validity = Self::judge_with(recorder, &ended.totals, None, steal_ratio, leeway);
        let JourneyDoubts { busy, lost } = journey_doubts(ended, cores);
        validity.reasons.extend(busy.into_iter().chain(lost));
        validity.valid = validity.reasons.is_empty();
        validity
    }
}

/// Why what users saw cannot be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JourneyDoubts {
    /// Their process had too little time: what they saw came late, and all of it is known.
    pub busy: Option<String>,
    /// Something of what they saw is not known.
    pub lost: Option<String>,
}

/// Why what users saw cannot be believed, whose process may use this many cores.
#[must_use]
pub fn journey_doubts(ended: &Ended, cores: usize) -> JourneyDoubts {
    let busy = ended.totals.cpu_ns as f64 / (ended.totals.wall_ns.max(1) as f64 * cores.max(1) as f64);
    let told_busy = || {
        format!(
            "the users' process worked for {:.0} % of its cores' time, so they waited for each other: take fewer \
             users, or let them think",
            busy * 100.0
        )
    };
    let told_lost = || format!("{} requests of users were not told, since nobody listened fast enough", ended.lost);
    JourneyDoubts { busy: (busy > MOST_BUSY_USERS).then(told_busy), lost: (ended.lost > 0).then(told_lost) }
}

/// Arrivals that were dropped in what is measured: those of a warm-up are left out with it.
fn dropped(recorder: &Recorder) -> u64 {
    recorder.phases().iter().map(|phase| phase.dropped).sum()
}

/// What only the open model can do wrong.
fn open_reasons(reasons: &mut Vec<String>, recorder: &Recorder, totals: &Totals, offered: Offered, leeway: Leeway) {
    let ended: u64 = recorder.phases().iter().map(Phase::requests).sum();
    let dropped = dropped(recorder);
    if totals.gave_up {
        let sent = totals.started as f64 * 1e9 / totals.wall_ns.max(1) as f64;
        reasons.push(format!(
            "the plan cannot be sent from here: of {:.0} requests/s the driver sent {sent:.0}/s, fell seconds behind and \
             gave up; ask for less, or give it a core of its own",
            offered.rate
        ));
    }
    if dropped > 0 && !leeway.drops_are_judged {
        reasons.push(format!("{dropped} arrivals were dropped at the in-flight bound"));
    }
    let judged = if leeway.drops_are_judged { ended + dropped } else { ended };
    let achieved = judged as f64 / offered.arrivals.max(1) as f64;
    if (achieved - 1.0).abs() > MOST_MISSED {
        reasons.push(format!("{:.1} % of the offered requests were achieved", achieved * 100.0));
    }
    let lag_us = Quantiles::of(recorder.pacer_lag()).p99;
    let service = recorder.merged("all").service;
    let service_us = if service.is_empty() { 0.0 } else { micros(service.value_at_quantile(0.5)) };
    let most_lag_us = (service_us * 0.1).max(MOST_LAG_US);
    if lag_us > most_lag_us {
        reasons.push(format!("the pacer's p99 lag was {lag_us:.0} us, more than {most_lag_us:.0} us"));
    }
}
