//! One connection to a mock: requests in, answers and faults out.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use mocks::{Act, Draws, Effect, Garbage, Reset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

use super::answer::Answer;
use super::fate::{self, Fate};
use super::faults::Faults;
use super::journal::{Journal, now_ns};
use super::mock::Place;
use super::request::{Parsed, Request, parse};
use crate::history::{Attempt, Ending};

/// A slow body goes in this many slices a second.
const SLICES: u64 = 50;

/// What comes after a request.
enum Flow {
    Next,
    Close,
}

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    place: Rc<Place>,
    faults: Rc<Faults>,
    journal: Journal,
    number: u64,
    answered: u64,
    input: Vec<u8>,
    /// Bytes of `input` that were looked at, and are still in the socket: one who closes over them resets.
    peeked: usize,
    /// When the first byte of the present request came.
    began_ns: u64,
    /// When the first byte of its answer left.
    answered_ns: Option<u64>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, place: Rc<Place>, faults: Rc<Faults>, journal: Journal) -> Self {
        let number = place.connections.get() + 1;
        place.connections.set(number);
        Self {
            stream,
            place,
            faults,
            journal,
            number,
            answered: 0,
            input: Vec::new(),
            peeked: 0,
            began_ns: 0,
            answered_ns: None,
        }
    }

    /// Serves it to its end. A connection that breaks is the gateway's right.
    pub(super) async fn serve(mut self) {
        while let Ok(Some(request)) = self.request().await {
            match self.answer(&request).await {
                Ok(Flow::Next) if !request.close => {}
                _ => return,
            }
            self.input.drain(..request.head_bytes + request.body_bytes);
        }
    }

    /// The next whole request; `None` when there is none.
    async fn request(&mut self) -> io::Result<Option<Box<Request>>> {
        let mut head: Option<Box<Request>> = None;
        loop {
            if head.is_none() && !self.input.is_empty() {
                match parse(&self.input) {
                    Parsed::Partial => {}
                    Parsed::Head(request) => head = Some(request),
                    Parsed::Bad(reason) => {
                        self.journal.anomaly("ambiguous_request", reason);
                        return Ok(None);
                    }
                }
            }
            if let Some(request) = head.take_if(|head| self.input.len() >= head.head_bytes + head.body_bytes) {
                return Ok(Some(request));
            }
            self.consume().await?;
            let mut space = [0; 8192];
            let read = self.stream.peek(&mut space).await?;
            if read == 0 {
                return Ok(None);
            }
            if self.input.is_empty() {
                self.began_ns = now_ns();
            }
            self.input.extend_from_slice(&space[..read]);
            self.peeked = read;
        }
    }

    /// Takes what was looked at out of the socket.
    async fn consume(&mut self) -> io::Result<()> {
        let mut space = [0; 8192];
        while self.peeked > 0 {
            let most = self.peeked.min(space.len());
            match self.stream.read(&mut space[..most]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.peeked -= read,
            }
        }
        Ok(())
    }

    async fn answer(&mut self, request: &Request) -> io::Result<Flow> {
        let (place, faults) = (Rc::clone(&self.place), Rc::clone(&self.faults));
        let number = place.requests.get() + 1;
        place.requests.set(number);
        self.judge(request);
        let arrival_ns = self.began_ns;
        let Fate { act, hit, mut draws, wait } = fate::of(&place, &faults, number, now_ns());
        let full = Act { status: Some(503), ..Act::default() };
        let act = act.unwrap_or(&full);
        let attempt = self.journal.attempt(Attempt {
            endpoint: place.endpoint.clone(),
            connection: self.number,
            request_id: request.request_id.as_deref().map(Into::into),
            arrival_ns,
            answer_ns: None,
            end_ns: None,
            ending: Ending::Abandoned,
            hit,
            health_check: request.health_check,
        });
        if !matches!(act.effect, Effect::Refuse | Effect::Reset(Reset::BeforeHeaders)) {
            self.consume().await?;
        }
        let left = {
            let work = async {
                if !wait.is_zero() {
                    // Virtual time: it passes as soon as nobody has anything else to do.
                    tokio::time::sleep(wait).await;
                }
                if act.effect == Effect::Hang {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = work => false,
                () = gone(&mut self.stream, self.peeked) => true,
            }
        };
        if left {
            self.journal.attempt_ends(attempt, None, Ending::Abandoned);
            return Ok(Flow::Close);
        }
        self.answered_ns = None;
        let (flow, ending) = match self.deliver(request, act, &mut draws).await {
            Ok(delivered) => delivered,
            Err(_) => (Flow::Close, Ending::Abandoned),
        };
        self.journal.attempt_ends(attempt, self.answered_ns, ending);
        Ok(flow)
    }

    /// Writes a part of an answer.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now_ns = now_ns();
        self.stream.write_all(bytes).await?;
        self.answered_ns.get_or_insert(now_ns);
        Ok(())
    }

    /// What a gateway must not have changed.
    fn judge(&self, request: &Request) {
        if request.health_check {
            return;
        }
        if let Some(name) = &request.forged {
            self.journal.anomaly("identity_header", format!("`{name}` of a client reached {}", self.place.endpoint));
        }
        if request.request_id.is_none() {
            self.journal.anomaly("no_request_id", format!("at {}", self.place.endpoint));
        }
        let body = &self.input[request.head_bytes..request.head_bytes + request.body_bytes];
        if request.sent_bytes.is_some_and(|sent| sent != body.len() as u64) || body.iter().any(|byte| *byte != b'x') {
            let detail = format!("{:?} bytes were sent, {} came", request.sent_bytes, body.len());
            self.journal.anomaly("request_body", detail);
        }
        if let Some(sent) = &request.sent_target
            && !sent.ends_with(&*request.target)
        {
            self.journal.anomaly("request_target", format!("`{sent}` was sent, `{}` came", request.target));
        }
    }

    async fn deliver(&mut self, request: &Request, act: &Act, draws: &mut Draws) -> io::Result<(Flow, Ending)> {
        let status = act.status.unwrap_or(200);
        let answer = Answer::of(request, status, self.place.port);
        let close = (Flow::Close, Ending::Broken);
        match act.effect {
            _ if act.close == Some(0) => return Ok(close),
            Effect::Refuse | Effect::Reset(Reset::BeforeHeaders) => return Ok(close),
            Effect::Reset(reset) => {
                let head = answer.head();
                let half =
                    if reset == Reset::InHeaders { head.len() / 2 } else { head.len() + answer.wire().len() / 2 };
                let whole = [head.as_bytes(), &answer.wire()].concat();
                self.write(&whole[..half]).await?;
                return Ok(close);
            }
            Effect::Garbage(kind) => {
                self.write(&garbage(kind, draws)).await?;
                return Ok((Flow::Close, Ending::Invalid));
            }
            Effect::Truncate(bytes) if !answer.wire().is_empty() => {
                let wire = answer.wire();
                let half = wire.len() / 2;
                let kept = bytes.map_or(half, |bytes| usize::try_from(bytes).unwrap_or(half)).min(wire.len() - 1);
                self.write(&[answer.head().as_bytes(), &wire[..kept]].concat()).await?;
                return Ok((Flow::Close, Ending::Invalid));
            }
            _ => {}
        }
        self.send(&answer, act.slow_body).await?;
        self.answered += 1;
        let enough = act.close.is_some_and(|after| self.answered >= after);
        Ok((if enough { Flow::Close } else { Flow::Next }, Ending::Answered(status)))
    }

    async fn send(&mut self, answer: &Answer, rate: Option<u64>) -> io::Result<()> {
        let wire = answer.wire();
        let head = answer.head();
        match (rate, answer.pause()) {
            (None, None) => self.write(&[head.as_bytes(), &wire].concat()).await,
            (rate, pause) => {
                self.write(head.as_bytes()).await?;
                let slice = rate.map_or(wire.len().div_ceil(answer.pieces()), |rate| (rate / SLICES).max(1) as usize);
                let tick = rate.map_or_else(|| pause.unwrap_or_default(), |_| Duration::from_millis(1000 / SLICES));
                for part in wire.chunks(slice.max(1)) {
                    // Virtual time: it passes as soon as nobody has anything else to do.
                    tokio::time::sleep(tick).await;
                    self.write(part).await?;
                }
                Ok(())
            }
        }
    }
}

