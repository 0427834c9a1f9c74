//! The loop itself, and what it does with each connection's news.

use std::net::TcpStream as BlockingStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::pacer::Pacer;
use super::{Model, RunError, Settings};
use crate::clock::{Clock, duration_ns, thread_cpu_ns};
use crate::connection::{Connection, ReadOutcome};
use crate::plan::Plan;
use crate::sample::{Failure, Observer, Outcome, Sample, Totals};

/// Bigger than the socket buffers' usual fill, so that most bodies take one read.
const SCRATCH_BYTES: usize = 128 * 1024;
/// How often progress is told, time limits are checked and lost connections are opened again.
const TICK_NS: u64 = 100_000_000;
/// The pacer's token; slots count from zero.
const PACER: Token = Token(usize::MAX);
/// How long the first connection to a target may take.
const FIRST_CONNECT: Duration = Duration::from_secs(3);

/// Runs the load and returns its totals. Blocks the calling thread, which becomes the driver.
///
/// # Errors
/// When a target takes no connection before the start, or the system refuses an epoll or a timer. Once requests are
/// sent, every failure is a sample.
pub fn run<O: Observer>(settings: Settings, clock: Clock, observer: &mut O) -> Result<Totals, RunError> {
    for address in &settings.mix.targets {
        BlockingStream::connect_timeout(address, FIRST_CONNECT)
            .map_err(|source| RunError::Connect { address: *address, source })?;
    }
    let mut driver = Driver::new(settings, clock, observer)?;
    driver.open_all();
    driver.drive()?;
    Ok(driver.totals)
}

/// What is left to send.
#[derive(Debug)]
enum Work {
    Closed { left: u64, end_ns: u64 },
    Open { plan: Plan, next_ns: Option<u64> },
}

struct Driver<'a, O> {
    settings: Settings,
    clock: Clock,
    observer: &'a mut O,
    poll: Poll,
    pacer: Pacer,
    work: Work,
    /// When the run began, on the run's clock; plans count from here.
    start_ns: u64,
    slots: Vec<Option<Connection>>,
    /// For each slot its target.
    slot_targets: Vec<usize>,
    /// For each target the slots with a free connection; the last used is the first taken.
    idle: Vec<Vec<usize>>,
    /// Slots without a connection.
    empty: Vec<usize>,
    in_flight: usize,
    scratch: Vec<u8>,
    totals: Totals,
}

impl<'a, O: Observer> Driver<'a, O> {
    fn new(settings: Settings, clock: Clock, observer: &'a mut O) -> Result<Self, RunError> {
        let poll = Poll::new()?;
        let pacer = Pacer::new(poll.registry(), PACER)?;
        let start_ns = clock.now_ns();
        let work = match &settings.model {
            Model::Closed { requests, duration } => {
                let end_ns = duration.map_or(u64::MAX, |duration| start_ns.saturating_add(duration_ns(duration)));
                Work::Closed { left: requests.unwrap_or(u64::MAX), end_ns }
            }
            Model::Open(plan) => {
                let mut plan = plan.clone();
                let next_ns = plan.next();
                Work::Open { plan, next_ns }
            }
        };
        let idle = vec![Vec::new(); settings.mix.targets.len()];
        Ok(Self {
            settings,
            clock,
            observer,
            poll,
            pacer,
            work,
            start_ns,
            slots: Vec::new(),
            slot_targets: Vec::new(),
            idle,
            empty: Vec::new(),
            in_flight: 0,
            scratch: vec![0; SCRATCH_BYTES],
            totals: Totals::default(),
        })
    }

    /// Opens the first connections, spread over the targets, and in the closed model starts each of them.
    fn open_all(&mut self) {
        let targets = self.settings.mix.targets.len();
        for number in 0..self.settings.connections.max(1) {
            let now_ns = self.clock.now_ns();
            match self.open_slot(number % targets) {
                Some(slot) if matches!(self.work, Work::Closed { .. }) => self.next_closed(slot, now_ns),
                Some(slot) => self.idle[number % targets].push(slot),
                None => self.fail_unopened(number % targets, now_ns),
            }
        }
    }

    fn drive(&mut self) -> Result<(), RunError> {
        let mut events = Events::with_capacity(1024);
        let cpu_before = thread_cpu_ns();
        let mut next_tick_ns = self.start_ns + TICK_NS;
        loop {
            let stop = self.settings.stop.load(Ordering::Relaxed);
            let next_ns = self.dispatch_due(stop);
            let more = self.has_more(stop);
            if !more && self.in_flight == 0 {
                break;
            }
            let now_ns = self.clock.now_ns();
            // epoll counts whole milliseconds, so the pacer wakes the loop for anything nearer than the tick.
            let timeout = match next_ns {
                Some(next_ns) if next_ns < next_tick_ns => {
                    let sleeps = self.pacer.arm(next_ns, now_ns)?;
                    if sleeps { None } else { Some(Duration::ZERO) }
                }
                _ => Some(Duration::from_nanos(next_tick_ns.saturating_sub(now_ns))),
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                if event.token() != PACER {
                    self.on_event(event.token().0, event.is_writable(), event.is_read_closed() || event.is_error());
                }
            }
            let now_ns = self.clock.now_ns();
            if now_ns >= next_tick_ns {
                next_tick_ns = now_ns + TICK_NS;
                self.on_tick(now_ns, thread_cpu_ns() - cpu_before);
            }
        }
        self.totals.cpu_ns = thread_cpu_ns() - cpu_before;
        self.totals.wall_ns = self.clock.now_ns() - self.start_ns;
        Ok(())
    }

