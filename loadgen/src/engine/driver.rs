//! The loop itself: what is due is sent, news are taken, time is told.

mod leaving;
mod limits;
mod links;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::time::Duration;

use super::lane::{Arrival, Lane};
use super::pacing::{Pacing, Spun, sleep_exactly};
use super::poller::{News, Poller, Token, Wait};
use super::{Load, Neighbour, RunError, Schedule, Settings, opening};
use crate::announce::Announced;
use crate::clock::{Clock, duration_ns, thread_cpu_ns};
use crate::connection::http2::{Http2, preface};
use crate::connection::{Connection, InFlight};
use crate::request::{Mix, Protocol};
use crate::sample::{Failure, Observer, Spent, Totals};
use leaving::Leaving;

/// What is read in one go: most bodies take one read, and a large one does not make other requests late.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How often progress is told and lost connections are opened again.
const TICK_NS: u64 = 100_000_000;
/// Time limits are looked at when the first of them is reached, and not again before this time has passed: with many
/// connections a look takes long. What is over by then ends with its limit all the same.
const LEAST_LOOK_NS: u64 = 1_000_000;
/// The same for each connection, so that looking takes little of the driver's time.
const LOOK_NS: u64 = 1_000;
/// How long the first connection to a target may take.
const FIRST_CONNECT: Duration = Duration::from_secs(3);

/// Runs one load at once, on a core that it may share, and returns its totals. Blocks the calling thread, which
/// becomes the driver.
///
/// # Errors
/// As [`run_all`].
pub fn run<O: Observer>(settings: Settings, clock: Clock, observer: &mut O) -> Result<Totals, RunError> {
    let start_ns = clock.now_ns() + duration_ns(opening(settings.connections));
    let schedule = Schedule { start_ns, pacing: Pacing::Sleep };
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
    run_with(loads, clock, schedule, None)
}

/// The same on a thread that somebody else shares, who has a turn after each of the driver's. The driver then looks for
/// news all the time, whatever its pacing.
///
/// # Errors
/// As [`run_all`].
pub fn run_all_beside(
    loads: Vec<Load<'_>>,
    clock: Clock,
    schedule: Schedule,
    neighbour: Neighbour<'_>,
) -> Result<Vec<Totals>, RunError> {
    run_with(loads, clock, schedule, Some(neighbour))
}

fn run_with(
    loads: Vec<Load<'_>>,
    clock: Clock,
    schedule: Schedule,
    neighbour: Option<Neighbour<'_>>,
) -> Result<Vec<Totals>, RunError> {
    for mix in loads.iter().map(|load| &load.settings.mix) {
        mix.targets.iter().try_for_each(|address| try_out(*address, mix))?;
    }
    sleep_exactly();
    let mut driver = Driver::new(loads, clock, schedule)?;
    driver.neighbour = neighbour;
    driver.open_all();
    driver.drive()?;
    Ok(driver.lanes.into_iter().map(|lane| lane.totals).collect())
}

/// One connection before the start: who cannot be reached, or is not believed, gets no load.
fn try_out(address: SocketAddr, mix: &Mix) -> Result<(), RunError> {
    let connected = BlockingStream::connect_timeout(&address, FIRST_CONNECT);
    let stream = connected.map_err(|source| RunError::Connect { address, source })?;
    let bounded = stream.set_read_timeout(Some(FIRST_CONNECT));
    let mut stream = match mix.announces {
        None => Announced::plain(stream),
        Some(version) => Announced::new(stream, version.header(0, address)),
    };
    stream.announce().map_err(|source| RunError::Connect { address, source })?;
    let Some(tls) = &mix.tls else {
        let Protocol::Http2 { .. } = mix.protocol else { return Ok(()) };
        return preface::try_out(&mut stream).map_err(|said| RunError::NoHttp2 { address, said });
    };
    bounded.and_then(|()| tls.try_out(stream)).map_err(|source| RunError::Handshake { address, source })
}

/// A place for a connection; it outlives the connection.
struct Slot {
    lane: usize,
    target: usize,
    /// How many connections were here before; part of the token.
    life: u32,
    link: Option<Link>,
    /// What it has still to do once others have had their go.
    unfinished: Option<News>,
    /// Closed model: requests of its that are under way on connections it has left.
    lent: usize,
}

/// A connection, by its protocol. HTTP/2's is large, and rare.
#[expect(clippy::large_enum_variant, reason = "nearly all are the larger one, which is used at each event")]
enum Link {
    Http1(Connection),
    Http2(Box<Http2>),
}

