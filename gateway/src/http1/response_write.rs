//! Response heads on the wire, written anew: one framing field that fits the body, and what the connection does next
//! (RFC 9112, sections 4, 6 and 9; RFC 9110, section 6.6.1).

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::fields::Fields;
use super::request_head::write_field;
use super::spare;
use super::write_queue::Framing;

/// The fields of an answer.
#[derive(Debug)]
pub enum AnswerHead {
    /// The gateway's own, or changed by a route. Boxed: answers are handed on a few times, and an upstream's, as most
    /// are, would be so with room for this.
    Map(Box<HeaderMap>),
    /// An upstream's, as they stood on the wire.
    Wire(Box<Fields>),
}

impl Default for AnswerHead {
    fn default() -> Self {
        Self::Map(Box::default())
    }
}

impl AnswerHead {
    /// Keeps what it took for another answer.
    #[inline]
    pub fn recycle(self) {
        match self {
            Self::Map(map) => spare::keep_map(*map),
            Self::Wire(fields) => spare::keep_fields(fields),
        }
    }

    /// The fields as a map.
    pub fn into_map(self) -> HeaderMap {
        match self {
            Self::Map(map) => *map,
            Self::Wire(fields) => fields.to_map(),
        }
    }
}

/// What an answer's framing depends on, beside the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) http_11: bool,
    /// The request was HEAD.
    pub(super) head_only: bool,
    /// Another request could follow.
    pub(super) keep_alive: bool,
    /// The body's length, where it is known.
    pub(super) length: Option<u64>,
    /// The time, as `Date` has it.
    pub(super) date: &'a [u8],
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
}

/// What the fields have already.
#[derive(Debug, Default, Clone, Copy)]
struct Has {
    length: bool,
    date: bool,
    close: bool,
}

/// Appends the head, its empty line included.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    head: &AnswerHead,
    around: &Circumstances<'_>,
) -> Written {
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    // What HEAD and 304 say of a length is of the body that they do not have.
    // 204 says nothing of one, to nobody (RFC 9110, section 8.6).
    let stays = (around.head_only && !bodiless) || status == StatusCode::NOT_MODIFIED;
    let framing = match around.length {
        _ if bodiless || around.head_only => Framing::None,
        Some(length) => Framing::Length(length),
        None if around.http_11 => Framing::Chunked,
        None => Framing::UntilClose,
    };
    write_status(out, status);
    let has = match head {
        AnswerHead::Map(map) => write_map(out, map, stays),
        AnswerHead::Wire(fields) => write_wire(out, fields, stays || matches!(framing, Framing::Length(_))),
    };
    if !has.date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(around.date);
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        Framing::Length(length) if !has.length => write_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        _ => {}
    }
    let closes = has.close || matches!(head, AnswerHead::Wire(fields) if fields.closes);
    let keep_alive = around.keep_alive && !closes && framing != Framing::UntilClose;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        match (keep_alive, around.http_11) {
            (false, true) if !has.close => out.extend_from_slice(b"connection: close\r\n"),
            (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    // A body without bytes needs no turn of its own.
    let framing = if framing == Framing::Length(0) { Framing::None } else { framing };
    Written { framing, keep_alive }
}

/// Appends a whole interim answer with these fields (RFC 8297).
pub(super) fn write_hint(out: &mut Vec<u8>, fields: &HeaderMap) {
    write_status(out, StatusCode::EARLY_HINTS);
    for (name, value) in fields {
        write_field(out, name, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_map(out: &mut Vec<u8>, map: &HeaderMap, length_stays: bool) -> Has {
    const CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;
    const TRANSFER_ENCODING: HeaderName = header::TRANSFER_ENCODING;
    const CONNECTION: HeaderName = header::CONNECTION;
    const DATE: HeaderName = header::DATE;
    let mut has = Has::default();
    for (name, value) in map {
        match *name {
            CONTENT_LENGTH if !length_stays => continue,
            CONTENT_LENGTH => has.length = true,
            TRANSFER_ENCODING => continue,
            CONNECTION => has.close |= value.as_bytes().eq_ignore_ascii_case(b"close"),
            DATE => has.date = true,
            _ => {}
        }
        write_field(out, name, value.as_bytes());
    }
    has
}

/// Fields from the wire have been screened: no `connection` and no `transfer-encoding` is among them, and a
/// `content-length` says what the upstream's framing said.
fn write_wire(out: &mut Vec<u8>, fields: &Fields, length_stays: bool) -> Has {
    fields.write(out, length_stays);
    Has { length: length_stays && fields.has_length(), date: fields.has_date(), close: false }
}
