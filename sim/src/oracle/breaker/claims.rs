//! What the gateway says of its breakers and of ejection, held against the rules of the contract.
//!
//! Each change of state needs its reason in the outcomes of attempts, or in time: an opening ends when it is due and
//! not before, probes close a breaker as soon as enough of them did well, and one that fails, or says nothing in time,
//! opens it. A state that has lost its reason to last is as wrong. What ejection takes out is not asked, is no more
//! than it may be, and nothing is capped while somebody else may go.

use super::outcomes::{self, Judged};
use super::spans::{self, Span};
use crate::history::{Attempt, BreakerState, Ending, Endpoint, EventKind, History};
use crate::oracle::policy::{BreakerPolicy, Tolerance, UpstreamPolicy};

const MS: u64 = 1_000_000;

/// One endpoint's breaker. `checked`: active checks have a say in when it is half-open.
pub(crate) fn of_breaker(
    history: &History,
    endpoint: &Endpoint,
    (policy, checked): (&BreakerPolicy, bool),
    tolerance: Tolerance,
) -> Vec<String> {
    let spans = spans::of(history, endpoint);
    if spans.iter().any(|span| &*span.cause == "operator") {
        return Vec::new();
    }
    let capped = spans::capped(history, endpoint);
    let outcomes = outcomes::judged(history, endpoint, policy);
    let begun: Vec<u64> = history.events.iter().filter_map(|event| began(&event.kind, endpoint)).collect();
    let of_it = history.attempts.iter().filter(|attempt| attempt.endpoint == *endpoint);
    let (checks, arrived): (Vec<&Attempt>, Vec<&Attempt>) = of_it.partition(|attempt| attempt.health_check);
    let last_ns = history.events.last().map_or(0, |event| event.at_ns);
    let found = spans.iter().zip(spans.iter().skip(1).map(Some).chain([None])).filter_map(|(span, next)| {
        let of_span = Judging {
            policy,
            checked,
            span,
            outcomes: &outcomes,
            begun: &begun,
            arrived: &arrived,
            checks: &checks,
            tolerance,
        };
        let kept_in = capped.iter().any(|(from, until)| *from <= span.until_ns && span.from_ns <= *until);
        let wrong = of_span.judge(next, last_ns, kept_in)?;
        Some(format!("{endpoint} {} from {} ms: {wrong}", span.state.as_str(), span.from_ns / MS))
    });
    found.collect()
}

fn began(kind: &EventKind, endpoint: &Endpoint) -> Option<u64> {
    match kind {
        EventKind::Attempt { endpoint: at, start_ns, .. } if at == endpoint => Some(*start_ns),
        _ => None,
    }
}

/// One span, and what is known of its time.
struct Judging<'a> {
    policy: &'a BreakerPolicy,
    checked: bool,
    span: &'a Span,
    outcomes: &'a [Judged],
    /// When attempts began.
    begun: &'a [u64],
    /// What mocks saw: those also of which nobody tells, since their clients left.
    arrived: &'a [&'a Attempt],
    /// The gateway's own checks of the endpoint.
    checks: &'a [&'a Attempt],
    tolerance: Tolerance,
}

