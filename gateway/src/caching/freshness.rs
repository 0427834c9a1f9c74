//! For how long an answer holds, and what may be done with it after that (RFC 9111, section 4.2; RFC 5861). Pure: time
//! comes in.
//!
//! Invariants: without a word of the answer's own, or a time that the route gives such answers, nothing is kept
//! (no lifetime is guessed); nothing is fresh for longer than the route allows; what its own words forbid to be used
//! when it is stale never is.

use super::directives::{Directives, LONGEST};

/// What the route allows, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long an answer without a word of its own holds; 0 = it is not kept.
    pub default_ttl: u32,
    /// The longest time for which an answer is fresh.
    pub max_ttl: u32,
    /// How long a stale one is given while a new one is asked for, where it does not say itself.
    pub while_revalidate: u32,
    /// How long a stale one is given where none can be had, where it does not say itself.
    pub if_error: u32,
}

/// What an answer's head says of times. Dates are seconds since the Unix epoch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it was made.
    pub date: Option<i64>,
    /// Until when it holds; the inner `None` is no date: it holds no more.
    pub expires: Option<Option<i64>>,
    /// How old it says that it is.
    pub age: u32,
}

/// When an answer came, seconds since the Unix epoch, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// When its head had come.
    pub at: i64,
    /// From the question to then, seconds.
    pub delay: u32,
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// For how long it is fresh, seconds since it was made.
    pub lifetime: u32,
    /// Its age when it came, seconds.
    pub age: u32,
    /// For so long behind that it may be given while a new one is asked for.
    pub while_revalidate: u32,
    /// For so long behind that it may be given where none can be had.
    pub if_error: u32,
    /// Once it is stale it is of no use unless it is confirmed.
    pub forbids_stale: bool,
}

/// What becomes of a request that an answer is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve {
    /// It is given.
    Fresh,
    /// It is given, stale: its client says that this will do.
    Stale,
    /// It is given, stale, and a new one is asked for meanwhile.
    StaleMeanwhile,
    /// It has to be confirmed first, as it is stale.
    Confirm,
    /// The same, as the client wants it.
    ConfirmForClient,
}

impl Freshness {
    /// Of an answer; `None` where nothing says for how long it holds.
    pub fn of(control: &Directives, times: &Times, receipt: Receipt, terms: &Terms) -> Option<Self> {
        let told = control.s_maxage.or(control.max_age).or_else(|| {
            let until = times.expires?;
            Some(until.map_or(0, |until| span(times.date.unwrap_or(receipt.at), until)))
        });
        let lifetime = match told {
            Some(told) => told,
            None if terms.default_ttl > 0 => terms.default_ttl,
            None => return None,
        };
        // RFC 9111, section 4.2.3
        let apparent = times.date.map_or(0, |date| span(date, receipt.at));
        let age = apparent.max(times.age.saturating_add(receipt.delay)).min(LONGEST);
        let forbids_stale = control.forbids_stale();
        let or_route = |own: Option<u32>, route: u32| if forbids_stale { 0 } else { own.unwrap_or(route) };
        Some(Self {
            lifetime: lifetime.min(terms.max_ttl),
            age,
            while_revalidate: or_route(control.stale_while_revalidate, terms.while_revalidate),
            if_error: or_route(control.stale_if_error, terms.if_error),
            forbids_stale,
        })
    }

    /// Whether it is of any use: it is fresh, can be confirmed later, or stands in where none can be had.
    pub fn is_of_use(&self, can_be_confirmed: bool) -> bool {
        self.lifetime > self.age || can_be_confirmed || self.over(self.age) < self.while_revalidate.max(self.if_error)
    }

    /// Its age after it was kept for so many milliseconds, seconds.
    pub fn age_after(&self, kept_ms: u64) -> u32 {
        self.age.saturating_add(u32::try_from(kept_ms / 1000).unwrap_or(LONGEST)).min(LONGEST)
    }

    /// For how long it is still fresh at this age, seconds; how long it is stale, below zero.
    pub fn left(&self, age: u32) -> i64 {
        i64::from(self.lifetime) - i64::from(age)
    }

