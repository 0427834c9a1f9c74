//! Heads as nearly all of them are written, read in one pass and without a list of fields in between.
//!
//! What is taken here, `httparse` takes too, and to the same parts: tests hold the two against each other. All else is
//! left to it (`None`), and with that every refusal, since it knows the reason. So nothing passes that would not pass
//! without this. Every line ends with CR here.
//!
//! Bytes are looked at eight at a time, as one number (`algorithms/words.rs`).

use http::{HeaderName, header};

use super::fields::Known;
use crate::algorithms::words::{self, HIGH, below, equal, find, word};

/// The first line of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    /// Where the method ends, with which the line begins.
    pub(super) method_end: usize,
    /// Where the target ends, which begins a space behind the method.
    pub(super) target_end: usize,
    /// HTTP/1.1, not HTTP/1.0.
    pub(super) http_11: bool,
    /// Where the fields begin.
    pub(super) end: usize,
}

/// Reads the first line of a request whose target is of visible ASCII, and has no fragment.
#[inline]
pub(super) fn request_line(head: &[u8]) -> Option<RequestLine> {
    let method_end = head.iter().position(|byte| !is_token(*byte)).filter(|end| *end > 0)?;
    let target = method_end + 1;
    let target_end =
        find(head, target, |word| below(word, b'!') | equal(word, b'#') | equal(word, DELETE) | (word & HIGH))?;
    let end = target_end + b" HTTP/1.1\r\n".len();
    let http_11 = match head.get(target_end..end)? {
        b" HTTP/1.1\r\n" => true,
        b" HTTP/1.0\r\n" => false,
        _ => return None,
    };
    (head[method_end] == b' ' && target_end > target).then_some(RequestLine { method_end, target_end, http_11, end })
}

/// Reads the first line of an answer: its status, whether it speaks HTTP/1.1 and not HTTP/1.0, where its fields begin.
#[inline]
pub(super) fn status_line(head: &[u8]) -> Option<(u16, bool, usize)> {
    let (version, code) = head.first_chunk::<12>()?.split_at(b"HTTP/1.1 ".len());
    let http_11 = match version {
        b"HTTP/1.1 " => true,
        b"HTTP/1.0 " => false,
        _ => return None,
    };
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = code.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let reason = version.len() + code.len();
    let end = text_end(head, reason)?;
    (end == reason || head[reason] == b' ').then_some((status, http_11, end + 2))
}

/// Where a field stands.
#[derive(Debug)]
pub(super) struct Field {
    key: Key,
    /// Where its name begins.
    pub(super) at: usize,
    name_end: usize,
    /// Where its value begins.
    pub(super) value: usize,
    /// Where that ends.
    pub(super) value_end: usize,
    /// Where the next line begins.
    pub(super) next: usize,
}

/// Reads a field that begins here. Its name may be none: what asks for that finds out.
#[inline]
pub(super) fn field(head: &[u8], at: usize) -> Option<Field> {
    field_to(head, at, text_end)
}

/// The same for whoever makes a `HeaderValue` of what it holds, which looks at every byte of that anyway: here they are
/// passed over.
#[inline]
pub(super) fn unchecked_field(head: &[u8], at: usize) -> Option<Field> {
    field_to(head, at, line_end)
}

#[inline]
fn field_to(head: &[u8], at: usize, end_of: impl Fn(&[u8], usize) -> Option<usize>) -> Option<Field> {
    let name_end = find(head, at, |word| equal(word, b':'))?;
    let key = Key::of(head, at, name_end - at)?;
    let mut value = name_end + 1;
    while is_space(*head.get(value)?) {
        value += 1;
    }
    let mut value_end = end_of(head, value)?;
    let next = value_end + 2;
    while value_end > value && is_space(head[value_end - 1]) {
        value_end -= 1;
    }
    Some(Field { key, at, name_end, value, value_end, next })
}

/// Whether the head ends with the line that begins here.
#[inline]
pub(super) fn is_end(head: &[u8], at: usize) -> bool {
    head.get(at..at + 2).is_some_and(|end| end == b"\r\n")
}

impl Field {
    /// Its name; `None` where it has none that is valid.
    #[inline]
    pub(super) fn name(&self, head: &[u8]) -> Option<HeaderName> {
        usual_name(self.key).or_else(|| HeaderName::from_bytes(valid(&head[self.at..self.name_end])?).ok())
    }

