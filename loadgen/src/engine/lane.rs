//! One load in the driver: what is left to send, which connections are free, and what is counted.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::{Load, Model, Settings};
use crate::clock::duration_ns;
use crate::connection::InFlight;
use crate::connection::http2::EndedStream;
use crate::plan::Plan;
use crate::request::Protocol;
use crate::response::Head;
use crate::sample::{Failure, Observer, Outcome, Sample, Spent, Totals};

/// A driver this far behind its plan never catches up: the run is of no use, and ends. So does a closed load that could
/// begin nothing for so long.
const HOPELESS_NS: u64 = 3_000_000_000;
/// Answers are waited for so long when somebody has ended the run: whoever did wants to see what there is.
const PATIENCE_NS: u64 = 1_000_000_000;

/// What is left to send.
#[derive(Debug)]
pub(super) enum Work {
    Closed { left: u64, length_ns: u64 },
    Open { plan: Plan, next_ns: Option<u64> },
}

pub(super) struct Lane<'a> {
    pub(super) settings: Settings,
    observer: &'a mut dyn Observer,
    work: Work,
    /// The number of the next request; also of a dropped one, so that numbers depend on the plan alone.
    number: u64,
    /// For each target the slots with a free connection, once for each request that it can take; the one that rested
    /// longest is first.
    pub(super) idle: Vec<VecDeque<usize>>,
    pub(super) in_flight: usize,
    pub(super) totals: Totals,
    /// Requests begun when time was last counted.
    counted: u64,
    /// Closed model: requests begun, and since when none of them is under way and no other could be.
    stuck: Option<(u64, u64)>,
    /// Body bytes of a request while it is rendered.
    pub(super) body: Vec<u8>,
    /// A request for HTTP/2 while it is rendered.
    pub(super) rendered: Vec<u8>,
}

/// An arrival whose time has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) number: u64,
    pub(super) intended_ns: u64,
}

/// What is known of a request at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) in_flight: InFlight,
    pub(super) head: Head,
    pub(super) body_bytes: u64,
    pub(super) end_ns: u64,
}

impl<'a> Lane<'a> {
    pub(super) fn new(load: Load<'a>) -> Self {
        let work = match &load.settings.model {
            Model::Closed { requests, duration } => {
                Work::Closed { left: requests.unwrap_or(u64::MAX), length_ns: duration.map_or(u64::MAX, duration_ns) }
            }
            Model::Open(plan) => {
                let mut plan = plan.clone();
                let next_ns = plan.next();
                Work::Open { plan, next_ns }
            }
        };
        let idle = vec![VecDeque::new(); load.settings.mix.targets.len()];
        Self {
            settings: load.settings,
            observer: load.observer,
            work,
            number: 0,
            idle,
            in_flight: 0,
            totals: Totals::default(),
            counted: 0,
            stuck: None,
            body: Vec::new(),
            rendered: Vec::new(),
        }
    }

