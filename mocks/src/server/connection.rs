//! A connection's life, and the path of a request that nothing hits.
//!
//! A plain request is parsed where it was read, answered into the output buffer in one synchronous step, and leaves
//! with one write; pipelined requests leave together. Whatever waits (bodies, faults, series, WebSocket) is a boxed
//! future beside that path, so an idle connection costs its buffers and little more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::content;
use super::http2::PREFACE;
use super::input::Input;
use super::routes::Route;
use super::site::{Decision, Outcome, Site};
use super::stream::Stream;
use crate::faults::Problems;
use crate::http1::answer::{AnswerHead, Ending, Persistence};
use crate::http1::body::Decoder;
use crate::http1::head::{self, Facts, Framing, Head, Parsed};
use crate::http1::json::{NOTHING, Received, hex};
use crate::journal::Ended;
use crate::world::Endpoint;

/// Answers to pipelined requests are sent at the latest when they are this long.
const MAX_OUT: usize = 64 * 1024;
/// What a connection carries before others have their go: a load generator may have its turns on the same thread.
const GO_BYTES: usize = 32 * 1024;
/// How long a closed connection is still read, so that the kernel does not reset what the client has yet to read.
const LINGER: Duration = Duration::from_secs(1);

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub stream: Stream,
    pub site: Site,
    pub input: Input,
    pub out: Vec<u8>,
    /// Answers written so far.
    pub answered: u64,
    scratch: Vec<u8>,
    /// Bytes carried since others had their go.
    carried: usize,
}

/// A request that is not answered in one step.
#[derive(Debug)]
pub(crate) struct Job {
    pub decision: Decision,
    pub facts: Facts,
    pub received: Option<Received>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left.
    Left,
    /// An orderly close.
    Close,
    /// A reset.
    Reset,
    /// It became a WebSocket.
    WebSocket,
    /// It is HTTP/2.
    Http2,
}

/// What comes after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    End(End),
}

