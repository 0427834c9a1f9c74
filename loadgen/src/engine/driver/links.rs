//! What happens to the driver's connections: their news, the ends of what they carry, and how they come and go.

use std::io;

use rustix::io::Errno;

use super::{Driver, Link, Slot};
use crate::announce::Announced;
use crate::connection::http2::Http2;
use crate::connection::wire::Wire;
use crate::connection::{Connection, ReadOutcome, open_socket};
use crate::engine::lane::Ended;
use crate::engine::poller::{News, Token};
use crate::request::Protocol;
use crate::sample::Failure;

/// Whether no socket could be had here, whatever the target: it is no failure of whoever is measured.
fn is_of_this_machine(error: &io::Error) -> bool {
    let causes = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    causes.iter().any(|cause| error.raw_os_error() == Some(cause.raw_os_error()))
}

impl Driver<'_, '_> {
    pub(super) fn on_news(&mut self, news: News) {
        let index = news.token.slot as usize;
        let slot = &mut self.slots[index];
        match slot.link.as_mut().filter(|_| slot.life == news.token.life) {
            None => self.on_news_of_leaving(news.token),
            Some(Link::Http2(_)) => self.settle(index),
            Some(Link::Http1(connection)) => {
                let now_ns = self.clock.now_ns();
                let prepared = &self.lanes[slot.lane].settings.mix.prepared;
                let fixed = connection.in_flight.and_then(|in_flight| prepared[in_flight.template].fixed());
                let mut more = false;
                if news.writable || connection.writes_after_reads() {
                    match connection.check_connected().and_then(|()| connection.write(fixed, now_ns)) {
                        Ok(wrote) => more = wrote,
                        Err(failure) => return self.fail(index, failure),
                    }
                }
                let read = connection.read(&mut self.scratch, news.closing, now_ns);
                match read {
                    ReadOutcome::Waiting | ReadOutcome::More => {
                        // What was read may have been the end of a handshake, for which the request waits.
                        if connection.writes_after_reads() {
                            match connection.write(fixed, now_ns) {
                                Ok(wrote) => more = wrote,
                                Err(failure) => return self.fail(index, failure),
                            }
                        }
                        if more || read == ReadOutcome::More {
                            self.go_on_later(index, News { writable: more, ..news });
                        }
                    }
                    ReadOutcome::Done { reusable } => self.finish(index, reusable),
                    ReadOutcome::Broken(failure) => self.fail(index, failure),
                }
            }
        }
    }

    /// Another go for a connection, once others have had theirs.
    pub(super) fn go_on_later(&mut self, index: usize, news: News) {
        match &mut self.slots[index].unfinished {
            Some(before) => {
                before.writable |= news.writable;
                before.closing |= news.closing;
            }
            None => {
                self.slots[index].unfinished = Some(news);
                self.unfinished.push_back(index);
            }
        }
    }

    /// One more go for each connection that has something unfinished; whether there was any.
    pub(super) fn go_on(&mut self) -> bool {
        let count = self.unfinished.len();
        for _ in 0..count {
            let news = self.unfinished.pop_front().and_then(|index| self.slots[index].unfinished.take());
            if let Some(news) = news {
                self.on_news(news);
                self.send_due();
            }
        }
        count > 0
    }

    /// Lets an HTTP/2 connection send and read all that it can, and takes what has ended. What follows from an end
    /// (the closed model's next request) goes out in the same go.
    pub(super) fn settle(&mut self, index: usize) {
        self.settling = true;
        let broken = loop {
            let Some(Link::Http2(connection)) = &mut self.slots[index].link else { break None };
            let pumped = connection.pump(&self.clock);
            let stays = pumped.is_ok() && !connection.is_leaving();
            let took = self.take_ended(index, stays);
            match pumped {
                Err(failure) => break Some(failure),
                Ok(()) if !took || !stays => break None,
                Ok(()) => {}
            }
        };
        self.settling = false;
        match broken {
            Some(failure) => self.discard(index, failure),
            None => self.leave_if_asked(index),
        }
    }

    /// Takes the requests of an HTTP/2 connection that have ended, and gives their places to others; whether there were
    /// any.
    fn take_ended(&mut self, index: usize, is_alive: bool) -> bool {
        let mut took = false;
        loop {
            let slot = &mut self.slots[index];
            let Some(Link::Http2(connection)) = &mut slot.link else { return took };
            let Some(over) = connection.take_ended() else { return took };
            took = true;
            let lane = &mut self.lanes[slot.lane];
            lane.over(&over);
            if is_alive && lane.is_closed_model() {
                self.next_closed(index);
            } else if is_alive {
                lane.idle[slot.target].push_back(index);
            }
        }
    }

