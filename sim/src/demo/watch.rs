//! Watches the demo's traffic: histograms by phase, figures over time, and each failure sorted into injected or not.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::ProgressBar;
use loadgen::progress::bar;
use loadgen::recorder::Recorder;
use loadgen::sample::{Observer, Outcome, Sample, Totals};
use reports::result::Moment;

/// Figures over time come in steps of this.
pub(super) const STEP_MS: u64 = 250;
/// Plain progress lines come this often, for who has no terminal.
const LINE_EVERY_NS: u64 = 2_000_000_000;

/// When the fault was injected, nanoseconds of the run's clock; `u64::MAX` while it was not.
#[derive(Debug, Clone)]
pub(super) struct InjectedAt(Arc<AtomicU64>);

impl InjectedAt {
    pub(super) fn never_yet() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// The fault may show from now on.
    pub(super) fn set(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a step of time saw.
#[derive(Debug, Default)]
struct Step {
    /// Of requests that were planned in it.
    latencies_ns: Vec<u64>,
    /// Of those, how many did not end as expected.
    errors: u64,
    /// Requests that ended in it.
    ended: u64,
}

/// The observer of the demo's load.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) recorder: Recorder,
    /// Answers of the failing endpoint, with the injected status, after the injection.
    pub(super) injected: u64,
    /// All other failures, in words, with their number.
    pub(super) unexplained: BTreeMap<String, u64>,
    names: Vec<String>,
    steps: Vec<Step>,
    /// The last step takes what the plan's end pushes over it, but for what ends later.
    last_step: usize,
    length_ms: u64,
    start_ns: u64,
    failing_port: u16,
    injected_status: u16,
    injected_at: InjectedAt,
    bar: Option<ProgressBar>,
    next_line_ns: u64,
}

/// What the observer needs to know before.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) recorder: Recorder,
    pub(super) names: Vec<String>,
    pub(super) start_ns: u64,
    pub(super) length_ms: u64,
    pub(super) failing_port: u16,
    pub(super) injected_status: u16,
    pub(super) injected_at: InjectedAt,
}

impl Watch {
    pub(super) fn new(watched: Watched) -> Self {
        let Watched { recorder, names, start_ns, length_ms, failing_port, injected_status, injected_at } = watched;
        let bar = std::io::stderr().is_terminal().then(|| bar(Some(length_ms), "  {bar:20.cyan} {wide_msg}"));
        Self {
            recorder,
            injected: 0,
            unexplained: BTreeMap::new(),
            names,
            steps: Vec::new(),
            last_step: (length_ms.div_ceil(STEP_MS)).saturating_sub(1) as usize,
            length_ms,
            start_ns,
            failing_port,
            injected_status,
            injected_at,
            bar,
            next_line_ns: LINE_EVERY_NS,
        }
    }

    /// Figures over time; the fault is named in the steps from its injection on.
    pub(super) fn timeline(&self, fault: &str) -> Vec<Moment> {
        let injected_ms = self.injected_at.get().saturating_sub(self.start_ns) / 1_000_000;
        let moment = |(index, step): (usize, &Step)| {
            let mut sorted = step.latencies_ns.clone();
            sorted.sort_unstable();
            let at = |share: f64| {
                let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
                sorted.get(rank - 1).map_or(0.0, |ns| (*ns as f64 / 100.0).round() / 10.0)
            };
            let t_ms = index as u64 * STEP_MS;
            let active = t_ms + STEP_MS > injected_ms;
            let lasted_ms = STEP_MS.min(self.length_ms.saturating_sub(t_ms)).max(1);
            Moment {
                t_ms,
                rps: step.ended as f64 * 1_000.0 / lasted_ms as f64,
                p50: at(0.5),
                p99: at(0.99),
                errors: step.errors,
                fault_active: if active { vec![fault.to_owned()] } else { Vec::new() },
                ..Moment::default()
            }
        };
        self.steps.iter().enumerate().map(moment).collect()
    }

    /// Takes the progress bar away, before anything else is printed.
    pub(super) fn end_progress(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// The step with this number, with all before it.
    fn step(&mut self, index: usize) -> &mut Step {
        if self.steps.len() <= index {
            self.steps.resize_with(index + 1, Step::default);
        }
        &mut self.steps[index]
    }

    fn is_injected(&self, sample: &Sample) -> bool {
        sample.status == self.injected_status
            && sample.endpoint == Some(self.failing_port)
            && sample.end_ns >= self.injected_at.get()
    }
}

impl Observer for Watch {
    fn sample(&mut self, sample: &Sample) {
        self.recorder.sample(sample);
        let at_ms = |ns: u64| ns.saturating_sub(self.start_ns) / 1_000_000;
        let (planned_ms, ended_ms) = (at_ms(sample.intended_ns), at_ms(sample.end_ns));
        let index = ((planned_ms / STEP_MS) as usize).min(self.last_step);
        if ended_ms < self.length_ms {
            self.step((ended_ms / STEP_MS) as usize).ended += 1;
        }
        let step = self.step(index);
        step.latencies_ns.push(sample.latency_ns());
        step.errors += u64::from(sample.outcome != Outcome::Ok);
        if sample.outcome == Outcome::Ok {
            return;
        }
        if self.is_injected(sample) {
            self.injected += 1;
            return;
        }
        let what = match sample.failure {
            Some(failure) => failure.to_string(),
            None => format!("status {}", sample.status),
        };
        *self.unexplained.entry(format!("{}: {what}", self.names[sample.template])).or_default() += 1;
    }

