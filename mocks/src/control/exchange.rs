//! HTTP/1.1 on the control port: small requests, whole answers.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::api::{self, Reply};
use crate::http1::answer::{AnswerHead, Ending, Persistence};
use crate::http1::body::Decoder;
use crate::http1::head::{self, Facts, Parsed};
use crate::world::World;

/// The largest body that is read: thousands of rules.
const MAX_BODY: usize = 4 << 20;
/// Identifies the control port where services identify themselves.
const IDENTITY: &[u8] = b"cache-control: no-store\r\nx-mock-service: control\r\nx-mock-residence-ns: ";

/// A request to the control port.
struct Request {
    method: String,
    target: String,
    facts: Facts,
}

/// Serves one connection.
pub(super) async fn serve(mut stream: TcpStream, world: Arc<World>) {
    let mut unread = Vec::new();
    while let Ok(true) = exchange(&mut stream, &mut unread, &world).await {}
}

/// One request and its answer; true when another may follow.
async fn exchange(stream: &mut TcpStream, unread: &mut Vec<u8>, world: &World) -> io::Result<bool> {
    let request = loop {
        match read_head(unread) {
            Ok(Some(request)) => break request,
            Ok(None) if stream.read_buf(unread).await? == 0 => return Ok(false),
            Ok(None) => {}
            Err((status, reason)) => {
                reply(stream, &Reply::problem(status, reason), Persistence::Close, false).await?;
                return Ok(false);
            }
        }
    };
    unread.drain(..request.facts.head_len);
    let Some(body) = read_body(stream, unread, &request.facts).await? else {
        reply(stream, &Reply::problem(400, "the body is malformed or too large"), Persistence::Close, false).await?;
        return Ok(false);
    };
    let answer = api::answer(world, &request.method, &request.target, &body).await;
    let persistence = crate::server::persistence(&request.facts, request.facts.keep_alive);
    reply(stream, &answer, persistence, request.facts.is_head).await?;
    Ok(request.facts.keep_alive)
}

fn read_head(bytes: &[u8]) -> Result<Option<Request>, (u16, &'static str)> {
    let mut storage = head::storage();
    match head::parse(bytes, &mut storage) {
        Parsed::Partial => Ok(None),
        Parsed::Bad(status, reason) => Err((status, reason)),
        Parsed::Head(head) => {
            let facts = head.facts().map_err(|reason| (400, reason))?;
            Ok(Some(Request { method: head.method.to_owned(), target: head.target.to_owned(), facts }))
        }
    }
}

/// The body; `None` when it cannot be read.
async fn read_body(stream: &mut TcpStream, unread: &mut Vec<u8>, facts: &Facts) -> io::Result<Option<Vec<u8>>> {
    let (mut decoder, mut body) = (Decoder::new(facts.framing), Vec::new());
    let mut invited = !facts.expects_continue;
    loop {
        let Ok(taken) = decoder.push(unread, &mut |piece| body.extend_from_slice(piece)) else { return Ok(None) };
        unread.drain(..taken);
        if body.len() > MAX_BODY {
            return Ok(None);
        }
        if decoder.is_done() {
            return Ok(Some(body));
        }
        if !invited {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            invited = true;
        }
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn reply(stream: &mut TcpStream, answer: &Reply, persistence: Persistence, is_head: bool) -> io::Result<()> {
    let mut out = Vec::with_capacity(256 + answer.body.len());
    AnswerHead {
        status: answer.status,
        content_type: answer.content_type,
        ending: Ending::Length(answer.body.len() as u64),
        persistence,
        identity: IDENTITY,
        residence_ns: 0,
        extra: answer.extra.as_bytes(),
    }
    .write(&mut out);
    if !is_head {
        out.extend_from_slice(answer.body.as_bytes());
    }
    stream.write_all(&out).await
}