    /// A whole answer came.
    fn finish(&mut self, index: usize, reusable: bool) {
        let slot = &mut self.slots[index];
        let Some(Link::Http1(connection)) = &mut slot.link else { return };
        let Some(in_flight) = connection.in_flight.take() else { return };
        let (head, body_bytes) = (connection.reader.head(), connection.reader.body_bytes());
        let ended = Ended { in_flight, head, body_bytes, end_ns: self.clock.now_ns() };
        let lane = &mut self.lanes[slot.lane];
        let in_time = lane.finished(&ended);
        if !reusable || !in_time {
            self.close(index);
            self.reopen_closed(index);
        } else if lane.is_closed_model() {
            self.next_closed(index);
        } else {
            lane.idle[slot.target].push_back(index);
        }
    }

    /// A connection broke; what it carried has failed. A free connection that the server closed is no failure: nothing
    /// was asked of it.
    pub(super) fn fail(&mut self, index: usize, failure: Failure) {
        let slot = &mut self.slots[index];
        let Some(Link::Http1(connection)) = &mut slot.link else { return };
        if let Some(in_flight) = connection.in_flight.take() {
            let (head, body_bytes) = (connection.reader.head(), connection.reader.body_bytes());
            let ended = Ended { in_flight, head, body_bytes, end_ns: self.clock.now_ns() };
            self.lanes[slot.lane].failed(&ended, failure);
        }
        self.discard(index, failure);
    }

    /// Gives a broken connection up; the closed model gets another.
    fn discard(&mut self, index: usize, failure: Failure) {
        let slot = &mut self.slots[index];
        let unsent = match &mut slot.link {
            Some(Link::Http2(connection)) => connection.take_unsent(),
            _ => Vec::new(),
        };
        self.lanes[slot.lane].idle[slot.target].retain(|idle| *idle != index);
        self.close(index);
        // A target that refuses is asked again at the next tick, not in a hot loop.
        if failure != Failure::Connect {
            self.replace(index, unsent);
        }
    }

    /// Closed model: the request that a connection would have carried has failed, where there is still one to send. In
    /// the open model none is due yet.
    pub(super) fn fail_unopened(&mut self, lane: usize, target: usize) {
        let now_ns = self.clock.now_ns();
        let Some(number) = self.lanes[lane].take_next(self.start_ns, now_ns) else { return };
        let template = self.lanes[lane].settings.mix.draw_for(target, number);
        self.lanes[lane].failed_unsent(template, now_ns, now_ns);
    }

    /// Open model: a new connection for a request, and for others that it can carry.
    pub(super) fn open_another(&mut self, lane: usize, target: usize) -> Option<usize> {
        let slot = self.open_slot(lane, target)?;
        let lane = &mut self.lanes[lane];
        (1..lane.permits()).for_each(|_| lane.idle[target].push_back(slot));
        Some(slot)
    }

    /// A new connection to a target in an empty slot.
    pub(super) fn open_slot(&mut self, lane: usize, target: usize) -> Option<usize> {
        let index = self.empty.pop().unwrap_or_else(|| {
            self.slots.push(Slot { lane, target, life: 0, link: None, unfinished: None, lent: 0 });
            self.slots.len() - 1
        });
        (self.slots[index].lane, self.slots[index].target) = (lane, target);
        if self.fill_slot(index) {
            return Some(index);
        }
        self.put_by(index);
        None
    }

    pub(super) fn fill_slot(&mut self, index: usize) -> bool {
        let slot = &mut self.slots[index];
        slot.life = slot.life.wrapping_add(1);
        slot.unfinished = None;
        let lane = &mut self.lanes[slot.lane];
        let socket = match open_socket(lane.settings.mix.targets[slot.target]) {
            Ok(socket) => socket,
            Err(error) => {
                lane.totals.unopened += u64::from(is_of_this_machine(&error));
                return false;
            }
        };
        // A slot's number fits: each holds an open file.
        let token = Token { slot: index as u32, life: slot.life };
        if self.poller.watch(&socket, token).is_err() {
            lane.totals.unopened += 1;
            return false;
        }
        let announced = match lane.settings.mix.announces {
            None => Announced::plain(socket),
            Some(version) => {
                let header = version.header(lane.totals.connections, lane.settings.mix.targets[slot.target]);
                Announced::new(socket, header)
            }
        };
        let Ok(wire) = Wire::over(announced, lane.settings.mix.tls.as_ref()) else { return false };
        lane.totals.connections += 1;
        slot.link = Some(match lane.settings.mix.protocol {
            Protocol::Http1 => Link::Http1(Connection::new(wire)),
            Protocol::Http2 { .. } => Link::Http2(Box::new(Http2::new(wire))),
        });
        true
    }

    /// Closes the connection of a slot.
    pub(super) fn close(&mut self, index: usize) {
        self.slots[index].link = None;
        self.put_by(index);
    }

    /// A slot without a connection is anybody's. A closed lane keeps its own for the next one.
    fn put_by(&mut self, index: usize) {
        if !self.lanes[self.slots[index].lane].is_closed_model() {
            self.empty.push(index);
        }
    }

    /// Closed model: a slot that lost its connection gets a new one and goes on.
    pub(super) fn reopen_closed(&mut self, index: usize) {
        self.replace(index, Vec::new());
    }
}
