//! Histories written by hand, for the tests of what judges them.
//!
//! A story has a clock that its teller moves: `at_ms`. What is told happens then. Requests are called `r1`, `r2`, … in
//! the order in which they are told.

use super::{
    AccessRecord, Asked, Attempt, BreakerState, ClientRequest, Ended, Ending, Endpoint, Event, EventKind, FaultWindow,
    History, Hit, Name, Outcome, Phase, Seen,
};

const MS: u64 = 1_000_000;

/// A history that is being told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    history: History,
    now_ns: u64,
    told: usize,
    key: Option<Name>,
}

/// An endpoint by its name in scenarios.
pub(crate) fn endpoint(name: &str) -> Endpoint {
    Endpoint::parse(name).unwrap_or_else(|| panic!("`{name}` names no endpoint"))
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// It is so many milliseconds after the beginning now.
    pub(crate) fn at_ms(mut self, ms: u64) -> Self {
        self.now_ns = ms * MS;
        self
    }

    /// The same in nanoseconds.
    pub(crate) fn at_ns(mut self, ns: u64) -> Self {
        self.now_ns = ns;
        self
    }

    /// What clients send from now on is sent under this key.
    pub(crate) fn under_key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// A client asks, the endpoint answers with this status after so long, and all is recorded.
    pub(crate) fn answered(self, by: &str, status: u16, after_ms: u64) -> Self {
        let ending = Ending::Answered(status);
        self.asked().tried(by, ending, after_ms).told_client(status, after_ms)
    }

    /// A client asks, and the gateway answers at once by itself.
    pub(crate) fn refused(self, status: u16) -> Self {
        self.asked().told_client(status, 0)
    }

    /// A client asks; nothing else happens yet.
    pub(crate) fn asked(mut self) -> Self {
        self.told += 1;
        let phase = self.phase();
        let mut request = ClientRequest::planned("steady".into(), phase, self.now_ns);
        request.request_id = Some(self.id());
        request.key.clone_from(&self.key);
        request.sent_ns = Some(self.now_ns);
        request.outcome = Outcome::Failed;
        self.history.clients.push(request);
        self
    }

    /// An attempt of the last request, which begins now and ends so much later.
    pub(crate) fn tried(mut self, at: &str, ending: Ending, takes_ms: u64) -> Self {
        let end_ns = self.now_ns + takes_ms * MS;
        let answered = matches!(ending, Ending::Answered(_) | Ending::Invalid);
        self.history.attempts.push(Attempt {
            endpoint: endpoint(at),
            connection: 1,
            request_id: (self.told > 0).then(|| self.id()),
            arrival_ns: self.now_ns,
            answer_ns: answered.then_some(end_ns),
            end_ns: Some(end_ns),
            ending,
            hit: if ending == Ending::Answered(200) { Hit::None } else { Hit::Rule(0) },
            health_check: false,
        });
        self
    }

    /// The last request is answered and recorded, so much later than now.
    pub(crate) fn told_client(mut self, status: u16, after_ms: u64) -> Self {
        let (id, at_ns) = (self.id(), self.now_ns + after_ms * MS);
        let asked = self.history.attempts.iter().filter(|attempt| attempt.request_id.as_ref() == Some(&id)).count();
        let request = self.history.clients.last_mut().expect("a client has asked");
        (request.head_ns, request.end_ns) = (Some(at_ns), Some(at_ns));
        (request.status, request.answers) = (Some(status), request.answers + 1);
        request.outcome = match status {
            200..400 => Outcome::Ok,
            429 => Outcome::Rejected,
            503 if asked == 0 => Outcome::Rejected,
            400..500 => Outcome::ClientError,
            _ => Outcome::Failed,
        };
        self.recorded(status, u32::try_from(asked).unwrap_or(u32::MAX), at_ns)
    }

    /// The last record names this problem.
    pub(crate) fn coded(mut self, code: &str) -> Self {
        self.history.records.last_mut().expect("a record").code = code.into();
        self
    }

    /// The last request was answered as its load expects, whatever that was.
    pub(crate) fn expected(mut self) -> Self {
        self.history.clients.last_mut().expect("a client has asked").outcome = Outcome::Ok;
        self
    }

    /// The answer to the last request said how long to wait.
    pub(crate) fn retry_after_ms(mut self, ms: u64) -> Self {
        self.history.clients.last_mut().expect("a client has asked").retry_after_ns = Some(ms * MS);
        self
    }

    fn recorded(mut self, status: u16, attempts: u32, ended_ns: u64) -> Self {
        let request_id = self.id();
        self.history.records.push(AccessRecord {
            ended_ns,
            gateway: 0,
            request_id,
            route: Some("all".into()),
            status,
            code: if status < 400 { "ok".into() } else { "problem".into() },
            upstream: Some("orders".into()),
            endpoint: None,
            attempts,
            limit: None,
            ended: Ended::Complete,
        });
        self
    }

    /// The gateway tells how it saw an attempt of the last request end, which began so long before now.
    pub(crate) fn seen(self, at: &str, seen: Seen, after_ms: u64) -> Self {
        let (start_ns, request_id) = (self.now_ns - after_ms * MS, (self.told > 0).then(|| self.id()));
        self.event(EventKind::Attempt { request_id, endpoint: endpoint(at), start_ns, seen, key: None })
    }

    /// The gateway tells of an attempt at an endpoint that it picked by a key.
    pub(crate) fn picked(self, request: &str, key: &str, at: &str) -> Self {
        let (start_ns, seen) = (self.now_ns, Seen::Status(200));
        let (request_id, key) = (Some(Name::from(request)), Some(Name::from(key)));
        self.event(EventKind::Attempt { request_id, endpoint: endpoint(at), start_ns, seen, key })
    }

    /// A breaker of an endpoint changes its state.
    pub(crate) fn breaker(self, of: &str, from: BreakerState, to: BreakerState) -> Self {
        let endpoint = endpoint(of);
        let upstream = endpoint.upstream.clone();
        self.event(EventKind::Breaker { upstream, endpoint: Some(endpoint), from, to, cause: "told".into() })
    }

    /// The cap on ejection keeps an endpoint in, or does so no longer.
    pub(crate) fn capped(self, of: &str, capped: bool) -> Self {
        let (endpoint, reason) = (endpoint(of), "breaker".into());
        self.event(EventKind::Ejection { endpoint, out: false, capped, reason })
    }

    /// The last request is held against rules, as `(rule, key, cost)`.
    pub(crate) fn limited(self, asked: &[(&str, &str, u64)], refused_by: Option<&str>) -> Self {
        let one =
            |(rule, key, cost): &(&str, &str, u64)| Asked { rule: (*rule).into(), key: (*key).into(), cost: *cost };
        let asked = asked.iter().map(one).collect();
        let request_id = (self.told > 0).then(|| self.id());
        self.event(EventKind::Limit { request_id, asked, refused_by: refused_by.map(Name::from) })
    }

    /// The gateway tells something.
    pub(crate) fn event(mut self, kind: EventKind) -> Self {
        self.history.events.push(Event { at_ns: self.now_ns, gateway: 0, kind });
        self
    }

    /// An endpoint is sick for a while, whenever the story is told.
    pub(crate) fn fault(mut self, on: &str, from_ms: u64, until_ms: u64, act: &str) -> Self {
        let (from_ns, until_ns) = (from_ms * MS, until_ms * MS);
        self.history.faults.push(FaultWindow {
            endpoint: endpoint(on),
            from_ns,
            until_ns,
            share: 1.0,
            act: act.into(),
        });
        self
    }

    /// A phase. Requests that are told later are in it when they fall in it.
    pub(crate) fn phase_between(mut self, name: &str, from_ms: u64, until_ms: u64) -> Self {
        self.history.phases.push(Phase { name: name.into(), from_ns: from_ms * MS, until_ns: until_ms * MS });
        self
    }

    /// The same part of a story, once for each number.
    pub(crate) fn each<T>(self, over: impl IntoIterator<Item = T>, tell: impl FnMut(Self, T) -> Self) -> Self {
        over.into_iter().fold(self, tell)
    }

    /// The history, in order.
    pub(crate) fn end(mut self) -> History {
        self.history.sort();
        self.history
    }

    fn id(&self) -> Name {
        format!("r{}", self.told).into()
    }

    fn phase(&self) -> Name {
        let now = |phase: &&Phase| (phase.from_ns..phase.until_ns).contains(&self.now_ns);
        self.history.phases.iter().find(now).map_or_else(|| "before".into(), |phase| phase.name.clone())
    }
}

#[test]
fn a_story_is_a_history() {
    let history = Story::new()
        .phase_between("before", 0, 10)
        .phase_between("fault_1", 10, 20)
        .fault("orders/1", 10, 20, "status = 503")
        .at_ms(12)
        .answered("orders/1", 503, 3)
        .at_ms(5)
        .refused(429)
        .end();
    let [early, late] = &history.clients[..] else { panic!("{history:?}") };
    assert_eq!((early.outcome, late.outcome), (Outcome::Rejected, Outcome::Failed));
    assert_eq!((&*early.phase, &*late.phase), ("before", "fault_1"));
    assert_eq!(history.attempts[0].request_id, late.request_id);
    assert_eq!(history.attempts[0].known_ns(), 15 * MS);
    assert_eq!(history.records.iter().map(|record| record.attempts).collect::<Vec<_>>(), [0, 1]);
    assert!(history.faults[0].contains(12 * MS) && !history.faults[0].contains(20 * MS));
}