    /// Sends what the plan wants sent by now; when the next is due, if there is one.
    fn dispatch_due(&mut self, stop: bool) -> Option<u64> {
        loop {
            let Work::Open { plan, next_ns } = &mut self.work else { return None };
            if stop {
                *next_ns = None;
            }
            let intended_ns = self.start_ns + (*next_ns)?;
            let now_ns = self.clock.now_ns();
            if intended_ns > now_ns {
                return Some(intended_ns);
            }
            *next_ns = plan.next();
            self.observer.lag(intended_ns, now_ns - intended_ns);
            self.arrive(intended_ns, now_ns);
        }
    }

    /// An arrival of the open model.
    fn arrive(&mut self, intended_ns: u64, now_ns: u64) {
        let template = self.settings.mix.pick();
        let target = self.settings.mix.prepared[template].target;
        if self.in_flight >= self.settings.max_in_flight {
            self.totals.dropped += 1;
            self.observer.dropped(intended_ns);
            return;
        }
        match self.idle[target].pop().or_else(|| self.open_slot(target)) {
            Some(slot) => self.begin(slot, template, intended_ns, now_ns),
            None => self.fail_unsent(template, intended_ns, now_ns),
        }
    }

    fn has_more(&self, stop: bool) -> bool {
        match &self.work {
            Work::Closed { left, end_ns } => !stop && *left > 0 && self.clock.now_ns() < *end_ns,
            Work::Open { next_ns, .. } => next_ns.is_some(),
        }
    }

    /// Closed model: sends the next request of a slot, if there is one to send.
    fn next_closed(&mut self, slot: usize, now_ns: u64) {
        let stop = self.settings.stop.load(Ordering::Relaxed);
        let Work::Closed { left, end_ns } = &mut self.work else { return };
        if *left == 0 || now_ns >= *end_ns || stop {
            return;
        }
        *left -= 1;
        let template = self.settings.mix.pick_for(self.slot_targets[slot]);
        self.begin(slot, template, now_ns, now_ns);
    }

    fn begin(&mut self, slot: usize, template: usize, intended_ns: u64, now_ns: u64) {
        let prepared = &self.settings.mix.prepared[template];
        let Some(connection) = &mut self.slots[slot] else { return };
        self.totals.started += 1;
        self.in_flight += 1;
        connection.begin(template, prepared.is_head, intended_ns, now_ns);
        if let Err(failure) = connection.write(&prepared.bytes, now_ns) {
            self.fail(slot, failure);
        }
    }

    fn on_event(&mut self, slot: usize, writable: bool, closing: bool) {
        let now_ns = self.clock.now_ns();
        let Some(connection) = &mut self.slots[slot] else { return };
        if writable {
            let written = connection.check_connected().and_then(|()| match connection.in_flight {
                Some(in_flight) => connection.write(&self.settings.mix.prepared[in_flight.template].bytes, now_ns),
                None => Ok(()),
            });
            if let Err(failure) = written {
                self.fail(slot, failure);
                return;
            }
        }
        let Some(connection) = &mut self.slots[slot] else { return };
        match connection.read(&mut self.scratch, closing, now_ns) {
            ReadOutcome::Waiting => {}
            ReadOutcome::Done { reusable } => self.finish(slot, reusable),
            ReadOutcome::Broken(failure) => self.fail(slot, failure),
        }
    }

    /// A whole answer came.
    fn finish(&mut self, slot: usize, reusable: bool) {
        let now_ns = self.clock.now_ns();
        let Some(connection) = &mut self.slots[slot] else { return };
        let Some(in_flight) = connection.in_flight.take() else { return };
        let (head, body_bytes) = (connection.reader.head(), connection.reader.body_bytes());
        let prepared = &self.settings.mix.prepared[in_flight.template];
        let expect = &prepared.expect;
        let right_length = prepared.is_head || expect.body_bytes.is_none_or(|length| length == body_bytes);
        let accepted = expect.accepts_status(head.status);
        let failure = (accepted && !right_length).then_some(Failure::Length);
        let outcome = match head.status {
            _ if failure.is_some() => Outcome::Failed,
            _ if accepted => Outcome::Ok,
            429 | 503 => Outcome::Rejected,
            400..=499 => Outcome::ClientError,
            _ => Outcome::Failed,
        };
        self.record(Sample {
            template: in_flight.template,
            intended_ns: in_flight.intended_ns,
            sent_ns: in_flight.sent_ns.unwrap_or(now_ns),
            head_ns: in_flight.head_ns.unwrap_or(now_ns),
            end_ns: now_ns,
            status: head.status,
            body_bytes,
            outcome,
            failure,
            residence_ns: head.residence_ns,
            endpoint: head.endpoint,
        });
        self.in_flight -= 1;
        if !reusable {
            self.close(slot);
            self.reopen_closed(slot, now_ns);
        } else if matches!(self.work, Work::Closed { .. }) {
            self.next_closed(slot, now_ns);
        } else {
            self.idle[self.slot_targets[slot]].push(slot);
        }
    }

