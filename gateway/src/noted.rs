//! What the flight recorder gets of an exchange: notes on the way while it is of note, and all the rest at its end.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};

use crate::clock::Since;
use crate::context::AnyFields;
use crate::error::{Code, Fault, GatewayError};
use crate::exchange::Exchange;
use crate::http1::{Fields, RequestHead};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::{AttemptOutcome, AuthResult};
use crate::telemetry::record::{AccessRecord, Ended};
use crate::telemetry::recorder::{AttemptNote, Calls, Details, Failure, Lane, Notes, Wanted, fields};

/// A clock that was set so lately is told of where a token's times are not as they should be.
const LATELY_SET: Duration = Duration::from_secs(600);

impl<N: Network> Exchange<N> {
    /// The same random number whenever it is asked for: what the flight recorder samples by.
    #[inline]
    fn lot(&self) -> u64 {
        u64::from_be_bytes(self.trace.span_id)
    }

    /// What a request is of note for that ends, or would, with this status after so long. `cut`: it is no whole answer.
    #[inline]
    fn wanted(&self, (status, cut): (u16, bool), took: Duration) -> Wanted {
        // A tunnel is as long as its two ends like.
        let is_tunnel = status == StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let series = self.route().map_or(&self.snapshot.unrouted, |route| &route.series);
        let slow = !is_tunnel && series.is_slow(took);
        let failed = Wanted::FAILED.when(status >= 400 || cut || self.has_failed());
        let retried = Wanted::RETRIED.when(self.attempts > 1 || self.hedges_a_failure());
        failed
            .and(retried)
            .and(Wanted::SLOW.when(slow))
            .and(Wanted::SAMPLED.when(self.shard.shared.recorder.samples(self.lot())))
    }

    /// A hedge covers an attempt that failed: nothing else would name the endpoint. One that was merely slow is no
    /// news, of which there are as many as are hedged.
    #[inline]
    fn hedges_a_failure(&self) -> bool {
        self.hedges.load(Ordering::Relaxed) > 0 && self.is_failure_noted()
    }

    #[cold]
    fn is_failure_noted(&self) -> bool {
        let has_failed = |notes: &Notes| notes.attempts.iter().any(|attempt| attempt.outcome.is_failure());
        self.aside.notes.get().is_some_and(|notes| has_failed(&lock(notes)))
    }

