//! When an endpoint was left alone, what leaked meanwhile, and when it was taken back.

use std::collections::BTreeMap;

use crate::history::{Endpoint, FaultWindow, History, Hit, Name, Outcome};

/// A gap this unlikely by chance is a silence: `ln` of one in a million.
const UNLIKELY: f64 = 13.8;
/// No shorter gap is one.
const LEAST_SILENCE_NS: u64 = 20_000_000;
/// Fewer arrivals before the fault tell no rate.
const LEAST_ARRIVALS: usize = 20;
/// The least time over which service is called normal.
const LEAST_WINDOW_NS: u64 = 100_000_000;
/// Service is normal again when the endpoint has this part of its share …
const SHARE_BACK: f64 = 0.5;
/// … and success is no more than this below what it was.
const SUCCESS_BACK: f64 = 0.005;

/// One stretch in which an endpoint was sick, whatever it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outage {
    /// Requests came often enough before, and it lasted long enough, to see a silence. Where not, nothing is known of
    /// it but `attempts`.
    pub(super) shows_silences: bool,
    /// The fault hit a request, too: without one there is no time from which to count. So it is where an endpoint was
    /// left alone all along, and where it takes no connections, which no journal tells of.
    pub(super) is_measurable: bool,
    /// From the first request that the fault hit to the last one before the first silence.
    pub(super) trip_ns: Option<u64>,
    /// Attempts between silences beyond the probes; `None` where it never was left alone, or was well now and then.
    pub(super) leaked: Option<u64>,
    /// Attempts from the first hit to its end.
    pub(super) attempts: u64,
    /// From its end to normal service.
    pub(super) recovery_ns: Option<u64>,
}

/// Where an endpoint was sick, and when.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    endpoint: Endpoint,
    from_ns: u64,
    until_ns: u64,
    /// All requests of all the time were hit.
    whole: bool,
}

/// Every outage of a run, by the time at which it began.
pub(super) fn all(history: &History, probes: &BTreeMap<Name, u64>) -> Vec<Outage> {
    let clients = Clients::of(history);
    spans(&history.faults).iter().map(|span| measure(history, &clients, span, probes)).collect()
}

/// Faults of one endpoint that overlap or follow each other at once are one.
fn spans(faults: &[FaultWindow]) -> Vec<Span> {
    let mut faults: Vec<&FaultWindow> = faults.iter().collect();
    faults.sort_by(|one, other| (&one.endpoint, one.from_ns).cmp(&(&other.endpoint, other.from_ns)));
    let mut spans: Vec<Span> = Vec::new();
    for fault in faults {
        let whole = fault.share >= 1.0 && !fault.act.contains("flap");
        match spans.last_mut().filter(|last| last.endpoint == fault.endpoint && fault.from_ns <= last.until_ns) {
            Some(last) => {
                last.until_ns = last.until_ns.max(fault.until_ns);
                last.whole &= whole;
            }
            None => spans.push(Span {
                endpoint: fault.endpoint.clone(),
                from_ns: fault.from_ns,
                until_ns: fault.until_ns,
                whole,
            }),
        }
    }
    spans.sort_by_key(|span| span.from_ns);
    spans
}

fn measure(history: &History, clients: &Clients, span: &Span, probes: &BTreeMap<Name, u64>) -> Outage {
    let of_it = history.attempts.iter().filter(|one| one.endpoint == span.endpoint && !one.health_check);
    let at_it: Vec<u64> = of_it.clone().map(|one| one.arrival_ns).collect();
    let to_all: Vec<u64> = history
        .attempts
        .iter()
        .filter(|one| one.endpoint.upstream == span.endpoint.upstream && !one.health_check)
        .map(|one| one.arrival_ns)
        .collect();
    let silence_ns = silence(count(&at_it, 0, span.from_ns), span.from_ns);
    let silence_ns = silence_ns.filter(|silence| *silence < (span.until_ns - span.from_ns) / 2);
    let mut hit = of_it.filter(|one| one.hit != Hit::None).map(|one| one.arrival_ns);
    let first_hit = hit.find(|at| (span.from_ns..span.until_ns).contains(at));
    let within = first_hit.map_or(&[][..], |first| between(&at_it, first, span.until_ns));
    let allowed = probes.get(&span.endpoint.upstream).copied().unwrap_or(1);
    let left_alone = silence_ns.and_then(|silence| left_alone(within, span.until_ns, silence));
    let leaked = silence_ns.zip(left_alone).filter(|_| span.whole);
    let leaked = leaked.map(|(silence, index)| leaks(&within[index + 1..], silence, allowed));
    let recovery_ns = silence_ns.and_then(|silence| recovery(&at_it, &to_all, clients, span, silence));
    Outage {
        shows_silences: silence_ns.is_some(),
        is_measurable: silence_ns.is_some() && first_hit.is_some(),
        trip_ns: left_alone.map(|index| within[index] - within[0]),
        leaked,
        attempts: within.len() as u64,
        recovery_ns,
    }
}

