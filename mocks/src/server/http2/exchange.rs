//! One request of an HTTP/2 connection.
//!
//! As over HTTP/1.1, a request is journaled before the last bytes of its answer leave.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use serde_json::json;

use super::request::{Texts, receive};
use super::sender::Sender;
use super::{Order, Orders, grpc};
use crate::calls::{Context, Outcomes};
use crate::clock::now_ns;
use crate::faults::{Act, Effect, Reset};
use crate::http1::answer::{Ending, has_body};
use crate::http1::head::{Facts, Head};
use crate::http1::json::Received;
use crate::journal::Ended;
use crate::server::act::{Drip, budget, cuts};
use crate::server::content::Content;
use crate::server::reply::Reply;
use crate::server::site::{Decision, Outcome, Plan, Site, later};

/// The client left: it reset the stream, or the connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left;

/// What is left to do when a request is journaled.
pub(super) enum Last {
    /// A head without a body.
    Head(Response<()>),
    /// The rest of a body.
    Body(Sender),
    /// The rest of a body, and trailers.
    Trailers(Sender, HeaderMap),
    /// A reset in a body.
    Cut(Sender),
    /// A reset of the stream.
    Reset(Reason),
    /// Something for the connection.
    Order(Order),
}

/// A request on its way.
pub(super) struct Exchange {
    pub(super) site: Site,
    orders: Arc<Orders>,
    pub(super) respond: SendResponse<Bytes>,
    /// Answers of the connection so far.
    answered: Arc<AtomicU64>,
}

/// What a request is.
pub(super) struct Asked<'a> {
    pub head: &'a Head<'a, 'a>,
    pub facts: &'a Facts,
    pub received: &'a Received,
}

impl Exchange {
    pub(super) fn new(site: Site, orders: Arc<Orders>, respond: SendResponse<Bytes>, answered: Arc<AtomicU64>) -> Self {
        Self { site, orders, respond, answered }
    }

    /// Serves the request to its end.
    pub(super) async fn run(mut self, request: Request<RecvStream>) {
        let arrival_ns = now_ns();
        let (parts, mut body) = request.into_parts();
        let texts = Texts::of(&parts);
        let lines = texts.lines(&parts);
        let head = texts.head(&parts, &lines);
        let facts = match head.facts() {
            Ok(facts) => facts,
            Err(reason) => return self.refuse(&json!({ "error": "bad_request", "detail": reason })).await,
        };
        let is_grpc = grpc::is_call(&head);
        // A gRPC call is answered as its messages come; of all others the body is whole first.
        let received = if is_grpc { Ok(crate::http1::json::nothing()) } else { receive(&mut body).await };
        let Ok(received) = received else { return };
        let mut decision = match self.site.decide(&head, &facts, arrival_ns) {
            Ok(decision) => decision,
            Err(problems) => {
                let problems: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
                return self.refuse(&json!({ "error": "bad_fault", "problems": problems })).await;
            }
        };
        let asked = Asked { head: &head, facts: &facts, received: &received };
        let mut outcome = Outcome::default();
        let endpoint = self.site.endpoint.clone();
        let busy = endpoint.live.busy();
        let last = self.play(&asked, &mut decision, is_grpc.then_some(body), &mut outcome).await;
        drop(busy);
        outcome.end_ns = Site::answer_ns(arrival_ns);
        if last.is_err() {
            outcome.ended = Ended::Left;
        }
        self.site.journal(&head, &facts, &decision, &outcome);
        if let Ok((last, act)) = last {
            self.finish(last, &act);
        }
    }

    fn finish(mut self, last: Last, act: &Act) {
        match last {
            // An error is that the client left, which it may at any time.
            Last::Head(head) => drop(self.respond.send_response(head, true)),
            Last::Body(sender) => sender.end(),
            Last::Trailers(sender, trailers) => sender.end_with(trailers),
            Last::Cut(sender) => sender.reset(),
            Last::Reset(reason) => self.respond.send_reset(reason),
            Last::Order(order) => self.orders.give(order),
        }
        let answered = self.answered.fetch_add(1, Relaxed) + 1;
        if act.close.is_some_and(|after| answered >= after) {
            self.orders.give(Order::GoAway);
        }
    }

    async fn play(
        &mut self,
        asked: &Asked<'_>,
        decision: &mut Decision,
        grpc_body: Option<RecvStream>,
        outcome: &mut Outcome,
    ) -> Result<(Last, Arc<Act>), Left> {
        let plan = decision.plan.take();
        let Plan { act, until_ns, calls, .. } = plan.map_or_else(|| Plan::plain(&self.site.world), |plan| *plan);
        let alarm = self.site.alarm.until(until_ns);
        self.unless_left(alarm).await?;
        let (ended, last) = match (act.effect, grpc_body) {
            _ if act.close == Some(0) => (Ended::Closed, Last::Order(Order::Close)),
            (Effect::Hang, _) => {
                let world = self.site.world.clone();
                let _hanging = world.hanging();
                return self.unless_left(std::future::pending()).await;
            }
            (Effect::Refuse, _) => (Ended::Reset, Last::Order(Order::Reset)),
            (Effect::Reset(Reset::BeforeHeaders | Reset::InHeaders), _) => {
                (Ended::Reset, Last::Reset(Reason::INTERNAL_ERROR))
            }
            (Effect::Garbage(_), _) => (Ended::Garbage, Last::Reset(Reason::PROTOCOL_ERROR)),
            (_, Some(body)) if act.status.is_none() => self.grpc(asked, decision, &act, body, outcome).await?,
            _ => {
                let outcomes = match calls {
                    None => Outcomes::default(),
                    Some(calls) => {
                        let context = Context::of(asked.head, decision.arrival_ns, &calls);
                        let work = self.site.call(calls, context);
                        self.unless_left(work).await?
                    }
                };
                let reply = Reply::of(decision.route, &act, &self.site.endpoint, asked.head, asked.received, &outcomes);
                self.deliver(asked, decision, &act, reply, outcome).await?
            }
        };
        outcome.ended = ended;
        Ok((last, act))
    }