    /// What its name means to a connection; `None` where it has none that is valid.
    #[inline]
    pub(super) fn known(&self, head: &[u8]) -> Option<Known> {
        match self.key {
            DATE => Some(Known::Date),
            CONNECTION => Some(Known::Connection),
            CONTENT_LENGTH => Some(Known::ContentLength),
            CACHE_CONTROL | CONTENT_ENCODING | CONTENT_TYPE | ETAG | LAST_MODIFIED | SERVER | SET_COOKIE | VARY => {
                Some(Known::Other)
            }
            _ => valid(&head[self.at..self.name_end]).map(Known::of),
        }
    }

    /// Bytes of its name.
    #[inline]
    pub(super) fn name_len(&self) -> usize {
        self.name_end - self.at
    }
}

/// A name, if it is valid.
fn valid(name: &[u8]) -> Option<&[u8]> {
    (!name.is_empty() && name.iter().all(|byte| is_token(*byte))).then_some(name)
}

/// A name's length, its first eight letters and its last eight, all of them small: enough to tell a name of up to
/// sixteen bytes from all others with three comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    length: usize,
    first: u64,
    last: u64,
}

impl Key {
    #[inline]
    fn of(head: &[u8], at: usize, length: usize) -> Option<Self> {
        let first = word(head, at)?;
        if length < 8 {
            return Some(Self::made_of(length, first & ((1 << (8 * length)) - 1), 0));
        }
        Some(Self::made_of(length, first, word(head, at + length - 8)?))
    }

    /// That of a name in small letters.
    const fn of_name(name: &[u8]) -> Self {
        assert!(name.len() <= 16, "the bytes between would not be looked at");
        let (mut first, mut last, mut at) = (0, 0, 0);
        while at < name.len() {
            if at < 8 {
                first |= (name[at] as u64) << (8 * at);
            }
            if name.len() >= 8 && at + 8 >= name.len() {
                last |= (name[at] as u64) << (8 * (at + 8 - name.len()));
            }
            at += 1;
        }
        Self { length: name.len(), first, last }
    }

    #[inline]
    fn made_of(length: usize, first: u64, last: u64) -> Self {
        Self { length, first: small(first), last: small(last) }
    }
}

macro_rules! usual_names {
    ($($key:ident = $spelled:literal: $name:expr;)*) => {
        $(const $key: Key = Key::of_name($spelled);)*

        /// The name that a key is of, where it is one that many requests have.
        #[inline]
        fn usual_name(key: Key) -> Option<HeaderName> {
            Some(match key {
                $($key => const { $name },)*
                _ => return None,
            })
        }

        #[cfg(test)]
        fn usual() -> Vec<(&'static [u8], HeaderName)> {
            vec![$((&$spelled[..], $name),)*]
        }
    };
}

usual_names! {
    ACCEPT = b"accept": header::ACCEPT;
    ACCEPT_ENCODING = b"accept-encoding": header::ACCEPT_ENCODING;
    ACCEPT_LANGUAGE = b"accept-language": header::ACCEPT_LANGUAGE;
    AUTHORIZATION = b"authorization": header::AUTHORIZATION;
    CACHE_CONTROL = b"cache-control": header::CACHE_CONTROL;
    CONNECTION = b"connection": header::CONNECTION;
    CONTENT_ENCODING = b"content-encoding": header::CONTENT_ENCODING;
    CONTENT_LENGTH = b"content-length": header::CONTENT_LENGTH;
    CONTENT_TYPE = b"content-type": header::CONTENT_TYPE;
    COOKIE = b"cookie": header::COOKIE;
    HOST = b"host": header::HOST;
    IF_NONE_MATCH = b"if-none-match": header::IF_NONE_MATCH;
    ORIGIN = b"origin": header::ORIGIN;
    REFERER = b"referer": header::REFERER;
    TRACEPARENT = b"traceparent": HeaderName::from_static("traceparent");
    USER_AGENT = b"user-agent": header::USER_AGENT;
    X_FORWARDED_FOR = b"x-forwarded-for": HeaderName::from_static("x-forwarded-for");
    X_REQUEST_ID = b"x-request-id": HeaderName::from_static("x-request-id");
}

