//! What has to hold in every world, whatever was drawn (design.md, section 2).
//!
//! - one answer and one record for each request, and nothing left in flight: `answers`, `still_held`;
//! - nothing is changed on its way, no identity of a client arrives, nothing ambiguous is sent: the anomalies that
//!   mocks and clients saw;
//! - a request that no fault could touch succeeds, reload or not: `innocent_failed`;
//! - an answer's head comes within the route's timeout: `too_late`;
//! - a success was an upstream's, or the fixed answer of a route that has one, or it is the gateway's own by its record
//!   (a refusal that the load expects): `invented`; what is not safe to send twice is not: `sent_again`;
//! - a client is told of an answer that an upstream cut, unless a fault cut it: `cut_before_head`;
//! - nothing passes an open breaker but its probes, and no more of those at once than allowed: `leaked`;
//! - breakers trip at the outcome at which their policy says so: `trip`; and what the gateway tells of breakers and
//!   ejection follows from its attempts, from time and from the rules: `unfounded`;
//! - nobody is refused while an endpoint is there that no fault ever touched: `blackout`;
//! - so long after the last fault as the configuration allows, every request succeeds, and every endpoint is back:
//!   `not_recovered`, `not_back` (`recovery`);
//! - attempts, hedges among them, stay within the retry budget: `amplified`;
//! - shares follow weights where nothing disturbed them: `balance`.

use std::collections::{HashMap, HashSet};

use super::facts::{Facts, Load, Policy, Service};
use crate::history::{Attempt, ClientRequest, Ending, EventKind, FaultWindow, History, Name, Outcome};
use crate::oracle;
use crate::virtual_time::Observed;
pub(super) use crate::virtual_time::TOLERANCE;

mod recovery;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// What; stable, so that a smaller world can be seen to fail in the same way.
    pub kind: String,
    /// How it showed.
    pub detail: String,
}

/// After a fault its effects may last: requests that it holds up, and connections that it broke.
const AFTERMATH_NS: u64 = 2_000_000_000;
/// What a gateway answers while breakers are open: for longer than a drawn world lasts, if a fault came before.
const BREAKERS: [&str; 2] = ["breaker_open", "no_endpoint"];
/// The code of a record of what is no problem of the gateway's.
const NO_PROBLEM: &str = "ok";
/// Probes of an opening, by default.
const PROBES: f64 = 3.0;
/// A clock that moves by milliseconds, on a way of some hosts.
const GRAIN_NS: u64 = 20_000_000;
const MS: u64 = 1_000_000;

/// Everything that does not hold.
pub(super) fn violations(facts: &Facts, seen: &Observed) -> Vec<Violation> {
    let mut found: Vec<Violation> = Vec::new();
    let mut add = |kind: &str, detail: String| found.push(Violation { kind: kind.to_owned(), detail });
    for anomaly in &seen.anomalies {
        add(anomaly.kind, format!("at {} ms: {}", anomaly.at_ns / MS, anomaly.detail));
    }
    let answers = oracle::answers::judge(&seen.history);
    // Of a request that nobody answered, only its client's id is known, where that is the gateway's too.
    let strange = if facts.may_examine { 0 } else { answers.unknown_records };
    if answers.violations() > strange {
        add("answers", format!("{answers:?}"));
    }
    let refused = |kind: &EventKind| matches!(kind, EventKind::Reload { ok: false, .. });
    for event in seen.history.events.iter().filter(|event| refused(&event.kind)) {
        add("reload", format!("at {} ms", event.at_ns / MS));
    }
    for (endpoint, breaker) in oracle::breaker::judge(&seen.history, &facts.policies, TOLERANCE) {
        if breaker.leaked_attempts > 0 {
            add("leaked", format!("{endpoint}: {breaker:?}"));
        }
        if breaker.trip_error > 0 && !was_cut(&seen.history, &endpoint) {
            add("trip", format!("{endpoint}: {breaker:?}"));
        }
    }
    for detail in oracle::breaker::unfounded(&seen.history, &facts.policies, TOLERANCE) {
        add("unfounded", detail);
    }
    let world = World::of(facts, &seen.history);
    for request in &seen.history.clients {
        world.judge(request, &mut add);
    }
    for service in &facts.services {
        world.balance(service, &mut add);
    }
    world.amplification(&mut add);
    recovery::judge(&world, &mut add);
    found
}