impl Judging<'_> {
    fn judge(&self, next: Option<&Span>, last_ns: u64, kept_in: bool) -> Option<String> {
        match (self.span.state, next.map(|next| next.state)) {
            (BreakerState::Closed, Some(BreakerState::Open)) if next?.is_by_probe() => self.relapsed(next?.from_ns),
            // `trips` judges it.
            (BreakerState::Closed, Some(BreakerState::Open) | None) => None,
            (BreakerState::Open, Some(BreakerState::HalfOpen)) => self.was_open_for_its_time(next?.from_ns),
            (BreakerState::Open, None) => {
                let due = self.due_ns();
                (due < last_ns).then(|| format!("half-open was due at {} ms", due / MS))
            }
            (BreakerState::HalfOpen, Some(BreakerState::Closed)) => self.closed_in_time(next?.from_ns, kept_in),
            (BreakerState::HalfOpen, Some(BreakerState::Open)) => self.opened_again_for_a_reason(next?.from_ns),
            (BreakerState::HalfOpen, None) => self.closed_in_time(u64::MAX, kept_in),
            (from, to) => Some(format!("there is no way from {from:?} to {to:?}")),
        }
    }

    fn due_ns(&self) -> u64 {
        self.span.from_ns.saturating_add(self.policy.open_for(self.span.openings))
    }

    fn was_open_for_its_time(&self, until_ns: u64) -> Option<String> {
        let due = self.due_ns();
        (until_ns != due).then(|| format!("half-open at {} ms, due at {} ms", until_ns / MS, due / MS))
    }

    /// Outcomes of attempts that began in this span, up to a time.
    fn within(&self, until_ns: u64) -> impl Iterator<Item = &Judged> {
        let since = self.span.from_ns;
        self.outcomes.iter().filter(move |one| one.start_ns >= since && one.end_ns <= until_ns)
    }

    /// It closes with the last of so many good probes: not before, and, where nothing but probes came to it, not later.
    fn closed_in_time(&self, until_ns: u64, kept_in: bool) -> Option<String> {
        let good = |until_ns: u64| self.within(until_ns).filter(|one| !one.is_bad()).count() as u64;
        let closed = until_ns != u64::MAX;
        let (by_then, before) = (good(until_ns), good(until_ns.saturating_sub(1)));
        if closed && by_then < self.policy.probes {
            return Some(format!("closed at {} ms after {by_then} good probes", until_ns / MS));
        }
        let late = !kept_in && before >= self.policy.probes;
        late.then(|| format!("{before} good probes, and it was not closed"))
    }

    fn is_good(&self, check: &Attempt, until_ns: u64) -> bool {
        let within = check.arrival_ns >= self.span.from_ns && check.answer_ns.is_some_and(|at| at < until_ns);
        within && matches!(check.ending, Ending::Answered(200..300))
    }

    /// Attempts whose answers broke off behind their heads at about this time.
    fn broke_off(&self, at_ns: u64) -> impl Iterator<Item = &Attempt> {
        let transit_ns = self.tolerance.transit_ns;
        let then = at_ns.saturating_sub(transit_ns)..=at_ns.saturating_add(transit_ns);
        let broken = self.arrived.iter().copied();
        let broken = broken
            .filter(|one| one.answer_ns.is_some() && !matches!(one.ending, Ending::Answered(_) | Ending::Abandoned));
        broken.filter(move |one| one.end_ns.is_some_and(|end_ns| then.contains(&end_ns)))
    }

    /// It was closed by a probe whose answer broke off then.
    fn relapsed(&self, until_ns: u64) -> Option<String> {
        let probe = self.broke_off(until_ns).any(|attempt| attempt.arrival_ns <= self.span.from_ns);
        (!probe).then(|| format!("open again at {} ms, and no probe had broken off", until_ns / MS))
    }

    fn opened_again_for_a_reason(&self, until_ns: u64) -> Option<String> {
        let failed = self.within(until_ns).any(|one| one.is_bad() && one.end_ns == until_ns);
        let timed_out = self
            .begun
            .iter()
            .any(|start| *start >= self.span.from_ns && start.saturating_add(self.policy.probe_timeout_ns) == until_ns);
        let due_ns = until_ns.saturating_sub(self.policy.probe_timeout_ns);
        let timed_out = timed_out
            || self.arrived.iter().any(|attempt| {
                let transit_ns = self.tolerance.transit_ns;
                (due_ns..=due_ns.saturating_add(transit_ns)).contains(&attempt.arrival_ns)
                    && attempt.end_ns.is_none_or(|end| end.saturating_add(transit_ns) >= until_ns)
            });
        // A check that failed, or came to nothing, says it too, as long as none did well.
        let by_check = self.checked && !self.checks.iter().any(|check| self.is_good(check, until_ns));
        let broke_off = self.broke_off(until_ns).any(|attempt| attempt.arrival_ns >= self.span.from_ns);
        let reason = failed || timed_out || by_check || broke_off;
        (!reason).then(|| format!("open again at {} ms, and no probe had failed", until_ns / MS))
    }
}

