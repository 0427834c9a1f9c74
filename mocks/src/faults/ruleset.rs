//! The rules in force, and the one that hits a request: the first that matches.
//!
//! Times and request numbers count from the moment at which the rules were set. The set is immutable; a new one
//! replaces it whole, so a request sees the old rules or the new ones, never a mixture.

use std::time::Duration;

use super::{Draws, Effect, Rule};
use crate::clock::between;

/// What a rule can ask about a request.
pub(crate) trait Asked {
    /// The path without the query.
    fn path(&self) -> &str;
    /// The method as sent.
    fn method(&self) -> &str;
    /// Does the header (its name in small letters) have this value in one of its lines? `*` = any.
    fn has_header(&self, name: &str, value: &str) -> bool;
}

/// The place of an endpoint: its service, its place in it, and its number in the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub service: &'a str,
    pub index: usize,
    pub number: usize,
}

/// Rules, and what was true when they were set.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
    seed: u64,
    set_at_ns: u64,
    /// The last request number of each endpoint when the rules were set.
    set_after: Vec<u64>,
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Rule>, seed: u64, set_at_ns: u64, set_after: Vec<u64>) -> Self {
        Self { rules, seed, set_at_ns, set_after }
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first rule that matches, with its place in the list.
    #[inline]
    pub(crate) fn find(
        &self,
        place: Place<'_>,
        request: u64,
        now_ns: u64,
        asked: &impl Asked,
    ) -> Option<(usize, &Rule)> {
        if self.rules.is_empty() {
            return None;
        }
        self.search(place, request, now_ns, asked)
    }

    fn search(&self, place: Place<'_>, request: u64, now_ns: u64, asked: &impl Asked) -> Option<(usize, &Rule)> {
        let since = between(self.set_at_ns, now_ns);
        let number = request.saturating_sub(self.set_after.get(place.number).copied().unwrap_or(0));
        self.rules.iter().enumerate().find(|(index, rule)| {
            let m = &rule.matches;
            rule.is_for(place)
                && rule.holds_at(since)
                && m.requests.as_ref().is_none_or(|range| range.contains(&number))
                && m.method.as_deref().is_none_or(|method| method == asked.method())
                && m.path.as_ref().is_none_or(|path| path.matches(asked.path()))
                && m.headers.iter().all(|(name, value)| asked.has_header(name, value))
                && m.share.is_none_or(|share| self.share_draw(place.number, request, *index) < share)
        })
    }

    /// The draws that the rule's act makes for a request.
    pub(crate) fn draws(&self, endpoint: usize, request: u64, rule: Option<usize>) -> Draws {
        Draws::new(self.seed, endpoint as u64, request, rule.map_or(0, |rule| 2 * rule as u64 + 2))
    }

    fn share_draw(&self, endpoint: usize, request: u64, rule: usize) -> f64 {
        Draws::new(self.seed, endpoint as u64, request, 2 * rule as u64 + 1).unit()
    }

    /// Is the endpoint's listener closed at this time, and when may that change next without new rules?
    pub(crate) fn refusal(&self, place: Place<'_>, now_ns: u64) -> (bool, Option<Duration>) {
        let since = between(self.set_at_ns, now_ns);
        let (mut refused, mut next) = (false, None);
        for rule in self.rules.iter().filter(|rule| rule.act.effect == Effect::Refuse && rule.is_for(place)) {
            refused |= rule.holds_at(since);
            for edge in [rule.matches.from, rule.matches.until].into_iter().flatten().filter(|edge| *edge > since) {
                next = Some(next.map_or(edge - since, |next: Duration| next.min(edge - since)));
            }
        }
        (refused, next)
    }
}

impl Rule {
    fn is_for(&self, place: Place<'_>) -> bool {
        self.matches.service.as_deref().is_none_or(|service| service == place.service)
            && self.matches.endpoint.is_none_or(|endpoint| endpoint == place.index)
    }

    fn holds_at(&self, since: Duration) -> bool {
        self.matches.from.is_none_or(|from| since >= from) && self.matches.until.is_none_or(|until| since < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request(&'static str, &'static str, &'static [(&'static str, &'static str)]);

    impl Asked for Request {
        fn path(&self) -> &str {
            self.1
        }
        fn method(&self) -> &str {
            self.0
        }
        fn has_header(&self, name: &str, value: &str) -> bool {
            self.2.iter().any(|(n, v)| *n == name && (value == "*" || *v == value))
        }
    }

    const PLACE: Place<'static> = Place { service: "orders", index: 1, number: 1 };
    const GET: Request = Request("GET", "/orders/7", &[("x-user", "7")]);
    const SECOND: u64 = 1_000_000_000;

    fn set(rules: Vec<Rule>) -> RuleSet {
        RuleSet::new(rules, 1, 100 * SECOND, vec![0, 10])
    }

    fn hit(rule: Rule, request: u64, seconds: u64) -> bool {
        set(vec![rule]).find(PLACE, request, (100 + seconds) * SECOND, &GET).is_some()
    }

    #[test]
    fn each_part_of_a_match_counts() {
        assert!(hit(Rule::any(), 11, 0));
        assert!(hit(Rule::on("/orders/*").method("get").header("X-User", "7").endpoint(1), 11, 0));
        assert!(hit(Rule::any().header("x-user", "*"), 11, 0));
        for other in [
            Rule::on("/users/*"),
            Rule::any().method("PUT"),
            Rule::any().header("x-user", "8"),
            Rule::any().header("x-other", "*"),
            Rule::any().endpoint(0),
            Rule::any().share(0.0),
        ] {
            assert!(!hit(other.clone(), 11, 0), "{other:?}");
        }
    }

    #[test]
    fn numbers_and_times_count_from_when_the_rules_were_set() {
        let numbers = |request| hit(Rule::any().requests(2..4), request, 0);
        assert_eq!([11, 12, 13, 14].map(numbers), [false, true, true, false]);
        let window = Rule::any().between(Duration::from_secs(5), Duration::from_secs(7));
        assert_eq!([4, 5, 6, 7].map(|s| hit(window.clone(), 11, s)), [false, true, true, false]);
    }

    #[test]
    fn the_first_match_wins_and_shares_are_drawn_for_each_request() {
        let rules = set(vec![Rule::any().share(0.3), Rule::any()]);
        let first = (1..=10_000).filter(|n| rules.find(PLACE, *n, 0, &GET).map(|hit| hit.0) == Some(0)).count();
        assert!((2_850..3_150).contains(&first), "{first}");
        let again = (1..=10_000).filter(|n| rules.find(PLACE, *n, 0, &GET).map(|hit| hit.0) == Some(0)).count();
        assert_eq!(first, again);
    }

    #[test]
    fn a_refusal_says_when_it_may_change() {
        let rule = Rule::any().effect(Effect::Refuse).between(Duration::from_secs(5), Duration::from_secs(7));
        let rules = set(vec![rule]);
        let at = |seconds: u64| rules.refusal(PLACE, (100 + seconds) * SECOND);
        assert_eq!(at(1), (false, Some(Duration::from_secs(4))));
        assert_eq!(at(6), (true, Some(Duration::from_secs(1))));
        assert_eq!(at(7), (false, None));
    }
}