/// Whether some answer of an endpoint broke off behind its head: the breaker takes back that it went well, at a time
/// that nobody tells.
fn was_cut(history: &History, endpoint: &str) -> bool {
    let cut = |attempt: &Attempt| attempt.answer_ns.is_some() && !matches!(attempt.ending, Ending::Answered(_));
    history.attempts.iter().any(|attempt| cut(attempt) && attempt.endpoint.to_string() == endpoint)
}

pub(super) struct World<'a> {
    facts: &'a Facts,
    history: &'a History,
    attempts: HashMap<&'a Name, Vec<&'a Attempt>>,
    /// Requests that were refused because breakers were open.
    refused: HashSet<&'a Name>,
    /// Requests that the gateway answered by itself, as their records say, with that status.
    own_answers: HashSet<(&'a Name, u16)>,
}

impl<'a> World<'a> {
    fn of(facts: &'a Facts, history: &'a History) -> Self {
        let mut attempts: HashMap<&Name, Vec<&Attempt>> = HashMap::new();
        for attempt in &history.attempts {
            if let Some(id) = &attempt.request_id {
                attempts.entry(id).or_default().push(attempt);
            }
        }
        let by_breakers = history.records.iter().filter(|record| BREAKERS.contains(&&*record.code));
        let refused = by_breakers.map(|record| &record.request_id).collect();
        let problems = history.records.iter().filter(|record| &*record.code != NO_PROBLEM);
        let own_answers = problems.map(|record| (&record.request_id, record.status)).collect();
        Self { facts, history, attempts, refused, own_answers }
    }

    fn judge(&self, request: &ClientRequest, add: &mut impl FnMut(&str, String)) {
        let Some(load) = self.facts.loads.iter().find(|load| load.name == *request.load) else { return };
        let attempts = request.request_id.as_ref().and_then(|id| self.attempts.get(id)).map_or(&[][..], Vec::as_slice);
        let told = || format!("{request:?}, attempts {attempts:?}");
        if load.patient && request.outcome != Outcome::Ok && !self.is_touched(request, load) {
            add("innocent_failed", told());
        }
        let longest = self.facts.asked_by(load).filter_map(|service| service.timeout_ns).max();
        if let (Some(sent), Some(head), Some(longest)) = (request.sent_ns, request.head_ns, longest)
            && head - sent > longest + GRAIN_NS
        {
            add("too_late", told());
        }
        let answered = |attempt: &&Attempt| matches!(attempt.ending, Ending::Answered(_));
        // Of what a mock broke, a part may still be a whole answer: one without a body, or to a HEAD.
        let own = self.facts.asked_by(load).any(|service| service.has_fixed_answer) || self.is_own_answer(request);
        if !own && request.outcome == Outcome::Ok && attempts.iter().all(|attempt| attempt.ending == Ending::Abandoned)
        {
            add("invented", told());
        }
        if self.is_refused(request) && self.has_untouched_endpoint(load) {
            add("blackout", told());
        }
        if load.unsafe_only && attempts.len() > 1 {
            add("sent_again", told());
        }
        let is_silent = request.was_sent() && request.head_ns.is_none() && request.request_id.is_some();
        if load.patient && is_silent && attempts.iter().all(answered) {
            add("cut_before_head", told());
        }
    }

    /// Whether a fault of a service that it asks could have to do with how the request ended.
    fn is_touched(&self, request: &ClientRequest, load: &Load) -> bool {
        let end_ns = request.end_ns.unwrap_or(u64::MAX);
        let by_breaker = self.is_refused(request);
        self.history.faults.iter().any(|fault| {
            self.facts.asked_by(load).any(|service| *fault.endpoint.upstream == service.name)
                && fault.from_ns <= end_ns
                && (by_breaker || request.intended_ns <= fault.until_ns.saturating_add(AFTERMATH_NS))
        })
    }

    /// Whether what the client got claims to be the gateway's, and not an upstream's.
    fn is_own_answer(&self, request: &ClientRequest) -> bool {
        let answer = request.request_id.as_ref().zip(request.status);
        answer.is_some_and(|answer| self.own_answers.contains(&answer))
    }

    /// Whether breakers kept it from its upstream, whatever was answered in its place.
    fn is_refused(&self, request: &ClientRequest) -> bool {
        request.request_id.as_ref().is_some_and(|id| self.refused.contains(id))
    }