    /// Sends all of an answer but its last piece.
    async fn deliver(
        &mut self,
        asked: &Asked<'_>,
        decision: &Decision,
        act: &Act,
        mut reply: Reply,
        outcome: &mut Outcome,
    ) -> Result<(Ended, Last), Left> {
        // HTTP/1.0's form: no framing within the body.
        let ending = if has_body(reply.status) { reply.content.ending(0) } else { Ending::Bare };
        (outcome.status, outcome.answer_ns) = (reply.status, Site::answer_ns(decision.arrival_ns));
        let mut head = self.head(reply.status, outcome.answer_ns - decision.arrival_ns);
        let fields = head.headers_mut();
        if ending != Ending::Bare {
            fields.insert("content-type", http::HeaderValue::from_static(reply.content.content_type()));
        }
        if let Ending::Length(length) = ending {
            fields.insert("content-length", length.into());
        }
        for (name, value) in &reply.lines {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
                fields.append(name, value);
            }
        }
        if ending == Ending::Bare || asked.facts.is_head {
            return Ok((Ended::Answered, Last::Head(head)));
        }
        let mut sender = Sender::new(self.respond.send_response(head, false).map_err(|_| Left)?);
        let (limit, is_cut) = (budget(act, &reply.content, ending), cuts(act, &reply.content, ending));
        self.send(&mut sender, &mut reply.content, ending, act.slow_body, limit).await?;
        if matches!(act.effect, Effect::Reset(_)) {
            sender.flush().await?;
            // A reset throws away what h2 still keeps, so the connection has its turn first.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            return Ok((Ended::Reset, Last::Cut(sender)));
        }
        sender.prepare_end().await?;
        let ended = if is_cut { Ended::Truncated } else { Ended::Answered };
        Ok((ended, Last::Body(sender)))
    }

    /// Sends the pieces of a body, at a rate and up to a limit; the last one is held.
    async fn send(
        &self,
        sender: &mut Sender,
        content: &mut Content,
        ending: Ending,
        rate: Option<u64>,
        mut limit: Option<u64>,
    ) -> Result<(), Left> {
        let mut piece = Vec::new();
        let mut drip = rate.map(Drip::new);
        while let Some(pause) = content.next(ending, &mut piece) {
            if !pause.is_zero() {
                sender.flush().await?;
                sender.unless_left(self.site.alarm.until(later(now_ns(), pause))).await?;
            }
            let mut cut = false;
            if let Some(limit) = &mut limit {
                cut = piece.len() as u64 > *limit;
                piece.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
                *limit -= piece.len() as u64;
            }
            let bytes = Bytes::from(std::mem::take(&mut piece));
            match &mut drip {
                None => sender.put(bytes).await?,
                Some(drip) => {
                    for part in bytes.chunks(drip.slice) {
                        sender.flush().await?;
                        sender.unless_left(self.site.alarm.until(drip.due())).await?;
                        sender.put(bytes.slice_ref(part)).await?;
                    }
                }
            }
            if cut {
                break;
            }
        }
        Ok(())
    }

    /// A head with the lines that identify the mock.
    pub(super) fn head(&self, status: u16, residence_ns: u64) -> Response<()> {
        let mut head = Response::new(());
        *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let endpoint = &self.site.endpoint;
        let fields = head.headers_mut();
        // A service's name is visible ASCII: the builder sees to it.
        if let Ok(service) = http::HeaderValue::try_from(&endpoint.service) {
            fields.insert("x-mock-service", service);
        }
        fields.insert("x-mock-endpoint", endpoint.address.port().into());
        fields.insert("x-mock-residence-ns", residence_ns.into());
        head
    }

    /// Waits for this, unless the client resets the stream meanwhile.
    pub(super) async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Left> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = poll_fn(|cx| self.respond.poll_reset(cx)) => Err(Left),
        }
    }

    /// Answers a request that cannot be read.
    async fn refuse(mut self, body: &serde_json::Value) {
        self.site.endpoint.live.bad_requests.fetch_add(1, Relaxed);
        let mut head = self.head(400, 0);
        head.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        if let Ok(stream) = self.respond.send_response(head, false) {
            let mut sender = Sender::new(stream);
            if sender.put(Bytes::from(body.to_string())).await.is_ok() && sender.prepare_end().await.is_ok() {
                sender.end();
            }
        }
        self.site.world.progressed();
    }
}
