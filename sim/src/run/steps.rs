//! Requests over time: what each step of a run saw. Pure.
//!
//! Answers are counted where they came, so that a stall shows as what it is: a time in which nothing ends. Latencies
//! and errors stand where the request was planned, as everywhere else, so that they show what a user met who came then.

use loadgen::sample::Outcome;

use super::watch::Seen;

/// What one step of time saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Step {
    /// Of requests that were planned in it, nanoseconds, in any order.
    pub(super) latencies: Vec<u64>,
    /// Of those, how many did not end as expected.
    pub(super) errors: u64,
    /// Requests that ended in it, a second.
    pub(super) rps: f64,
}

/// The steps of `length_ms`, each of `step_ms`, the last as long as is left. What was planned later stands in the last
/// one; what ended later is in none, since nothing says over how long it did.
pub(super) fn steps<'a>(
    seen: impl Iterator<Item = &'a Seen>,
    start_ns: u64,
    (length_ms, step_ms): (u64, u64),
) -> Vec<Step> {
    let mut steps = vec![Step::default(); length_ms.div_ceil(step_ms).max(1) as usize];
    let mut ended = vec![0_u64; steps.len()];
    let since_ms = |ns: u64| ns.saturating_sub(start_ns) / 1_000_000;
    for seen in seen {
        let planned = ((since_ms(seen.intended_ns) / step_ms) as usize).min(steps.len() - 1);
        steps[planned].latencies.push(seen.latency_ns());
        steps[planned].errors += u64::from(seen.outcome != Outcome::Ok);
        let ended_ms = since_ms(seen.end_ns);
        if ended_ms < length_ms {
            ended[(ended_ms / step_ms) as usize] += 1;
        }
    }
    for (index, (step, ended)) in steps.iter_mut().zip(ended).enumerate() {
        let lasted_ms = step_ms.min(length_ms.saturating_sub(index as u64 * step_ms)).max(1);
        step.rps = (ended as f64 * 1e4 / lasted_ms as f64).round() / 10.0;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(intended_ms: u64, end_ms: u64) -> Seen {
        let ns = |ms: u64| 5_000_000 + ms * 1_000_000;
        Seen {
            intended_ns: ns(intended_ms),
            sent_ns: ns(intended_ms),
            end_ns: ns(end_ms),
            status: 200,
            outcome: Outcome::Ok,
            failure: None,
        }
    }

    fn rps(seen: &[Seen], length_ms: u64) -> Vec<f64> {
        steps(seen.iter(), 5_000_000, (length_ms, 250)).iter().map(|step| step.rps).collect()
    }

    #[test]
    fn a_stall_is_a_time_in_which_nothing_ends() {
        // One each 10 ms; those that were planned from 250 to 500 ms all end at 600 ms.
        let all: Vec<Seen> = (0..100)
            .map(|number| number * 10)
            .map(|at| seen(at, if (250..500).contains(&at) { 600 } else { at + 1 }))
            .collect();
        assert_eq!(rps(&all, 1_000), [100.0, 0.0, 200.0, 100.0]);
        let steps = steps(all.iter(), 5_000_000, (1_000, 250));
        assert_eq!(steps.iter().map(|step| step.latencies.len()).collect::<Vec<_>>(), [25; 4], "as they were planned");
    }

    #[test]
    fn the_last_step_is_as_long_as_is_left_and_what_ends_later_is_in_none() {
        let all: Vec<Seen> = (0..60).map(|number| seen(number * 10, number * 10 + 1)).collect();
        assert_eq!(rps(&all, 600), [100.0, 100.0, 100.0]);
        assert_eq!(rps(&[seen(599, 900)], 600), [0.0, 0.0, 0.0]);
        assert_eq!(rps(&[], 0), [0.0], "a run that was ended at once");
    }
}