struct Driver<'a, 'n> {
    clock: Clock,
    pacing: Pacing,
    poller: Poller,
    lanes: Vec<Lane<'a>>,
    /// Who shares the thread.
    neighbour: Option<Neighbour<'n>>,
    /// When plans begin, on the run's clock.
    start_ns: u64,
    /// Whether the closed lanes have begun.
    begun: bool,
    /// The earliest arrival of all lanes, on the run's clock, and whose it is.
    next_due: Option<(u64, usize)>,
    /// No request's time is over before, on the run's clock.
    next_limit_ns: u64,
    slots: Vec<Slot>,
    /// Slots without a connection.
    empty: Vec<usize>,
    /// Connections that their server wants to be left.
    leaving: Vec<Leaving>,
    /// Slots that may have something unfinished, in turn.
    unfinished: VecDeque<usize>,
    scratch: Vec<u8>,
    /// Whether an HTTP/2 connection is being settled: what begins on it then goes out with the next of its pumps.
    settling: bool,
    spun: Spun,
    /// CPU time of the neighbour's turns in which there was something to do.
    neighbour_ns: u64,
    cpu_before_ns: u64,
}

impl<'a> Driver<'a, '_> {
    fn new(loads: Vec<Load<'a>>, clock: Clock, schedule: Schedule) -> Result<Self, RunError> {
        let mut driver = Self {
            clock,
            pacing: schedule.pacing,
            poller: Poller::new()?,
            lanes: loads.into_iter().map(Lane::new).collect(),
            neighbour: None,
            start_ns: schedule.start_ns.max(clock.now_ns()),
            begun: false,
            next_due: None,
            next_limit_ns: 0,
            slots: Vec::new(),
            empty: Vec::new(),
            leaving: Vec::new(),
            unfinished: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
            settling: false,
            spun: Spun::default(),
            neighbour_ns: 0,
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
            // The other requests that a connection can carry, in turns, so that load spreads over connections.
            let permits = self.lanes[lane].permits();
            for idle in &mut self.lanes[lane].idle {
                let once: Vec<usize> = idle.iter().copied().collect();
                (1..permits).for_each(|_| idle.extend(&once));
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
            now_ns = self.lend_thread(turned_ns);
            if now_ns >= next_tick_ns {
                next_tick_ns = now_ns + TICK_NS;
                self.on_tick(now_ns);
            } else if now_ns >= self.next_limit_ns {
                self.end_overdue(now_ns);
            }
        }
        self.count_time(now_ns);
        Ok(())
    }

    /// Lets the neighbour have its turn, where there is one; the time afterwards.
    fn lend_thread(&mut self, turned_ns: u64) -> u64 {
        let Some(neighbour) = &mut self.neighbour else { return turned_ns };
        // Its CPU time, as the driver's own is: while others have the core, neither works.
        let cpu_before_ns = thread_cpu_ns();
        let worked = neighbour();
        let after_ns = self.clock.now_ns();
        if worked {
            self.neighbour_ns += thread_cpu_ns().saturating_sub(cpu_before_ns);
        } else {
            self.spun.looked(after_ns - turned_ns);
        }
        after_ns
    }

    /// One turn of the loop: sends what is due, waits as the pacing says, takes the news. Whether it did no more than
    /// look for some.
    fn turn(&mut self, now_ns: u64, next_tick_ns: u64) -> Result<bool, RunError> {
        let mut worked = self.begin_when_due(now_ns);
        worked |= self.send_due();
        let next_ns = self.next_due.map_or(u64::MAX, |(due_ns, _)| due_ns);
        let start_ns = if self.begun { u64::MAX } else { self.start_ns };
        let is_waiting = self.lanes.iter().any(|lane| lane.in_flight > 0);
        let limit_ns = if is_waiting { self.next_limit_ns } else { u64::MAX };
        let next_ns = next_ns.min(start_ns).min(next_tick_ns).min(limit_ns);
        // The closed model needs no pacing: news are all that it waits for.
        let in_flight = self.lanes.iter().any(|lane| lane.in_flight > 0 && !lane.is_closed_model());
        let wait = match self.neighbour {
            Some(_) => Wait::Look,
            None if !self.unfinished.is_empty() => Wait::Look,
            None => self.pacing.wait(self.clock.now_ns(), next_ns, in_flight),
        };
        let count = self.poller.wait(wait)?;
        for index in 0..count {
            self.on_news(self.poller.news(index));
            // Between any two news, or a long batch would make the next request late.
            self.send_due();
        }
        worked |= self.go_on();
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
        (self.spun, self.neighbour_ns) = (Spun::default(), 0);
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
            if self.lanes[lane].next_due_ns().is_none() {
                self.count_time(now_ns);
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
        match lane.idle[target].pop_front().or_else(|| self.open_another(index, target)) {
            Some(slot) => self.begin(slot, template, arrival),
            None => self.lanes[index].failed_unsent(template, arrival.intended_ns, now_ns),
        }
    }

    /// Closed model: sends the next request of a slot, if there is one to send.
    fn next_closed(&mut self, slot: usize) {
        let now_ns = self.clock.now_ns();
        let Slot { lane, target, .. } = self.slots[slot];
        let lane = &mut self.lanes[lane];
        let Some(number) = lane.take_next(self.start_ns, now_ns) else {
            self.count_time(now_ns);
            return;
        };
        let template = lane.settings.mix.draw_for(target, number);
        self.begin(slot, template, Arrival { number, intended_ns: now_ns });
    }

    fn begin(&mut self, index: usize, template: usize, arrival: Arrival) {
        let slot = &mut self.slots[index];
        if slot.link.is_none() {
            return;
        }
        let lane = &mut self.lanes[slot.lane];
        lane.totals.started += 1;
        lane.in_flight += 1;
        let now_ns = self.clock.now_ns();
        self.carry(index, InFlight::new(template, arrival.number, arrival.intended_ns, now_ns));
    }

    /// Gives a request to the connection of a slot.
    fn carry(&mut self, index: usize, in_flight: InFlight) {
        let slot = &mut self.slots[index];
        let lane = &mut self.lanes[slot.lane];
        let (mix, template, number) = (&lane.settings.mix, in_flight.template, in_flight.number);
        match &mut slot.link {
            None => {
                let lane = slot.lane;
                self.give_up(lane, in_flight, Failure::Connect);
            }
            Some(Link::Http1(connection)) => {
                mix.render(template, number, &mut lane.body, &mut connection.rendered);
                let prepared = &mix.prepared[template];
                let now_ns = self.clock.now_ns();
                connection.begin(in_flight, prepared.is_head, prepared.headers.clone());
                match connection.write(prepared.fixed(), now_ns) {
                    Ok(false) => {}
                    Ok(true) => {
                        let token = Token { slot: index as u32, life: slot.life };
                        self.go_on_later(index, News { token, writable: true, closing: false });
                    }
                    Err(failure) => self.fail(index, failure),
                }
            }
            Some(Link::Http2(connection)) => {
                let bytes = mix.bytes(template, number, &mut lane.body, &mut lane.rendered);
                let headers = mix.prepared[template].headers.clone();
                connection.begin(bytes, in_flight, headers, self.clock.now_ns());
                if !self.settling {
                    self.settle(index);
                }
            }
        }
    }

    fn on_tick(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.start_ns);
        self.lanes.iter_mut().for_each(|lane| lane.stop_if_asked(passed_ns));
        self.find_next_due();
        let unopened = |driver: &Self| driver.lanes.iter().map(|lane| lane.totals.unopened).sum::<u64>();
        let before = unopened(self);
        for index in 0..self.slots.len() {
            // Where one finds no socket, thousands would find none either, and each costs a call.
            if self.slots[index].link.is_none() && unopened(self) == before {
                self.reopen_closed(index);
            }
        }
        self.end_overdue(now_ns);
        self.count_time(now_ns);
        let (begun, start_ns) = (self.begun, self.start_ns);
        for lane in &mut self.lanes {
            if begun {
                lane.give_up_if_stuck(start_ns, now_ns);
            }
            lane.tick(now_ns);
        }
    }

    fn count_time(&mut self, now_ns: u64) {
        let (spun_ns, neighbour_ns) = (self.spun.ns(), self.neighbour_ns);
        let cpu_ns = (thread_cpu_ns() - self.cpu_before_ns).saturating_sub(spun_ns + neighbour_ns);
        let spent = Spent { cpu_ns, spun_ns, neighbour_ns, wall_ns: now_ns.saturating_sub(self.start_ns) };
        self.lanes.iter_mut().for_each(|lane| lane.count_time(spent));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::engine::Model;
    use crate::recorder::Recorder;
    use crate::request::Template;
    use crate::target::Target;

    const SECOND_NS: u64 = 1_000_000_000;

    /// A closed load of ten requests on two connections, to an address to which no socket can be connected.
    fn nowhere() -> Settings {
        let target = Target::parse("http://255.255.255.255:9/", true).unwrap();
        Settings {
            mix: Mix::new(&[Template::get("t", target)], 1).unwrap(),
            model: Model::Closed { requests: Some(10), duration: None },
            connections: 2,
            max_in_flight: 8,
            timeout: Duration::from_secs(60),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    #[test]
    fn a_closed_load_that_gets_no_socket_any_more_comes_to_an_end_and_says_so() {
        let mut recorder = Recorder::new("steady", 0);
        let loads = vec![Load { settings: nowhere(), observer: &mut recorder }];
        let schedule = Schedule { start_ns: 0, pacing: Pacing::Sleep };
        let mut driver = Driver::new(loads, Clock::start(), schedule).unwrap();
        driver.open_all();
        assert_eq!(
            (driver.slots.len(), driver.empty.len()),
            (2, 0),
            "a closed load keeps its places, to try them again"
        );
        driver.begin_when_due(u64::MAX);
        driver.on_tick(SECOND_NS);
        driver.on_tick(3 * SECOND_NS);
        assert!(driver.is_busy(3 * SECOND_NS), "sockets may come back");
        driver.on_tick(5 * SECOND_NS);
        assert!(!driver.is_busy(5 * SECOND_NS));
        let totals = driver.lanes[0].totals;
        assert!(totals.gave_up && (totals.started, totals.not_ok) == (2, 2), "{totals:?}");
    }
}