/// Ejection of an upstream's endpoints. Primaries and backups are judged each by themselves, as if there were no
/// others: the share that may be out is one of the tier, and so is the last endpoint that stays. Checks alone know of
/// the other tier: where somebody's there do well, all of these may be down. What its checks said, nobody tells here.
pub(crate) fn of_ejection(history: &History, endpoints: &[Endpoint], policy: &UpstreamPolicy) -> Vec<String> {
    // One of weight 0 counts for no bound.
    let counts = |at: &usize| policy.weights.get(*at).is_none_or(|weight| *weight > 0);
    let is_backup = |at: &usize| policy.backups.get(*at) == Some(&true);
    let (backups, primaries): (Vec<usize>, Vec<usize>) = (0..endpoints.len()).filter(counts).partition(is_backup);
    let mut now = vec![Standing::default(); endpoints.len()];
    let mut found = Vec::new();
    for (at, event) in history.events.iter().enumerate() {
        let place = |endpoint: &Endpoint| endpoints.iter().position(|one| one == endpoint);
        match &event.kind {
            EventKind::Breaker { endpoint: Some(endpoint), to, .. } => {
                if let Some(place) = place(endpoint) {
                    now[place].tripped = *to != BreakerState::Closed;
                    now[place].changed_ns = event.at_ns;
                }
            }
            EventKind::Ejection { endpoint, out, capped, .. } => {
                if let Some(place) = place(endpoint) {
                    let since_ns = out.then_some(event.at_ns);
                    (now[place].out_since_ns, now[place].capped) = (since_ns, *capped);
                }
            }
            EventKind::Attempt { endpoint, start_ns, .. } => {
                let standing = place(endpoint).map(|place| now[place]);
                // A probe is what its breaker lets through: `leaks` looks at those.
                let was_out = standing.filter(|standing| !standing.tripped).and_then(|standing| standing.out_since_ns);
                let changed_ns = standing.map_or(0, |standing| standing.changed_ns);
                if was_out.is_some_and(|since| *start_ns > since.max(changed_ns)) {
                    found.push(format!("{endpoint} was asked at {} ms while it was out", start_ns / MS));
                }
            }
            _ => {}
        }
        // What happens at once is judged when all of it has happened.
        if history.events.get(at + 1).is_some_and(|next| next.at_ns == event.at_ns) {
            continue;
        }
        found.extend(misplaced(&now, [&primaries, &backups], policy, event.at_ns / MS));
    }
    found.dedup();
    found
}

/// What is wrong with who is out and who is capped.
fn misplaced(now: &[Standing], [primaries, backups]: [&[usize]; 2], policy: &UpstreamPolicy, ms: u64) -> Vec<String> {
    let count = |tier: &[usize], is: fn(&Standing) -> bool| tier.iter().filter(|at| is(&now[**at])).count();
    let is_out = |one: &Standing| one.out_since_ns.is_some();
    let is_well = |one: &Standing| one.out_since_ns.is_none() && !one.capped;
    let few =
        |tier: &[usize]| (count(tier, is_well) as u64) * 1_000_000 < u64::from(policy.panic_below) * tier.len() as u64;
    // All are used only where too few of the backups are well either.
    let panics = few(primaries) && (backups.is_empty() || few(backups));
    let mut found = Vec::new();
    for (tier, other) in [(primaries, backups), (backups, primaries)] {
        let (out, capped) = (count(tier, is_out), count(tier, |one| one.capped));
        if panics {
            if out > 0 {
                found.push(format!("at {ms} ms {out} are out, and all were to be used"));
            }
            continue;
        }
        let others = tier.len().saturating_sub(1);
        let share = (tier.len() * policy.max_percent as usize / 100).min(others);
        let allowed = if policy.checked { others } else { share };
        let all_tripped = tier.iter().all(|at| now[*at].tripped);
        let by_checks = policy.checked && (!other.is_empty() || tier.iter().any(|at| now[*at].tripped));
        if capped > 0 && (all_tripped || out < share) {
            found.push(format!("at {ms} ms {capped} are capped, {out} are out, {share} may be"));
        }
        if out > allowed && !all_tripped && !by_checks {
            found.push(format!("at {ms} ms {out} are out, {allowed} may be"));
        }
    }
    found
}