// Of answers.
const DATE: Key = Key::of_name(b"date");
const ETAG: Key = Key::of_name(b"etag");
const LAST_MODIFIED: Key = Key::of_name(b"last-modified");
const SERVER: Key = Key::of_name(b"server");
const SET_COOKIE: Key = Key::of_name(b"set-cookie");
const VARY: Key = Key::of_name(b"vary");

/// A letter or another byte of a name (RFC 9110, section 5.6.2).
#[inline]
fn is_token(byte: u8) -> bool {
    static TOKEN: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0);
        while byte < 256 {
            let is_sign = matches!(
                byte as u8,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
            table[byte] = is_sign || (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where a text ends that a line end follows: no byte of it is a control character, but for tabs.
#[inline]
fn text_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = find(head, at, |word| below(word, b' ') | equal(word, DELETE))?;
        match head.get(at..at + 2)? {
            b"\r\n" => return Some(at),
            [b'\t', _] => at += 1,
            _ => return None,
        }
    }
}

/// So near do most values end: it takes less to look there than to call what sees more at once.
const NEAR: usize = 32;

/// Where a line ends, whatever it holds.
#[inline]
fn line_end(head: &[u8], at: usize) -> Option<usize> {
    let rest = head.get(at..)?;
    let near = rest.first_chunk::<NEAR>().and_then(|near| words::position(near, b'\r'));
    let end = at + near.or_else(|| memchr::memchr(b'\r', rest))?;
    (head.get(end + 1) == Some(&b'\n')).then_some(end)
}

const DELETE: u8 = 0x7f;

/// Small letters for capital ones. All that is no letter stays what it is, or becomes what stands in no usual name.
#[inline]
fn small(word: u64) -> u64 {
    word | ((word & (HIGH >> 1)) >> 1)
}

/// What heads are made of, right ones and wrong ones.
#[cfg(test)]
pub(super) fn piece() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let names =
        prop::sample::select(vec!["host", "Content-Length", "x-a", "connection", "a-name-of-many-letters", "x"]);
    let line = names.prop_flat_map(|name| (Just(name), "[ \t]{0,2}", "[ -~\t]{0,20}", "[ \t]{0,2}"));
    prop_oneof![
        6 => line.prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}\r\n").into_bytes()),
        1 => prop::sample::select(vec!["\r\n", "\n", "\r", ":", " ", "content-length: 3\r\n", "Connection:close\r\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..9),
        3 => Just(b"\r\n".to_vec()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_names_are_what_the_library_makes_of_them_in_any_case() {
        for (spelled, name) in usual() {
            for spelled in [spelled.to_vec(), spelled.to_ascii_uppercase()] {
                let head = [&spelled, &b": a\r\n"[..]].concat();
                let field = field(&head, 0).unwrap();
                assert_eq!(usual_name(field.key), Some(name.clone()), "{spelled:?}");
                assert_eq!(HeaderName::from_bytes(&spelled).unwrap(), name);
            }
        }
    }

    #[test]
    fn what_differs_from_a_usual_name_in_a_byte_is_another() {
        for (spelled, name) in usual() {
            for at in 0..spelled.len() {
                for byte in (0..=u8::MAX).filter(|byte| *byte != b':') {
                    let mut head = [spelled, &b": a\r\n"[..]].concat();
                    head[at] = byte;
                    let is_same = byte.eq_ignore_ascii_case(&spelled[at]);
                    let found = field(&head, 0).and_then(|field| usual_name(field.key));
                    assert_eq!(found.as_ref() == Some(&name), is_same, "{:?}", head.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn what_a_name_means_to_a_connection_is_the_same_by_its_key() {
        let others =
            ["x-date", "transfer-encoding", "Transfer-Encoding", "te", "age", "a-name-of-many-letters-is-other"];
        let answers = ["date", "etag", "last-modified", "server", "set-cookie", "vary", "Content-Length", "CONNECTION"];
        let usual = usual();
        let usual = usual.iter().map(|(name, _)| std::str::from_utf8(name).unwrap());
        for name in usual.chain(others).chain(answers) {
            let head = format!("{name}: a\r\n").into_bytes();
            let field = field(&head, 0).unwrap();
            assert_eq!(field.known(&head), Some(Known::of(name.as_bytes())), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_what_the_library_takes_as_a_name(byte in any::<u8>()) {
            prop_assert_eq!(is_token(byte), HeaderName::from_bytes(&[b'a', byte]).is_ok());
        }
    }
}
