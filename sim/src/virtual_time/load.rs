//! All load of a world, from one simulated host.
//!
//! An open load sends when its seeded plan says so, whatever the answers do; a closed one when it has its answer. Each
//! request takes a connection that is idle, or opens one. Virtual clocks move by milliseconds, so an arrival is sent in
//! the millisecond after its planned time; latency counts from the plan as always.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use loadgen::plan::Plan;
use loadgen::request::Dice;
use mocks::Draws;
use tokio::task::JoinHandle;

use super::client::{Got, Idle, Idles, exchange, write};
use super::faults::nanos;
use super::journal::{HEAD_START, Journal, now_ns};
use super::texts::Texts;
use super::{Options, answer};
use crate::history::{ClientRequest, Name, Outcome, Phase};
use crate::scenario::Scenario;
use crate::scenario::model::{LoadModel, LoadPart, RequestPart};

/// When a load of this number sends; `None` in the closed model.
pub(crate) fn plan(seed: u64, number: u64, part: &LoadPart) -> Option<Plan> {
    let LoadModel::Open { arrivals, rate } = part.model else { return None };
    let seed = Draws::new(seed, number, 0, 0).next_u64();
    Some(Plan::new(arrivals, rate, nanos(part.duration), seed).delayed(nanos(part.from)))
}

/// What every request of a load shares.
struct Load {
    part: LoadPart,
    /// For each of its requests the texts to fill in, where it has some.
    texts: Vec<Option<Texts>>,
    number: u64,
    name: Name,
    phases: Rc<Vec<Phase>>,
    gateway: SocketAddr,
    idles: Rc<Idles>,
    in_flight: Cell<usize>,
    sent: Cell<u64>,
    seed: u64,
    options: Options,
    journal: Journal,
}

/// Runs all loads to their ends, then closes every connection.
pub(crate) async fn drive(
    scenario: Rc<Scenario>,
    texts: Vec<Vec<Option<Texts>>>,
    gateway: SocketAddr,
    phases: Rc<Vec<Phase>>,
    options: Options,
    journal: Journal,
) {
    let idles = Rc::<Idles>::default();
    let loads: Vec<JoinHandle<()>> = scenario
        .loads
        .iter()
        .zip(texts)
        .enumerate()
        .map(|(number, (part, texts))| {
            let load = Rc::new(Load {
                part: part.clone(),
                texts,
                number: number as u64,
                name: part.name.as_str().into(),
                phases: Rc::clone(&phases),
                gateway,
                idles: Rc::clone(&idles),
                in_flight: Cell::new(0),
                sent: Cell::new(0),
                seed: scenario.seed,
                options,
                journal: journal.clone(),
            });
            tokio::task::spawn_local(load.run())
        })
        .collect();
    for load in loads {
        // A load that panicked has said so.
        let _ = load.await;
    }
    if options.for_result {
        // What happens at a time when nobody asks any more has to happen too.
        wait_until(nanos(scenario.length())).await;
    }
    idles.clear();
}

impl Load {
    async fn run(self: Rc<Self>) {
        match self.part.model {
            LoadModel::Open { .. } => {
                let mut requests = Vec::new();
                for at_ns in plan(self.seed, self.number, &self.part).into_iter().flatten() {
                    wait_until(at_ns).await;
                    if self.in_flight.get() >= self.part.max_in_flight {
                        self.journal.client(self.planned(at_ns));
                        continue;
                    }
                    self.in_flight.set(self.in_flight.get() + 1);
                    requests.push(tokio::task::spawn_local(Rc::clone(&self).request(at_ns)));
                    if requests.len() > 4 * self.part.max_in_flight {
                        requests.retain(|request| !request.is_finished());
                    }
                }
                for request in requests {
                    let _ = request.await;
                }
            }
            // Refused when the scenario is read.
            LoadModel::Journey => {}
            LoadModel::Closed => {
                wait_until(0).await;
                let users = (0..self.part.connections).map(|_| tokio::task::spawn_local(Rc::clone(&self).user()));
                for user in users.collect::<Vec<_>>() {
                    let _ = user.await;
                }
            }
        }
    }

