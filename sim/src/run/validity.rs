//! Whether a run can be believed, by the rules of `docs/benchmarking.md`: what was not kept is a reason against it.

use std::time::Duration;

use loadgen::result::bounds::{MOST_BUSY, MOST_LAG_US, MOST_MISSED, MOST_STOLEN};
use loadgen::result::{JourneyDoubts, Offered, Quantiles, journey_doubts};
use loadgen::sample::Totals;
use reports::result::{Lag, Validity};

use super::doubt::Doubt;
use super::measure::Measured;
use super::warm_up::WarmedUp;
use crate::scenario::Scenario;
use crate::scenario::model::{LoadPart, Runtime};

/// Mocks that are busier than this are what limits.
const BUSY_MOCKS: f64 = 0.85;
/// With more of the machine's time taken by its host, time limits pass that would not have.
const STARVING_STEAL: f64 = 0.05;

/// Reasons against a run, and what they may have caused.
#[derive(Debug, Default)]
struct Reasons {
    list: Vec<String>,
    doubt: Doubt,
    /// The machine was busy.
    late: bool,
}

impl Reasons {
    /// The machine was busy: times say nothing.
    fn late(&mut self, why: String) {
        self.late = true;
        self.list.push(why);
    }

    /// Somebody else than the driver had too little of the machine, which no driver's lateness tells.
    fn starved(&mut self, why: String) {
        self.doubt.starved = true;
        self.late(why);
    }

    /// The server was slow, as far as its driver was on time: it explains no miss.
    fn slow(&mut self, why: String) {
        self.list.push(why);
    }

    /// Not all was sent.
    fn unsent(&mut self, why: String) {
        self.doubt.unsent = true;
        self.list.push(why);
    }

    /// Something of what happened is not known.
    fn lost(&mut self, why: String) {
        self.doubt.lost = true;
        self.list.push(why);
    }
}

/// Judges a run whose driver has this many cores, on a machine of whose time its host took this share; and says what
/// the reasons against it may have caused.
pub(super) fn judge(
    scenario: &Scenario,
    warmed_up: &WarmedUp,
    measured: &Measured,
    (cores, steal_ratio): (usize, f64),
) -> (Validity, Doubt) {
    let mut reasons = Reasons::default();
    let mut validity = Validity { achieved_over_offered: 1.0, ..Validity::default() };
    for (number, load) in scenario.loads.iter().enumerate() {
        let watch = &measured.watches[number];
        let service = Quantiles::of(&watch.recorder.merged("all").service);
        let lag = Quantiles::of(watch.recorder.pacer_lag());
        let (totals, offered) = (&measured.driven.totals[number], measured.offered[number].as_ref());
        let one = LoadSeen { load, totals, offered, lag_us: lag.p99, service_us: service.p50 };
        one.reasons(&mut reasons);
        if let Some(ended) = &measured.driven.ended[number] {
            users_reasons(&mut reasons, &load.name, journey_doubts(ended, cores));
        }
        validity.dropped += one.dropped();
        if lag.p99 > validity.pacer_lag_us.p99 {
            validity.pacer_lag_us = Lag { p50: lag.p50, p99: lag.p99 };
        }
        validity.achieved_over_offered = validity.achieved_over_offered.min(one.achieved());
        // One thread drives all loads, and each has all of its time in its totals.
        validity.client_cpu_ratio = validity.client_cpu_ratio.max(one.judged_busy());
        if watch.not_kept > 0 {
            reasons.lost(format!("load {}: {} requests were too many to keep", load.name, watch.not_kept));
        }
    }
    validity.achieved_over_offered = round(validity.achieved_over_offered, 1e4);
    validity.client_cpu_ratio = round(validity.client_cpu_ratio, 1e3);
    world_reasons(scenario, measured, steal_ratio, &mut reasons);
    match warmed_up.steady_from_ms {
        Some(since) => validity.steady_from_ms = since,
        None => reasons.late(format!(
            "NOT STEADY after {} of warm-up: {}",
            secs(warmed_up.lasted),
            warmed_up.unsteady.join("; ")
        )),
    }
    if measured.interrupted {
        let stopped_ns = measured.driven.totals.iter().filter_map(|totals| totals.stopped_ns).min();
        let lasted = stopped_ns.map_or(measured.lasted, Duration::from_nanos).min(scenario.length());
        reasons.doubt.interrupted = true;
        reasons.list.insert(0, format!("it was interrupted after {} of {}", secs(lasted), secs(scenario.length())));
    }
    let Reasons { list, doubt, late } = reasons;
    // Loads without a plan have no pacer that could say how late anybody was.
    let starved = doubt.starved || (late && measured.offered.iter().all(Option::is_none));
    let doubt = match scenario.runtime {
        Runtime::Sockets => {
            Doubt { starved, shared: scenario.redis, late_ms: validity.pacer_lag_us.p99 / 1e3, ..doubt }
        }
        // No machine has a part in it.
        Runtime::Virtual => Doubt { interrupted: doubt.interrupted, lost: doubt.lost, ..Doubt::default() },
    };
    (Validity { valid: list.is_empty(), reasons: list, ..validity }, doubt)
}

