//! Every interleaving of `upstream/guard.rs`: the real file, with loom's lock and atomics in place of the standard
//! ones.

#[path = "../src/upstream/guard.rs"]
#[allow(unreachable_pub, dead_code, reason = "the file is a module of the library")]
mod guard;

/// What `guard` finds as `super::sync`.
mod sync {
    pub(crate) use gateway::algorithms::breaker;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

use std::time::{Duration, Instant};

use gateway::algorithms::breaker::{Policy, State, Ticket, Verdict, WHOLE};
use gateway::clock::Clock;
use guard::Guard;
use loom::sync::Arc;
use loom::thread;

/// One failure trips it, and one probe closes it.
const POLICY: Policy = Policy {
    window: Duration::from_secs(10),
    min_requests: 1,
    failure_share: WHOLE,
    consecutive_failures: Some(1),
    slow_share: None,
    open_for: Duration::from_secs(5),
    max_open_for: Duration::from_secs(5),
    probes: 1,
    probe_timeout: Duration::from_secs(5),
};

fn begin() -> Instant {
    Clock::starting_at(Duration::ZERO).at_tick(0)
}

fn half_open(begin: Instant) -> (Arc<Guard>, Instant) {
    let guard = Guard::new(POLICY, begin);
    let mut ticket = guard.admit_closed().unwrap();
    guard.settle(&mut ticket, Verdict::Failure, begin).unwrap();
    (Arc::new(guard), begin + Duration::from_secs(5))
}

fn together<T: 'static>(count: usize, guard: &Arc<Guard>, work: impl Fn(&Guard) -> T + Clone + 'static) -> Vec<T> {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (guard, work) = (Arc::clone(guard), work.clone());
            thread::spawn(move || work(&guard))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn there_is_never_one_probe_too_many() {
    let begin = begin();
    loom::model(move || {
        let (guard, now) = half_open(begin);
        let given = together(2, &guard, move |guard| guard.admit(now).0);
        assert_eq!(given.iter().flatten().count(), 1);
        assert!(given.iter().flatten().all(|ticket| ticket.is_probe()));
        assert_eq!(guard.state(), State::HalfOpen);
    });
}

#[test]
fn a_probes_place_is_free_again_whatever_became_of_it() {
    let begin = begin();
    loom::model(move || {
        let (guard, now) = half_open(begin);
        together(2, &guard, move |guard| {
            if let Some(probe) = guard.admit(now).0 {
                guard.release(probe);
            }
        });
        assert!(guard.has_room_for_a_probe());
        let mut probe = guard.admit(now).0.unwrap();
        assert_eq!(guard.settle(&mut probe, Verdict::Success, now).unwrap().to, State::Closed);
        assert!(guard.admit_closed().is_some());
    });
}

#[test]
fn it_trips_once_and_what_was_in_flight_does_not_count_twice() {
    let begin = begin();
    loom::model(move || {
        let guard = Arc::new(Guard::new(POLICY, begin));
        let trips = together(2, &guard, move |guard| {
            let ticket: Option<Ticket> = guard.admit_closed();
            ticket.and_then(|mut ticket| guard.settle(&mut ticket, Verdict::Failure, begin))
        });
        assert_eq!(trips.iter().flatten().count(), 1);
        assert_eq!(guard.state(), State::Open);
        assert_eq!(guard.admit(begin).0, None, "after the trip nothing passes");
        assert_eq!(guard.deadline(), Some(begin + Duration::from_secs(5)));
    });
}
