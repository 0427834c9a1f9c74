//! A tab against a limiter that is told everything.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(rate, Duration::from_secs(1), burst, 1)
}

proptest! {
    /// Gateways that see nothing of the bucket let no more through together than one bucket would, however they ask.
    #[test]
    fn shares_together_are_one_bucket(
        asks in prop::collection::vec((0usize..4, 0u64..30), 1..400), debt in 0u64..200, rate in 1u64..200,
    ) {
        let quota = quota(rate, 40);
        let known = (debt * MS * 200).min(quota.window());
        let (mut tabs, mut now, mut admitted) = ([Tab::default(); 4], 0, 0);
        for (who, gap) in asks {
            now += gap * MS;
            admitted += u64::from(tabs[who].take(&quota, 4, known, now).is_ok());
            let most = (quota.window() - known + now) / quota.interval();
            prop_assert!(admitted <= most, "{admitted} of {most}");
        }
    }

    /// What is owed is what was taken less what was paid, and less what came back since the bucket would be full.
    #[test]
    fn what_is_owed_is_what_was_taken(
        steps in prop::collection::vec((0u64..20, 0u8..4), 1..100), known in 0u64..3_000,
    ) {
        let quota = quota(100, 400);
        let known = known * MS;
        let (mut tab, mut now, mut owed) = (Tab::default(), 0, 0i128);
        for (gap, what) in steps {
            let before = now;
            now += gap * MS;
            let idle = now.saturating_sub(before.max(known));
            owed = (owed - i128::from(idle / 2)).max(0);
            match what {
                0 | 1 => if tab.take(&quota, 2, known, now).is_ok() { owed += i128::from(quota.cost()) },
                2 => {
                    let rest = tab.credit(quota.cost(), known, now);
                    prop_assert_eq!(i128::from(rest), (i128::from(quota.cost()) - owed).max(0));
                    owed = (owed - i128::from(quota.cost())).max(0);
                }
                _ => {
                    let due = tab.pay(known, now);
                    prop_assert_eq!(i128::from(due), owed);
                    prop_assert_eq!(tab.pay(known, now), 0, "nobody else pays it meanwhile");
                    tab.release(due);
                }
            }
            prop_assert_eq!(i128::from(tab.owed(known, now)), owed);
        }
    }
}

#[test]
fn what_was_held_at_another_rate_is_not_held_for_ever() {
    let (fast, slow) = (quota(10, 40), quota(5, 40));
    for (from, to) in [(&fast, &slow), (&slow, &fast)] {
        let mut tab = Tab::default();
        tab.take(from, 1, 0, 0).unwrap();
        tab.hold(from.cost());
        tab.rescale(from, to);
        assert_eq!(tab.owed(0, 0), to.cost());
        // The answer that was waited for comes.
        tab.release(from.cost());
        assert_eq!(tab.pay(0, 0), to.cost(), "all of it is paid");
        tab.release(to.cost());
        assert_eq!(tab.credit(to.cost(), 0, 0), 0);
        assert!(tab.is_settled(0, 0));
    }
}

#[test]
fn after_a_long_silence_gateways_owe_what_the_bucket_lacks() {
    let quota = quota(100, 40);
    let known = quota.empty(0);
    let mut tabs = [Tab::default(); 4];
    // A minute of requests without end, and nobody sees the bucket.
    let mut now = 0;
    for step in 0..60_000 {
        now = step * MS;
        for tab in &mut tabs {
            let _ = tab.take(&quota, 4, known, now);
        }
    }
    let owed: u64 = tabs.iter().map(|tab| tab.owed(known, now)).sum();
    assert!(owed <= quota.window() && owed > quota.window() - 5 * quota.interval(), "{owed}");
    // And when they have been silent for long, nothing.
    assert!(tabs.iter().all(|tab| tab.is_settled(known, now + quota.window() + MS)));
}

#[test]
fn another_rate_leaves_the_tokens_that_are_owed() {
    let (slow, fast) = (quota(10, 40), quota(100, 40));
    let mut tab = Tab::default();
    for _ in 0..7 {
        tab.take(&slow, 1, 1_000_000 * MS, 0).unwrap_err();
        tab.take(&slow, 1, 0, 0).unwrap();
    }
    tab.rescale(&slow, &fast);
    assert_eq!(tab.owed(0, 0), 7 * fast.interval());
}