    fn dropped(&mut self, intended_ns: u64) {
        self.recorder.dropped(intended_ns);
        *self.unexplained.entry("dropped at the in-flight bound".to_owned()).or_default() += 1;
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        self.recorder.lag(intended_ns, lag_ns);
    }

    fn tick(&mut self, _now_ns: u64, totals: &Totals) {
        let seconds = totals.wall_ns as f64 / 1e9;
        let fault = if self.injected_at.get() == u64::MAX { "" } else { ", one endpoint fails" };
        let state = format!("{seconds:.1} s  {} requests, {} not ok{fault}", totals.finished, totals.not_ok);
        if let Some(bar) = &self.bar {
            bar.set_position(totals.wall_ns / 1_000_000);
            bar.set_message(state);
        } else if totals.wall_ns >= self.next_line_ns {
            self.next_line_ns = totals.wall_ns + LINE_EVERY_NS;
            // With standard error closed there is no one to tell.
            let _ = writeln!(std::io::stderr(), "  {state}");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end_progress();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> (Watch, InjectedAt) {
        let injected_at = InjectedAt::never_yet();
        let watched = Watched {
            recorder: Recorder::new("before", 0),
            names: vec!["GET /".to_owned()],
            start_ns: 0,
            length_ms: 1_000,
            failing_port: 9001,
            injected_status: 503,
            injected_at: injected_at.clone(),
        };
        (Watch::new(watched), injected_at)
    }

    fn answer(end_ns: u64, status: u16, endpoint: Option<u16>) -> Sample {
        Sample {
            template: 0,
            intended_ns: end_ns - 1_000,
            sent_ns: end_ns - 1_000,
            head_ns: end_ns,
            end_ns,
            status,
            body_bytes: 0,
            outcome: if status == 200 { Outcome::Ok } else { Outcome::Rejected },
            failure: None,
            residence_ns: None,
            endpoint,
            refusal: None,
        }
    }

    #[test]
    fn only_the_injected_answers_are_explained() {
        let (mut watch, injected_at) = watch();
        watch.sample(&answer(400_000_000, 503, Some(9001))); // before the injection
        injected_at.set(500_000_000);
        watch.sample(&answer(600_000_000, 503, Some(9001))); // injected
        watch.sample(&answer(600_000_000, 503, Some(9002))); // another endpoint
        watch.sample(&answer(600_000_000, 503, None)); // the gateway's own
        watch.sample(&answer(600_000_000, 502, Some(9001))); // another status
        watch.sample(&answer(600_000_000, 200, Some(9002)));
        assert_eq!(watch.injected, 1);
        assert_eq!(watch.unexplained.values().sum::<u64>(), 4);
    }

    #[test]
    fn a_stall_is_a_time_in_which_nothing_ends() {
        let (mut watch, _) = watch();
        for (planned_ms, end_ms) in [(10, 11), (300, 600), (400, 600), (740, 741), (760, 1_200)] {
            let planned_ns = planned_ms * 1_000_000;
            watch.sample(&Sample { intended_ns: planned_ns, ..answer(end_ms * 1_000_000, 200, None) });
        }
        let timeline = watch.timeline("users/1");
        assert_eq!(timeline.iter().map(|moment| moment.rps as u64).collect::<Vec<_>>(), [4, 0, 12, 0]);
        assert!(timeline[1].p99 > 250_000.0, "whoever came then waited");
    }

    #[test]
    fn the_timeline_says_when_the_fault_was_there() {
        let (mut watch, injected_at) = watch();
        injected_at.set(500_000_000);
        for end_ms in [1, 2, 3, 4, 300, 600] {
            watch.sample(&answer(end_ms * 1_000_000 + 1_000, 200, None));
        }
        let timeline = watch.timeline("users/1");
        assert_eq!(timeline.iter().map(|moment| moment.rps as u64).collect::<Vec<_>>(), [16, 4, 4]);
        assert_eq!(timeline.iter().map(|moment| moment.fault_active.len()).collect::<Vec<_>>(), [0, 0, 1]);
        assert!((timeline[0].p50 - 1.0).abs() < 1e-9);
    }
}
