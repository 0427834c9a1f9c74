//! When a store is given up, and when it is believed again.

use std::time::Duration;

use super::*;
use crate::store::tests::store;
use crate::telemetry::events::{Follower, Kinds};

/// The first call of a connection may fail and be the last of the night, and then single beats be late.
#[tokio::test(start_paused = true)]
async fn a_store_that_nobody_asks_is_not_given_up_for_a_call_that_failed_long_ago() {
    let (store, _stores) = store(Servers::One(("127.0.0.1".to_owned(), 1), 0), Duration::from_millis(20));
    let health = &store.health;
    let beat = |outcome| health.probed(health.probe().unwrap(), outcome);
    health.failed(health.generation(), "no answer in time");
    tokio::time::advance(Duration::from_secs(31)).await;
    for _ in 0..9 {
        beat(Ok(()));
        beat(Err("no answer in time"));
    }
    assert!(health.is_up());
    // Calls that fail now say more than the good beat between.
    health.failed(health.generation(), "refused");
    beat(Ok(()));
    beat(Err("no answer in time"));
    assert!(!health.is_up());
}

#[tokio::test(start_paused = true)]
async fn another_reason_that_the_watch_finds_is_told_once() {
    let (store, _stores) = store(Servers::One(("127.0.0.1".to_owned(), 1), 0), Duration::from_millis(20));
    let health = &store.health;
    let mut follower = health.events.follow(Kinds::rare(), Some(0));
    for _ in 0..3 {
        health.failed(health.generation(), "no answer in time");
    }
    for reason in
        ["no answer in time", "cannot resolve redis", "cannot resolve redis", "refused", "cannot resolve redis"]
    {
        tokio::time::advance(Duration::from_secs(2)).await;
        health.probed(health.probe().unwrap(), Err(reason));
    }
    let told = |follower: &mut Follower| follower.take().events.iter().map(|one| one.to_json()).collect::<Vec<_>>();
    let reasons = told(&mut follower);
    assert!(reasons.len() == 2 && reasons[0].contains("in time") && reasons[1].contains("resolve"), "{reasons:?}");
    assert_eq!(health.told(), (true, Some("cannot resolve redis".to_owned())));
    // The next time that it is down begins anew.
    tokio::time::advance(Duration::from_secs(2)).await;
    health.probed(health.probe().unwrap(), Ok(()));
    tokio::time::advance(Duration::from_secs(60)).await;
    health.probed(health.probe().unwrap(), Ok(()));
    assert!(!health.is_told_down() && told(&mut follower)[0].contains("healed"));
    (0..3).for_each(|_| health.failed(health.generation(), "refused"));
    assert!(told(&mut follower)[0].contains("refused"));
}

const REFUSED: &str = "Password authentication failed - AuthenticationFailed";
const WANTED: &str = "\"NOAUTH\": Authentication required.";

fn told(reason: &str, by_sentinels: bool, password: bool, sentinel_password: bool) -> String {
    let told = with_remedy(reason, Secrets { by_sentinels, password, sentinel_password }).into_owned();
    assert!(told.contains(reason) && told.chars().count() < REASON, "nothing of it is cut: {told}");
    told
}

#[test]
fn a_store_that_lets_nobody_in_is_told_with_the_remedy_and_its_own_words() {
    let long = "ResponseError: Protocol error: unauthenticated multibulk length";
    for own in [long, WANTED, "\"WRONGPASS\": invalid username-password pair"] {
        let [none, wrong] = [false, true].map(|password| told(own, false, password, false));
        assert!(none.starts_with("it wants a password: `password_env` names"), "{none}");
        assert!(wrong.starts_with("it does not take the password"), "{wrong}");
    }
    for other in ["no answer in time", "\"NOPERM\": this user has no permissions", "connection refused"] {
        assert_eq!(told(other, false, false, false), other);
    }
}

#[test]
fn a_refusal_that_may_be_for_want_of_a_place_says_both() {
    let one = told(REFUSED, false, true, false);
    assert!(one.contains("`password_env`") && one.contains("`maxclients`"), "{one}");
    let both = told(REFUSED, true, true, true);
    assert!(both.contains("`sentinel_password_env`") && both.contains("`maxclients`"), "{both}");
}

#[test]
fn a_fail_over_is_not_told_as_a_wrong_name_alone() {
    let reason = "Master with given name not found in sentinel - MasterNameNotFoundBySentinel";
    let told = told(reason, true, false, false);
    assert!(told.starts_with("its sentinels know no master of that name that is up: a fail-over"), "{told}");
}

#[test]
fn sentinels_that_want_a_password_are_not_taken_for_their_master() {
    assert!(told(WANTED, true, true, false).starts_with("its sentinels want a password: `sentinel_password_env`"));
    assert!(told(WANTED, true, false, true).starts_with("it wants a password: `password_env`"));
    let neither = told(WANTED, true, false, false);
    assert!(neither.contains("`sentinel_password_env`, `password_env`"), "{neither}");
}