    /// How many requests a connection carries at once.
    pub(super) fn permits(&self) -> usize {
        match self.settings.mix.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 { streams } => streams.max(1),
        }
    }

    pub(super) fn is_closed_model(&self) -> bool {
        matches!(self.work, Work::Closed { .. })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.settings.stop.load(Ordering::Relaxed)
    }

    /// When the next arrival is due, from the start; `None` when none is left, and in the closed model.
    pub(super) fn next_due_ns(&self) -> Option<u64> {
        match &self.work {
            Work::Open { next_ns, .. } => *next_ns,
            Work::Closed { .. } => None,
        }
    }

    /// Ends the sending; what is in flight goes on.
    pub(super) fn send_no_more(&mut self) {
        match &mut self.work {
            Work::Closed { left, .. } => *left = 0,
            Work::Open { next_ns, .. } => *next_ns = None,
        }
    }

    /// Ends the sending, where somebody has ended the run at this time from the start.
    pub(super) fn stop_if_asked(&mut self, passed_ns: u64) {
        if self.is_stopped() {
            self.totals.stopped_ns.get_or_insert(passed_ns);
            self.send_no_more();
        }
    }

    /// How long a request may take that is under way: its own time, or what is left of it where the run was ended.
    pub(super) fn limit_ns(&self, passed_ns: u64) -> u64 {
        let limit_ns = duration_ns(self.settings.timeout);
        let over = self.totals.stopped_ns.is_some_and(|stopped| passed_ns.saturating_sub(stopped) > PATIENCE_NS);
        if over { 0 } else { limit_ns }
    }

    /// Takes the next arrival off the plan, which was due.
    pub(super) fn take_arrival(&mut self, start_ns: u64, now_ns: u64) -> Option<Arrival> {
        let Work::Open { plan, next_ns } = &mut self.work else { return None };
        let intended_ns = start_ns + (*next_ns)?;
        *next_ns = plan.next();
        let lag_ns = now_ns.saturating_sub(intended_ns);
        self.observer.lag(intended_ns, lag_ns);
        if lag_ns > HOPELESS_NS {
            self.totals.gave_up = true;
            self.send_no_more();
        }
        let number = self.number;
        self.number += 1;
        Some(Arrival { number, intended_ns })
    }

    /// Closed model: the number of the next request, if one is to be sent.
    pub(super) fn take_next(&mut self, start_ns: u64, now_ns: u64) -> Option<u64> {
        if !self.has_more(start_ns, now_ns) {
            return None;
        }
        let Work::Closed { left, .. } = &mut self.work else { return None };
        *left -= 1;
        let number = self.number;
        self.number += 1;
        Some(number)
    }

    pub(super) fn has_more(&self, start_ns: u64, now_ns: u64) -> bool {
        match &self.work {
            Work::Closed { left, length_ns } => {
                !self.is_stopped() && *left > 0 && now_ns.saturating_sub(start_ns) < *length_ns
            }
            Work::Open { next_ns, .. } => next_ns.is_some(),
        }
    }

    /// Closed model: ends it where, for long, no request is under way and none can be begun, as where this machine has
    /// no socket left. A target that takes no connections is none of that: each request fails at it.
    pub(super) fn give_up_if_stuck(&mut self, start_ns: u64, now_ns: u64) {
        let started = self.totals.started;
        let is_idle = self.is_closed_model() && self.in_flight == 0 && self.has_more(start_ns, now_ns);
        let since_ns = match self.stuck {
            Some((before, since_ns)) if is_idle && before == started => since_ns,
            _ => now_ns,
        };
        self.stuck = is_idle.then_some((started, since_ns));
        if is_idle && now_ns - since_ns > HOPELESS_NS {
            self.totals.gave_up = true;
            self.send_no_more();
        }
    }

    pub(super) fn drop_arrival(&mut self, intended_ns: u64) {
        self.totals.dropped += 1;
        self.observer.dropped(intended_ns);
    }

    /// A request of an HTTP/2 connection is over.
    pub(super) fn over(&mut self, over: &EndedStream) {
        let EndedStream { in_flight, head, body_bytes, end_ns, failure } = *over;
        let ended = Ended { in_flight, head, body_bytes, end_ns };
        match failure {
            Some(failure) => self.failed(&ended, failure),
            None => {
                self.finished(&ended);
            }
        }
    }

    /// When a request's time is over.
    fn last_ns(&self, in_flight: &InFlight) -> u64 {
        in_flight.started_ns.saturating_add(duration_ns(self.settings.timeout))
    }

    /// A whole answer came; whether it came in time. One that did not is no answer: its client has left.
    pub(super) fn finished(&mut self, ended: &Ended) -> bool {
        if ended.end_ns > self.last_ns(&ended.in_flight) {
            self.failed(ended, Failure::Timeout);
            return false;
        }
        let prepared = &self.settings.mix.prepared[ended.in_flight.template];
        let expect = &prepared.expect;
        let status = ended.head.status;
        let right_length = prepared.is_head || expect.body_bytes.is_none_or(|length| length == ended.body_bytes);
        let accepted = expect.accepts_status(status);
        let call = ended.head.call;
        let refused = accepted && call.is_refused();
        let failure = if accepted && call.is_failed() {
            (!refused).then_some(Failure::Call)
        } else if accepted && ended.head.wrong_header {
            Some(Failure::Header)
        } else {
            (accepted && !right_length).then_some(Failure::Length)
        };
        let outcome = match status {
            _ if failure.is_some() => Outcome::Failed,
            _ if refused => Outcome::Rejected,
            _ if accepted => Outcome::Ok,
            _ => Outcome::of_unexpected(status, ended.head.is_of_mock()),
        };
        self.record(&Sample {
            template: ended.in_flight.template,
            intended_ns: ended.in_flight.intended_ns,
            sent_ns: ended.in_flight.sent_ns.unwrap_or(ended.end_ns),
            head_ns: ended.in_flight.head_ns.unwrap_or(ended.end_ns),
            end_ns: ended.end_ns,
            status,
            body_bytes: ended.body_bytes,
            outcome,
            failure,
            residence_ns: ended.head.residence_ns,
            endpoint: ended.head.endpoint,
            refusal: ended.head.refusal,
        });
        self.in_flight -= 1;
        true
    }

    /// The connection broke under a request, or its time is over: then it has failed with its last moment, however much
    /// later that is seen.
    pub(super) fn failed(&mut self, ended: &Ended, failure: Failure) {
        let last_ns = self.last_ns(&ended.in_flight);
        let failure = if ended.end_ns > last_ns { Failure::Timeout } else { failure };
        let end_ns = ended.end_ns.min(last_ns);
        let in_time = |at_ns: &u64| *at_ns <= end_ns;
        let head_ns = ended.in_flight.head_ns.filter(in_time);
        self.totals.given_up += u64::from(failure == Failure::Timeout && self.totals.stopped_ns.is_some());
        self.record(&Sample {
            template: ended.in_flight.template,
            intended_ns: ended.in_flight.intended_ns,
            sent_ns: ended.in_flight.sent_ns.filter(in_time).unwrap_or(end_ns),
            head_ns: head_ns.unwrap_or(end_ns),
            end_ns,
            status: if head_ns.is_some() { ended.head.status } else { 0 },
            body_bytes: ended.body_bytes,
            outcome: Outcome::Failed,
            failure: Some(failure),
            residence_ns: None,
            endpoint: ended.head.endpoint,
            refusal: None,
        });
        self.in_flight -= 1;
    }

    /// A request for which not even a socket could be had.
    pub(super) fn failed_unsent(&mut self, template: usize, intended_ns: u64, now_ns: u64) {
        self.totals.started += 1;
        self.record(&Sample {
            template,
            intended_ns,
            sent_ns: now_ns,
            head_ns: now_ns,
            end_ns: now_ns,
            status: 0,
            body_bytes: 0,
            outcome: Outcome::Failed,
            failure: Some(Failure::Connect),
            residence_ns: None,
            endpoint: None,
            refusal: None,
        });
    }

    fn record(&mut self, sample: &Sample) {
        self.totals.finished += 1;
        if sample.outcome != Outcome::Ok {
            self.totals.not_ok += 1;
        }
        self.observer.sample(sample);
    }

    /// What became of the driver's time until now.
    pub(super) fn count_time(&mut self, spent: Spent) {
        let totals = &mut self.totals;
        let Spent { cpu_ns, spun_ns, neighbour_ns, wall_ns } = spent;
        (totals.cpu_ns, totals.spun_ns) = (cpu_ns, spun_ns);
        (totals.neighbour_ns, totals.wall_ns) = (neighbour_ns, wall_ns);
        if totals.started != self.counted {
            (totals.sending, self.counted) = (spent, totals.started);
        }
    }

    /// Tells the observer how it goes.
    pub(super) fn tick(&mut self, now_ns: u64) {
        self.totals.in_flight = self.in_flight as u64;
        self.observer.tick(now_ns, &self.totals);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::recorder::Recorder;
    use crate::request::{Mix, Template};
    use crate::target::Target;

    const MS: u64 = 1_000_000;

    #[test]
    fn an_answer_after_the_limit_is_none_and_its_client_has_waited_for_the_limit() {
        let target = Target::parse("http://127.0.0.1:9/", true).unwrap();
        let settings = Settings {
            mix: Mix::new(&[Template::get("t", target)], 1).unwrap(),
            model: Model::Closed { requests: Some(3), duration: None },
            connections: 1,
            max_in_flight: 1,
            timeout: Duration::from_millis(20),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let mut recorder = Recorder::new("steady", 0);
        let mut lane = Lane::new(Load { settings, observer: &mut recorder });
        let head = Head { status: 200, ..Head::default() };
        let mut in_time = Vec::new();
        for end_ns in [19, 20, 30] {
            lane.in_flight += 1;
            let mut in_flight = InFlight::new(0, 0, 0, 0);
            (in_flight.sent_ns, in_flight.head_ns) = (Some(MS), Some(end_ns * MS));
            in_time.push(lane.finished(&Ended { in_flight, head, body_bytes: 0, end_ns: end_ns * MS }));
        }
        assert_eq!((in_time, lane.in_flight), (vec![true, true, false], 0));
        let phase = &recorder.phases()[0];
        assert_eq!((phase.ok, phase.failed, phase.failures["timeout"]), (2, 1, 1));
        assert_eq!(phase.status[&0], 1, "nobody was there for its head");
        let longest_ns = phase.latency.max();
        assert!((20 * MS..21 * MS).contains(&longest_ns), "{longest_ns}");
    }
}
