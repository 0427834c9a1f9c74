//! The loop itself, and what it does with each connection's news.

use std::net::TcpStream as BlockingStream;
use std::time::Duration;

use super::lane::{Arrival, Ended, Lane};
use super::pacing::{Pacing, Spun, sleep_exactly};
use super::poller::{News, Poller, Token, Wait};
use super::{Load, RunError, Schedule, Settings};
use crate::clock::{Clock, duration_ns, thread_cpu_ns};
use crate::connection::{Connection, ReadOutcome};
use crate::sample::{Failure, Observer, Totals};

/// Bigger than the socket buffers' usual fill, so that most bodies take one read.
const SCRATCH_BYTES: usize = 128 * 1024;
/// How often progress is told, time limits are checked and lost connections are opened again.
const TICK_NS: u64 = 100_000_000;
/// How long the first connection to a target may take.
const FIRST_CONNECT: Duration = Duration::from_secs(3);

/// Runs one load at once, on a core that it may share, and returns its totals. Blocks the calling thread, which
/// becomes the driver.
///
/// # Errors
/// As [`run_all`].
pub fn run<O: Observer>(settings: Settings, clock: Clock, observer: &mut O) -> Result<Totals, RunError> {
    let schedule = Schedule { start_ns: clock.now_ns(), pacing: Pacing::Sleep };
    let totals = run_all(vec![Load { settings, observer }], clock, schedule)?;
    Ok(totals.into_iter().next().unwrap_or_default())
}

/// Runs loads side by side, and returns the totals of each. Blocks the calling thread, which becomes the driver of all;
/// its CPU time is that of all, so each has all of it in its totals.
///
/// # Errors
/// When a target takes no connection before the start, or the system refuses an epoll. Once requests are sent, every
/// failure is a sample.
pub fn run_all(loads: Vec<Load<'_>>, clock: Clock, schedule: Schedule) -> Result<Vec<Totals>, RunError> {
    for address in loads.iter().flat_map(|load| &load.settings.mix.targets) {
        BlockingStream::connect_timeout(address, FIRST_CONNECT)
            .map_err(|source| RunError::Connect { address: *address, source })?;
    }
    sleep_exactly();
    let mut driver = Driver::new(loads, clock, schedule)?;
    driver.open_all();
    driver.drive()?;
    Ok(driver.lanes.into_iter().map(|lane| lane.totals).collect())
}

/// A place for a connection; it outlives the connection.
#[derive(Debug)]
struct Slot {
    lane: usize,
    target: usize,
    /// How many connections were here before; part of the token.
    life: u32,
    connection: Option<Connection>,
}

struct Driver<'a> {
    clock: Clock,
    pacing: Pacing,
    poller: Poller,
    lanes: Vec<Lane<'a>>,
    /// When plans begin, on the run's clock.
    start_ns: u64,
    /// Whether the closed lanes have begun.
    begun: bool,
    /// The earliest arrival of all lanes, on the run's clock, and whose it is.
    next_due: Option<(u64, usize)>,
    slots: Vec<Slot>,
    /// Slots without a connection.
    empty: Vec<usize>,
    scratch: Vec<u8>,
    spun: Spun,
    cpu_before_ns: u64,
}

impl<'a> Driver<'a> {
    fn new(loads: Vec<Load<'a>>, clock: Clock, schedule: Schedule) -> Result<Self, RunError> {
        let mut driver = Self {
            clock,
            pacing: schedule.pacing,
            poller: Poller::new()?,
            lanes: loads.into_iter().map(Lane::new).collect(),
            start_ns: schedule.start_ns.max(clock.now_ns()),
            begun: false,
            next_due: None,
            slots: Vec::new(),
            empty: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            spun: Spun::default(),
            cpu_before_ns: thread_cpu_ns(),
        };
        driver.find_next_due();
        Ok(driver)
    }

    /// Opens the first connections of each lane, spread over its targets.
    fn open_all(&mut self) {
        for lane in 0..self.lanes.len() {
            let targets = self.lanes[lane].idle.len();
            for number in 0..self.lanes[lane].settings.connections.max(1) {
                let target = number % targets;
                match self.open_slot(lane, target) {
                    Some(slot) => self.lanes[lane].idle[target].push_back(slot),
                    None => self.fail_unopened(lane, target),
                }
            }
        }
    }

    fn drive(&mut self) -> Result<(), RunError> {
        let mut next_tick_ns = self.start_ns + TICK_NS;
        let mut now_ns = self.clock.now_ns();
        while self.is_busy(now_ns) {
            let looked_only = self.turn(now_ns, next_tick_ns)?;
            let turned_ns = self.clock.now_ns();
            if looked_only {
                self.spun.looked(turned_ns - now_ns);
            }
            now_ns = turned_ns;
            if now_ns >= next_tick_ns {
                next_tick_ns = now_ns + TICK_NS;
                self.on_tick(now_ns);
            }
        }
        self.count_time(now_ns);
        Ok(())
    }