    /// Whether some endpoint of the only service that it asks was never under a fault.
    fn has_untouched_endpoint(&self, load: &Load) -> bool {
        let [service] = load.services.as_slice() else { return false };
        let Some(service) = self.facts.services.get(*service) else { return false };
        let at = |fault: &&FaultWindow| *fault.endpoint.upstream == service.name;
        let touched: HashSet<usize> = self.history.faults.iter().filter(at).map(|fault| fault.endpoint.index).collect();
        touched.len() < service.weights.len()
    }

    /// The budgets' bound: a fifth of the requests, and ten a second for each upstream. What a probe failed is made
    /// good beside it, and what another upstream is asked for is a request of its own there.
    fn amplification(&self, add: &mut impl FnMut(&str, String)) {
        let count =
            |is: fn(&EventKind) -> bool| self.history.events.iter().filter(|event| is(&event.kind)).count() as f64;
        let attempts = count(|kind| matches!(kind, EventKind::Attempt { .. }));
        let openings = count(|kind| matches!(kind, EventKind::Breaker { .. }));
        let sent = self.history.clients.iter().filter(|request| request.was_sent()).count() as f64;
        let last_ns = self.history.events.iter().map(|event| event.at_ns).max().unwrap_or(0);
        let seconds = last_ns as f64 / 1e9 + 1.0;
        let turns = if self.facts.services.iter().any(|service| service.stands_in) { 2.0 } else { 1.0 };
        let bound = 1.2 * turns * sent + 10.0 * seconds * self.facts.services.len() as f64 + PROBES * openings;
        if attempts > bound {
            add("amplified", format!("{attempts} attempts for {sent} requests in {seconds:.1} s; {bound:.0} at most"));
        }
    }

    fn balance(&self, service: &Service, add: &mut impl FnMut(&str, String)) {
        let disturbed = self.history.faults.iter().any(|fault| *fault.endpoint.upstream == service.name)
            || self.facts.who_asks(service).any(|load| !load.patient || load.services.len() > 1);
        let at = |attempt: &&Attempt| *attempt.endpoint.upstream == service.name;
        let mut counts = vec![0_u64; service.weights.len()];
        for attempt in self.history.attempts.iter().filter(at) {
            if let Some(count) = counts.get_mut(attempt.endpoint.index) {
                *count += 1;
            }
        }
        if disturbed || service.gets_more || service.policy == Policy::Keyed {
            return;
        }
        let (all, weights) = (counts.iter().sum::<u64>() as f64, service.weights.iter().sum::<u64>() as f64);
        for (index, (weight, count)) in service.weights.iter().zip(&counts).enumerate() {
            let share = *weight as f64 / weights;
            let chance = (all * share * (1.0 - share)).sqrt();
            let allowed = match service.policy {
                // Smooth and exact; each connection that was closed under a request costs a ticket.
                Policy::Exact => service.weights.len() as f64 + 1.0 + self.tickets_lost(service),
                // Six standard deviations: less than one world in a hundred million is wronged.
                Policy::Chance => 6.0 * chance + 2.0,
                // Chance, and the four points by which shares may differ from weights.
                _ => 6.0 * chance + 0.04 * all + 2.0,
            };
            let apart = (*count as f64 - share * all).abs();
            if apart > allowed {
                let detail = format!("{}/{index}: {count} of {all} attempts, {apart:.1} from its share", service.name);
                add("balance", format!("{detail}; {allowed:.1} at most ({:?})", service.policy));
            }
        }
    }

