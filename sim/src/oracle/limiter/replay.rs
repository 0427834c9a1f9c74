//! Every decision of the limiter, taken again.
//!
//! A request is held against all rules of a stage; all of them admit it and are charged, or none is charged. A rule in
//! shadow is charged when it would have admitted, and never refuses. The replay keeps its own state; where the gateway
//! decided otherwise within the tolerance of its stamps, the replay follows it, so that one such tie is not counted
//! again and again.

use std::collections::HashMap;

use super::gcra::{Cell, wait_ns};
use crate::history::{Asked, Event, EventKind, History, Name};
use crate::oracle::policy::{LimitPolicy, Policies, Tolerance};

/// One decision and what the oracle says of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision<'a> {
    pub at_ns: u64,
    pub request_id: Option<&'a Name>,
    /// The rules that were asked and are known.
    pub asked: &'a [Asked],
    /// The rule that the gateway named; `None` when it admitted.
    pub refused_by: Option<&'a Name>,
    /// The rules that had to refuse; none when the request had to pass.
    pub oracle_refused_by: Vec<&'a Name>,
    /// The decision is the oracle's, or too near to tell.
    pub agrees: bool,
    /// How long the request would have had to wait, by the strictest rule.
    pub wait_ns: u64,
}

impl Decision<'_> {
    /// What the replay went on with: a decision too near to tell is the gateway's, or a refusal at the edge of a token
    /// would count as one that should have passed, and so would each that follows it in the same millisecond.
    pub(crate) fn replayed_as_admitted(&self) -> bool {
        if self.agrees { self.refused_by.is_none() } else { self.oracle_refused_by.is_empty() }
    }
}

/// Takes all decisions again.
pub(crate) fn replay<'a>(history: &'a History, policies: &Policies, tolerance: Tolerance) -> Vec<Decision<'a>> {
    let mut state = State { policies, cells: HashMap::new(), stamp_ns: tolerance.stamp_ns };
    history.events.iter().filter_map(|event| state.decide(event)).collect()
}

struct State<'a, 'p> {
    policies: &'p Policies,
    cells: HashMap<(&'a str, &'a str), Cell>,
    stamp_ns: u64,
}

/// A rule's view of a request.
struct View<'a, 'p> {
    asked: &'a Asked,
    limit: &'p LimitPolicy,
    margin: i128,
}

impl<'a> State<'a, '_> {
    fn decide(&mut self, event: &'a Event) -> Option<Decision<'a>> {
        let EventKind::Limit { request_id, asked, refused_by } = &event.kind else { return None };
        let views: Vec<View<'a, '_>> = asked.iter().filter_map(|asked| self.view(asked, event.at_ns)).collect();
        let refusing = || views.iter().filter(|view| !view.limit.shadow && view.margin < 0);
        let oracle_admits = refusing().next().is_none();
        let slack = |view: &View<'_, '_>| i128::from(self.stamp_ns) * i128::from(view.limit.tokens.max(1));
        let agrees = match refused_by {
            None => refusing().all(|view| -view.margin <= slack(view)),
            Some(_) if !oracle_admits => true,
            Some(rule) => views.iter().any(|view| view.asked.rule == *rule && view.margin < slack(view)),
        };
        let admitted = if agrees { refused_by.is_none() } else { oracle_admits };
        let decision = Decision {
            at_ns: event.at_ns,
            request_id: request_id.as_ref(),
            asked,
            refused_by: refused_by.as_ref(),
            oracle_refused_by: refusing().map(|view| &view.asked.rule).collect(),
            agrees,
            wait_ns: refusing().map(|view| wait_ns(view.limit, view.margin)).max().unwrap_or(0),
        };
        let charged: Vec<&'a Asked> = if admitted {
            views.iter().filter(|view| !view.limit.shadow || view.margin >= 0).map(|view| view.asked).collect()
        } else {
            Vec::new()
        };
        drop(views);
        for asked in charged {
            self.charge(asked, event.at_ns);
        }
        Some(decision)
    }

    fn view(&self, asked: &'a Asked, at_ns: u64) -> Option<View<'a, '_>> {
        let limit = self.policies.limits.get(&asked.rule)?;
        let cell = self.cells.get(&(&*asked.rule, &*asked.key)).copied().unwrap_or_default();
        Some(View { asked, limit, margin: cell.margin(limit, at_ns, asked.cost) })
    }

    fn charge(&mut self, asked: &'a Asked, at_ns: u64) {
        if let Some(limit) = self.policies.limits.get(&asked.rule) {
            self.cells.entry((&*asked.rule, &*asked.key)).or_default().take(limit, at_ns, asked.cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    const BOTH: &[(&str, &str, u64)] = &[("all", "everyone", 1), ("each", "ann", 1)];
    const ANN: &[(&str, &str, u64)] = &[("each", "ann", 1)];

    fn policies(shadow: bool) -> Policies {
        let all = LimitPolicy { shadow, ..LimitPolicy::per_second(10, 2) };
        Policies {
            limits: [("all".into(), all), ("each".into(), LimitPolicy::per_second(5, 1))].into(),
            ..Policies::default()
        }
    }

    fn agreed(story: Story, shadow: bool, stamp_ns: u64) -> Vec<bool> {
        let tolerance = Tolerance { stamp_ns, ..Tolerance::default() };
        replay(&story.end(), &policies(shadow), tolerance).iter().map(|decision| decision.agrees).collect()
    }

    #[test]
    fn a_refused_request_charges_no_rule() {
        let story = Story::new()
            .limited(BOTH, None)
            .limited(BOTH, Some("each"))
            .limited(BOTH, Some("each"))
            .limited(&[("all", "everyone", 1)], None)
            .limited(&[("all", "everyone", 1)], Some("all"));
        assert_eq!(agreed(story, false, 0), [true; 5]);
    }

    #[test]
    fn a_wrong_decision_is_found_and_not_followed() {
        let story = Story::new()
            .limited(ANN, None)
            .at_ms(199)
            .limited(ANN, None)
            .at_ms(200)
            .limited(ANN, None)
            .at_ms(400)
            .limited(ANN, Some("each"));
        assert_eq!(agreed(story, false, 0), [true, false, true, false]);
    }

    #[test]
    fn a_tie_within_the_tolerance_is_the_gateways() {
        let story = || Story::new().limited(ANN, None).at_ms(199).limited(ANN, None).at_ms(399).limited(ANN, None);
        assert_eq!(agreed(story(), false, 1_000_000), [true; 3]);
        assert_eq!(agreed(story().at_ms(598).limited(ANN, Some("each")), false, 1_000_000), [true; 4]);
        assert_eq!(agreed(story(), false, 999_999), [true, false, true]);
    }

    #[test]
    fn a_rule_in_shadow_never_refuses() {
        let story = Story::new().each(0..5, |story, at| story.at_ms(at * 200).limited(BOTH, None));
        assert_eq!(agreed(story, true, 0), [true; 5]);
        let story = Story::new().each(0..3, |story, _| story.limited(&[("all", "everyone", 1)], None));
        assert_eq!(agreed(story.clone(), true, 0), [true; 3]);
        assert_eq!(agreed(story, false, 0), [true, true, false]);
    }

    #[test]
    fn costs_count() {
        let story =
            Story::new().limited(&[("all", "everyone", 2)], None).limited(&[("all", "everyone", 1)], Some("all"));
        let history = story.end();
        let decisions = replay(&history, &policies(false), Tolerance::default());
        assert_eq!((decisions[1].agrees, decisions[1].wait_ns), (true, 100_000_000));
    }
}
