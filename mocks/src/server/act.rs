//! Answers that take time, and the faults that change them.
//!
//! Whatever waits also watches the client: when it leaves, the wait ends and the journal says so.

use std::io;
use std::time::Duration;

use super::connection::{Connection, End, Flow, Job, persistence};
use super::content::Content;
use super::reply::Reply;
use super::routes::Route;
use super::site::{Outcome, Plan, Site, later};
use super::{garbage, websocket};
use crate::calls::{Context, Outcomes};
use crate::clock::now_ns;
use crate::faults::{Act, Effect, Reset};
use crate::http1::answer::{AnswerHead, Ending, has_body};
use crate::http1::head::{self, Head, Parsed};
use crate::http1::json::NOTHING;
use crate::journal::Ended;

/// A slow body is sent in this many slices a second, if its rate is at least that.
const SLICES: u64 = 50;

/// How a body is sent.
struct Sending {
    ending: Ending,
    /// Bytes a second.
    rate: Option<u64>,
    /// The framed bytes that are sent at most.
    budget: Option<u64>,
}

/// A slow body's clock.
pub(crate) struct Drip {
    /// Bytes for each slice.
    pub slice: usize,
    gap: Duration,
    next_ns: u64,
}

impl Drip {
    pub(crate) fn new(rate: u64) -> Self {
        let slice = (rate / SLICES).max(1);
        let gap = Duration::from_secs_f64(slice as f64 / rate as f64);
        Self { slice: usize::try_from(slice).unwrap_or(usize::MAX), gap, next_ns: 0 }
    }

    /// When the next slice is due, the first at once. A client that reads late is not sent the rest at once.
    pub(crate) fn due(&mut self) -> u64 {
        let due = self.next_ns.max(now_ns());
        self.next_ns = later(due, self.gap);
        due
    }
}

impl Connection {
    /// Does what was decided, journals it, and says what then becomes of the connection. The last bytes are left in
    /// the output buffer, so that who reads them finds the request journaled.
    pub(crate) async fn act(&mut self, mut job: Job) -> io::Result<Flow> {
        let endpoint = self.site.endpoint.clone();
        let busy = endpoint.live.busy();
        let mut outcome = Outcome::default();
        let flow = self.play(&mut job, &mut outcome).await;
        if flow.is_err() {
            outcome.ended = Ended::Left;
        }
        outcome.end_ns = Site::answer_ns(job.decision.arrival_ns);
        drop(busy);
        // The head was parsed before and is still in the buffer, so there is one.
        let _ = self.with_head(|head| self.site.journal(head, &job.facts, &job.decision, &outcome));
        if flow.is_ok() {
            self.input.used(job.facts.head_len);
            self.answered += 1;
        }
        flow
    }

    async fn play(&mut self, job: &mut Job, outcome: &mut Outcome) -> io::Result<Flow> {
        self.flush().await?;
        let plan = job.decision.plan.take();
        let plan = plan.map_or_else(|| Plan::plain(&self.site.world), |plan| *plan);
        let Plan { act, mut draws, until_ns, calls } = plan;
        self.pause(until_ns).await?;
        let (ended, flow) = match act.effect {
            _ if act.close == Some(0) => (Ended::Closed, Flow::End(End::Close)),
            Effect::Hang => {
                let world = self.site.world.clone();
                let _hanging = world.hanging();
                self.drain(job.facts.head_len).await;
                (Ended::Left, Flow::End(End::Left))
            }
            Effect::Refuse | Effect::Reset(Reset::BeforeHeaders) => (Ended::Reset, Flow::End(End::Reset)),
            Effect::Garbage(kind) => {
                outcome.answer_ns = Site::answer_ns(job.decision.arrival_ns);
                garbage::write(kind, &mut draws, &mut self.out);
                (Ended::Garbage, Flow::End(End::Close))
            }
            _ if job.decision.route == Route::WebSocket && act.status.is_none() => {
                (Ended::Answered, self.upgrade(job, outcome))
            }
            _ => {
                let outcomes = match calls {
                    None => Outcomes::default(),
                    Some(calls) => {
                        let context = self.with_head(|head| Context::of(head, job.decision.arrival_ns, &calls))?;
                        let work = self.site.call(calls, context);
                        self.meanwhile(work).await?
                    }
                };
                self.deliver(job, &act, &outcomes, outcome).await?
            }
        };
        outcome.ended = ended;
        Ok(flow)
    }