enum Step {
    /// More bytes are needed.
    Read,
    /// Answered.
    Done(Flow),
    /// The request has a body.
    Body(Facts),
    Wait(Box<Job>),
    /// Malformed: status and reason.
    Bad(u16, &'static str),
    /// Its own fault header is malformed.
    BadFault(Problems, Facts),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, site: Site) -> Self {
        Self {
            stream: Stream::Plain(stream),
            site,
            input: Input::new(),
            out: Vec::with_capacity(1024),
            answered: 0,
            scratch: Vec::new(),
            carried: 0,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        let _open = Open::new(self.site.endpoint.clone());
        // Without it, the second of two small writes would wait for an acknowledgement.
        let _ = self.stream.socket().set_nodelay(true);
        if let Some(tls) = self.site.endpoint.tls.clone() {
            // Who does not come to an end with the handshake has been told so by it, or has left.
            let Ok(stream) = Box::pin(self.stream.secured(Some(&tls))).await else { return };
            self.stream = stream;
        }
        match self.serve().await {
            Ok(End::Close) => Box::pin(self.linger()).await,
            Ok(End::Reset) => drop(SockRef::from(self.stream.socket()).set_linger(Some(Duration::ZERO))),
            Ok(End::WebSocket) => Box::pin(super::websocket::echo(self.stream, self.input.take())).await,
            Ok(End::Http2) => Box::pin(super::http2::serve(self.stream, self.input.take(), self.site)).await,
            // A client that left, in either way, needs no answer.
            Ok(End::Left) | Err(_) => {}
        }
    }

    async fn serve(&mut self) -> io::Result<End> {
        loop {
            let flow = match self.step() {
                Step::Read => {
                    self.flush().await?;
                    if self.fill().await? == 0 { Flow::End(End::Left) } else { Flow::Next }
                }
                Step::Done(flow) => flow,
                Step::Body(facts) => Box::pin(self.with_body(facts)).await?,
                Step::Wait(job) => Box::pin(self.act(*job)).await?,
                Step::Bad(status, reason) => self.refuse(status, reason),
                Step::BadFault(problems, facts) => self.refuse_fault(&problems, &facts),
            };
            if let Flow::End(end) = flow {
                self.flush().await?;
                return Ok(end);
            }
            if self.out.len() > MAX_OUT {
                self.flush().await?;
            }
        }
    }

    /// One request without a body, or what keeps it from being answered at once.
    #[inline]
    fn step(&mut self) -> Step {
        let bytes = self.input.unused();
        if bytes.is_empty() {
            return Step::Read;
        }
        if self.answered == 0 && bytes[0] == PREFACE[0] && PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())])
        {
            return if bytes.len() < PREFACE.len() { Step::Read } else { Step::Done(Flow::End(End::Http2)) };
        }
        let mut storage = head::storage();
        let head = match head::parse(bytes, &mut storage) {
            Parsed::Partial => return Step::Read,
            Parsed::Bad(status, reason) => return Step::Bad(status, reason),
            Parsed::Head(head) => head,
        };
        let facts = match head.facts() {
            Ok(facts) => facts,
            Err(reason) => return Step::Bad(400, reason),
        };
        if facts.framing != Framing::Empty {
            return Step::Body(facts);
        }
        let arrival_ns = self.input.first_byte_ns;
        let step = answer(&self.site, &head, &facts, &NOTHING, arrival_ns, &mut self.scratch, &mut self.out);
        self.finish(step, &facts)
    }

    /// Uses up the head of a request that was answered.
    #[inline]
    fn finish(&mut self, step: Step, facts: &Facts) -> Step {
        if matches!(step, Step::Done(_)) {
            self.answered += 1;
            self.input.used(facts.head_len);
        }
        step
    }

    /// Reads the body, then answers.
    async fn with_body(&mut self, facts: Facts) -> io::Result<Flow> {
        let Some(received) = self.receive(&facts).await? else {
            return Ok(self.refuse(400, "the body is malformed"));
        };
        let arrival_ns = self.input.first_byte_ns;
        let mut storage = head::storage();
        let step = match head::parse(self.input.unused(), &mut storage) {
            Parsed::Head(head) => {
                answer(&self.site, &head, &facts, &received, arrival_ns, &mut self.scratch, &mut self.out)
            }
            // The same bytes were a head before; this cannot be.
            _ => Step::Bad(400, "the head changed"),
        };
        match self.finish(step, &facts) {
            Step::Done(flow) => Ok(flow),
            Step::Wait(mut job) => {
                job.received = Some(received);
                self.act(*job).await
            }
            Step::BadFault(problems, facts) => Ok(self.refuse_fault(&problems, &facts)),
            Step::Bad(status, reason) => Ok(self.refuse(status, reason)),
            Step::Read | Step::Body(_) => Ok(self.refuse(400, "the head changed")),
        }
    }

    /// The body, counted and hashed as it comes; `None` when it is malformed. The head stays in the buffer.
    async fn receive(&mut self, facts: &Facts) -> io::Result<Option<Received>> {
        let mut decoder = Decoder::new(facts.framing);
        let (mut hash, mut bytes, mut invited) = (Sha256::new(), 0, !facts.expects_continue);
        loop {
            let mut sink = |piece: &[u8]| {
                hash.update(piece);
                bytes += piece.len() as u64;
            };
            let Ok(taken) = decoder.push(&self.input.unused()[facts.head_len..], &mut sink) else { return Ok(None) };
            self.input.cut(facts.head_len, facts.head_len + taken);
            if decoder.is_done() {
                let trailers = decoder.trailers().to_vec();
                return Ok(Some(Received { bytes, sha256: hex(&hash.finalize()), trailers }));
            }
            if !invited && bytes == 0 {
                self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            invited = true;
            self.flush().await?;
            self.input.expect_more();
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Answers a malformed request and closes.
    fn refuse(&mut self, status: u16, reason: &str) -> Flow {
        self.site.endpoint.live.bad_requests.fetch_add(1, Relaxed);
        self.error(status, &json!({ "error": "bad_request", "detail": reason }), Persistence::Close);
        self.site.world.progressed();
        Flow::End(End::Close)
    }

    /// Answers a request whose `x-mock-fault` cannot be read. The connection goes on: the request itself was whole.
    fn refuse_fault(&mut self, problems: &Problems, facts: &Facts) -> Flow {
        self.site.endpoint.live.bad_requests.fetch_add(1, Relaxed);
        let problems: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        let persistence = persistence(facts, facts.keep_alive);
        self.error(400, &json!({ "error": "bad_fault", "problems": problems }), persistence);
        self.input.used(facts.head_len);
        self.answered += 1;
        self.site.world.progressed();
        if facts.keep_alive { Flow::Next } else { Flow::End(End::Close) }
    }

    fn error(&mut self, status: u16, body: &Value, persistence: Persistence) {
        let body = body.to_string();
        let arrival_ns = self.input.first_byte_ns;
        AnswerHead {
            status,
            content_type: "application/json",
            ending: Ending::Length(body.len() as u64),
            persistence,
            identity: &self.site.endpoint.identity,
            residence_ns: Site::answer_ns(arrival_ns) - arrival_ns,
            extra: b"",
        }
        .write(&mut self.out);
        self.out.extend_from_slice(body.as_bytes());
    }

    /// Sends what is written.
    #[inline]
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            // Counted first: who has read an answer finds it counted.
            self.site.endpoint.live.bytes_out.fetch_add(self.out.len() as u64, Relaxed);
            self.stream.write_all(&self.out).await?;
            if self.stream.holds_back() {
                self.stream.flush().await?;
            }
            self.carried += self.out.len();
            self.out.clear();
            self.give_way().await;
        }
        Ok(())
    }

    /// Lets others have their go, once much has been carried.
    #[inline]
    async fn give_way(&mut self) {
        if self.carried >= GO_BYTES {
            self.carried = 0;
            tokio::task::yield_now().await;
        }
    }

    #[inline]
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        // Before it is read, not after: whoever gives up waiting for this loses nothing.
        self.give_way().await;
        let read = self.input.fill(&mut self.stream).await?;
        self.site.endpoint.live.bytes_in.fetch_add(read as u64, Relaxed);
        self.carried += read;
        Ok(read)
    }

    /// Waits until this time; the error is that the client left meanwhile.
    pub(crate) async fn pause(&mut self, until_ns: u64) -> io::Result<()> {
        let alarm = self.site.alarm.until(until_ns);
        self.meanwhile(alarm).await
    }

    /// Waits for this; the error is that the client left meanwhile. What it sends ahead is kept.
    pub(crate) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut work = std::pin::pin!(work);
        while self.input.has_room() {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                read = self.fill() => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
            }
        }
        Ok(work.await)
    }

    /// Sends FIN, then reads until the client closes too.
    async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let _ = tokio::time::timeout(LINGER, self.drain(0)).await;
    }

    /// Reads until the client leaves, and forgets what comes after the first `keep` bytes.
    pub(crate) async fn drain(&mut self, keep: usize) {
        loop {
            self.input.truncate(keep);
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
    }
}