/// How long a gap is a silence for an endpoint that had so many arrivals in this time; `None` where that is too few.
fn silence(arrivals: usize, in_ns: u64) -> Option<u64> {
    let per_ns = arrivals as f64 / in_ns as f64;
    (arrivals >= LEAST_ARRIVALS).then(|| ((UNLIKELY / per_ns) as u64).max(LEAST_SILENCE_NS))
}

/// The arrival after which the first silence came, up to `until_ns`.
fn left_alone(arrivals: &[u64], until_ns: u64, silence_ns: u64) -> Option<usize> {
    let next = |index: usize| arrivals.get(index + 1).copied().unwrap_or(until_ns);
    (0..arrivals.len()).find(|index| next(*index) - arrivals[*index] > silence_ns)
}

/// Of arrivals that silences divide into groups, what each group has beyond the probes.
fn leaks(arrivals: &[u64], silence_ns: u64, probes: u64) -> u64 {
    let groups = arrivals.chunk_by(|one, next| next - one <= silence_ns);
    groups.map(|group| (group.len() as u64).saturating_sub(probes)).sum()
}

/// From the end of an outage to the first arrival with which normal service begins.
fn recovery(at_it: &[u64], to_all: &[u64], clients: &Clients, span: &Span, silence_ns: u64) -> Option<u64> {
    let window_ns = silence_ns.max(LEAST_WINDOW_NS);
    let share = |from_ns, until_ns| {
        let all = count(to_all, from_ns, until_ns);
        (all > 0).then(|| count(at_it, from_ns, until_ns) as f64 / all as f64)
    };
    let before = share(0, span.from_ns)?;
    let success_before = clients.success(0, span.from_ns)?;
    let is_normal = |from_ns: u64| {
        let until_ns = from_ns + window_ns;
        let back = share(from_ns, until_ns).is_some_and(|now| now >= before * SHARE_BACK);
        back && clients.success(from_ns, until_ns).is_none_or(|now| now >= success_before - SUCCESS_BACK)
    };
    let whole = |from: &&u64| **from + window_ns <= clients.last_ns();
    let after = &at_it[at_it.partition_point(|at| *at < span.until_ns)..];
    after.iter().take_while(whole).find(|from| is_normal(**from)).map(|from| from - span.until_ns)
}

/// Of sorted times, those in a window.
fn between(times: &[u64], from_ns: u64, until_ns: u64) -> &[u64] {
    let start = times.partition_point(|at| *at < from_ns);
    let end = times.partition_point(|at| *at < until_ns);
    times.get(start..end).unwrap_or(&[])
}

fn count(times: &[u64], from_ns: u64, until_ns: u64) -> usize {
    between(times, from_ns, until_ns).len()
}

/// Requests by their planned time, with how many had ended as wanted up to each.
struct Clients {
    intended: Vec<u64>,
    ok: Vec<u64>,
}

impl Clients {
    fn of(history: &History) -> Self {
        let mut sum = 0;
        let counted = history.clients.iter().map(|request| {
            sum += u64::from(request.outcome == Outcome::Ok);
            sum
        });
        let ok = std::iter::once(0).chain(counted).collect();
        Self { ok, intended: history.clients.iter().map(|request| request.intended_ns).collect() }
    }

    fn last_ns(&self) -> u64 {
        self.intended.last().copied().unwrap_or(0)
    }

