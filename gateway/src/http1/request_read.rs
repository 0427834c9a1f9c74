//! Request heads off the wire (RFC 9112, sections 2, 3, 5 and 6).
//!
//! What can be judged of the head as a whole (host, target, framing) is left to `context`, which judges requests of
//! whatever origin; here a head is refused that cannot be told from bytes to fields. What the fields say of the body is
//! in `request_framing.rs`, and in what words a head is refused in `request_refusal.rs`.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, Method, Uri};

use super::lines::{Lines, all_end_with_cr};
use super::plain;
use super::request_framing::{Gathered, RequestRead};
use super::request_refusal::{
    BARE_LINE_FEED, ROUND_IT, Refusal, refusal_of, request_line, target_too_long, too_large, wrong_with,
};
use super::wire_names::WireNames;
use crate::request_parts::RequestParts;
use crate::request_target::{PathQuery, RequestTarget};

/// Fields for which there is room without asking the allocator.
const USUAL_FIELDS: usize = 128;

/// What a head may have.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Fields.
    pub fields: usize,
    /// Bytes of the target.
    pub target: usize,
    /// Bytes of all of it.
    pub bytes: usize,
    /// Names are remembered as they were written.
    pub keep_names: bool,
}

impl HeadLimits {
    /// So much is read of a head before it is refused for its size alone. It is more than a head may have: nearly all
    /// that are too large are judged as requests, so that their records tell more of them.
    fn head(&self) -> usize {
        self.target.saturating_add(self.bytes).saturating_add(ROUND_IT)
    }
}

/// Takes a head off the buffer, and puts it into these parts; `None` while it is not whole.
///
/// # Errors
/// Why it is none.
#[inline]
pub(super) fn take(
    buffer: &mut BytesMut,
    lines: &mut Lines,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    if buffer.is_empty() {
        return Ok(None);
    }
    if lines.is_untouched() {
        // RFC 9112, section 2.2: a line end left over from the request before is not held against a client.
        while buffer.starts_with(b"\r\n") {
            buffer.advance(2);
        }
        if **buffer == *b"\r" {
            // Its other half is on its way.
            return Ok(None);
        }
    }
    // Most heads come at once and alone; others are looked for line by line.
    if lines.is_untouched() && buffer.ends_with(b"\r\n\r\n") && buffer.len() <= limits.head() {
        return take_at_once(buffer, limits, parts);
    }
    take_whole(buffer, lines, limits, parts)
}

/// What is there is likely to be one head; what is behind its end is put back.
#[inline]
fn take_at_once(
    buffer: &mut BytesMut,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    // The buffer goes along: whoever needs the head no more gives it back.
    match parse(std::mem::take(buffer), limits, parts) {
        Ok((request, behind)) => {
            *buffer = behind;
            Ok(Some(request))
        }
        Err((refusal, bytes)) => Err(put_back(buffer, bytes, refusal)),
    }
}

/// What is no head may be the beginning of something else.
#[cold]
fn put_back(buffer: &mut BytesMut, head: Bytes, refusal: Box<Refusal>) -> Box<Refusal> {
    let behind = std::mem::replace(buffer, head.into());
    buffer.extend_from_slice(&behind);
    refusal
}

fn take_whole(
    buffer: &mut BytesMut,
    lines: &mut Lines,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    let first = lines.count() == 0;
    let found = lines.find_end(buffer).map_err(|_| Refusal::bad(BARE_LINE_FEED))?;
    let too_many = lines.count() > limits.fields + 1;
    if found.unwrap_or(buffer.len()) > limits.head() || too_many {
        return Err(too_large(buffer, limits, too_many));
    }
    let Some(length) = found else {
        // Once for each read of the first line: a head that drips in must not be parsed again for each of its bytes.
        return if first { check_beginning(buffer) } else { Ok(None) };
    };
    *lines = Lines::default();
    match parse(buffer.split_to(length), limits, parts) {
        Ok((request, _)) => Ok(Some(request)),
        Err((refusal, head)) => Err(put_back(buffer, head, refusal)),
    }
}

/// A head that is not whole yet may be seen to be none: whoever speaks another protocol is told at once.
#[cold]
fn check_beginning(buffer: &[u8]) -> Result<Option<RequestRead>, Box<Refusal>> {
    match httparse::Request::new(&mut []).parse(buffer) {
        // The fields are for later.
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(None),
        Err(error) => Err(refusal_of(error)),
    }
}

