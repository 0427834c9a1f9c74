//! The map against one that forgets nothing, and its bounds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::algorithms::rng::mix;

const SECOND: Duration = Duration::from_secs(1);

fn quota() -> Quota {
    Quota::new(10, SECOND, 5, 1)
}

/// Hashes as they come: spread over all bits.
fn hash(key: u64) -> u64 {
    mix(key + 1)
}

proptest! {
    #[test]
    fn what_has_room_decides_as_a_map_that_forgets_nothing(
        steps in prop::collection::vec((0u64..30, 0u64..200), 1..400),
    ) {
        let (cells, mut naive, mut now) = (Cells::new(64), HashMap::<u64, u64>::new(), 0);
        for (key, gap) in steps {
            now += gap * 1_000_000;
            let tat = naive.entry(key).or_default();
            let expected = quota().take(*tat, now);
            prop_assert_eq!(cells.take(hash(key), now, &quota()).map(|taken| taken.tat), expected);
            *tat = expected.unwrap_or(*tat);
        }
    }

    #[test]
    fn without_room_nobody_gets_more_than_alone(
        steps in prop::collection::vec((0u64..200, 0u64..20), 1..600), max_keys in 1usize..20,
    ) {
        let (cells, mut naive, mut now) = (Cells::new(max_keys), HashMap::<u64, u64>::new(), 0);
        for (key, gap) in steps {
            now += gap * 1_000_000;
            let tat = naive.entry(key).or_default();
            if cells.take(hash(key), now, &quota()).is_ok() {
                // What passes here passes alone too: nobody's bucket is ever forgotten while it lacks a token.
                let alone = quota().take(*tat, now);
                prop_assert!(alone.is_ok(), "key {} at {}", key, now);
                *tat = alone.unwrap();
            }
            prop_assert!(cells.fill().keys <= max_keys);
        }
    }
}

#[test]
fn a_refund_reaches_the_bucket_that_was_charged() {
    let (cells, quota) = (Cells::new(1), Quota::new(1, SECOND, 2, 2));
    let own = cells.take(hash(1), 0, &quota).unwrap();
    let shared = cells.take(hash(2), 0, &quota).unwrap();
    assert_eq!((own.place, shared.place), (Place::Own, Place::Shared));
    assert!(cells.take(hash(1), 0, &quota).is_err() && cells.take(hash(2), 0, &quota).is_err());
    cells.refund(hash(1), own.place, &quota);
    cells.refund(hash(2), shared.place, &quota);
    assert!(cells.take(hash(1), 0, &quota).is_ok() && cells.take(hash(2), 0, &quota).is_ok());
}

#[test]
fn room_is_found_when_buckets_are_full_again() {
    let cells = Cells::new(2);
    for key in 0..3 {
        cells.take(hash(key), 0, &quota()).unwrap();
    }
    assert_eq!(cells.fill(), Fill { keys: 2, overflowed: 1 });
    // After a tenth of a second the first two lack nothing.
    let later = 100_000_000;
    assert_eq!(cells.take(hash(4), later, &quota()).unwrap().place, Place::Own);
    assert_eq!(cells.fill().keys, 1);
    // And again, though nothing was left to wait for when it was looked last.
    assert_eq!(cells.take(hash(5), later, &quota()).unwrap().place, Place::Own);
    assert_eq!(cells.take(hash(6), 100 * later, &quota()).unwrap().place, Place::Own, "both have long been full");
    assert_eq!(cells.fill(), Fill { keys: 1, overflowed: 1 });
}

#[test]
fn a_map_that_house_keeping_has_emptied_takes_in_new_keys() {
    let cells = Cells::new(2);
    cells.sweep(0);
    for key in 0..2 {
        cells.take(hash(key), 0, &quota()).unwrap();
    }
    assert_eq!(cells.take(hash(7), 1_000_000_000, &quota()).unwrap().place, Place::Own);
}

/// A shard whose buckets are full again one by one, and a new key for each of them.
#[test]
fn a_shard_without_room_is_read_through_ten_times_a_second_at_most() {
    const MS: u64 = 1_000_000;
    let (cells, slow) = (Cells::new(1000), Quota::new(1, Duration::from_secs(60), 5, 1));
    for key in 0..1000 {
        assert!(cells.raise(hash(key), 0, (key + 1) * MS), "{key}");
    }
    let (mut looks, mut own) = (0, 0);
    for number in 1..=1000 {
        let before = cells.fill().keys;
        // Strangers who share a bucket may be refused.
        let taken = cells.take(hash(1000 + number), number * MS, &slow);
        if taken.is_ok_and(|taken| taken.place == Place::Own) {
            own += 1;
            // Some went when this one came.
            looks += usize::from(cells.fill().keys <= before);
        }
    }
    assert!(looks <= 10, "{looks}");
    assert!(own >= 800, "most find a place all the same: {own}");
}

#[test]
fn a_million_keys_take_less_than_forty_bytes_each() {
    let cells = Cells::new(1_000_000);
    for key in 0..1_000_000 {
        assert_eq!(cells.take(hash(key), 0, &quota()).map(|taken| taken.place), Ok(Place::Own));
    }
    let fill = cells.fill();
    assert_eq!(fill, Fill { keys: 1_000_000, overflowed: 0 });
    let slots = |shard: &Shard| shard.0.lock().unwrap().tats.capacity() * 8 / 7 * (2 * size_of::<u64>() + 1);
    let bytes: usize = cells.shards.iter().map(|shard| slots(shard) + size_of::<Shard>()).sum();
    assert!(bytes < 40 * fill.keys, "{bytes} bytes for {} keys", fill.keys);
    // And the room is given back.
    cells.sweep(u64::MAX);
    let bytes: usize = cells.shards.iter().map(slots).sum();
    assert!(cells.fill().keys == 0 && bytes < 1_000_000, "{bytes}");
}

#[test]
fn threads_together_take_what_one_could() {
    let (cells, passed) = (Cells::new(1000), AtomicU64::new(0));
    let quota = Quota::new(1, SECOND, 1000, 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    passed.fetch_add(u64::from(cells.take(hash(1), 7, &quota).is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 1000);
}

#[test]
fn another_bound_keeps_what_is_missing() {
    let cells = Cells::new(10);
    for _ in 0..5 {
        cells.take(hash(1), 0, &quota()).unwrap();
    }
    let larger = cells.resized(100_000, 0);
    assert!(larger.take(hash(1), 0, &quota()).is_err());
    assert_eq!(larger.max_keys(), 100_000);
}

#[test]
fn another_bound_keeps_what_keys_without_a_place_lack() {
    for (before, after) in [(1, 100_000), (1, 2), (10_000, 3)] {
        let cells = Cells::new(before);
        let keys = before as u64 * 11 / 10 + 200;
        let take = |cells: &Cells, key: u64| cells.take(hash(key), 0, &quota()).is_ok();
        // All of their bursts; those that share have less each.
        for key in 0..keys {
            while take(&cells, key) {}
        }
        let overflowed = cells.fill().overflowed;
        assert!(overflowed > 0);
        let other = cells.resized(after, 0);
        let again = (0..keys).filter(|key| take(&other, *key)).count();
        assert_eq!(again, 0, "{before} {after}");
        assert_eq!(other.fill().overflowed, overflowed, "{before} {after}: what was counted stays");
    }
}