    /// A connection broke; what it carried has failed.
    fn fail(&mut self, slot: usize, failure: Failure) {
        let now_ns = self.clock.now_ns();
        let Some(connection) = &mut self.slots[slot] else { return };
        let in_flight = connection.in_flight.take();
        let head = connection.reader.head();
        let body_bytes = connection.reader.body_bytes();
        let had_head = in_flight.is_some_and(|in_flight| in_flight.head_ns.is_some());
        self.close(slot);
        let Some(in_flight) = in_flight else {
            // A free connection that the server closed is no failure: nothing was asked of it.
            let target = self.slot_targets[slot];
            self.idle[target].retain(|idle| *idle != slot);
            self.reopen_closed(slot, now_ns);
            return;
        };
        self.record(Sample {
            template: in_flight.template,
            intended_ns: in_flight.intended_ns,
            sent_ns: in_flight.sent_ns.unwrap_or(now_ns),
            head_ns: in_flight.head_ns.unwrap_or(now_ns),
            end_ns: now_ns,
            status: if had_head { head.status } else { 0 },
            body_bytes,
            outcome: Outcome::Failed,
            failure: Some(failure),
            residence_ns: None,
            endpoint: head.endpoint,
        });
        self.in_flight -= 1;
        // A target that refuses is asked again at the next tick, not in a hot loop.
        if failure != Failure::Connect {
            self.reopen_closed(slot, now_ns);
        }
    }

    fn record(&mut self, sample: Sample) {
        self.totals.finished += 1;
        if sample.outcome != Outcome::Ok {
            self.totals.not_ok += 1;
        }
        self.observer.sample(&sample);
    }

    /// A request for which not even a socket could be had.
    fn fail_unsent(&mut self, template: usize, intended_ns: u64, now_ns: u64) {
        self.totals.started += 1;
        self.record(Sample {
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
        });
    }

    fn fail_unopened(&mut self, target: usize, now_ns: u64) {
        let template = self.settings.mix.pick_for(target);
        self.fail_unsent(template, now_ns, now_ns);
    }

    /// A new connection to a target in an empty slot of its own.
    fn open_slot(&mut self, target: usize) -> Option<usize> {
        let slot = self.empty.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slot_targets.push(target);
            self.slots.len() - 1
        });
        self.slot_targets[slot] = target;
        if self.fill_slot(slot) {
            return Some(slot);
        }
        self.empty.push(slot);
        None
    }

    fn fill_slot(&mut self, slot: usize) -> bool {
        let address = self.settings.mix.targets[self.slot_targets[slot]];
        let opened = Connection::open(address, self.poll.registry(), Token(slot));
        self.totals.connections += u64::from(opened.is_ok());
        self.slots[slot] = opened.ok();
        self.slots[slot].is_some()
    }

    fn close(&mut self, slot: usize) {
        if let Some(mut connection) = self.slots[slot].take() {
            connection.deregister(self.poll.registry());
        }
        if matches!(self.work, Work::Open { .. }) {
            self.empty.push(slot);
        }
    }

    /// Closed model: a slot that lost its connection gets a new one and goes on.
    fn reopen_closed(&mut self, slot: usize, now_ns: u64) {
        if matches!(self.work, Work::Closed { .. })
            && self.has_more(self.settings.stop.load(Ordering::Relaxed))
            && self.fill_slot(slot)
        {
            self.next_closed(slot, now_ns);
        }
    }

    fn on_tick(&mut self, now_ns: u64, cpu_ns: u64) {
        let limit_ns = duration_ns(self.settings.timeout);
        for slot in 0..self.slots.len() {
            let in_flight = self.slots[slot].as_ref().and_then(|connection| connection.in_flight);
            match in_flight {
                Some(in_flight) if now_ns.saturating_sub(in_flight.started_ns) > limit_ns => {
                    self.fail(slot, Failure::Timeout);
                }
                None if self.slots[slot].is_none() => self.reopen_closed(slot, now_ns),
                _ => {}
            }
        }
        self.totals.cpu_ns = cpu_ns;
        self.totals.wall_ns = now_ns - self.start_ns;
        self.observer.tick(now_ns, &self.totals);
    }
}
