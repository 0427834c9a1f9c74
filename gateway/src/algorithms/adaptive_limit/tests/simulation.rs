//! A k-server queue in front of which the limit stands, in virtual time: arrivals are Poisson, service is drawn, the
//! queue is first come, first served.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::super::{AdaptiveLimit, End};
use crate::algorithms::rng;

/// How long an endpoint works on a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    /// Always as long.
    Fixed,
    /// Exponential: as uneven as the mean itself.
    Exponential,
    /// A tail: one in twenty takes ten times as long.
    Tailed,
}

/// What an endpoint is, and what it is asked for; times and rates may change as time goes on.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub servers: usize,
    pub endpoints: usize,
    pub service: Service,
    /// Seconds of work for a request at this time, at this endpoint; infinite while it hangs.
    pub takes: &'a dyn Fn(f64, usize) -> f64,
    /// Requests a second at this time.
    pub asked: &'a dyn Fn(f64) -> f64,
    pub seconds: f64,
    pub seed: u64,
    /// Requests that still queue are given up after this long.
    pub patience: Option<f64>,
}

/// What became of the requests of one second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub asked: u32,
    pub refused: u32,
    /// Answers, by the second in which they came.
    pub answered: u32,
    /// The longest that an answer took.
    pub longest: f64,
    pub given_up: u32,
    /// Seconds of work that were done.
    pub worked: f64,
}

struct Place {
    limit: AdaptiveLimit,
    busy: usize,
    queue: VecDeque<Request>,
    waiting: u32,
    refused: bool,
}

impl Place {
    /// As the gateway asks: who finds no room has met the limit.
    fn has_room(&mut self, now: Instant) -> bool {
        let has_room = self.limit.limit().is_none_or(|limit| self.waiting < limit);
        self.refused |= !has_room;
        if !has_room && now >= self.limit.due() {
            self.limit.tick(now, self.waiting, true);
            self.refused = false;
        }
        has_room
    }
}

#[derive(Clone, Copy)]
struct Request {
    began: f64,
    work: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Event {
    Arrival,
    Done { endpoint: usize, began: f64, work: f64 },
    GivenUp { endpoint: usize, began: f64 },
}

struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((rng::mix(self.0) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }

    fn service(&mut self, service: Service, mean: f64) -> f64 {
        match service {
            Service::Fixed => mean,
            Service::Exponential => self.exponential(mean),
            // 0.95 * x + 0.05 * 10 x = mean
            Service::Tailed => mean / 1.45 * if self.unit() < 0.05 { 10.0 } else { 1.0 },
        }
    }
}

/// Plays it, second by second.
pub(super) fn play(world: &World<'_>) -> Vec<Second> {
    #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
    let zero = Instant::now();
    let at = |time: f64| zero + Duration::from_secs_f64(time);
    let mut draw = Draw(rng::mix(world.seed));
    let place =
        || Place { limit: AdaptiveLimit::new(zero), busy: 0, queue: VecDeque::new(), waiting: 0, refused: false };
    let mut places: Vec<Place> = (0..world.endpoints).map(|_| place()).collect();
    let mut seconds = vec![Second::default(); world.seconds.ceil() as usize + 1];
    let mut events: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut kinds: Vec<Event> = Vec::new();
    let push = |events: &mut BinaryHeap<_>, kinds: &mut Vec<Event>, time: f64, event| {
        events.push(Reverse(((time * 1e9) as u64, kinds.len() as u64)));
        kinds.push(event);
    };
    push(&mut events, &mut kinds, 0.0, Event::Arrival);
    while let Some(Reverse((ns, index))) = events.pop() {
        let now = ns as f64 / 1e9;
        if now >= world.seconds {
            break;
        }
        let second = now as usize;
        match kinds[index as usize] {
            Event::Arrival => {
                push(&mut events, &mut kinds, now + draw.exponential(1.0 / (world.asked)(now)), Event::Arrival);
                seconds[second].asked += 1;
                let first = (draw.unit() * world.endpoints as f64) as usize;
                let order = (0..world.endpoints).map(|step| (first + step) % world.endpoints);
                let room = order.filter(|&one| places[one].has_room(at(now))).collect::<Vec<_>>();
                let Some(endpoint) = room.into_iter().min_by_key(|&one| places[one].waiting) else {
                    seconds[second].refused += 1;
                    continue;
                };
                let place = &mut places[endpoint];
                place.waiting += 1;
                if at(now) >= place.limit.due() {
                    place.limit.tick(at(now), place.waiting, std::mem::take(&mut place.refused));
                }
                let work = draw.service(world.service, (world.takes)(now, endpoint));
                if let Some(patience) = world.patience {
                    push(&mut events, &mut kinds, now + patience, Event::GivenUp { endpoint, began: now });
                }
                if place.busy < world.servers {
                    place.busy += 1;
                    push(&mut events, &mut kinds, now + work.min(1e9), Event::Done { endpoint, began: now, work });
                } else {
                    place.queue.push_back(Request { began: now, work });
                }
            }
            Event::GivenUp { endpoint, began } => {
                // Only what is still queued can be given up here: what is being worked on ends.
                let place = &mut places[endpoint];
                let before = place.queue.len();
                place.queue.retain(|request| request.began != began);
                if place.queue.len() < before {
                    place.waiting -= 1;
                    seconds[second].given_up += 1;
                    let took = Duration::from_secs_f64(now - began);
                    place.limit.settle(at(now), End::Dropped, took, place.waiting, std::mem::take(&mut place.refused));
                }
            }
            Event::Done { endpoint, began, work } => {
                let place = &mut places[endpoint];
                place.waiting -= 1;
                let took = now - began;
                seconds[second].answered += 1;
                seconds[second].worked += work;
                seconds[second].longest = seconds[second].longest.max(took);
                let took = Duration::from_secs_f64(took);
                place.limit.settle(at(now), End::Answered, took, place.waiting, std::mem::take(&mut place.refused));
                match place.queue.pop_front() {
                    Some(next) => {
                        let done = Event::Done { endpoint, began: next.began, work: next.work };
                        push(&mut events, &mut kinds, now + next.work.min(1e9), done);
                    }
                    None => place.busy -= 1,
                }
            }
        }
    }
    seconds.pop();
    seconds
}
