//! Requests that failed at a reload or a drain.
//!
//! A request belongs to an event when it was under way while the event was going on, or within a second after it.
//! Where an endpoint is sick at that time nobody can tell whose fault a failure is, so such an event is not counted.

use crate::history::{ClientRequest, History, Outcome};
use crate::run::Happened;
use crate::scenario::model::EventAct;

/// What an event started may still go wrong so long after it.
const AFTER_NS: u64 = 1_000_000_000;

/// Failures at events; `None` where there was no such event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AtEvents {
    /// Requests that were not answered as wanted, refused connections among them.
    pub(super) at_reload: Option<u64>,
    /// The same of requests that the gateway had taken: while it is down nobody can connect.
    pub(super) at_drain: Option<u64>,
}

/// Counts each request once, however many events it belongs to.
pub(super) fn count(history: &History, happened: &[Happened]) -> AtEvents {
    let windows = |wanted: fn(EventAct) -> bool| -> Vec<(u64, u64)> {
        let of_kind = happened.iter().filter(|one| wanted(one.act));
        let windows = of_kind.map(|one| (one.from_ns, one.until_ns + AFTER_NS));
        let sick = |from, until| history.faults.iter().any(|fault| fault.from_ns < until && from < fault.until_ns);
        windows.filter(|(from, until)| !sick(*from, *until)).collect()
    };
    let failed = |windows: &[(u64, u64)], taken_only: bool| {
        let within = |request: &&ClientRequest| {
            let end_ns = request.end_ns.unwrap_or(u64::MAX);
            windows.iter().any(|(from, until)| request.intended_ns < *until && *from <= end_ns)
        };
        let failed = |request: &&ClientRequest| !matches!(request.outcome, Outcome::Ok | Outcome::ClientError);
        let counts = |request: &&ClientRequest| failed(request) && (!taken_only || request.was_sent());
        let number = history.clients.iter().filter(counts).filter(within).count() as u64;
        (!windows.is_empty()).then_some(number)
    };
    let reloads = windows(|act| matches!(act, EventAct::Reload(_)));
    let drains = windows(|act| matches!(act, EventAct::Sigterm(_) | EventAct::Restart(_)));
    AtEvents { at_reload: failed(&reloads, false), at_drain: failed(&drains, true) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    const MS: u64 = 1_000_000;

    fn at(act: EventAct, from_ms: u64, until_ms: u64) -> Happened {
        Happened { act, from_ns: from_ms * MS, until_ns: until_ms * MS }
    }

    /// A request each 100 ms that takes 10 ms; those that were planned at these times fail.
    fn story(failing: &[u64]) -> Story {
        Story::new().each(0..50, |story, number| {
            let ms = number * 100;
            story.at_ms(ms).answered("orders/0", if failing.contains(&ms) { 502 } else { 200 }, 10)
        })
    }

    #[test]
    fn what_fails_far_from_an_event_is_not_its_fault() {
        let reload = [at(EventAct::Reload(None), 1_000, 1_005)];
        assert_eq!(count(&story(&[900, 2_100]).end(), &reload).at_reload, Some(0));
        assert_eq!(count(&story(&[1_000, 1_900]).end(), &reload).at_reload, Some(2));
        assert_eq!(count(&story(&[1_000]).end(), &[]), AtEvents::default());
    }

    #[test]
    fn a_request_counts_once_and_one_under_way_counts() {
        let two = [at(EventAct::Reload(None), 1_005, 1_006), at(EventAct::Reload(Some(0)), 1_500, 1_501)];
        assert_eq!(count(&story(&[1_000, 1_600]).end(), &two).at_reload, Some(2), "it ended at 1,010");
    }

    #[test]
    fn a_drain_answers_for_what_was_taken_alone() {
        let mut history = story(&[3_000, 3_100]).end();
        history.clients[31].sent_ns = None;
        let restart = [at(EventAct::Restart(0), 3_000, 3_500)];
        assert_eq!(count(&history, &restart), AtEvents { at_reload: None, at_drain: Some(1) });
        let reload = [at(EventAct::Reload(None), 3_000, 3_500)];
        assert_eq!(count(&history, &reload).at_reload, Some(2), "a refused connection counts at a reload");
    }

    #[test]
    fn an_event_beside_a_fault_is_not_judged() {
        let sick = story(&[1_000]).fault("orders/0", 1_900, 2_500, "status = 503").end();
        assert_eq!(count(&sick, &[at(EventAct::Reload(None), 1_000, 1_001)]).at_reload, None);
    }
}
