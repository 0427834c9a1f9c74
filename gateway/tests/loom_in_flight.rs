//! Every interleaving of `upstream/in_flight.rs`: the real file, with loom's atomics in place of the standard ones.

#[path = "../src/upstream/in_flight.rs"]
#[allow(unreachable_pub, dead_code, reason = "the file is a module of the library")]
mod in_flight;

/// What `in_flight` finds as `super::sync`. The pointer is the standard one: a method cannot take loom's as its
/// receiver.
mod sync {
    pub(crate) use std::sync::Arc;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use std::sync::Arc;

use in_flight::InFlight;
use loom::thread;

#[test]
fn what_enters_and_leaves_adds_up() {
    loom::model(|| {
        let counter = Arc::new(InFlight::default());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || drop(counter.enter()))
            })
            .collect();
        let mine = counter.enter();
        assert!(counter.count() >= 1);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(counter.count(), 1);
        drop(mine);
        assert_eq!(counter.ever_and_now(), (3, 0));
        counter.come_back();
        assert_eq!(counter.ever_and_now(), (3, 1));
        counter.leave();
        assert_eq!(counter.ever_and_now(), (3, 0), "it is no other one");
    });
}

#[test]
fn a_limit_is_never_exceeded_and_a_free_place_is_always_found() {
    loom::model(|| {
        let counter = Arc::new(InFlight::default());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    let permit = counter.try_enter(1);
                    assert!(counter.count() <= 1, "never more than the limit, not even for a moment");
                    permit.is_some()
                })
            })
            .collect();
        let entered = others.into_iter().map(|other| other.join().unwrap()).filter(|got| *got).count();
        assert!(entered >= 1, "whoever came first found the place free");
        assert_eq!(counter.count(), 0);
        assert!(counter.try_enter(1).is_some());
    });
}

#[test]
fn a_place_that_is_given_back_can_be_taken_by_another_thread() {
    loom::model(|| {
        let counter = Arc::new(InFlight::default());
        let permit = counter.try_enter(1).unwrap();
        let other = {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                drop(permit);
                counter.count()
            })
        };
        let early = counter.try_enter(1);
        let seen = other.join().unwrap();
        assert!(seen <= 1);
        drop(early);
        assert!(counter.try_enter(1).is_some());
    });
}