    /// One turn of the loop: sends what is due, waits as the pacing says, takes the news. Whether it did no more than
    /// look for some. Whoever shares the thread has its turn after this one.
    fn turn(&mut self, now_ns: u64, next_tick_ns: u64) -> Result<bool, RunError> {
        let mut worked = self.begin_when_due(now_ns);
        worked |= self.send_due();
        let next_ns = self.next_due.map_or(u64::MAX, |(due_ns, _)| due_ns);
        let start_ns = if self.begun { u64::MAX } else { self.start_ns };
        let next_ns = next_ns.min(start_ns).min(next_tick_ns);
        // The closed model needs no pacing: news are all that it waits for.
        let in_flight = self.lanes.iter().any(|lane| lane.in_flight > 0 && !lane.is_closed_model());
        let wait = self.pacing.wait(self.clock.now_ns(), next_ns, in_flight);
        let count = self.poller.wait(wait)?;
        for index in 0..count {
            self.on_news(self.poller.news(index));
            // Between any two news, or a long batch would make the next request late.
            self.send_due();
        }
        Ok(wait == Wait::Look && count == 0 && !worked)
    }

    fn is_busy(&self, now_ns: u64) -> bool {
        let start_ns = self.start_ns;
        self.lanes.iter().any(|lane| lane.in_flight > 0 || lane.has_more(start_ns, now_ns))
    }