/// Users that are only slow hide nothing: what they were answered is known. But what they asked for may have failed for
/// that, however timely the driver of another load was: they are a process of their own.
fn users_reasons(reasons: &mut Reasons, load: &str, JourneyDoubts { busy, lost }: JourneyDoubts) {
    busy.into_iter().for_each(|reason| reasons.starved(format!("load {load}: {reason}")));
    lost.into_iter().for_each(|reason| reasons.lost(format!("load {load}: {reason}")));
}

fn world_reasons(scenario: &Scenario, measured: &Measured, steal_ratio: f64, reasons: &mut Reasons) {
    let mocks_busy = measured.mocks_cpu_us as f64 / measured.lasted.as_micros().max(1) as f64;
    // Mocks that queue on purpose wait, and take no time of a core for it.
    if mocks_busy > BUSY_MOCKS {
        reasons.starved(format!("the mocks were at their limit: {:.0} % of a core", mocks_busy * 100.0));
    }
    let (before, after) = &measured.counted;
    let lost = after.journal_dropped.saturating_sub(before.journal_dropped);
    let kept_from = after.recorded.saturating_sub(before.recorded);
    if lost > 0 && kept_from > 0 {
        reasons.lost(format!("the mocks' journal lost {lost} requests"));
    }
    if steal_ratio > MOST_STOLEN {
        let why = format!("the host took {:.1} % of the machine's time", steal_ratio * 100.0);
        if steal_ratio > STARVING_STEAL { reasons.starved(why) } else { reasons.late(why) }
    }
    for done in measured.events.iter().filter_map(super::timeline::Done::failure) {
        reasons.lost(done);
    }
    if measured.events.len() < scenario.events.len() && !measured.interrupted {
        reasons.lost(format!("{} of {} events were done", measured.events.len(), scenario.events.len()));
    }
}

/// One load and what was seen of it.
struct LoadSeen<'a> {
    load: &'a LoadPart,
    totals: &'a Totals,
    offered: Option<&'a Offered>,
    lag_us: f64,
    service_us: f64,
}