/// Parses the head that these bytes begin with, and hold whole; what is behind it as well.
#[inline]
fn parse(
    mut head: BytesMut,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<(RequestRead, BytesMut), (Box<Refusal>, Bytes)> {
    let mut gathered = Gathered::new();
    let plain = read_plain(&mut head, limits, &mut gathered);
    match plain.and_then(|(line, length)| Some((first_line_of(&head, &line)?, line.http_11, length))) {
        Some((line, http_11, length)) => {
            let behind = if length < head.len() { head.split_off(length) } else { BytesMut::new() };
            Ok((gathered.conclude(line, http_11, head.freeze(), parts), behind))
        }
        None => {
            gathered.give_up();
            let head = head.freeze();
            match parse_any(&head, limits, parts) {
                Ok((request, length)) => Ok((request, head[length..].into())),
                Err(refusal) => Err((refusal, head)),
            }
        }
    }
}

/// Reads a head as most are written; `None` where it is not, or wrong. Its first line, and the head's length. Names are
/// in small letters then, those that were read.
#[inline]
fn read_plain(head: &mut [u8], limits: &HeadLimits, gathered: &mut Gathered) -> Option<(plain::RequestLine, usize)> {
    if limits.keep_names {
        return None;
    }
    let line = plain::request_line(head)?;
    let mut at = line.end;
    while !plain::is_end(head, at) {
        let field = plain::field(head, at)?;
        if gathered.fields.len() == limits.fields {
            return None;
        }
        let known = field.small_name(head)?;
        gathered.note(head, (&field, known), line.http_11);
        at = field.next;
    }
    Some((line, at + 2))
}

/// Method and target of a first line that was found to be one.
#[inline]
fn first_line_of(head: &[u8], line: &plain::RequestLine) -> Option<(Method, RequestTarget)> {
    let method = Method::from_bytes(&head[..line.method_end]).ok()?;
    let target = line.method_end + 1..line.target_end;
    let target = match PathQuery::plain(&head[target.clone()]) {
        Some(plain) => plain.into(),
        None => Uri::try_from(&head[target]).ok()?.into(),
    };
    Some((method, target))
}

/// Parses any head, and says what is wrong with one.
#[cold]
fn parse_any(
    head: &Bytes,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<(RequestRead, usize), Box<Refusal>> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut many = Vec::new();
    let space = if limits.fields <= USUAL_FIELDS {
        &mut usual[..limits.fields]
    } else {
        many.resize_with(limits.fields, MaybeUninit::uninit);
        &mut many[..]
    };
    let mut parsed = httparse::Request::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, space) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(Refusal::bad("The request head is malformed.")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large(head, limits, true)),
        Err(error) => {
            let mut refusal = refusal_of(error);
            refusal.line = request_line(head);
            return Err(refusal);
        }
    };
    if !all_end_with_cr(&head[..length]) {
        return Err(Refusal::bad(BARE_LINE_FEED));
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let http_11 = parsed.version == Some(1);
    let line = first_line(head, method, target, limits)?;
    let gathered = collect(http_11, parsed.headers)?;
    if limits.keep_names {
        parts.extensions.insert(wire_names(head, parsed.headers));
    }
    Ok((gathered.conclude(line, http_11, Bytes::new(), parts), length))
}

fn first_line(
    head: &Bytes,
    method: &str,
    target: &str,
    limits: &HeadLimits,
) -> Result<(Method, RequestTarget), Box<Refusal>> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("The method is malformed."))?;
    // `Uri` would drop it in silence; RFC 9112, section 3.2, has none in a target.
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        let mut refusal = Refusal::bad("The request target has a fragment.");
        refusal.line = Uri::try_from(target).ok().map(|uri| (method, uri));
        return Err(refusal);
    }
    let range = place(head, target.as_bytes());
    let uri = Uri::from_maybe_shared(head.slice(range)).map_err(|_| {
        // No `Uri` is longer than 65,534 bytes, whatever is in it.
        if target.len() > limits.target { target_too_long() } else { Refusal::bad(wrong_with(target)) }
    })?;
    Ok((method, uri.into()))
}

/// Where a part of the head stands in it.
fn place(head: &Bytes, part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    if part.is_empty() || start > head.len() { 0..0 } else { start..start + part.len() }
}

fn collect(http_11: bool, fields: &[httparse::Header<'_>]) -> Result<Gathered, Box<Refusal>> {
    let mut gathered = Gathered::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Refusal::bad("A header field's name is malformed."))?;
        gathered
            .add(&name, field.value, http_11)
            .ok_or_else(|| Refusal::bad("A header field's value is malformed."))?;
    }
    Ok(gathered)
}

#[cold]
fn wire_names(head: &Bytes, fields: &[httparse::Header<'_>]) -> WireNames {
    WireNames::of(fields.iter().filter_map(|field| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, head.slice(place(head, field.name.as_bytes()))))
    }))
}

#[cfg(test)]
mod tests;