    /// How long it is stale at this age, seconds.
    fn over(&self, age: u32) -> u32 {
        age.saturating_sub(self.lifetime)
    }

    /// What becomes of a request that says so, at this age. `obeys`: a client may want it to be confirmed.
    pub fn serve(&self, age: u32, asked: &Directives, obeys: bool) -> Serve {
        let left = self.left(age);
        let is_too_old = asked.max_age.is_some_and(|most| age > most)
            || asked.min_fresh.is_some_and(|least| left < i64::from(least));
        if obeys && (asked.no_cache || is_too_old && asked.max_stale.is_none()) {
            return Serve::ConfirmForClient;
        }
        if left > 0 {
            return Serve::Fresh;
        }
        let over = self.over(age);
        if !self.forbids_stale && asked.max_stale.is_some_and(|most| over <= most) {
            return Serve::Stale;
        }
        if over < self.while_revalidate { Serve::StaleMeanwhile } else { Serve::Confirm }
    }

    /// Whether it may be given at this age where none can be had.
    pub fn may_stand_in(&self, age: u32) -> bool {
        !self.forbids_stale && self.over(age) < self.if_error || self.left(age) > 0
    }
}

/// From one second to another; nothing where that is before.
fn span(from: i64, until: i64) -> u32 {
    u32::try_from(until.saturating_sub(from).max(0)).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { default_ttl: 0, max_ttl: 86_400, while_revalidate: 0, if_error: 0 };
    const AT: Receipt = Receipt { at: 1_000_000, delay: 0 };

    fn control(text: &str) -> Directives {
        Directives::read(std::iter::once(text.as_bytes()))
    }

    fn fresh(text: &str) -> Freshness {
        Freshness::of(&control(text), &Times::default(), AT, &TERMS).unwrap()
    }

    #[test]
    fn the_most_particular_word_says_how_long() {
        let times = Times { date: Some(AT.at), expires: Some(Some(AT.at + 30)), age: 0 };
        for (said, expected) in [("s-maxage=10, max-age=20", 10), ("max-age=20", 20), ("public", 30)] {
            assert_eq!(Freshness::of(&control(said), &times, AT, &TERMS).unwrap().lifetime, expected, "{said}");
        }
        let bad = Times { expires: Some(None), ..Times::default() };
        assert_eq!(Freshness::of(&control(""), &bad, AT, &TERMS).unwrap().lifetime, 0, "`Expires: 0`");
        assert_eq!(Freshness::of(&control("public"), &Times::default(), AT, &TERMS), None, "nothing is guessed");
        let given = Terms { default_ttl: 7, ..TERMS };
        assert_eq!(Freshness::of(&control(""), &Times::default(), AT, &given).unwrap().lifetime, 7);
    }

    #[test]
    fn an_answer_is_as_old_as_it_says_or_looks() {
        let age = |date: Option<i64>, age: u32, delay: u32| {
            let times = Times { date, expires: None, age };
            let receipt = Receipt { delay, ..AT };
            Freshness::of(&control("max-age=60"), &times, receipt, &TERMS).unwrap().age
        };
        assert_eq!(age(None, 0, 0), 0);
        assert_eq!(age(Some(AT.at - 9), 0, 0), 9, "by its date");
        assert_eq!(age(Some(AT.at + 9), 0, 0), 0, "a clock that is ahead makes none younger");
        assert_eq!(age(Some(AT.at - 9), 20, 3), 23, "by its age, and what it took");
        assert_eq!(fresh("max-age=60").age_after(59_999), 59);
    }

    #[test]
    fn what_a_client_says_is_obeyed_where_it_may_be() {
        let kept = fresh("max-age=60");
        let serve = |age, asked: &str| kept.serve(age, &control(asked), true);
        assert_eq!(serve(59, ""), Serve::Fresh);
        assert_eq!(serve(60, ""), Serve::Confirm);
        assert_eq!(serve(10, "no-cache"), Serve::ConfirmForClient);
        assert_eq!(serve(10, "max-age=9"), Serve::ConfirmForClient);
        assert_eq!(serve(10, "max-age=10"), Serve::Fresh);
        assert_eq!(serve(50, "min-fresh=11"), Serve::ConfirmForClient);
        assert_eq!(serve(70, "max-stale=10"), Serve::Stale);
        assert_eq!(serve(71, "max-stale=10"), Serve::Confirm);
        assert_eq!(serve(7000, "max-stale"), Serve::Stale);
        for forced in ["no-cache", "max-age=0", "min-fresh=999"] {
            assert_eq!(kept.serve(10, &control(forced), false), Serve::Fresh, "{forced}");
        }
    }

    #[test]
    fn stale_answers_are_given_where_that_was_said_and_nothing_forbids_it() {
        let kept = fresh("max-age=60, stale-while-revalidate=10, stale-if-error=100");
        assert_eq!(kept.serve(69, &control(""), true), Serve::StaleMeanwhile);
        assert_eq!(kept.serve(70, &control(""), true), Serve::Confirm);
        assert!(kept.may_stand_in(159) && !kept.may_stand_in(160));
        for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
            let kept = fresh(&format!("max-age=60, stale-while-revalidate=10, stale-if-error=100, {forbids}"));
            assert_eq!(kept.serve(61, &control("max-stale"), true), Serve::Confirm, "{forbids}");
            assert!(!kept.may_stand_in(61), "{forbids}");
        }
        let terms = Terms { while_revalidate: 5, if_error: 6, ..TERMS };
        let of_route = Freshness::of(&control("max-age=1"), &Times::default(), AT, &terms).unwrap();
        assert_eq!((of_route.while_revalidate, of_route.if_error), (5, 6));
        let own = control("max-age=1, stale-if-error=0");
        assert_eq!(Freshness::of(&own, &Times::default(), AT, &terms).unwrap().if_error, 0, "its own word first");
    }

    fn any_control() -> impl Strategy<Value = Directives> {
        let word = prop_oneof![
            Just("no-cache".to_owned()),
            Just("must-revalidate".to_owned()),
            Just("max-stale".to_owned()),
            (0_u32..100).prop_map(|n| format!("max-age={n}")),
            (0_u32..100).prop_map(|n| format!("s-maxage={n}")),
            (0_u32..100).prop_map(|n| format!("min-fresh={n}")),
            (0_u32..100).prop_map(|n| format!("stale-while-revalidate={n}")),
            (0_u32..100).prop_map(|n| format!("stale-if-error={n}")),
        ];
        prop::collection::vec(word, 0..4).prop_map(|words| control(&words.join(",")))
    }

    proptest! {
        #[test]
        fn time_makes_nothing_fresher(
            said in any_control(),
            asked in any_control(),
            date in prop::option::of(AT.at - 200..AT.at + 200),
            told_age in 0_u32..200,
            max_ttl in 0_u32..150,
            earlier in 0_u32..300,
            more in 0_u32..300,
            obeys: bool,
        ) {
            let terms = Terms { default_ttl: 20, max_ttl, while_revalidate: 30, if_error: 40 };
            let times = Times { date, expires: None, age: told_age };
            let kept = Freshness::of(&said, &times, AT, &terms).unwrap();
            prop_assert!(kept.lifetime <= max_ttl && kept.age >= told_age);
            let rank = |serve| match serve {
                Serve::Fresh => 0,
                Serve::Stale | Serve::StaleMeanwhile => 1,
                Serve::Confirm | Serve::ConfirmForClient => 2,
            };
            let (young, old) = (kept.serve(earlier, &asked, obeys), kept.serve(earlier + more, &asked, obeys));
            prop_assert!(rank(young) <= rank(old) || asked.max_stale.is_some());
            prop_assert!(kept.may_stand_in(earlier) || !kept.may_stand_in(earlier + more));
            if kept.left(earlier) <= 0 && kept.forbids_stale {
                prop_assert!(matches!(young, Serve::Confirm | Serve::ConfirmForClient) && !kept.may_stand_in(earlier));
            }
            if young == Serve::Fresh {
                prop_assert!(kept.left(earlier) > 0);
            }
        }
    }
}
