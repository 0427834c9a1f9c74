//! Whole stories of a breaker.

use super::*;
use crate::history::story::{Story, endpoint};
use BreakerState::{Closed, HalfOpen, Open};

/// Opens after three failures in a row, for 100 ms.
fn policy() -> BreakerPolicy {
    BreakerPolicy { consecutive_failures: 3, open_for_ns: 100_000_000, ..BreakerPolicy::default() }
}

fn score(story: Story) -> BreakerScore {
    judge_endpoint(&story.end(), &endpoint("orders/1"), &policy(), Tolerance::default())
}

/// Well for 10 ms, sick until 150 ms, closed again at 206 ms.
fn outage() -> Story {
    Story::new()
        .each(0..10, |story, at| story.at_ms(at).answered("orders/1", 200, 1))
        .fault("orders/1", 10, 150, "status = 503")
        .each(10..13, |story, at| story.at_ms(at).answered("orders/1", 503, 1))
        .at_ms(13)
        .breaker("orders/1", Closed, Open)
        .at_ms(113)
        .breaker("orders/1", Open, HalfOpen)
        .answered("orders/1", 503, 1)
        .at_ms(114)
        .breaker("orders/1", HalfOpen, Open)
        .at_ms(314)
        .breaker("orders/1", Open, HalfOpen)
        .each(0..3, |story, _| story.answered("orders/1", 200, 2))
        .at_ms(316)
        .breaker("orders/1", HalfOpen, Closed)
}

#[test]
fn a_breaker_that_does_all_right() {
    let score = score(outage());
    assert_eq!((score.trips, score.trip_error, score.leaked_attempts), (1, 0, 0));
    assert_eq!((score.trip_ms, score.attempts_to_trip, score.oracle_attempts), (Some(3.0), Some(3), Some(3)));
    assert_eq!((score.recovery_ms, score.recovery_oracle_ms), (Some(166.0), Some(165.0)));
    assert_eq!(score.probes_max_concurrent, 3);
    let states: Vec<_> = score.transitions.iter().map(|change| change.to).collect();
    assert_eq!(states, ["open", "half_open", "open", "half_open", "closed"]);
}

#[test]
fn a_breaker_that_leaks() {
    let score = score(outage().at_ms(60).answered("orders/1", 503, 1));
    assert_eq!(score.leaked_attempts, 1);
    assert_eq!(score.trip_error, 0, "what leaks is no outcome of a closed breaker");
}

#[test]
fn a_breaker_that_never_trips() {
    let story = Story::new().each(0..8, |story, at| story.at_ms(at).answered("orders/1", 503, 1));
    let score = score(story);
    assert_eq!((score.trips, score.trip_error, score.trip_ms), (0, 5, None));
    assert_eq!(score.recovery_ms, None);
}

#[test]
fn a_breaker_that_stays_open_has_no_recovery_however_soon_the_run_ends() {
    let story = |until_ms| {
        let story = Story::new().phase_between("healed", 0, until_ms).fault("orders/1", 10, 20, "status = 503");
        let story = story.each(10..13, |story, at| story.at_ms(at).answered("orders/1", 503, 1));
        story.at_ms(13).breaker("orders/1", Closed, Open)
    };
    for until_ms in [22, 1_000] {
        let score = score(story(until_ms));
        assert_eq!((score.recovery_ms, score.recovery_oracle_ms), (None, Some(93.0)), "{until_ms}");
        assert_eq!(score.never_closed, Some(1));
    }
    assert_eq!(score(story(20)).never_closed, None, "the fault lasts to the end");
}

#[test]
fn a_breaker_that_trips_for_nothing() {
    let score = score(Story::new().answered("orders/1", 200, 1).at_ms(5).breaker("orders/1", Closed, Open));
    assert_eq!((score.trips, score.trip_error, score.oracle_attempts), (1, 1, None));
}

#[test]
fn every_endpoint_is_judged_and_the_roll_up_is_shown() {
    let upstream =
        crate::oracle::policy::UpstreamPolicy { weights: vec![1, 1], breaker: Some(policy()), ..Default::default() };
    let policies = Policies { upstreams: [("orders".into(), upstream)].into(), ..Policies::default() };
    let roll_up = crate::history::EventKind::Breaker {
        upstream: "orders".into(),
        endpoint: None,
        from: Closed,
        to: Open,
        cause: "every endpoint is open".into(),
    };
    let scores = judge(&outage().event(roll_up).end(), &policies, Tolerance::default());
    assert_eq!(scores.keys().collect::<Vec<_>>(), ["orders", "orders/0", "orders/1"]);
    assert_eq!((scores["orders"].trips, scores["orders/0"].trips), (1, 0));
}

#[test]
fn a_score_is_what_the_contract_names() {
    let json = serde_json::to_value(score(outage())).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let contract = "trips trip_ms attempts_to_trip oracle_attempts trip_error leaked_attempts probes_max_concurrent \
                    recovery_ms recovery_oracle_ms transitions";
    assert_eq!(names, contract.split_whitespace().collect::<Vec<_>>());
}