    /// Sends an answer with a right head, as the act changes it.
    async fn deliver(
        &mut self,
        job: &Job,
        act: &Act,
        calls: &Outcomes,
        outcome: &mut Outcome,
    ) -> io::Result<(Ended, Flow)> {
        let facts = job.facts;
        let received = job.received.as_ref().unwrap_or(&NOTHING);
        let endpoint = self.site.endpoint.clone();
        let mut reply = self.with_head(|head| Reply::of(job.decision.route, act, &endpoint, head, received, calls))?;
        let ending = if has_body(reply.status) { reply.content.ending(facts.minor) } else { Ending::Bare };
        let keep = facts.keep_alive && ending != Ending::Close;
        outcome.status = reply.status;
        outcome.answer_ns = Site::answer_ns(job.decision.arrival_ns);
        AnswerHead {
            status: reply.status,
            content_type: reply.content.content_type(),
            ending,
            persistence: persistence(&facts, keep),
            identity: &endpoint.identity,
            residence_ns: outcome.answer_ns - job.decision.arrival_ns,
            extra: &reply.http1_lines(),
        }
        .write(&mut self.out);
        if act.effect == Effect::Reset(Reset::InHeaders) {
            self.out.truncate(self.out.len() / 2);
            return Ok((Ended::Reset, Flow::End(End::Reset)));
        }
        let is_cut = !facts.is_head && cuts(act, &reply.content, ending);
        if !facts.is_head && ending != Ending::Bare {
            let budget = budget(act, &reply.content, ending);
            self.send(&mut reply.content, Sending { ending, rate: act.slow_body, budget }).await?;
        }
        let enough = act.close.is_some_and(|after| self.answered + 1 >= after);
        Ok(match act.effect {
            Effect::Reset(_) => (Ended::Reset, Flow::End(End::Reset)),
            Effect::Truncate(_) => {
                let ended = if is_cut { Ended::Truncated } else { Ended::Answered };
                (ended, Flow::End(End::Close))
            }
            _ if enough || !keep => (Ended::Answered, Flow::End(End::Close)),
            _ => (Ended::Answered, Flow::Next),
        })
    }

    /// Writes the body, up to the budget; sends all but its last piece.
    async fn send(&mut self, content: &mut Content, mut sending: Sending) -> io::Result<()> {
        let mut piece = Vec::new();
        let mut drip = sending.rate.map(Drip::new);
        while let Some(pause) = content.next(sending.ending, &mut piece) {
            if !pause.is_zero() {
                self.flush().await?;
                self.pause(later(now_ns(), pause)).await?;
            } else if self.out.len() + piece.len() > PIECES {
                self.flush().await?;
            }
            let mut cut = false;
            if let Some(budget) = &mut sending.budget {
                cut = piece.len() as u64 > *budget;
                piece.truncate(usize::try_from(*budget).unwrap_or(usize::MAX));
                *budget -= piece.len() as u64;
            }
            match &mut drip {
                Some(drip) => self.drip(&piece, drip).await?,
                None => self.out.extend_from_slice(&piece),
            }
            piece.clear();
            if cut {
                break;
            }
        }
        Ok(())
    }

    /// Sends bytes at a rate, but for the last slice.
    async fn drip(&mut self, bytes: &[u8], drip: &mut Drip) -> io::Result<()> {
        for part in bytes.chunks(drip.slice) {
            self.flush().await?;
            self.pause(drip.due()).await?;
            self.out.extend_from_slice(part);
        }
        Ok(())
    }

    /// Answers a WebSocket handshake.
    fn upgrade(&mut self, job: &Job, outcome: &mut Outcome) -> Flow {
        let arrival_ns = job.decision.arrival_ns;
        let accepted = self.with_head(websocket::accept).ok().flatten();
        let (status, ending, extra) = match &accepted {
            Some(key) => {
                let extra = format!("upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {key}\r\n");
                (101, Ending::Bare, extra)
            }
            None => (426, Ending::Length(2), "upgrade: websocket\r\nsec-websocket-version: 13\r\n".to_owned()),
        };
        let keep = accepted.is_some() || job.facts.keep_alive;
        (outcome.status, outcome.answer_ns) = (status, Site::answer_ns(arrival_ns));
        AnswerHead {
            status,
            content_type: "application/json",
            ending,
            persistence: persistence(&job.facts, keep),
            identity: &self.site.endpoint.identity,
            residence_ns: outcome.answer_ns - arrival_ns,
            extra: extra.as_bytes(),
        }
        .write(&mut self.out);
        if accepted.is_none() && !job.facts.is_head {
            self.out.extend_from_slice(b"{}");
        }
        match (accepted.is_some(), keep) {
            (true, _) => Flow::End(End::WebSocket),
            (false, true) => Flow::Next,
            (false, false) => Flow::End(End::Close),
        }
    }

    /// Reads the head once more; it is still in the buffer.
    fn with_head<T>(&self, read: impl FnOnce(&Head<'_, '_>) -> T) -> io::Result<T> {
        let mut storage = head::storage();
        match head::parse(self.input.unused(), &mut storage) {
            Parsed::Head(head) => Ok(read(&head)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Bytes that are written at once: a piece of a body, and a head before it.
const PIECES: usize = 66 * 1024;

/// Whether a fault cuts something off: of nothing it cannot.
pub(crate) fn cuts(act: &Act, content: &Content, ending: Ending) -> bool {
    matches!(act.effect, Effect::Truncate(_)) && ending != Ending::Bare && content.wire_length(ending) > 0
}

/// The framed bytes that a fault lets through; `None` = all.
pub(crate) fn budget(act: &Act, content: &Content, ending: Ending) -> Option<u64> {
    match act.effect {
        Effect::Reset(_) | Effect::Truncate(None) => Some(content.wire_length(ending) / 2),
        Effect::Truncate(Some(bytes)) => Some(bytes.min(content.wire_length(ending).saturating_sub(1))),
        _ => None,
    }
}
