//! What is kept, and what goes first.

use proptest::prelude::*;

use super::*;
use crate::caching::directives::Directives;
use crate::caching::freshness::{Freshness, Receipt, Terms, Times};
use crate::caching::vary::Secondary;

const MOST: usize = 64 * 1024;

fn answer(body: usize, at: u64) -> Stored {
    let terms = Terms { default_ttl: 60, max_ttl: 60, while_revalidate: 0, if_error: 0 };
    let receipt = Receipt { at: 0, delay: 0 };
    let freshness = Freshness::of(&Directives::default(), &Times::default(), receipt, &terms).unwrap();
    let secondary = Secondary::default();
    let keeping = Keeping { freshness, secondary, is_for_all: false, is_for_authorized: false };
    let fields = Fields::gathered(std::iter::empty()).unwrap();
    Stored { status: StatusCode::OK, fields, body: vec![0; body].into(), keeping, came_ms: at }
}

fn store() -> Arc<Store> {
    let store = Arc::<Store>::default();
    store.apply(MOST, &[1, 2]);
    store
}

fn put_at(store: &Store, key: &Key, stored: Stored, stamp: Stamp) -> bool {
    let place = Place::of(key);
    store.put(&Parcel { key: key.bytes(), place, stamp, path: None, variants: 4 }, stored, |_| true)
}

fn put(store: &Store, key: &Key, body: usize, at: u64) -> bool {
    put_at(store, key, answer(body, at), store.stamp(Place::of(key)))
}