/// Waits until the other side has gone. What it may send meanwhile stays where it is.
async fn gone(stream: &mut TcpStream, unread: usize) {
    if unread > 0 {
        // A look would find what is still unread, and say nothing of what comes after it.
        return std::future::pending().await;
    }
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        // Nothing is sent before its answer; if it is, the next request's reader will find it.
        Ok(_) => std::future::pending().await,
    }
}

/// Something that is no answer.
fn garbage(kind: Garbage, draws: &mut Draws) -> Vec<u8> {
    match kind {
        Garbage::StatusLine => b"HTTP/1.1 two hundred\r\n\r\n".to_vec(),
        Garbage::BareLf => b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}".to_vec(),
        Garbage::Header => b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n{}".to_vec(),
        Garbage::ClTe => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()
        }
        Garbage::TwoCl => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}".to_vec(),
        Garbage::BadCl => b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}".to_vec(),
        Garbage::BadChunk => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n{}\r\n".to_vec(),
        Garbage::HugeHead => {
            let mut head = b"HTTP/1.1 200 OK\r\na: ".to_vec();
            head.resize(1 << 20, b'a');
            head
        }
        Garbage::Flood1xx => {
            let mut flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
            flood.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            flood
        }
        Garbage::Bytes => (0..64).flat_map(|_| draws.next_u64().to_le_bytes()).collect(),
    }
}
