//! What a request's fields say of its body and its connection (RFC 9112, sections 6 and 9.3). Where they leave it in
//! doubt how long the body is, there is none, and the connection carries nothing after this request.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version};

use super::body_reader::BodyReader;
use super::plain;
use super::spare;

use crate::request_fields::{KnownName, NameSet, RequestFields};
use crate::request_parts::RequestParts;
use crate::request_target::RequestTarget;

/// Names of what is said of the body and the connection.
const SEEN: NameSet =
    NameSet::of(&[KnownName::CONTENT_LENGTH, KnownName::TRANSFER_ENCODING, KnownName::CONNECTION, KnownName::EXPECT]);

/// What the fields say of the body and the connection.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    /// The body's length can be read in more than one way (security.md, A1 to A3).
    in_doubt: bool,
    /// The client waits for a 100.
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
}

impl Seen {
    /// A field of the head that has one of the names that are looked at ([`SEEN`]).
    fn see(&mut self, name: KnownName, value: &[u8], http_11: bool) {
        match name {
            KnownName::CONTENT_LENGTH => {
                let length = decimal(value);
                self.in_doubt |= self.length.is_some() || length.is_none();
                self.length = length;
            }
            KnownName::TRANSFER_ENCODING => {
                self.in_doubt |= self.chunked || !http_11 || !value.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
            }
            // RFC 9112, section 9.3
            KnownName::CONNECTION => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            // A list, whose other words are refused later.
            KnownName::EXPECT => {
                let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                self.expects_continue |= words.any(|word| word.eq_ignore_ascii_case(b"100-continue"));
            }
            _ => {}
        }
    }

    /// The body that follows, and whether the connection is kept behind it. Where its length is in doubt nothing
    /// follows.
    #[inline]
    fn settled(&self, http_11: bool) -> (BodyReader, bool) {
        let in_doubt = self.in_doubt || (self.chunked && self.length.is_some());
        let body = match self.length {
            _ if in_doubt => BodyReader::Over,
            _ if self.chunked => BodyReader::chunked(),
            Some(length) => BodyReader::of_length(length),
            None => BodyReader::Over,
        };
        (body, !in_doubt && !self.close && (http_11 || self.keep_alive))
    }
}

/// What a request's head says of what follows.
#[derive(Debug)]
pub(super) struct RequestRead {
    pub(super) body: BodyReader,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// The client means to send more requests.
    pub(super) keep_alive: bool,
}

/// The fields of a head, as far as they are read.
pub(super) struct Gathered {
    pub(super) fields: RequestFields,
    seen: Seen,
}

impl Gathered {
    #[inline]
    pub(super) fn new() -> Self {
        Self { fields: spare::request_fields(), seen: Seen::default() }
    }

    /// The next field of a head, which stays where it is, and the number of its name.
    #[inline]
    pub(super) fn note(&mut self, head: &[u8], (field, known): (&plain::Field, Option<KnownName>), http_11: bool) {
        let value = (field.value, field.value_end - field.value);
        self.see(known, &head[field.value..field.value_end], http_11);
        self.fields.note(head, ((field.at, field.name_len()), known), value, field.next);
    }

    /// The next field, of which a copy is made; `None` where its value is none that is valid.
    #[cold]
    pub(super) fn add(&mut self, name: &HeaderName, value: &[u8], http_11: bool) -> Option<()> {
        let value = HeaderValue::from_bytes(value).ok()?;
        self.see(KnownName::of(name.as_str().as_bytes()), value.as_bytes(), http_11);
        self.fields.append(name, value);
        Some(())
    }

    #[inline]
    fn see(&mut self, name: Option<KnownName>, value: &[u8], http_11: bool) {
        if let Some(name) = name.filter(|name| SEEN.contains(*name)) {
            self.seen.see(name, value, http_11);
        }
    }

    #[cold]
    pub(super) fn give_up(self) {
        spare::keep_request_fields(self.fields);
    }

    /// Puts the request together that has this first line and these fields. Those that were noted stand in this head.
    #[inline]
    pub(super) fn conclude(
        self,
        line: (Method, RequestTarget),
        http_11: bool,
        head: Bytes,
        parts: &mut RequestParts,
    ) -> RequestRead {
        let Self { mut fields, seen } = self;
        fields.set_block(head);
        (parts.method, parts.uri) = line;
        parts.version = if http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
        parts.headers = fields;
        let (body, keep_alive) = seen.settled(http_11);
        let expects_continue = http_11 && seen.expects_continue && !body.is_over();
        RequestRead { body, expects_continue, keep_alive }
    }
}

/// Whoever reads a length as a signed number reads a larger one as something else (security.md, A2).
const LONGEST: u64 = i64::MAX as u64;

/// A length of digits alone, that nobody reads as another.
#[inline]
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    number.filter(|number| *number <= LONGEST)
}