    /// Requests that were picked for and never reached their endpoint, or reached one twice.
    fn tickets_lost(&self, service: &Service) -> f64 {
        let asks = |name: &Name| self.facts.who_asks(service).any(|load| load.name == **name);
        let requests = self.history.clients.iter().filter(|request| asks(&request.load)).count();
        let attempts = self.history.attempts.iter().filter(|attempt| *attempt.endpoint.upstream == service.name);
        requests.abs_diff(attempts.count()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Seen;
    use crate::history::story::Story;
    use crate::virtual_time::Kept;
    use std::time::Duration;

    fn facts(policy: Policy) -> Facts {
        let service = Service {
            name: "orders".into(),
            policy,
            weights: vec![1, 1],
            timeout_ns: Some(1_000 * MS),
            has_fixed_answer: false,
            gets_more: false,
            stands_in: false,
            recovers_ns: 1_000 * MS,
            probes: 3,
        };
        let load = Load { name: "steady".into(), services: vec![0], patient: true, unsafe_only: true };
        Facts { services: vec![service], loads: vec![load], may_examine: true, ..Facts::default() }
    }

    pub(super) fn kinds(story: Story) -> Vec<String> {
        kinds_of(story, Policy::Exact)
    }

    fn kinds_of(story: Story, policy: Policy) -> Vec<String> {
        let seen = Observed {
            history: story.end(),
            trace: 0,
            anomalies: Vec::new(),
            elapsed: Duration::ZERO,
            interrupted: false,
            kept: Kept::default(),
        };
        violations(&facts(policy), &seen).into_iter().map(|violation| violation.kind).collect()
    }

    pub(super) fn fair() -> Story {
        Story::new().each(0..40, |story, at| story.at_ms(at * 10).answered(&format!("orders/{}", at % 2), 200, 1))
    }

    #[test]
    fn a_fair_world_holds() {
        assert!(kinds(fair()).is_empty());
    }

    #[test]
    fn only_a_fault_may_fail_a_request() {
        let failing = fair().answered("orders/0", 503, 1);
        assert_eq!(kinds(failing.clone()), ["innocent_failed"]);
        assert!(kinds(failing.clone().fault("orders/1", 100, 200, "hang")).is_empty());
        assert_eq!(kinds(failing.clone().fault("users/1", 100, 200, "hang")), ["innocent_failed"]);
        let long_ago = failing.at_ms(9_000).answered("orders/0", 503, 1).fault("orders/1", 100, 200, "hang");
        assert_eq!(kinds(long_ago), ["innocent_failed", "not_recovered"]);
    }

    #[test]
    fn a_head_comes_in_time() {
        assert_eq!(kinds(fair().answered("orders/0", 200, 1_030)), ["too_late"]);
        assert!(kinds(fair().answered("orders/0", 200, 1_015)).is_empty());
    }

    #[test]
    fn nobody_makes_a_success_up_or_sends_twice_what_is_not_safe() {
        assert_eq!(kinds(fair().asked().told_client(200, 1)), ["invented"]);
        let limited = || fair().refused(429).coded("rate_limited").expected();
        assert!(kinds(limited()).is_empty(), "a refusal that was expected claims to be nobody else's");
        assert_eq!(kinds(limited().coded("ok")), ["invented"], "one that claims to be an upstream's");
        let twice = fair().asked().tried("orders/0", Ending::Broken, 0).tried("orders/1", Ending::Answered(200), 1);
        assert_eq!(kinds(twice.told_client(200, 1)), ["sent_again"]);
    }

    #[test]
    fn nobody_is_refused_beside_an_endpoint_that_is_well() {
        let refused = || fair().refused(503).coded("breaker_open");
        let blackout = |story| kinds(story).contains(&"blackout".to_owned());
        assert!(blackout(refused()));
        assert!(blackout(refused().fault("orders/0", 100, 200, "hang")));
        assert!(!blackout(refused().fault("orders/0", 100, 200, "hang").fault("orders/1", 100, 200, "hang")));
        assert!(!blackout(fair().refused(503).coded("overloaded")));
    }

    #[test]
    fn attempts_are_bounded() {
        let often = |count| {
            fair().each(0..count, |story, _| {
                story.asked().seen("orders/0", Seen::Status(200), 1).seen("orders/1", Seen::Status(200), 1)
            })
        };
        let amplified = |story| kinds(story).contains(&"amplified".to_owned());
        assert!(!amplified(often(20)) && amplified(often(200)));
    }

    #[test]
    fn shares_follow_weights() {
        let lopsided = || fair().each(0..8, |story, _| story.answered("orders/0", 200, 1));
        assert_eq!(kinds(lopsided()), ["balance", "balance"]);
        assert!(kinds_of(lopsided(), Policy::Chance).is_empty(), "as chance would have it");
        assert!(kinds_of(lopsided(), Policy::Keyed).is_empty());
        let all = fair().each(0..400, |story, _| story.answered("orders/0", 200, 1));
        assert_eq!(kinds_of(all, Policy::Busy), ["balance", "balance"]);
    }
}
