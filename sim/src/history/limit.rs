//! Decisions of rate limits, put together as requests: a gateway tells of each rule by itself.
//!
//! All rules of one request and one stage carry the same time. Of a request that one rule refuses, the others give
//! their tokens back and say so: a refused request costs nothing. Where a later stage refuses, that undoes an earlier
//! one.

use std::collections::HashMap;

use super::{Asked, Event, EventKind, Name};

/// What a gateway told of one rule and one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// When, as the gateway stamped it.
    pub at_ns: u64,
    /// Which gateway, from 0.
    pub gateway: usize,
    /// The request, where the gateway tells it.
    pub request_id: Option<Name>,
    /// The rule, its key, and the tokens that the request takes.
    pub asked: Asked,
    /// What it decided.
    pub word: Word,
}

/// A rule's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It took the tokens.
    Admitted,
    /// It refused the request.
    Refused,
    /// It would have refused, but only watches.
    Watched,
    /// It gave the tokens back.
    Refunded,
}

impl Word {
    /// As the gateway writes it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "admitted" => Self::Admitted,
            "refused" => Self::Refused,
            "shadow_refused" => Self::Watched,
            "refunded" => Self::Refunded,
            _ => return None,
        })
    }
}

/// The requests behind these decisions, which come in the order in which each gateway told them.
pub fn requests(decided: impl IntoIterator<Item = Decided>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut open: HashMap<(usize, u64, Option<Name>), usize> = HashMap::new();
    for Decided { at_ns, gateway, request_id, asked: one, word } in decided {
        // Where time goes in steps, several requests have one.
        let stage = (gateway, at_ns, request_id.clone());
        let place = open.get(&stage).copied();
        let known = place.and_then(|place| match &mut events[place].kind {
            EventKind::Limit { asked, refused_by, .. } => Some((asked, refused_by)),
            _ => None,
        });
        match (word, known) {
            (Word::Refunded, Some((asked, refused_by))) => {
                // Of a request that was refused in this stage nothing was charged anyway.
                if refused_by.is_none() {
                    asked.retain(|other| (&other.rule, &other.key) != (&one.rule, &one.key));
                }
            }
            // Its request was before what was listened to.
            (Word::Refunded, None) => {}
            // Another request of the same nanosecond has asked this rule already.
            (_, Some((asked, refused_by)))
                if refused_by.is_none() && asked.iter().all(|other| other.rule != one.rule) =>
            {
                *refused_by = (word == Word::Refused).then(|| one.rule.clone());
                asked.push(one);
            }
            _ => {
                let refused_by: Option<Name> = (word == Word::Refused).then(|| one.rule.clone());
                let kind = EventKind::Limit { request_id, asked: vec![one], refused_by };
                open.insert(stage, events.len());
                events.push(Event { at_ns, gateway, kind });
            }
        }
    }
    // What was given back whole was never asked, as far as anyone's tokens go.
    events.retain(|event| !matches!(&event.kind, EventKind::Limit { asked, .. } if asked.is_empty()));
    events.sort_by_key(|event| event.at_ns);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(at_ns: u64, rule: &str, key: &str, word: Word) -> Decided {
        Decided {
            at_ns,
            gateway: 0,
            request_id: None,
            asked: Asked { rule: rule.into(), key: key.into(), cost: 1 },
            word,
        }
    }

    /// For each request its time, its rules and who refused.
    fn told(decided: Vec<Decided>) -> Vec<(u64, Vec<String>, Option<String>)> {
        let one = |event: Event| match event.kind {
            EventKind::Limit { asked, refused_by, .. } => {
                let rules = asked.iter().map(|asked| format!("{}:{}", asked.rule, asked.key)).collect();
                (event.at_ns, rules, refused_by.map(|rule| rule.to_string()))
            }
            other => panic!("{other:?}"),
        };
        requests(decided).into_iter().map(one).collect()
    }

    #[test]
    fn rules_of_one_request_are_put_together_though_others_are_told_between() {
        let all = told(vec![
            decided(5, "all", "x", Word::Admitted),
            decided(4, "all", "x", Word::Admitted),
            decided(5, "each", "ann", Word::Refused),
            decided(5, "all", "x", Word::Refunded),
            decided(4, "each", "bob", Word::Watched),
        ]);
        let of = |rules: [&str; 2]| rules.map(str::to_owned).to_vec();
        assert_eq!(
            all,
            [(4, of(["all:x", "each:bob"]), None), (5, of(["all:x", "each:ann"]), Some("each".to_owned())),]
        );
    }

    #[test]
    fn requests_of_one_step_are_told_apart_by_their_ids() {
        let of = |id: &str, rule: &str, word| Decided { request_id: Some(id.into()), ..decided(5, rule, "x", word) };
        let all =
            told(vec![of("r1", "a", Word::Admitted), of("r2", "b", Word::Refused), of("r1", "c", Word::Admitted)]);
        let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        assert_eq!(all, [(5, rules(&["a:x", "c:x"]), None), (5, rules(&["b:x"]), Some("b".to_owned()))]);
    }

    #[test]
    fn two_requests_of_one_nanosecond_stay_two() {
        let all = told(vec![decided(5, "all", "x", Word::Admitted), decided(5, "all", "x", Word::Refused)]);
        assert_eq!(all.iter().map(|one| one.2.is_some()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_later_stage_that_refuses_undoes_an_earlier_one() {
        let all = told(vec![
            decided(5, "edge", "x", Word::Admitted),
            decided(9, "each", "ann", Word::Refused),
            decided(5, "edge", "x", Word::Refunded),
            decided(1, "edge", "x", Word::Refunded),
        ]);
        assert_eq!(all, [(9, vec!["each:ann".to_owned()], Some("each".to_owned()))]);
    }

    #[test]
    fn words_are_the_gateways() {
        let words = ["admitted", "refused", "shadow_refused", "refunded", "?"].map(Word::parse);
        let known = [Word::Admitted, Word::Refused, Word::Watched, Word::Refunded].map(Some);
        assert_eq!((&words[..4], words[4]), (&known[..], None));
    }
}