impl LoadSeen<'_> {
    fn achieved(&self) -> f64 {
        match self.offered {
            Some(offered) if !self.load.overload => self.totals.finished as f64 / offered.arrivals.max(1) as f64,
            _ => 1.0,
        }
    }

    /// Arrivals that count against the run; those of an overload are its figures.
    fn dropped(&self) -> u64 {
        if self.load.overload { 0 } else { self.totals.dropped }
    }

    /// The closed model may use its whole core.
    fn judged_busy(&self) -> f64 {
        if self.offered.is_some() { self.busy() } else { 0.0 }
    }

    /// Of the driver's thread, what it worked for itself or for the mocks that share it, while it sent.
    fn busy(&self) -> f64 {
        let spent = self.totals.while_sending();
        spent.share(spent.cpu_ns + spent.neighbour_ns)
    }

    fn reasons(&self, reasons: &mut Reasons) {
        let name = &self.load.name;
        if self.totals.finished == 0 {
            reasons.lost(format!("load {name}: no request ended"));
        }
        if self.totals.unopened > 0 {
            let times = self.totals.unopened;
            reasons.unsent(format!("load {name}: this machine had no socket for a connection, {times} times"));
        }
        if self.totals.gave_up {
            let why = match self.offered {
                Some(_) => "the driver fell hopelessly behind its plan",
                None => "the driver could begin no request for seconds while none was under way",
            };
            reasons.unsent(format!("load {name}: {why}, and gave up"));
        }
        // The closed model offers nothing of its own, and may use its whole core.
        if self.offered.is_none() {
            return;
        }
        // A slow server fills the bound; a slow driver shows by its lag, or gives up.
        if self.dropped() > 0 {
            reasons.slow(format!("load {name}: {} arrivals were dropped at the in-flight bound", self.dropped()));
        }
        let achieved = self.achieved();
        if (achieved - 1.0).abs() > MOST_MISSED {
            reasons.slow(format!("load {name}: {:.1} % of the offered requests were achieved", achieved * 100.0));
        }
        let most = (self.service_us * 0.1).max(MOST_LAG_US);
        if self.lag_us > most {
            reasons.late(format!("load {name}: the pacer's p99 lag was {:.0} us, more than {most:.0} us", self.lag_us));
        }
        if self.busy() > MOST_BUSY {
            let who = if self.totals.neighbour_ns > 0 { "driver and mocks were" } else { "the driver was" };
            reasons.late(format!("load {name}: {who} busy for {:.0} %", self.busy() * 100.0));
        }
    }
}

