//! What is wrong with head beside its speed: its answers. Pure; that it ended is told by whoever drives it.
//!
//! One wrong answer among thousands may be the machine's doing, and then the measurement is not valid. What no machine
//! does is to spoil many answers of one side and none of the other's, which had its turns in between: that is head's
//! own fault, and no reason to doubt the measurement.

use super::metric::Round;

/// Answers of which this share is wrong are no accident,
const WRONG_SHARE: f64 = 0.01;
/// where they are so many at least.
const WRONG_ANSWERS: u64 = 20;
/// Nor is it one where so many rounds had wrong answers of head and none had one of base: if it were, a coin had fallen
/// on one side as often, which happens in less than one of a hundred runs.
const WRONG_ROUNDS: usize = 7;

/// What head answered wrongly, beyond chance, where base answered as expected.
#[must_use]
pub fn wrong_answers(rounds: &[Round]) -> Option<String> {
    let not_ok: u64 = rounds.iter().map(|round| round.head.not_ok).sum();
    if not_ok == 0 || rounds.iter().any(|round| round.base.not_ok > 0) {
        return None;
    }
    let answers: f64 = rounds.iter().map(|round| round.head.all_answers()).sum();
    let bad_rounds = rounds.iter().filter(|round| round.head.not_ok > 0).count();
    let is_large = not_ok >= WRONG_ANSWERS && answers > 0.0 && not_ok as f64 / answers >= WRONG_SHARE;
    (is_large || bad_rounds >= WRONG_ROUNDS).then(|| {
        let all = rounds.len();
        format!("head: {not_ok} answers were not as expected, in {bad_rounds} of {all} rounds, and none of base's")
    })
}

#[cfg(test)]
mod tests {
    use super::super::metric::Figures;
    use super::*;

    /// Rounds with so many wrong answers of head, of a thousand each.
    fn rounds(wrong: &[u64]) -> Vec<Round> {
        let side = |not_ok| Figures { not_ok, answers: 1_000.0, ..Figures::default() };
        wrong.iter().map(|wrong| Round { base: side(0), head: side(*wrong), ..Round::default() }).collect()
    }

    #[test]
    fn many_wrong_answers_of_head_alone_are_its_fault() {
        let said = wrong_answers(&rounds(&[700])).unwrap();
        assert_eq!(said, "head: 700 answers were not as expected, in 1 of 1 rounds, and none of base's");
        assert!(wrong_answers(&rounds(&[0, 0, 40, 0])).is_some(), "a percent of them");
        assert!(wrong_answers(&rounds(&[1, 1, 0, 1, 1, 1, 1, 1])).is_some(), "a few in each of seven rounds");
    }

    #[test]
    fn a_percent_is_of_the_answers_of_all_turns() {
        let mut few = rounds(&[15, 15, 0]);
        few[0].head.open_answers = 500.0;
        assert_eq!(wrong_answers(&few), None, "30 of 3500");
        few[0].head.open_answers = 0.0;
        assert!(wrong_answers(&few).is_some(), "30 of 3000");
    }

    #[test]
    fn what_may_be_the_machines_doing_is_not_held_against_head() {
        assert_eq!(wrong_answers(&rounds(&[0, 0])), None);
        assert_eq!(wrong_answers(&rounds(&[0, 64, 0, 0, 0, 0, 0, 0])), None, "connections that broke once");
        assert_eq!(wrong_answers(&rounds(&[15])), None, "too few to tell");
        let mut both = rounds(&[700, 700]);
        both[1].base.not_ok = 1;
        assert_eq!(wrong_answers(&both), None, "whatever it is, base has it too");
        assert_eq!(wrong_answers(&[]), None);
    }
}
