//! Answers that take time, and the faults that change them.

use std::io;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connection::{Connection, End, Flow, Job, persistence};
use super::content::Content;
use super::routes::Route;
use super::site::{Fault, Site};
use super::{garbage, websocket};
use crate::faults::{Act, Draws, Effect, Reset};
use crate::http1::answer::{AnswerHead, Ending, has_body};
use crate::http1::head::{self, Head, Parsed};
use crate::http1::json::NOTHING;

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
struct Drip {
    /// Bytes for each tick.
    slice: usize,
    ticks: Interval,
}

impl Drip {
    fn new(rate: u64) -> Self {
        let slice = (rate / SLICES).max(1);
        let mut ticks = interval(Duration::from_secs_f64(slice as f64 / rate as f64));
        // A client that reads late is not sent the rest at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { slice: usize::try_from(slice).unwrap_or(usize::MAX), ticks }
    }
}

impl Connection {
    /// Does what the decision says, and says what then becomes of the connection.
    pub(crate) async fn act(&mut self, mut job: Job) -> io::Result<Flow> {
        let endpoint = self.site.endpoint.clone();
        let _busy = endpoint.live.busy();
        self.flush().await?;
        let fault = job
            .decision
            .fault
            .take()
            .map_or_else(|| Fault { act: Act::default(), draws: Draws::new(0, 0, 0, 0) }, |fault| *fault);
        let Fault { act, mut draws } = fault;
        if let Some(delay) = act.delay {
            tokio::time::sleep(delay.sample(&mut draws)).await;
        }
        match act.effect {
            _ if act.close == Some(0) => {
                self.journal(&job, 0, 0);
                Ok(Flow::End(End::Close))
            }
            Effect::Hang => {
                self.journal(&job, 0, 0);
                self.drain().await;
                Ok(Flow::End(End::Left))
            }
            Effect::Refuse | Effect::Reset(Reset::BeforeHeaders) => {
                self.journal(&job, 0, 0);
                Ok(Flow::End(End::Reset))
            }
            Effect::Garbage(kind) => {
                self.journal(&job, 0, Site::answer_ns(job.decision.arrival_ns));
                garbage::write(kind, &mut draws, &mut self.out);
                Ok(Flow::End(End::Close))
            }
            _ if job.decision.route == Route::WebSocket && act.status.is_none() => Ok(self.upgrade(&job)),
            _ => self.deliver(&job, &act).await,
        }
    }

    /// Sends an answer with a right head, as the act changes it.
    async fn deliver(&mut self, job: &Job, act: &Act) -> io::Result<Flow> {
        let facts = job.facts;
        let received = job.received.as_ref().unwrap_or(&NOTHING);
        let endpoint = self.site.endpoint.clone();
        let mut content = self.with_head(|head| Content::of(job.decision.route, &endpoint, head, received))?;
        let status = act.status.unwrap_or(200);
        let ending = if has_body(status) { content.ending(facts.minor) } else { Ending::Bare };
        let keep = facts.keep_alive && ending != Ending::Close;
        let answer_ns = Site::answer_ns(job.decision.arrival_ns);
        AnswerHead {
            status,
            content_type: content.content_type(),
            ending,
            persistence: persistence(&facts, keep),
            identity: &endpoint.identity,
            residence_ns: answer_ns - job.decision.arrival_ns,
            extra: b"",
        }
        .write(&mut self.out);
        self.journal(job, status, answer_ns);
        if act.effect == Effect::Reset(Reset::InHeaders) {
            self.out.truncate(self.out.len() / 2);
            return Ok(Flow::End(End::Reset));
        }
        let budget = match act.effect {
            Effect::Reset(_) | Effect::Truncate(None) => Some(content.wire_length(ending) / 2),
            Effect::Truncate(Some(bytes)) => Some(bytes.min(content.wire_length(ending).saturating_sub(1))),
            _ => None,
        };
        if !facts.is_head && ending != Ending::Bare {
            self.send(&mut content, Sending { ending, rate: act.slow_body, budget }).await?;
        }
        self.input.used(facts.head_len);
        self.answered += 1;
        let enough = act.close.is_some_and(|after| self.answered >= after);
        Ok(match act.effect {
            Effect::Reset(_) => Flow::End(End::Reset),
            Effect::Truncate(_) => Flow::End(End::Close),
            _ if enough || !keep => Flow::End(End::Close),
            _ => Flow::Next,
        })
    }

    /// Sends the body, up to the budget.
    async fn send(&mut self, content: &mut Content, mut sending: Sending) -> io::Result<()> {
        let mut piece = Vec::new();
        let mut drip = sending.rate.map(Drip::new);
        while let Some(pause) = content.next(sending.ending, &mut piece) {
            if !pause.is_zero() {
                self.flush().await?;
                tokio::time::sleep(pause).await;
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
            self.flush().await?;
            if cut {
                break;
            }
        }
        Ok(())
    }

    /// Sends bytes at a rate, the first slice at once.
    async fn drip(&mut self, bytes: &[u8], drip: &mut Drip) -> io::Result<()> {
        self.flush().await?;
        for part in bytes.chunks(drip.slice) {
            drip.ticks.tick().await;
            self.out.extend_from_slice(part);
            self.flush().await?;
        }
        Ok(())
    }

    /// Answers a WebSocket handshake.
    fn upgrade(&mut self, job: &Job) -> Flow {
        let arrival_ns = job.decision.arrival_ns;
        let accepted = self.with_head(websocket::accept).ok().flatten();
        let answer_ns = Site::answer_ns(arrival_ns);
        let (status, ending, extra) = match &accepted {
            Some(key) => {
                let extra = format!("upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {key}\r\n");
                (101, Ending::Bare, extra)
            }
            None => (426, Ending::Length(2), "upgrade: websocket\r\nsec-websocket-version: 13\r\n".to_owned()),
        };
        let keep = accepted.is_some() || job.facts.keep_alive;
        AnswerHead {
            status,
            content_type: "application/json",
            ending,
            persistence: persistence(&job.facts, keep),
            identity: &self.site.endpoint.identity,
            residence_ns: answer_ns - arrival_ns,
            extra: extra.as_bytes(),
        }
        .write(&mut self.out);
        self.journal(job, status, answer_ns);
        if accepted.is_none() && !job.facts.is_head {
            self.out.extend_from_slice(b"{}");
        }
        self.input.used(job.facts.head_len);
        self.answered += 1;
        match (accepted.is_some(), keep) {
            (true, _) => Flow::End(End::WebSocket),
            (false, true) => Flow::Next,
            (false, false) => Flow::End(End::Close),
        }
    }

    fn journal(&self, job: &Job, status: u16, answer_ns: u64) {
        // The head was parsed before, so there is one.
        let _ = self.with_head(|head| self.site.journal(head, &job.facts, &job.decision, status, answer_ns));
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