fn has(store: &Store, key: &Key, at: u64) -> bool {
    matches!(store.find((key.bytes(), Place::of(key)), at, |_| true), Found::It(_))
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_the_bound_holds() {
    let store = store();
    let keys: Vec<Key> = (0..40).map(|n| Key::plain(1, &format!("/{n}"), "")).collect();
    for (n, key) in keys.iter().enumerate() {
        assert!(put(&store, key, 4000, n as u64 * 2000));
        // The first one is asked for all the time.
        assert!(has(&store, &keys[0], n as u64 * 2000 + 1000));
        assert!(store.fill().bytes <= MOST);
    }
    let there = |key: &&Key| has(&store, key, 100_000);
    assert!(has(&store, &keys[0], 100_000) && has(&store, &keys[39], 100_000) && !has(&store, &keys[1], 100_000));
    assert_eq!(keys.iter().filter(there).count(), store.fill().answers);
    assert_eq!(store.evicted() as usize, 40 - store.fill().answers);
    store.apply(8000, &[1, 2]);
    assert!(store.fill().bytes <= 8000 && store.fill().answers > 0, "a smaller bound holds at once");
    assert!(!put(&store, &keys[5], MOST, 0), "what is larger than all");
    store.apply(8000, &[2]);
    assert_eq!(store.fill(), Fill::default(), "its route is gone");
    assert!(!put(&store, &keys[5], 10, 0), "and nothing more of it is kept");
}

#[test]
fn what_was_asked_for_before_something_changed_is_not_kept() {
    let store = store();
    let (one, other) = (Key::plain(1, "/a", "ada"), Key::plain(1, "/a", "bob"));
    let elsewhere = Key::plain(1, "/ab", "ada");
    for key in [&one, &other, &elsewhere] {
        assert!(put(&store, key, 10, 0));
    }
    let stamp = store.stamp(Place::of(&one));
    assert_eq!(store.invalidate(&one), 2, "whoever asked");
    assert!(!has(&store, &one, 0) && !has(&store, &other, 0) && has(&store, &elsewhere, 0));
    assert!(!put_at(&store, &one, answer(10, 0), stamp));
    assert!(put(&store, &one, 10, 0), "what is asked for since");
    let stamp = store.stamp(Place::of(&one));
    assert_eq!(store.purge(2, |_| true), 0);
    assert!(!put_at(&store, &one, answer(10, 0), stamp));
    assert_eq!(store.purge(1, |path| path == "/ab"), 1);
    assert_eq!(store.purge(1, |path| path.starts_with("/a")), 1);
    assert_eq!(store.fill(), Fill::default());
}

#[test]
fn a_lease_is_one_requests_until_it_ends() {
    let store = store();
    let key = Key::plain(1, "/a", "");
    let lease = |now| store.lease((key.bytes(), Place::of(&key)), now);
    let Some(Leased::Taken(first)) = lease(0) else { panic!("it was free") };
    let Some(Leased::ByAnother(waits)) = lease(0) else { panic!("it is held") };
    first.comes();
    assert_eq!(*waits.borrow(), Progress::Coming);
    drop(first);
    assert!(waits.has_changed().is_err(), "who had it gave up");
    let Some(Leased::Taken(second)) = lease(0) else { panic!("it is free again") };
    second.ends(false, 0);
    // Nobody had waited for that one.
    let Some(Leased::Taken(third)) = lease(0) else { panic!("it is free again") };
    let Some(Leased::ByAnother(waits)) = lease(0) else { panic!("it is held") };
    third.ends(false, 100);
    assert_eq!(*waits.borrow(), Progress::NotKept);
    assert!(lease(101).is_none(), "nobody waits for what is nobody else's");
    assert!(matches!(lease(100 + IN_VAIN), Some(Leased::Taken(_))), "but not for ever");
}

#[test]
fn answers_of_one_key_are_bounded_the_oldest_go() {
    let store = store();
    let key = Key::plain(1, "/a", "");
    for at in 0..10 {
        let place = Place::of(&key);
        let parcel = Parcel { key: key.bytes(), place, stamp: store.stamp(place), path: None, variants: 4 };
        assert!(store.put(&parcel, answer(100, at), |_| false));
    }
    assert_eq!((store.fill().answers, store.evicted()), (4, 6));
    let Found::It(newest) = store.find((key.bytes(), Place::of(&key)), 0, |_| true) else { panic!() };
    assert_eq!(newest.came_ms, 9);
    store.remove((key.bytes(), Place::of(&key)), |stored| stored.came_ms > 5);
    assert_eq!(store.fill(), Fill::default());
    assert!(matches!(store.find((key.bytes(), Place::of(&key)), 0, |_| true), Found::Nothing));
}

#[test]
fn the_path_that_was_asked_for_is_counted_too() {
    let store = store();
    let key = Key::plain(1, "/a", "");
    let place = Place::of(&key);
    let put = |path| {
        let parcel = Parcel { key: key.bytes(), place, stamp: store.stamp(place), path, variants: 1 };
        assert!(store.put(&parcel, answer(100, 0), |_| true));
        store.fill().bytes
    };
    let without = put(None);
    assert_eq!(store.purge(1, |_| true), 1);
    let path = format!("/{}", "x".repeat(2999));
    assert_eq!(put(Some(&path)), without + path.len());
    assert_eq!(store.purge(1, |asked| asked == path), 1);
    assert_eq!(store.fill(), Fill::default());
    let parcel = Parcel { key: key.bytes(), place, stamp: store.stamp(place), path: Some(&path), variants: 1 };
    assert!(!store.put(&parcel, answer(MOST - 2500, 0), |_| true), "it is too large with its path");
}

#[derive(Debug, Clone)]
enum Act {
    Put(u8, u16),
    Find(u8),
    Invalidate(u8),
    Purge(bool),
    Remove(u8),
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_there(
        acts in prop::collection::vec(
            prop_oneof![
                4 => (0_u8..12, 0_u16..9000).prop_map(|(key, size)| Act::Put(key, size)),
                2 => (0_u8..12).prop_map(Act::Find),
                1 => (0_u8..12).prop_map(Act::Invalidate),
                1 => any::<bool>().prop_map(Act::Purge),
                1 => (0_u8..12).prop_map(Act::Remove),
            ],
            0..60,
        ),
    ) {
        let store = store();
        let key = |n: u8| Key::plain(1 + u64::from(n % 2), &format!("/{}", n / 4), if n % 4 < 2 { "" } else { "ada" });
        for (at, act) in acts.iter().enumerate() {
            let at = at as u64 * 700;
            match act {
                Act::Put(n, size) => prop_assert!(put(&store, &key(*n), usize::from(*size), at)),
                Act::Find(n) => drop(has(&store, &key(*n), at)),
                Act::Invalidate(n) => {
                    store.invalidate(&key(*n));
                    prop_assert!(!has(&store, &key(*n), at));
                }
                Act::Purge(second) => drop(store.purge(1 + u64::from(*second), |_| true)),
                Act::Remove(n) => store.remove((key(*n).bytes(), Place::of(&key(*n))), |_| true),
            }
            prop_assert!(store.fill().bytes <= MOST);
            let there = (0..12).filter(|n| has(&store, &key(*n), at)).count();
            prop_assert_eq!(store.fill().answers, there);
            let by_tag = store.by_tag();
            prop_assert_eq!(by_tag.values().map(|fill| fill.answers).sum::<usize>(), there);
            prop_assert_eq!(by_tag.values().map(|fill| fill.bytes).sum::<usize>(), store.fill().bytes);
        }
    }
}