fn secs(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use loadgen::plan::Arrivals;
    use loadgen::sample::Spent;
    use reports::reasons;

    use super::*;
    use crate::scenario::model::{LoadModel, WayPart};

    fn load(overload: bool) -> LoadPart {
        LoadPart {
            name: "main".to_owned(),
            model: LoadModel::Open { arrivals: Arrivals::Constant, rate: 1_000.0 },
            from: Duration::ZERO,
            duration: Duration::from_secs(1),
            requests: Vec::new(),
            connections: 1,
            max_in_flight: 1,
            timeout: Duration::from_secs(1),
            overload,
            journey: None,
            way: WayPart::default(),
        }
    }

    fn reasons(overload: bool, totals: &Totals, lag_us: f64) -> Vec<String> {
        let load = load(overload);
        let offered = Offered { arrivals: 1_000, rate: 1_000.0, length_ns: None, hash: 0 };
        let mut reasons = Reasons::default();
        LoadSeen { load: &load, totals, offered: Some(&offered), lag_us, service_us: 1_000.0 }.reasons(&mut reasons);
        assert_eq!(reasons.doubt.unsent, totals.gave_up, "what a slow server makes is judged: {reasons:?}");
        reasons.list
    }

    #[test]
    fn each_fault_of_a_load_is_a_reason_of_its_own() {
        let good = Totals { finished: 1_000, wall_ns: 1_000, ..Totals::default() };
        let sending = Spent { cpu_ns: 750, wall_ns: 1_000, ..Spent::default() };
        assert!(reasons(false, &good, 150.0).is_empty());
        for (totals, lag_us, word) in [
            (Totals { dropped: 1, ..good }, 0.0, "dropped"),
            (Totals { finished: 980, ..good }, 0.0, "achieved"),
            (Totals { gave_up: true, ..good }, 0.0, "gave up"),
            (good, 201.0, "lag"),
            (Totals { cpu_ns: 800, ..good }, 0.0, "the driver was busy"),
            (Totals { cpu_ns: 400, neighbour_ns: 400, ..good }, 0.0, "driver and mocks were busy"),
            // A request that hung made the run ten times as long, and the driver no less busy before.
            (Totals { cpu_ns: 800, wall_ns: 10_000, sending, ..good }, 0.0, "the driver was busy"),
        ] {
            let reasons = reasons(false, &totals, lag_us);
            assert!(reasons.len() == 1 && reasons[0].contains(word), "{word}: {reasons:?}");
            let marks = if word == "gave up" { 0 } else { 1 };
            assert_eq!(figures_of(&reasons[0]), marks, "{reasons:?}");
        }
        let nothing = Totals { wall_ns: 1_000, ..Totals::default() };
        assert!(reasons(false, &nothing, 0.0)[0].contains("no request ended"));
    }

    #[test]
    fn users_that_are_slow_lose_no_evidence() {
        let judged = |busy: Option<&str>, lost: Option<&str>| {
            let mut reasons = Reasons::default();
            let owned = |text: Option<&str>| text.map(str::to_owned);
            users_reasons(&mut reasons, "shop", JourneyDoubts { busy: owned(busy), lost: owned(lost) });
            (reasons.late, reasons.doubt.starved, reasons.doubt.lost, reasons.list.len())
        };
        // Starved: what they asked for may have failed for it, beside a driver that was on time too.
        assert_eq!(judged(Some("busy"), None), (true, true, false, 1));
        assert_eq!(judged(None, Some("lost")), (false, false, true, 1));
        assert_eq!(judged(Some("busy"), Some("lost")), (true, true, true, 2));
    }

    #[test]
    fn the_page_marks_by_the_bounds_that_runs_are_judged_by() {
        // Whatever renders a result shares no code with what measures it.
        let shown = [reasons::MOST_MISSED, reasons::MOST_LAG_US, reasons::MOST_BUSY, reasons::MOST_STOLEN];
        assert_eq!(shown, [MOST_MISSED, MOST_LAG_US, MOST_BUSY, MOST_STOLEN]);
    }

    /// How many figures of a page a reason marks.
    fn figures_of(reason: &str) -> usize {
        reasons::ALL.iter().filter(|words| reason.contains(**words)).count()
    }

    #[test]
    fn the_page_knows_the_reasons_of_a_load_alone_too() {
        let mut recorder = loadgen::recorder::Recorder::new("all", 0);
        (0..1_000).for_each(|at| loadgen::sample::Observer::lag(&mut recorder, at, 5_000_000));
        loadgen::sample::Observer::dropped(&mut recorder, 1);
        let sending = Spent { cpu_ns: 900, wall_ns: 1_000, ..Spent::default() };
        let totals = Totals { finished: 10, dropped: 1, wall_ns: 1_000, sending, ..Totals::default() };
        let offered = Offered { arrivals: 1_000, rate: 1_000.0, length_ns: None, hash: 0 };
        let judged = loadgen::result::Validity::judge(&recorder, &totals, Some(offered), 0.5);
        for words in reasons::ALL {
            let about: Vec<_> = judged.reasons.iter().filter(|reason| reason.contains(words)).collect();
            assert!(about.len() == 1 && figures_of(about[0]) == 1, "{words}: {:?}", judged.reasons);
        }
        // Users are a process of their own, and none of these figures is about it.
        let users = loadgen::journey::users::Ended {
            totals: Totals { cpu_ns: 950, wall_ns: 1_000, ..Totals::default() },
            lost: 1,
        };
        let JourneyDoubts { busy, lost } = journey_doubts(&users, 1);
        assert_eq!((figures_of(&busy.unwrap()), figures_of(&lost.unwrap())), (0, 0));
    }

    #[test]
    fn an_overload_may_drop_and_fall_short() {
        let short = Totals { finished: 600, dropped: 400, wall_ns: 1_000, ..Totals::default() };
        assert!(reasons(true, &short, 0.0).is_empty());
        let (overload, other) = (load(true), load(false));
        let seen = |load| LoadSeen { load, totals: &short, offered: None, lag_us: 0.0, service_us: 1.0 };
        assert_eq!((seen(&overload).dropped(), seen(&other).dropped()), (0, 400), "drops of an overload are figures");
    }

    #[test]
    fn a_closed_load_may_keep_its_driver_busy() {
        let busy = Totals { finished: 600, wall_ns: 1_000, cpu_ns: 990, ..Totals::default() };
        let (load, offered) = (load(false), Offered { arrivals: 600, rate: 600.0, length_ns: None, hash: 0 });
        let judged =
            |offered| LoadSeen { load: &load, totals: &busy, offered, lag_us: 0.0, service_us: 1.0 }.judged_busy();
        assert!(judged(None) == 0.0 && judged(Some(&offered)) > MOST_BUSY);
    }
}