/// How an endpoint stands, by what was told.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    tripped: bool,
    /// When its breaker changed last.
    changed_ns: u64,
    out_since_ns: Option<u64>,
    capped: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Seen;
    use crate::history::story::{Story, endpoint};
    use BreakerState::{Closed, HalfOpen, Open};

    fn policy() -> BreakerPolicy {
        let (open_for_ns, probe_timeout_ns) = (100 * MS, 50 * MS);
        BreakerPolicy { open_for_ns, probe_timeout_ns, probes: 2, ..BreakerPolicy::default() }
    }

    fn wrong(story: Story) -> usize {
        of_breaker(&story.end(), &endpoint("orders/1"), (&policy(), false), Tolerance::default()).len()
    }

    /// Open from 10 ms, half-open from this time.
    fn half_open_at(ms: u64) -> Story {
        let story = Story::new().at_ms(10).breaker("orders/1", Closed, Open);
        story.at_ms(ms).breaker("orders/1", Open, HalfOpen)
    }

    fn probe(story: Story, from_ms: u64, until_ms: u64, status: u16) -> Story {
        story.asked().at_ms(until_ms).seen("orders/1", Seen::Status(status), until_ms - from_ms)
    }

    #[test]
    fn an_opening_lasts_as_long_as_it_is_to_last() {
        assert_eq!(wrong(half_open_at(110)), 0);
        assert_eq!([wrong(half_open_at(109)), wrong(half_open_at(111))], [1, 1]);
        let stuck = Story::new().at_ms(10).breaker("orders/1", Closed, Open);
        assert_eq!(wrong(stuck.clone().at_ms(109).breaker("orders/0", Closed, Open)), 0);
        assert_eq!(wrong(stuck.at_ms(111).breaker("orders/0", Closed, Open)), 1, "nobody moved it on");
        let straight = Story::new().at_ms(10).breaker("orders/1", Closed, Open).breaker("orders/1", Open, Closed);
        assert_eq!(wrong(straight), 1);
    }

    #[test]
    fn good_probes_close_it_and_nothing_else_does() {
        let two = || probe(probe(half_open_at(110), 111, 115, 200), 112, 118, 200);
        let close = |story: Story, at| story.at_ms(at).breaker("orders/1", HalfOpen, Closed);
        assert_eq!(wrong(close(two(), 118)), 0);
        assert_eq!(wrong(close(two(), 117)), 1, "after one");
        assert_eq!(
            [wrong(close(two(), 125)), wrong(two().at_ms(119).breaker("orders/0", Closed, Open))],
            [1, 1],
            "late"
        );
        let kept_in = half_open_at(110).at_ms(9).capped("orders/1", true);
        let kept_in = probe(probe(kept_in, 111, 115, 200), 112, 118, 200);
        assert_eq!(wrong(close(kept_in, 125)), 0, "who can tell which were probes");
        assert_eq!(wrong(close(probe(half_open_at(110), 111, 115, 429), 118)), 1, "429 says nothing");
    }

    #[test]
    fn it_opens_again_for_a_reason() {
        let open = |story: Story, at| story.at_ms(at).breaker("orders/1", HalfOpen, Open);
        assert_eq!(wrong(open(probe(half_open_at(110), 111, 115, 503), 115)), 0);
        assert_eq!(wrong(open(probe(half_open_at(110), 111, 115, 200), 115)), 1);
        let hangs = |until| half_open_at(110).asked().at_ms(170).seen("orders/1", Seen::Timeout, 57).at_ms(until);
        assert_eq!([wrong(open(hangs(163), 163)), wrong(open(hangs(162), 162))], [0, 1]);
        let nobody = open(half_open_at(110), 130);
        assert_eq!(wrong(nobody.clone()), 1);
        assert_eq!(
            of_breaker(&nobody.end(), &endpoint("orders/1"), (&policy(), true), Tolerance::default()).len(),
            0,
            "a check said so"
        );
    }

    #[test]
    fn a_probe_that_breaks_off_is_a_reason_also_when_it_had_closed() {
        let because = |story: Story, from: BreakerState, cause: &str| {
            let (upstream, of) = ("orders".into(), Some(endpoint("orders/1")));
            story.event(EventKind::Breaker { upstream, endpoint: of, from, to: Open, cause: cause.into() })
        };
        let broken = |ending: Ending| half_open_at(110).at_ms(111).asked().tried("orders/1", ending, 5).at_ms(116);
        assert_eq!(wrong(because(broken(Ending::Invalid), HalfOpen, "probe_failed")), 0);
        assert_eq!(wrong(because(broken(Ending::Answered(200)), HalfOpen, "probe_failed")), 1);
        let closed = |ending: Ending| {
            let story = probe(probe(half_open_at(110), 111, 115, 200), 112, 118, 200);
            let story = story.at_ms(112).tried("orders/1", ending, 8).at_ms(118);
            because(story.breaker("orders/1", HalfOpen, Closed).at_ms(120), Closed, "probe_failed")
        };
        assert_eq!([wrong(closed(Ending::Invalid)), wrong(closed(Ending::Answered(200)))], [0, 1]);
    }

    fn ejection(story: Story, max_percent: u32) -> usize {
        let policy = UpstreamPolicy { max_percent, ..UpstreamPolicy::default() };
        of_ejection(&story.end(), &[endpoint("orders/0"), endpoint("orders/1")], &policy).len()
    }

    fn out(story: Story, of: &str, out: bool) -> Story {
        story.event(EventKind::Ejection { endpoint: endpoint(of), out, capped: false, reason: "breaker".into() })
    }

    #[test]
    fn nobody_is_capped_while_somebody_may_go_and_no_more_go_than_may() {
        let tripped = || Story::new().at_ms(10).breaker("orders/1", Closed, Open);
        assert_eq!(ejection(tripped().capped("orders/1", true), 0), 0);
        assert_eq!(ejection(tripped().capped("orders/1", true), 50), 1);
        assert_eq!(ejection(out(tripped(), "orders/1", true), 50), 0);
        assert_eq!(ejection(out(tripped(), "orders/1", true), 49), 1);
        let both = |story: Story| out(out(story, "orders/1", true), "orders/0", true);
        assert_eq!(ejection(both(tripped().breaker("orders/0", Closed, Open)), 50), 0, "all have tripped");
        assert_eq!(ejection(both(tripped()), 100), 1, "never the last one");
        let by_checks = UpstreamPolicy { max_percent: 0, checked: true, ..UpstreamPolicy::default() };
        let two = [endpoint("orders/0"), endpoint("orders/1")];
        let checked = |story: Story| of_ejection(&story.end(), &two, &by_checks).len();
        assert_eq!(checked(out(tripped(), "orders/1", true)), 0, "its checks may have said so");
        assert_eq!(checked(both(tripped())), 0, "one by its checks, the other by its breaker");
        assert_eq!(checked(both(Story::new().at_ms(10))), 1, "and never the last one by checks alone");
    }

    #[test]
    fn primaries_and_backups_are_judged_each_by_themselves() {
        let all = ["orders/0", "orders/1", "orders/2"].map(endpoint);
        let (weights, backups) = (vec![1; 3], vec![false, false, true]);
        let policy = UpstreamPolicy { weights, backups, ..UpstreamPolicy::default() };
        let wrong = |story: Story| of_ejection(&story.end(), &all, &policy).len();
        let one = out(Story::new().at_ms(10).breaker("orders/0", Closed, Open), "orders/0", true);
        let both = out(one.clone().at_ms(20).breaker("orders/1", Closed, Open), "orders/1", true);
        assert_eq!([wrong(one.clone()), wrong(both.clone())], [0, 0], "the backup serves");
        assert_eq!(wrong(out(one.at_ms(20), "orders/1", true)), 1, "it has not tripped, and is the last of its tier");
        assert_eq!(wrong(out(both.at_ms(30), "orders/2", true)), 1, "so is the backup");
    }

    #[test]
    fn who_is_out_is_not_asked() {
        let story = |start: u64| {
            let story = out(Story::new().at_ms(10), "orders/1", true);
            let story = story.at_ms(20).asked().seen("orders/1", Seen::Status(200), 20 - start);
            out(story.at_ms(30), "orders/1", false)
        };
        assert_eq!([ejection(story(9), 50), ejection(story(10), 50), ejection(story(11), 50)], [0, 0, 1]);
    }
}
