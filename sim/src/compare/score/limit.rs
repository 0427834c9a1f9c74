//! Admissions above a rate limit that all requests share.

use crate::history::{ClientRequest, History, Name};
use crate::oracle::limiter::worst_excess;
use crate::oracle::policy::LimitPolicy;

/// What a limiter answers.
const TOO_MANY_REQUESTS: u16 = 429;

/// A limit with one key for all requests: what everybody sends counts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OneKey {
    pub(crate) name: Name,
    pub(crate) policy: LimitPolicy,
}

/// How far admissions went beyond it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Over {
    /// Admitted over `burst + rate * time`, less 1; below 0 when there was room left.
    pub(super) share: f64,
    /// The largest excess over the bound in any window, in requests.
    pub(super) worst_excess: f64,
}

impl OneKey {
    /// Holds what clients saw against the limit; `None` when nothing was sent. Who admits nothing at all is below it by
    /// everything.
    pub(super) fn over_admission(&self, history: &History) -> Option<Over> {
        let mut admitted: Vec<u64> =
            history.clients.iter().filter(|one| was_admitted(one)).filter_map(|one| one.sent_ns).collect();
        // They are in the order of the plan, and one may be sent after others that were planned later.
        admitted.sort_unstable();
        let sent = || history.clients.iter().filter_map(|one| one.sent_ns);
        let time_ns = sent().max()?.saturating_sub(sent().min()?);
        let allowed = self.policy.burst as f64 + self.policy.rate() * time_ns as f64 / 1e9;
        let worst_excess = worst_excess(&self.policy, admitted.iter().map(|at| (*at, 1)));
        let worst_excess = worst_excess.unwrap_or(-(self.policy.burst as f64));
        Some(Over { share: admitted.len() as f64 / allowed.max(1.0) - 1.0, worst_excess })
    }
}

/// It reached what the limit guards, whatever came of it.
fn was_admitted(request: &ClientRequest) -> bool {
    request.status.is_some_and(|status| status != TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    /// Ten a second and a burst of five; a hundred requests a second for two seconds, of which `admits` pass.
    fn over(admits: impl Fn(u64) -> bool) -> Over {
        let limit = OneKey { name: "all".into(), policy: LimitPolicy::per_second(10, 5) };
        let story = Story::new().each(0..201, |story, number| {
            let story = story.at_ms(number * 10);
            if admits(number) { story.answered("orders/0", 200, 1) } else { story.refused(429) }
        });
        limit.over_admission(&story.end()).unwrap()
    }

    #[test]
    fn an_exact_limiter_admits_what_it_may() {
        let exact = over(|number| number < 5 || (number >= 10 && number % 10 == 0));
        assert!(exact.share.abs() < 1e-9 && exact.worst_excess <= 1e-9, "{exact:?}");
    }

    #[test]
    fn one_that_lets_twice_as_much_through_is_twice_over() {
        let twice = over(|number| number % 4 == 0);
        assert!((twice.share - (51.0 / 25.0 - 1.0)).abs() < 1e-9, "{twice:?}");
        assert!((twice.worst_excess - 26.0).abs() < 1e-9, "51 in two seconds, 25 are allowed: {twice:?}");
    }

    #[test]
    fn requests_that_overtake_each_other_are_no_excess() {
        let limit = OneKey { name: "all".into(), policy: LimitPolicy::per_second(500, 5) };
        let story = Story::new().each(0..2, |story, number| story.at_ms(number).answered("orders/0", 200, 1));
        let mut history = story.end();
        // The connection of the first was slow to open.
        history.clients[0].sent_ns = Some(50_000_000);
        let over = limit.over_admission(&history).unwrap();
        assert!((over.worst_excess + 4.0).abs() < 1e-9, "one at a time, and five may be at once: {over:?}");
    }

    #[test]
    fn one_that_refuses_too_much_is_below() {
        assert!(over(|number| number == 0).share < -0.9);
    }

    #[test]
    fn one_that_admits_nothing_is_below_by_everything_and_is_not_left_out() {
        assert_eq!(over(|_| false), Over { share: -1.0, worst_excess: -5.0 });
        let limit = OneKey { name: "all".into(), policy: LimitPolicy::per_second(10, 5) };
        assert_eq!(limit.over_admission(&Story::new().end()), None, "nobody asked");
    }
}
