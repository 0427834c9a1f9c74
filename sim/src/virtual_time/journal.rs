//! What happens in a simulated world, written down as it happens, on its one clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::trace::Trace;
use crate::history::limit::Decided;
use crate::history::{Attempt, ClientRequest, Ending, Event, EventKind, History};

/// Time before the loads begin, in which everybody opens their ports. t = 0 of histories.
pub(crate) const HEAD_START: Duration = Duration::from_millis(20);

/// Something that must never happen, seen by a client or a mock in the moment in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What kind; stable, for telling one failure from another.
    pub kind: &'static str,
    /// When, nanoseconds from t = 0.
    pub at_ns: u64,
    /// What was seen.
    pub detail: String,
}

/// The most anomalies that are kept; one is enough to fail.
const ANOMALIES_MAX: usize = 50;

/// The journal of one world. Cheap to clone; all clones write into one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Rc<RefCell<Pages>>);

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub history: History,
    /// What rate limits decided, in the order in which it was told.
    pub decided: Vec<Decided>,
    pub anomalies: Vec<Anomaly>,
    /// The kinds of them that are written down; all when `None`.
    pub kinds: Option<&'static [&'static str]>,
    pub trace: Trace,
    /// Lines of the access log that could not be read.
    pub unreadable_records: u64,
    /// The access log as it was written, where it is to be kept.
    pub log: Option<Vec<u8>>,
    /// The gateway's page of metrics, when nobody asked any more.
    pub metrics: String,
}

/// Now, nanoseconds from t = 0, on whichever simulated host this is asked. Virtual: it moves with the simulation.
pub(crate) fn now_ns() -> u64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    u64::try_from(elapsed.saturating_sub(HEAD_START).as_nanos()).unwrap_or(u64::MAX)
}

impl Journal {
    /// A client is done with a request, in whatever way.
    pub(crate) fn client(&self, request: ClientRequest) {
        let mut pages = self.0.borrow_mut();
        let none = u64::MAX;
        pages.trace.note(&[
            1,
            request.intended_ns,
            request.sent_ns.unwrap_or(none),
            request.head_ns.unwrap_or(none),
            request.end_ns.unwrap_or(none),
            request.status.map_or(none, u64::from),
            request.outcome as u64,
        ]);
        pages.history.clients.push(request);
    }

    /// A request reached a mock; its number is for [`Journal::attempt_ends`].
    pub(crate) fn attempt(&self, attempt: Attempt) -> usize {
        let mut pages = self.0.borrow_mut();
        pages.trace.note(&[2, attempt.arrival_ns, attempt.connection, attempt.endpoint.index as u64]);
        if let Some(id) = &attempt.request_id {
            pages.trace.note_bytes(id.as_bytes());
        }
        pages.history.attempts.push(attempt);
        pages.history.attempts.len() - 1
    }

    /// What became of it.
    pub(crate) fn attempt_ends(&self, number: usize, answer_ns: Option<u64>, ending: Ending) {
        let mut pages = self.0.borrow_mut();
        let end_ns = now_ns();
        pages.trace.note(&[3, number as u64, end_ns, answer_ns.unwrap_or(u64::MAX)]);
        if let Some(attempt) = pages.history.attempts.get_mut(number) {
            (attempt.answer_ns, attempt.end_ns, attempt.ending) = (answer_ns, Some(end_ns), ending);
        }
    }

    /// The gateway did something.
    pub(crate) fn event(&self, kind: EventKind) {
        let mut pages = self.0.borrow_mut();
        let at_ns = now_ns();
        pages.trace.note(&[4, at_ns]);
        pages.history.events.push(Event { at_ns, gateway: 0, kind });
    }

    /// Something that must never happen has happened.
    pub(crate) fn anomaly(&self, kind: &'static str, detail: impl Into<String>) {
        let mut pages = self.0.borrow_mut();
        if pages.kinds.is_some_and(|kinds| !kinds.contains(&kind)) {
            return;
        }
        let at_ns = now_ns();
        pages.trace.note(&[5, at_ns]);
        if pages.anomalies.len() < ANOMALIES_MAX {
            pages.anomalies.push(Anomaly { kind, at_ns, detail: detail.into() });
        }
    }

    /// Looks at, or adds to, the pages.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut Pages) -> T) -> T {
        read(&mut self.0.borrow_mut())
    }
}
