//! The rules in force, and the one that hits a request: the first that matches.
//!
//! Times and request numbers count from an origin, as a rule the moment at which the rules were set. The set is
//! immutable but for the lines of its queues; a new one replaces it whole, so a request sees the old rules or the new
//! ones, never a mixture.

use std::sync::Arc;
use std::time::Duration;

use super::{Act, Delay, Draws, Origin, Queue, Rule, Station};
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
    rules: Vec<Armed>,
    seed: u64,
    /// 1 for the first rules of a process, then one more for each new set.
    pub version: u64,
    /// Times count from here.
    pub origin_ns: u64,
    /// Request numbers count from after these, one for each endpoint.
    set_after: Vec<u64>,
}

/// A rule and what it needs at work.
#[derive(Debug)]
struct Armed {
    rule: Rule,
    act: Arc<Act>,
    /// The queue of each endpoint, where the rule has queues.
    queues: Vec<Arc<Queue>>,
}

/// The rule that hits a request.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Its place in the list.
    pub index: usize,
    pub act: &'a Arc<Act>,
    /// The line to stand in, if its delay is a queue.
    pub queue: Option<&'a Arc<Queue>>,
}

impl RuleSet {
    /// Replaces `self`: `numbers` holds the last request number of each endpoint.
    pub(crate) fn next(&self, rules: Vec<Rule>, seed: u64, origin: Origin, now_ns: u64, numbers: Vec<u64>) -> Self {
        let (origin_ns, set_after) = match origin {
            Origin::Keep => (self.origin_ns, self.set_after.clone()),
            Origin::Now => (now_ns, numbers),
            Origin::At(origin_ns) => (origin_ns, numbers),
        };
        let endpoints = set_after.len();
        let armed = |rule: Rule| {
            let queues = match &rule.act.delay {
                Some(Delay::Queue(station)) => {
                    (0..endpoints).map(|_| Arc::new(Queue::new(Station::clone(station)))).collect()
                }
                _ => Vec::new(),
            };
            Armed { act: Arc::new(rule.act.clone()), rule, queues }
        };
        let rules = rules.into_iter().map(armed).collect();
        Self { rules, seed, version: self.version + 1, origin_ns, set_after }
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|armed| &armed.rule)
    }

    /// The queues of the rules at an endpoint, each with its rule's place.
    pub(crate) fn queues(&self, endpoint: usize) -> impl Iterator<Item = (usize, &Queue)> {
        let queues = self.rules.iter().enumerate();
        queues.filter_map(move |(index, armed)| Some((index, armed.queues.get(endpoint)?.as_ref())))
    }

    /// The first rule that matches.
    #[inline]
    pub(crate) fn find(&self, place: Place<'_>, request: u64, now_ns: u64, asked: &impl Asked) -> Option<Found<'_>> {
        if self.rules.is_empty() {
            return None;
        }
        self.search(place, request, now_ns, asked)
    }

    fn search(&self, place: Place<'_>, request: u64, now_ns: u64, asked: &impl Asked) -> Option<Found<'_>> {
        let number = request.saturating_sub(self.set_after.get(place.number).copied().unwrap_or(0));
        let found = self.rules.iter().enumerate().find(|(index, armed)| {
            let m = &armed.rule.matches;
            armed.rule.is_for(place)
                && armed.rule.holds_at(self.origin_ns, now_ns)
                && m.requests.as_ref().is_none_or(|range| range.contains(&number))
                && m.method.as_deref().is_none_or(|method| method == asked.method())
                && m.path.as_ref().is_none_or(|path| path.matches(asked.path()))
                && m.headers.iter().all(|(name, value)| asked.has_header(name, value))
                && m.share.is_none_or(|share| self.share_draw(place.number, request, *index) < share)
        });
        found.map(|(index, armed)| Found { index, act: &armed.act, queue: armed.queues.get(place.number) })
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
        let (mut refused, mut next) = (false, None);
        for rule in self.rules().filter(|rule| rule.act.refuses() && rule.is_for(place)) {
            refused |= rule.holds_at(self.origin_ns, now_ns);
            if let Some(edge) = rule.next_edge(self.origin_ns, now_ns) {
                next = Some(next.map_or(edge, |next: u64| next.min(edge)));
            }
        }
        (refused, next.map(|edge| between(now_ns, edge)))
    }
}

impl Rule {
    fn is_for(&self, place: Place<'_>) -> bool {
        self.matches.service.as_deref().is_none_or(|service| service == place.service)
            && self.matches.endpoint.is_none_or(|endpoint| endpoint == place.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Effect;

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
        RuleSet::default().next(rules, 1, Origin::Now, 100 * SECOND, vec![0, 10])
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
        let first = (1..=10_000).filter(|n| rules.find(PLACE, *n, 0, &GET).map(|hit| hit.index) == Some(0)).count();
        assert!((2_850..3_150).contains(&first), "{first}");
        let again = (1..=10_000).filter(|n| rules.find(PLACE, *n, 0, &GET).map(|hit| hit.index) == Some(0)).count();
        assert_eq!(first, again);
    }

    #[test]
    fn an_origin_moves_times_and_may_keep_numbers() {
        let window = || vec![Rule::any().between(Duration::from_secs(5), Duration::from_secs(7)).requests(1..3)];
        let first = set(window());
        let hits = |rules: &RuleSet, request, seconds| rules.find(PLACE, request, seconds * SECOND, &GET).is_some();
        assert!(hits(&first, 11, 105) && !hits(&first, 13, 105));
        let kept = first.next(window(), 1, Origin::Keep, 104 * SECOND, vec![0, 12]);
        assert!(hits(&kept, 11, 105) && !hits(&kept, 13, 105));
        let moved = first.next(window(), 1, Origin::At(200 * SECOND), 104 * SECOND, vec![0, 12]);
        assert!(hits(&moved, 13, 205) && !hits(&moved, 13, 105) && !hits(&moved, 12, 205));
        assert_eq!((first.version, moved.version), (1, 2));
    }

    #[test]
    fn a_flapping_listener_says_when_it_comes_back() {
        let rules = set(vec![Rule::any().flap(Duration::from_secs(10), 0.3)]);
        let at = |seconds: u64| rules.refusal(PLACE, (100 + seconds) * SECOND);
        assert_eq!(at(1), (true, Some(Duration::from_secs(2))));
        assert_eq!(at(3), (false, Some(Duration::from_secs(7))));
        assert_eq!(at(10), (true, Some(Duration::from_secs(3))));
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