    async fn user(self: Rc<Self>) {
        let end_ns = nanos(self.part.duration);
        while now_ns() < end_ns {
            let before = now_ns();
            self.in_flight.set(self.in_flight.get() + 1);
            Rc::clone(&self).request(before).await;
            if now_ns() == before {
                // Refused in no time at all: without a pause, virtual time would stand still here.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn planned(&self, at_ns: u64) -> ClientRequest {
        let phase = self.phases.iter().rfind(|phase| phase.from_ns <= at_ns);
        let phase = phase.map_or_else(|| Name::from("before"), |phase| phase.name.clone());
        ClientRequest::planned(self.name.clone(), phase, at_ns)
    }

    async fn request(self: Rc<Self>, at_ns: u64) {
        let number = self.sent.get();
        self.sent.set(number + 1);
        let id = format!("{}-{number}", self.name);
        let chosen = self.choose(number);
        let part = &*chosen;
        let bytes = write(part, &id, self.options.examine);
        let (got, left) = self.attempt(part, &bytes).await;
        self.judge(part, &got, &id);
        let mut request = self.planned(at_ns);
        // A gateway that does not take its clients' ids has another one, which an answer alone tells.
        let own = self.options.examine.then_some(&*id);
        request.request_id = got.request_id.as_deref().or(own).map(Into::into);
        (request.sent_ns, request.head_ns, request.status) = (got.sent_ns, got.head_ns, got.status);
        (request.retry_after_ns, request.answers) = (got.retry_after_ns, u32::from(got.whole));
        request.outcome = outcome(part, &got, left);
        request.wrong_header = is_otherwise_right(part, &got) && got.wrong_header;
        request.end_ns = Some(now_ns());
        if left {
            self.journal.with(|pages| pages.trace.note(&[6, number]));
        }
        self.in_flight.set(self.in_flight.get() - 1);
        self.journal.client(request);
    }

    /// Which of the load's requests this one is.
    fn choose(&self, number: u64) -> Cow<'_, RequestPart> {
        let index = self.draw(number);
        let part = &self.part.requests[index];
        let seed = Draws::new(self.seed, self.number, 0, 2).next_u64();
        match &self.texts[index] {
            Some(texts) => Cow::Owned(texts.fill(part, &mut Dice::new(seed, number))),
            None => Cow::Borrowed(part),
        }
    }

    fn draw(&self, number: u64) -> usize {
        let parts = &self.part.requests;
        let all: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
        let mut at = Draws::new(self.seed, self.number, number, 1).next_u64() % all.max(1);
        for (index, part) in parts.iter().enumerate() {
            match at.checked_sub(u64::from(part.weight)) {
                None => return index,
                Some(rest) => at = rest,
            }
        }
        // A load has one request at least; the reader sees to it.
        0
    }

    /// Sends it, on another connection once more where the first was stale. What came, and whether the client left.
    async fn attempt(&self, part: &RequestPart, bytes: &[u8]) -> (Got, bool) {
        let mut idle = self.idles.take();
        loop {
            let since = idle.as_ref().map(|idle: &Idle| idle.since_ns);
            let got = RefCell::new(Got::default());
            let exchange = exchange(idle.take(), self.gateway, part, bytes, &got);
            let done = tokio::time::timeout(self.part.timeout, exchange).await;
            let stale = got.borrow().stale;
            match done {
                Ok(Ok(Some(kept))) => self.idles.put(kept),
                Ok(Err(_)) if stale => {
                    let idle_ns = now_ns().saturating_sub(since.unwrap_or(0));
                    if idle_ns < self.options.idle_timeout_ns {
                        let detail = format!("after {} ms of idleness", idle_ns / 1_000_000);
                        self.journal.anomaly("closed_under_request", detail);
                    }
                    continue;
                }
                Ok(_) => {}
                Err(_) => return (got.into_inner(), true),
            }
            return (got.into_inner(), false);
        }
    }

    /// What a gateway must not have changed.
    fn judge(&self, part: &RequestPart, got: &Got, id: &str) {
        if got.beyond {
            self.journal.anomaly("bytes_beyond_answer", format!("of {id}"));
        }
        if !self.options.examine {
            return;
        }
        if got.request_id.as_deref().is_some_and(|told| told != id) {
            self.journal.anomaly("request_id", format!("{id} was called {:?}", got.request_id));
        }
        if got.status.is_some() && got.request_id.is_none() {
            self.journal.anomaly("request_id", format!("the answer to {id} has none"));
        }
        let expected = if part.method == "HEAD" { 0 } else { answer::body_bytes(&part.path) };
        if got.whole && got.status == Some(200) && got.body_bytes != expected {
            let detail = format!("{id}: {} bytes instead of {expected}", got.body_bytes);
            self.journal.anomaly("answer_body", detail);
        }
    }
}

async fn wait_until(at_ns: u64) {
    let due = Duration::from_nanos(at_ns) + HEAD_START;
    let wait = due.saturating_sub(turmoil::sim_elapsed().unwrap_or_default());
    if !wait.is_zero() {
        // Virtual time: it passes as soon as nobody has anything else to do.
        tokio::time::sleep(wait).await;
    }
}

/// Whether a whole answer came with a status that is right.
fn is_otherwise_right(part: &RequestPart, got: &Got) -> bool {
    let is_right = |status: u16| match part.expect.as_slice() {
        [] => (200..400).contains(&status),
        statuses => statuses.contains(&status),
    };
    got.whole && got.status.is_some_and(is_right)
}

fn outcome(part: &RequestPart, got: &Got, left: bool) -> Outcome {
    match got.status {
        _ if left => Outcome::ClientError,
        Some(_) if !got.whole => Outcome::Failed,
        Some(_) if is_otherwise_right(part, got) => {
            if got.wrong_header {
                Outcome::Failed
            } else {
                Outcome::Ok
            }
        }
        // What it means is the same on sockets and here.
        Some(status) => loadgen::sample::Outcome::of_unexpected(status, got.by_mock).into(),
        None => Outcome::Failed,
    }
}