    /// A problem was answered or covered, or its caller was told of one in words of gRPC; or its answer is without a
    /// part.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        let is_told = self.code.is_some() || self.grpc_status.is_some_and(|status| status != 0);
        is_told || self.missing_parts().is_some()
    }

    /// Notes what an upstream was sent, where the request is of note once an answer of this status has come, or none.
    #[inline]
    pub(crate) fn note_sent(&self, status: Option<StatusCode>, now: Since, head: &RequestHead) {
        let took = now.after(self.since);
        let wanted = self.wanted((status.map_or(0, |status| status.as_u16()), status.is_none()), took);
        if wanted != Wanted::default() {
            self.note_head(wanted, by_whom(status.is_some_and(|status| status.is_client_error())), head);
        }
    }

    #[cold]
    fn note_head(&self, wanted: Wanted, failure: Failure, head: &RequestHead) {
        let sent = || {
            let own = head.lines.split(|byte| *byte == b'\n').filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((&line[..colon], line[colon + 1..].trim_ascii()))
            });
            fields(head.headers.all().chain(own))
        };
        let lane = Lane::of(wanted, failure);
        match self.calls.as_ref().filter(|calls| calls.is_of_call()) {
            Some(calls) if self.has_room(lane) => calls.sent(sent()),
            Some(_) => {}
            None => self.note(lane, |notes| notes.sent = sent()),
        }
    }

    /// Notes an attempt that has come to its outcome: of a call, for whoever waits for it.
    #[cold]
    pub(crate) fn note_attempt(&self, attempt: AttemptNote) {
        if let Some(calls) = self.calls.as_ref().filter(|calls| calls.is_of_call()) {
            if self.shard.shared.recorder.is_on() {
                calls.attempt(attempt);
            }
            return;
        }
        let by_client = attempt.status.is_some_and(|status| (400..500).contains(&status));
        self.note(Lane::of(Wanted::FAILED, by_whom(by_client)), |notes| notes.attempt(attempt));
    }

    /// Notes why the request is answered with a problem; where it got no further, also what the client had sent.
    #[cold]
    pub(crate) fn note_problem(&self, headers: &RequestFields, error: &GatewayError) {
        let by_client = self.fault_of(error.code) == Fault::Client;
        self.note_failure(headers, self.failure(Some(error.code), by_client), || self.cause(error));
    }

    /// Why there is a problem, as operators may know it.
    #[cold]
    fn cause(&self, error: &GatewayError) -> String {
        let cause = match (&error.internal, self.upstream()) {
            (Some(internal), _) => format!("{} ({internal})", error.detail),
            // Clients are not told of whom this is said.
            (None, Some(upstream)) if matches!(error.code, Code::BreakerOpen | Code::NoEndpoint) => {
                let route = self.route().map(|route| &*route.settings.name);
                format!("{} ({})", error.detail, upstream.and_what_is_wrong(route))
            }
            (None, _) => error.detail.clone().into_owned(),
        };
        match self.clock_was_set() {
            Some(hint) => format!("{cause} ({hint})"),
            None => cause,
        }
    }

    /// That the machine's clock was set a while ago, where a token's times were not as they should be.
    fn clock_was_set(&self) -> Option<String> {
        self.refused.filter(|why| matches!(why, AuthResult::Expired | AuthResult::NotYet))?;
        let (ago, ms) = self.shard.shared.clock.last_step(self.now()).filter(|(ago, _)| *ago <= LATELY_SET)?;
        let (how, by) = (if ms < 0 { "back" } else { "forward" }, ms.unsigned_abs() / 1_000);
        Some(format!("the machine's clock was set {how} by {by} s, {} s ago", ago.as_secs()))
    }

    /// Why a call on behalf of a request came to nothing, unless too much is going on to write that down.
    #[cold]
    pub(crate) fn cause_of_call(&self, error: &GatewayError) -> Option<Box<str>> {
        self.has_room(Lane::Failed).then(|| self.cause(error).into())
    }

    /// The same where another service said that the request may not pass.
    #[cold]
    pub(crate) fn note_refusal(&self, headers: &RequestFields) {
        let asked = || self.route().and_then(|route| Some(route.authority.as_ref()?.upstream.name.to_string()));
        let cause = || format!("{} does not let it pass.", asked().unwrap_or_default());
        self.note_failure(headers, Failure::OfClient, cause);
    }

    /// Notes why an answer broke off behind its head.
    #[cold]
    pub(crate) fn note_cut(&self, why: &str) {
        let cause = || format!("The answer broke off behind its head. ({why})");
        self.note_failure(&RequestFields::new(), by_whom(false), cause);
    }

    /// Notes what the client had sent, where the gateway's own answer of this status is of note.
    #[inline]
    pub(crate) fn note_own(&self, status: StatusCode, headers: &RequestFields) {
        let took = self.now().saturating_duration_since(self.started);
        let wanted = self.wanted((status.as_u16(), false), took);
        if wanted != Wanted::default() {
            let lane = Lane::of(wanted, by_whom(status.is_client_error()));
            self.note(lane, |notes| notes.received = fields(headers.all()));
        }
    }

    /// What kind of failure the request is, if it is one, with this code.
    #[cold]
    fn failure(&self, code: Option<Code>, by_client: bool) -> Failure {
        // Codes that say no more than that nobody was asked.
        let turns_away = |code| {
            let of_upstreams = matches!(code, Code::BreakerOpen | Code::NoEndpoint);
            let by_others = matches!(code, Code::IdentityUnavailable | Code::AuthorityUnavailable);
            of_upstreams || by_others || matches!(code, Code::Overloaded | Code::LimitStoreDown)
        };
        let asked_somebody = self.attempts > 0
            || self.parts.as_ref().is_some_and(|parts| parts.attempts() > 0)
            || self.calls.as_ref().is_some_and(|calls| calls.has_attempts());
        let is_turned_away = !by_client && !asked_somebody && code.is_some_and(turns_away);
        if is_turned_away { Failure::TurnedAway } else { by_whom(by_client) }
    }

    fn note_failure(&self, headers: &RequestFields, failure: Failure, cause: impl FnOnce() -> String) {
        self.note(Lane::of(Wanted::FAILED, failure), |notes| {
            if !headers.is_empty() {
                notes.received = fields(headers.all());
            }
            notes.cause = Some(cause().into());
        });
    }

    /// Something was noted of it, or of a call whose answer it has, or will be as a part is missing.
    #[inline]
    fn is_noted(&self) -> bool {
        let was_of_note = |calls: &Calls| !calls.notes().sent.is_empty();
        self.aside.notes.get().is_some()
            || self.calls.as_ref().is_some_and(was_of_note)
            || self.missing_parts().is_some()
    }

    /// Notes what the client is answered, where the request is of note, and what of it its record tells.
    #[inline]
    pub(crate) fn note_answered(&mut self, head: &HeaderMap) {
        self.record_answered(head);
        if self.is_noted() {
            self.note_answer(head);
        }
    }

    /// The same of an upstream's answer.
    #[inline]
    pub(crate) fn note_relayed(&mut self, head: &Fields) {
        self.record_relayed(head);
        if self.is_noted() {
            self.note_answer(&head.to_map());
        }
    }

    #[cold]
    fn note_answer(&self, head: &HeaderMap) {
        self.note(Lane::Failed, |notes| notes.answered = fields(head.all()));
    }

    /// Notes something, unless too much is going on for the request to be written down.
    fn note(&self, lane: Lane, note: impl FnOnce(&mut Notes)) {
        if self.aside.notes.get().is_none() && !self.has_room(lane) {
            return;
        }
        let notes = self.aside.notes.get_or_init(Box::default);
        note(&mut lock(notes));
    }

    /// Whether there is room to write down why a request failed.
    pub(crate) fn has_room_for_failures(&self) -> bool {
        self.has_room(Lane::Failed)
    }

    fn has_room(&self, lane: Lane) -> bool {
        let shared = &self.shard.shared;
        shared.recorder.has_room(self.shard.index, lane, shared.clock.ticks_ms(self.started) / 1000)
    }

    /// Hands the request to the flight recorder, where it is of note. Its last act.
    #[inline]
    pub(crate) fn keep_if_of_note(&self, (status, ended): (u16, Ended), (now, total): (Instant, Duration)) {
        let wanted = self.wanted((status, ended != Ended::Complete), total);
        if wanted != Wanted::default() {
            self.keep(wanted, (status, ended), now);
        }
    }

    #[cold]
    fn keep(&self, wanted: Wanted, (status, ended): (u16, Ended), now: Instant) {
        let (shared, worker) = (&self.shard.shared, self.shard.index);
        let by_client = match self.fault(ended) {
            Some(fault) => fault == Fault::Client,
            None => {
                let says_so = self.has_grpc_failure() && !self.fell_silent(ended);
                status < 500 && !says_so && self.missing_parts().is_none()
            }
        };
        let second = shared.clock.ticks_ms(now) / 1000;
        // The time of day may be set back.
        let ended_us = i64::try_from(shared.clock.monotonic_ns(now) / 1_000).unwrap_or(i64::MAX);
        let who = (self.request_id.as_bytes(), ended_us);
        let lane = Lane::of(wanted, self.failure(self.code, by_client));
        shared.recorder.keep((worker, second), (lane, wanted), who, |out| {
            let total = now.saturating_duration_since(self.started);
            let record = self.record(status, ended, total, self.overhead(total));
            self.write_down(wanted, &record, now, out);
        });
    }

    fn write_down(&self, wanted: Wanted, record: &AccessRecord<'_>, now: Instant, out: &mut Vec<u8>) {
        let notes = self.aside.notes.get().map(|notes| lock(notes));
        let calls = self.calls.as_ref().map(Calls::notes);
        let limits = self.route().and_then(|route| Some(self.limits.as_ref()?.consulted(route.limits.as_deref()?)));
        let noted = |began: Instant| notes.as_ref().is_some_and(|it| it.attempts.iter().any(|one| one.began == began));
        let details = Details {
            wanted: &wanted.names(),
            config_version: self.snapshot.version,
            worker: self.shard.index,
            started: self.started,
            identity: match (&self.identity, self.refused) {
                (_, Some(_)) => "refused",
                (Some(_), None) => "proven",
                (None, None) => "none",
            },
            provider: self.identity.as_ref().map(|identity| &*identity.provider),
            scopes: self.identity.as_ref().map(|identity| &identity.scopes[..]).unwrap_or_default(),
            limits: limits.as_deref().unwrap_or_default(),
            attempt: self.only_attempt(now).filter(|attempt| !noted(attempt.began)),
            times: [
                ("upstream_began", self.upstream_began.map(|began| began.at)),
                ("upstream_head", self.upstream_head.map(|head| head.at)),
                ("answered", self.answered),
            ],
            missing_parts: self.missing_parts().map(|missing| &missing.parts[..]).unwrap_or_default(),
            notes: notes.as_deref(),
            calls: calls.as_deref(),
            shared_call: self.calls.as_ref().and_then(Calls::sharing),
        };
        details.write(record, out);
    }

    /// The first attempt: one that was good at once is noted nowhere else.
    fn only_attempt(&self, now: Instant) -> Option<AttemptNote> {
        // Of several, the first may be another one's than the last; of calls, all are noted.
        if self.attempts != 1 || self.calls.is_some() || self.hedges.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let (began, head) = (self.upstream_began?, self.upstream_head);
        let endpoint = self.endpoint.as_ref()?;
        Some(AttemptNote {
            part: None,
            upstream: self.upstream()?.name.clone(),
            endpoint: endpoint.address.clone(),
            backup: endpoint.is_backup(),
            breaker: self.breaker.unwrap_or_default(),
            began: began.at,
            ended: head.map_or(now, |head| head.at),
            outcome: if head.is_some() { AttemptOutcome::Ok } else { AttemptOutcome::Cancelled },
            status: head.and(self.status).map(|status| status.as_u16()),
            grpc_status: self.grpc_status.filter(|_| self.code.is_none()),
            replayed: false,
        })
    }

    /// Notes an attempt, unless it is one that can be told from the exchange itself: the first, with a good answer to
    /// what was sent once, of no call. Of who says whether a request may pass, a yes is not noted.
    #[inline]
    pub(crate) fn note_unless_plain(
        &self,
        (outcome, status): (AttemptOutcome, Option<u16>),
        replayed: bool,
        attempt: impl FnOnce() -> AttemptNote,
    ) {
        let is_no = self.consults && status.is_some_and(|status| status >= 300);
        let is_again = status.is_some_and(|status| status >= 400) && self.may_be_asked_again((outcome, status));
        let is_plain = outcome == AttemptOutcome::Ok && !is_no && !is_again && !replayed;
        if !is_plain || self.calls.is_some() || self.attempts > 1 || self.hedges.load(Ordering::Relaxed) > 0 {
            self.note_attempt(attempt());
        }
    }

    /// Whether the route asks once more that was answered so: some say no in words of HTTP.
    #[cold]
    fn may_be_asked_again(&self, (outcome, status): (AttemptOutcome, Option<u16>)) -> bool {
        self.route().is_some_and(|route| {
            let retry = &route.settings.retry;
            retry.attempts > 1 && retry.on.has(outcome, status)
        })
    }
}

fn by_whom(by_client: bool) -> Failure {
    if by_client { Failure::OfClient } else { Failure::OfService }
}

/// A panic while something is noted leaves at worst half a note.
fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}
