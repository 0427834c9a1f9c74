//! What a perfect balancer, that knows who is sick, would have done better.
//!
//! Time is cut where a fault begins or ends. In each piece in which some endpoint is sick and some is well, an attempt
//! at a sick one is one too many, and a well one's fair share is its weight's part among the well ones, of all attempts
//! in that piece. Where all are sick there was nothing to choose, and nothing to regret.

use crate::history::{Attempt, FaultWindow, History};

/// Both figures, over the attempts in pieces with something to choose.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Regret {
    pub bad: f64,
    pub idle: f64,
}

/// Measures one upstream. `attempts` are its own, by arrival.
pub(crate) fn measure(history: &History, upstream: &str, weights: &[u32], attempts: &[&Attempt]) -> Regret {
    let faults: Vec<&FaultWindow> =
        history.faults.iter().filter(|fault| &*fault.endpoint.upstream == upstream).collect();
    let mut cuts: Vec<u64> = faults.iter().flat_map(|fault| [fault.from_ns, fault.until_ns]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut bad, mut idle, mut offered) = (0, 0.0, 0);
    for piece in cuts.windows(2) {
        let sick = |index: usize| faults.iter().any(|fault| fault.endpoint.index == index && fault.contains(piece[0]));
        let well: Vec<usize> = (0..weights.len()).filter(|index| weights[*index] > 0 && !sick(*index)).collect();
        if well.is_empty() || !(0..weights.len()).any(sick) {
            continue;
        }
        let from = attempts.partition_point(|attempt| attempt.arrival_ns < piece[0]);
        let until = attempts.partition_point(|attempt| attempt.arrival_ns < piece[1]);
        let mut got = vec![0_u64; weights.len()];
        for attempt in &attempts[from..until] {
            if let Some(count) = got.get_mut(attempt.endpoint.index) {
                *count += 1;
            }
        }
        let all = (until - from) as u64;
        let weight: f64 = well.iter().map(|index| f64::from(weights[*index])).sum();
        offered += all;
        bad += (0..weights.len()).filter(|index| sick(*index)).map(|index| got[index]).sum::<u64>();
        let missed = |index: &usize| (all as f64 * f64::from(weights[*index]) / weight - got[*index] as f64).max(0.0);
        idle += well.iter().map(missed).sum::<f64>();
    }
    let over = |part: f64| if offered == 0 { 0.0 } else { part / offered as f64 };
    Regret { bad: over(bad as f64), idle: over(idle) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    fn regret(story: Story, weights: &[u32]) -> Regret {
        let history = story.end();
        measure(&history, "orders", weights, &history.attempts.iter().collect::<Vec<_>>())
    }

    fn to(story: Story, endpoints: &[usize]) -> Story {
        story.each(endpoints, |story, to| story.answered(&format!("orders/{to}"), 200, 1))
    }

    #[test]
    fn who_avoids_the_sick_one_and_shares_the_rest_regrets_nothing() {
        let story = to(Story::new().fault("orders/1", 10, 20, "hang").at_ms(15), &[0, 2, 2, 0, 2, 2]);
        let story = to(story.at_ms(25), &[1, 1, 1]);
        assert_eq!(regret(story, &[1, 1, 2]), Regret::default());
    }

    #[test]
    fn what_the_sick_one_got_the_well_ones_did_not() {
        let story = to(Story::new().fault("orders/1", 10, 20, "hang").at_ms(15), &[0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(regret(story, &[1, 1, 1]), Regret { bad: 0.5, idle: 0.5 });
        let story = to(Story::new().fault("orders/1", 10, 20, "hang").at_ms(15), &[0, 0, 0, 0]);
        assert_eq!(regret(story, &[1, 1, 1]), Regret { bad: 0.0, idle: 0.5 }, "one well endpoint had no part");
    }

    #[test]
    fn where_all_are_sick_there_is_nothing_to_choose() {
        let story = Story::new().fault("orders/0", 10, 20, "hang").fault("orders/1", 10, 20, "hang").at_ms(15);
        assert_eq!(regret(to(story, &[0, 0, 1]), &[1, 1]), Regret::default());
    }
}