    /// The share of requests planned in a window that ended as wanted; `None` when there were none.
    fn success(&self, from_ns: u64, until_ns: u64) -> Option<f64> {
        let start = self.intended.partition_point(|at| *at < from_ns);
        let end = self.intended.partition_point(|at| *at < until_ns);
        (end > start).then(|| (self.ok[end] - self.ok[start]) as f64 / (end - start) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    const MS: u64 = 1_000_000;

    /// Two endpoints, a request each millisecond in turn; the second fails from 1,000 to 2,000 ms. `alone` says when a
    /// gateway leaves it alone; then the first has all.
    fn told(alone: impl Fn(u64) -> bool) -> History {
        let story = Story::new().phase_between("before", 0, 4_000).fault("orders/1", 1_000, 2_000, "status = 503");
        let story = story.each(0..4_000, |story, at| match (at % 2, alone(at)) {
            (1, false) => story.at_ms(at).answered("orders/1", if (1_000..2_000).contains(&at) { 503 } else { 200 }, 0),
            _ => story.at_ms(at).answered("orders/0", 200, 0),
        });
        story.end()
    }

    fn one(history: &History, probes: u64) -> Outage {
        let outages = all(history, &[("orders".into(), probes)].into());
        let [one] = &outages[..] else { panic!("{outages:?}") };
        one.clone()
    }

    #[test]
    fn a_gateway_that_leaves_it_alone_and_takes_it_back() {
        let outage = one(&told(|at| (1_020..2_300).contains(&at)), 1);
        assert_eq!(outage.trip_ns, Some(18 * MS), "from 1,001 to 1,019");
        assert_eq!((outage.leaked, outage.attempts), (Some(0), 10));
        assert_eq!(outage.recovery_ns, Some(301 * MS), "its first request after 2,300");
    }

    #[test]
    fn one_that_never_leaves_it_alone_trips_never_and_needs_no_recovery() {
        let outage = one(&told(|_| false), 1);
        assert_eq!((outage.is_measurable, outage.trip_ns, outage.leaked), (true, None, None));
        assert_eq!((outage.attempts, outage.recovery_ns), (500, Some(MS)));
    }

    #[test]
    fn one_that_never_takes_it_back_has_no_recovery() {
        let outage = one(&told(|at| at >= 1_020), 1);
        assert_eq!((outage.trip_ns, outage.recovery_ns), (Some(18 * MS), None));
    }

    #[test]
    fn probes_are_no_leaks_and_what_is_more_is() {
        // Silent but for two requests at 1,301 and 1,303, and six from 1,601 on.
        let alone = |at: u64| {
            let probing = (1_300..1_304).contains(&at) || (1_600..1_612).contains(&at);
            (1_020..2_300).contains(&at) && !probing
        };
        assert_eq!(one(&told(alone), 2).leaked, Some(4));
        assert_eq!(one(&told(alone), 1).leaked, Some(6));
        assert_eq!(one(&told(alone), 6).leaked, Some(0));
        assert_eq!(one(&told(alone), 2).trip_ns, Some(18 * MS), "the first silence counts");
    }

    #[test]
    fn service_is_normal_only_when_requests_succeed_again() {
        let mut history = told(|at| (1_020..2_300).contains(&at));
        for request in history.clients.iter_mut().filter(|one| (2_300 * MS..2_600 * MS).contains(&one.intended_ns)) {
            request.outcome = Outcome::Failed;
        }
        let found = one(&history, 1).recovery_ns.unwrap();
        assert!((599 * MS..=601 * MS).contains(&found), "{found}");
    }

    #[test]
    fn faults_that_follow_each_other_are_one_outage_and_others_are_not() {
        let fault = |on: &str, from, until, share| FaultWindow {
            endpoint: Endpoint::parse(on).unwrap(),
            from_ns: from,
            until_ns: until,
            share,
            act: "x".into(),
        };
        let found = spans(&[
            fault("a/1", 50, 60, 1.0),
            fault("a/0", 10, 20, 1.0),
            fault("a/0", 20, 30, 0.5),
            fault("a/0", 40, 45, 1.0),
        ]);
        let short: Vec<_> =
            found.iter().map(|span| (span.endpoint.to_string(), span.from_ns, span.until_ns, span.whole)).collect();
        let expected = [("a/0", 10, 30, false), ("a/0", 40, 45, true), ("a/1", 50, 60, true)];
        assert_eq!(short, expected.map(|(name, from, until, whole)| (name.to_owned(), from, until, whole)));
    }

    #[test]
    fn too_few_requests_show_no_silence() {
        let story = Story::new().fault("orders/1", 1_000, 2_000, "hang");
        let history = story.each(0..19, |story, at| story.at_ms(at * 10).answered("orders/1", 200, 0)).end();
        let outage = one(&history, 1);
        assert_eq!((outage.is_measurable, outage.trip_ns, outage.recovery_ns), (false, None, None));
        assert_eq!(silence(1_000, 1_000_000_000), Some(LEAST_SILENCE_NS), "13.8 ms would be too short");
        assert_eq!(silence(100, 1_000_000_000).map(|ns| ns / MS), Some(138));
    }

    #[test]
    fn an_outage_too_short_for_a_silence_is_not_judged() {
        let story = Story::new().fault("orders/0", 1_000, 1_030, "status = 503");
        let history = story.each(0..1_000, |story, at| story.at_ms(at).answered("orders/0", 200, 0)).end();
        let outage = one(&history, 1);
        assert!(!outage.is_measurable && !outage.shows_silences);
    }

    #[test]
    fn an_outage_that_nobody_met_was_not_survived_by_anybody() {
        // Left alone from before the fault on, and taken back long after it.
        let outage = one(&told(|at| (900..2_300).contains(&at)), 1);
        assert_eq!((outage.shows_silences, outage.is_measurable, outage.attempts), (true, false, 0));
        assert_eq!((outage.trip_ns, outage.leaked), (None, None));
        assert_eq!(outage.recovery_ns, Some(301 * MS), "how it came back can be seen");
    }
}