    /// Lets the closed lanes begin at the start; whether they did.
    fn begin_when_due(&mut self, now_ns: u64) -> bool {
        if self.begun || now_ns < self.start_ns {
            return false;
        }
        self.begun = true;
        self.cpu_before_ns = thread_cpu_ns();
        self.spun = Spun::default();
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_closed_model() {
                for target in 0..self.lanes[lane].idle.len() {
                    while let Some(slot) = self.lanes[lane].idle[target].pop_front() {
                        self.next_closed(slot);
                    }
                }
            }
        }
        true
    }

    /// Sends what the plans want sent by now; whether there was any.
    fn send_due(&mut self) -> bool {
        let mut sent = false;
        while let Some((due_ns, lane)) = self.next_due {
            let now_ns = self.clock.now_ns();
            if due_ns > now_ns {
                break;
            }
            if let Some(arrival) = self.lanes[lane].take_arrival(self.start_ns, now_ns) {
                self.arrive(lane, arrival, now_ns);
            }
            self.find_next_due();
            sent = true;
        }
        sent
    }

    fn find_next_due(&mut self) {
        let due = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((lane.next_due_ns()?, index)));
        self.next_due = due.min().map(|(due_ns, index)| (self.start_ns + due_ns, index));
    }

    /// An arrival of the open model.
    fn arrive(&mut self, index: usize, arrival: Arrival, now_ns: u64) {
        let lane = &mut self.lanes[index];
        if lane.in_flight >= lane.settings.max_in_flight {
            lane.drop_arrival(arrival.intended_ns);
            return;
        }
        let template = lane.settings.mix.draw(arrival.number);
        let target = lane.settings.mix.prepared[template].target;
        match lane.idle[target].pop_front().or_else(|| self.open_slot(index, target)) {
            Some(slot) => self.begin(slot, template, arrival),
            None => self.lanes[index].failed_unsent(template, arrival.intended_ns, now_ns),
        }
    }

    /// Closed model: sends the next request of a slot, if there is one to send.
    fn next_closed(&mut self, slot: usize) {
        let now_ns = self.clock.now_ns();
        let Slot { lane, target, .. } = self.slots[slot];
        let lane = &mut self.lanes[lane];
        let Some(number) = lane.take_next(self.start_ns, now_ns) else { return };
        let template = lane.settings.mix.draw_for(target, number);
        self.begin(slot, template, Arrival { number, intended_ns: now_ns });
    }

    fn begin(&mut self, index: usize, template: usize, arrival: Arrival) {
        let slot = &mut self.slots[index];
        let lane = &mut self.lanes[slot.lane];
        let Some(connection) = &mut slot.connection else { return };
        let mix = &lane.settings.mix;
        mix.render(template, arrival.number, &mut lane.body, &mut connection.rendered);
        lane.totals.started += 1;
        lane.in_flight += 1;
        let prepared = &mix.prepared[template];
        let now_ns = self.clock.now_ns();
        connection.begin(template, prepared.is_head, arrival.intended_ns, now_ns);
        if let Err(failure) = connection.write(prepared.fixed(), now_ns) {
            self.fail(index, failure);
        }
    }

    fn on_news(&mut self, news: News) {
        let now_ns = self.clock.now_ns();
        let index = news.token.slot as usize;
        let slot = &mut self.slots[index];
        let Some(connection) = slot.connection.as_mut().filter(|_| slot.life == news.token.life) else { return };
        if news.writable {
            let prepared = &self.lanes[slot.lane].settings.mix.prepared;
            let written = connection.check_connected().and_then(|()| match connection.in_flight {
                Some(in_flight) => connection.write(prepared[in_flight.template].fixed(), now_ns),
                None => Ok(()),
            });
            if let Err(failure) = written {
                self.fail(index, failure);
                return;
            }
        }
        match connection.read(&mut self.scratch, news.closing, now_ns) {
            ReadOutcome::Waiting => {}
            ReadOutcome::Done { reusable } => self.finish(index, reusable),
            ReadOutcome::Broken(failure) => self.fail(index, failure),
        }
    }

    /// A whole answer came.
    fn finish(&mut self, index: usize, reusable: bool) {
        let slot = &mut self.slots[index];
        let Some(connection) = &mut slot.connection else { return };
        let Some(in_flight) = connection.in_flight.take() else { return };
        let (head, body_bytes) = (connection.reader.head(), connection.reader.body_bytes());
        let ended = Ended { in_flight, head, body_bytes, end_ns: self.clock.now_ns() };
        let lane = &mut self.lanes[slot.lane];
        lane.finished(&ended);
        if !reusable {
            self.close(index);
            self.reopen_closed(index);
        } else if lane.is_closed_model() {
            self.next_closed(index);
        } else {
            lane.idle[slot.target].push_back(index);
        }
    }

    /// A connection broke; what it carried has failed.
    fn fail(&mut self, index: usize, failure: Failure) {
        let slot = &mut self.slots[index];
        let Some(connection) = &mut slot.connection else { return };
        let in_flight = connection.in_flight.take();
        let (head, body_bytes) = (connection.reader.head(), connection.reader.body_bytes());
        let lane = &mut self.lanes[slot.lane];
        let Some(in_flight) = in_flight else {
            // A free connection that the server closed is no failure: nothing was asked of it.
            lane.idle[slot.target].retain(|idle| *idle != index);
            self.close(index);
            self.reopen_closed(index);
            return;
        };
        lane.failed(&Ended { in_flight, head, body_bytes, end_ns: self.clock.now_ns() }, failure);
        self.close(index);
        // A target that refuses is asked again at the next tick, not in a hot loop.
        if failure != Failure::Connect {
            self.reopen_closed(index);
        }
    }

    fn fail_unopened(&mut self, lane: usize, target: usize) {
        let now_ns = self.clock.now_ns();
        let template = self.lanes[lane].settings.mix.draw_for(target, 0);
        self.lanes[lane].failed_unsent(template, now_ns, now_ns);
    }

    /// A new connection to a target in an empty slot.
    fn open_slot(&mut self, lane: usize, target: usize) -> Option<usize> {
        let index = self.empty.pop().unwrap_or_else(|| {
            self.slots.push(Slot { lane, target, life: 0, connection: None });
            self.slots.len() - 1
        });
        (self.slots[index].lane, self.slots[index].target) = (lane, target);
        if self.fill_slot(index) {
            return Some(index);
        }
        self.empty.push(index);
        None
    }

    fn fill_slot(&mut self, index: usize) -> bool {
        let slot = &mut self.slots[index];
        slot.life = slot.life.wrapping_add(1);
        let lane = &mut self.lanes[slot.lane];
        let Ok(connection) = Connection::open(lane.settings.mix.targets[slot.target]) else { return false };
        // A slot's number fits: each holds an open file.
        let token = Token { slot: index as u32, life: slot.life };
        if self.poller.watch(connection.socket(), token).is_err() {
            return false;
        }
        lane.totals.connections += 1;
        slot.connection = Some(connection);
        true
    }

    /// Closes the connection of a slot. A closed lane keeps the slot for the next one.
    fn close(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.connection = None;
        if !self.lanes[slot.lane].is_closed_model() {
            self.empty.push(index);
        }
    }

    /// Closed model: a slot that lost its connection gets a new one and goes on.
    fn reopen_closed(&mut self, index: usize) {
        let lane = &self.lanes[self.slots[index].lane];
        if lane.is_closed_model() && lane.has_more(self.start_ns, self.clock.now_ns()) && self.fill_slot(index) {
            if self.begun {
                self.next_closed(index);
            } else {
                let Slot { lane, target, .. } = self.slots[index];
                self.lanes[lane].idle[target].push_back(index);
            }
        }
    }

    fn on_tick(&mut self, now_ns: u64) {
        for lane in &mut self.lanes {
            if lane.is_stopped() {
                lane.send_no_more();
            }
        }
        self.find_next_due();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let limit_ns = duration_ns(self.lanes[slot.lane].settings.timeout);
            match slot.connection.as_ref().map(|connection| connection.in_flight) {
                Some(Some(in_flight)) if now_ns.saturating_sub(in_flight.started_ns) > limit_ns => {
                    self.fail(index, Failure::Timeout);
                }
                None => self.reopen_closed(index),
                _ => {}
            }
        }
        self.count_time(now_ns);
        for lane in &mut self.lanes {
            lane.tick(now_ns);
        }
    }

    fn count_time(&mut self, now_ns: u64) {
        let spun_ns = self.spun.ns();
        let cpu_ns = (thread_cpu_ns() - self.cpu_before_ns).saturating_sub(spun_ns);
        for lane in &mut self.lanes {
            lane.totals.cpu_ns = cpu_ns;
            lane.totals.spun_ns = spun_ns;
            lane.totals.wall_ns = now_ns.saturating_sub(self.start_ns);
        }
    }
}