/// Answers a request at once, or says what is to be waited for.
#[inline]
fn answer(
    site: &Site,
    head: &Head<'_, '_>,
    facts: &Facts,
    received: &Received,
    arrival_ns: u64,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Step {
    let decision = match site.decide(head, facts, arrival_ns) {
        Ok(decision) => decision,
        Err(problems) => return Step::BadFault(problems, *facts),
    };
    let few = match decision.route {
        Route::Bytes(count) => content::few_bytes(count),
        _ => None,
    };
    let waits = match decision.route {
        Route::Bytes(_) => few.is_none(),
        Route::Stream(..) | Route::Events(..) | Route::WebSocket => true,
        Route::Echo | Route::Items | Route::Health | Route::OpenApi => false,
    };
    if waits || facts.shows || decision.plan.is_some() {
        return Step::Wait(Box::new(Job { decision, facts: *facts, received: None }));
    }
    let (content_type, body) = match few {
        Some(bytes) => ("application/octet-stream", bytes),
        None => {
            scratch.clear();
            content::small(scratch, decision.route, &site.endpoint, head, received);
            ("application/json", scratch.as_slice())
        }
    };
    let answer_ns = Site::answer_ns(arrival_ns);
    AnswerHead {
        status: 200,
        content_type,
        ending: Ending::Length(body.len() as u64),
        persistence: persistence(facts, facts.keep_alive),
        identity: &site.endpoint.identity,
        residence_ns: answer_ns - arrival_ns,
        extra: b"",
    }
    .write(out);
    if !facts.is_head {
        out.extend_from_slice(body);
    }
    site.endpoint.live.passed();
    let outcome = Outcome { status: 200, answer_ns, end_ns: answer_ns, ended: Ended::Answered, grpc_status: None };
    site.journal(head, facts, &decision, &outcome);
    Step::Done(if facts.keep_alive { Flow::Next } else { Flow::End(End::Close) })
}

/// What an answer says of the connection.
#[inline]
pub(crate) fn persistence(facts: &Facts, keep_alive: bool) -> Persistence {
    match (keep_alive, facts.minor) {
        (false, _) => Persistence::Close,
        (true, 0) => Persistence::KeepAlive,
        (true, _) => Persistence::Implied,
    }
}

/// Counts a connection as open while it lives.
struct Open(Arc<Endpoint>);

impl Open {
    fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.live.connections.fetch_add(1, Relaxed);
        Self(endpoint)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.live.connections.fetch_sub(1, Relaxed);
    }
}
