//! Connections that are being left: their server has said goodbye, and still answers what it has taken up.
//!
//! What it has not taken up goes to another connection, at no cost to its intended time, and so does all that follows.
//! The slot has another connection meanwhile, and the closed model as many requests under way as before.

use super::{Driver, Link, Slot};
use crate::connection::InFlight;
use crate::connection::http2::Http2;
use crate::engine::lane::Ended;
use crate::engine::poller::{News, Token};
use crate::response::Head;
use crate::sample::Failure;

/// A request has failed that so many connections had, one after the other, which took up nothing at all. As long as
/// each takes up something, its turn comes, or its time is over.
const MOST_MOVES: u8 = 8;

/// A connection that carries what it has to the end.
pub(super) struct Leaving {
    lane: usize,
    target: usize,
    /// What its news are known by.
    token: Token,
    link: Box<Http2>,
}

impl Driver<'_, '_> {
    /// Leaves the connection of a slot, if its server has said goodbye.
    pub(super) fn leave_if_asked(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let is_asked = |link: &mut Link| matches!(link, Link::Http2(connection) if connection.is_leaving());
        let Some(Link::Http2(mut link)) = slot.link.take_if(is_asked) else { return };
        let (lane, target, token) = (slot.lane, slot.target, Token { slot: index as u32, life: slot.life });
        let unsent = link.take_unsent();
        if self.lanes[lane].is_closed_model() {
            slot.lent += link.open();
        }
        if link.open() > 0 {
            self.leaving.push(Leaving { lane, target, token, link });
        }
        self.lanes[lane].idle[target].retain(|idle| *idle != index);
        self.close(index);
        self.replace(index, unsent);
    }

    /// News of a connection that its slot may have left.
    pub(super) fn on_news_of_leaving(&mut self, token: Token) {
        if let Some(at) = self.leaving.iter().position(|leaving| leaving.token == token) {
            self.settle_leaving(at);
        }
    }

    /// When the time of each one's oldest request is over.
    pub(super) fn limits_of_leaving(&self, limit_of: impl Fn(usize) -> u64) -> impl Iterator<Item = u64> {
        let limit = move |leaving: &Leaving| Some(leaving.link.oldest_ns()?.saturating_add(limit_of(leaving.lane)));
        self.leaving.iter().filter_map(limit)
    }

    /// Ends what takes too long.
    pub(super) fn end_overdue_of_leaving(&mut self, now_ns: u64) {
        // From the last: one that is done makes room for the last.
        for at in (0..self.leaving.len()).rev() {
            let leaving = &mut self.leaving[at];
            let limit_ns = self.lanes[leaving.lane].limit_ns(now_ns.saturating_sub(self.start_ns));
            leaving.link.end_older(now_ns.saturating_sub(limit_ns), now_ns);
            self.settle_leaving(at);
        }
    }

    fn settle_leaving(&mut self, at: usize) {
        let leaving = &mut self.leaving[at];
        let is_over = leaving.link.pump(&self.clock).is_err();
        let (lane, target, index) = (leaving.lane, leaving.target, leaving.token.slot as usize);
        let mut ended = 0;
        while let Some(over) = leaving.link.take_ended() {
            self.lanes[lane].over(&over);
            ended += 1;
        }
        let unsent = leaving.link.take_unsent();
        if is_over || leaving.link.open() == 0 {
            self.leaving.swap_remove(at);
        }
        if !self.lanes[lane].is_closed_model() {
            self.send_elsewhere(lane, target, unsent);
            return;
        }
        self.slots[index].lent -= ended + unsent.len();
        if self.slots[index].link.is_none() {
            self.replace(index, unsent);
        } else {
            self.go_on_with(index, unsent, ended);
        }
    }

    /// A slot lost its connection: what that one did not take up goes to another, and the closed model goes on.
    pub(super) fn replace(&mut self, index: usize, unsent: Vec<InFlight>) {
        let Slot { lane, target, .. } = self.slots[index];
        if !self.lanes[lane].is_closed_model() {
            self.send_elsewhere(lane, target, unsent);
            return;
        }
        let wanted = !unsent.is_empty() || self.lanes[lane].has_more(self.start_ns, self.clock.now_ns());
        if !wanted {
            return;
        }
        if !self.fill_slot(index) {
            unsent.into_iter().for_each(|in_flight| self.give_up(lane, in_flight, Failure::Connect));
            return;
        }
        let places = self.lanes[lane].permits().saturating_sub(self.slots[index].lent);
        let new = places.saturating_sub(unsent.len());
        if self.begun {
            self.go_on_with(index, unsent, new);
        } else {
            self.lanes[lane].idle[target].extend(std::iter::repeat_n(index, new));
        }
    }

    /// Closed model: begins so many requests on a slot's connection, beside those that another has not taken up. They
    /// go out together in a while: who says goodbye to some of them then has had all, and each is counted once.
    fn go_on_with(&mut self, index: usize, unsent: Vec<InFlight>, new: usize) {
        let lane = self.slots[index].lane;
        let mut new = new;
        self.together(|driver| {
            for in_flight in unsent {
                match driver.still_hopes(lane, in_flight) {
                    true => driver.carry(index, in_flight),
                    false => new += 1,
                }
            }
            (0..new).for_each(|_| driver.next_closed(index));
        });
        self.settle_later(index);
    }

    /// Gives requests to connections of HTTP/2 without their going out yet.
    fn together(&mut self, give: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.settling, true);
        give(self);
        self.settling = before;
    }

    /// Lets what a slot's connection of HTTP/2 was given go out, once others have had their go: at once, a server that
    /// says goodbye to each connection would be called from within its own answer. HTTP/1 has sent it already.
    fn settle_later(&mut self, index: usize) {
        if !matches!(self.slots[index].link, Some(Link::Http2(_))) {
            return;
        }
        let token = Token { slot: index as u32, life: self.slots[index].life };
        self.go_on_later(index, News { token, writable: true, closing: false });
    }

    /// Open model: sends requests on other connections of their target.
    fn send_elsewhere(&mut self, lane: usize, target: usize, unsent: Vec<InFlight>) {
        for in_flight in unsent.into_iter().filter(|in_flight| self.still_hopes(lane, *in_flight)).collect::<Vec<_>>() {
            match self.lanes[lane].idle[target].pop_front().or_else(|| self.open_another(lane, target)) {
                Some(slot) => {
                    self.together(|driver| driver.carry(slot, in_flight));
                    self.settle_later(slot);
                }
                None => self.give_up(lane, in_flight, Failure::Connect),
            }
        }
    }

    /// Whether a request goes to another connection; one that has had enough of them has failed now.
    fn still_hopes(&mut self, lane: usize, in_flight: InFlight) -> bool {
        let hopes = in_flight.moves <= MOST_MOVES;
        if !hopes {
            self.give_up(lane, in_flight, Failure::Closed);
        }
        hopes
    }

    /// A request that nobody takes has failed.
    pub(super) fn give_up(&mut self, lane: usize, in_flight: InFlight, failure: Failure) {
        let ended = Ended { in_flight, head: Head::default(), body_bytes: 0, end_ns: self.clock.now_ns() };
        self.lanes[lane].failed(&ended, failure);
    }
}
