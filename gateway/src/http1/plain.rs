//! Heads as nearly all of them are written, read in one pass and without a list of fields in between.
//!
//! What is taken here, `httparse` takes too, and to the same parts: tests hold the two against each other. All else is
//! left to it (`None`), and with that every refusal, since it knows the reason. So nothing passes that would not pass
//! without this. Every line ends with CR here.
//!
//! Bytes are looked at sixteen at a time (`algorithms/blocks.rs`).

use super::fields::Known;
use crate::algorithms::blocks::{BLOCK, Block, find};
use crate::algorithms::words::word;
use crate::request_fields::{Key, KnownName};

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
        find(head, target, |block| block.other_bits(block.within(b'!', b'~')) | block.bits(block.equal(b'#')))?;
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
    /// Its name is of letters of lower case, digits and dashes.
    has_plain_name: bool,
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
    let (name_end, has_plain_name) = name_end(head, at)?;
    let key = key(head, at, name_end - at)?;
    let mut value = name_end + 1;
    while is_space(*head.get(value)?) {
        value += 1;
    }
    let mut value_end = text_end(head, value)?;
    let next = value_end + 2;
    // What ends a text and is no more than a blank is a blank or a tab.
    while value_end > value && head[value_end - 1] <= b' ' {
        value_end -= 1;
    }
    Some(Field { key, at, name_end, has_plain_name, value, value_end, next })
}

/// Whether a line ends here; of a head the last one, where it begins here.
#[inline]
pub(super) fn is_end(head: &[u8], at: usize) -> bool {
    head.get(at..).and_then(<[u8]>::first_chunk).is_some_and(|end| end == b"\r\n")
}

impl Field {
    /// Brings its name into small letters, and gives its number if it has one; `None` where it has none that is valid.
    #[inline]
    pub(super) fn small_name(&self, head: &mut [u8]) -> Option<Option<KnownName>> {
        let name = &mut head[self.at..self.name_end];
        // Small letters, digits and dashes come of themselves, or of capital letters, and of nothing else.
        if let Some(known) = KnownName::of_key(self.key, |known| name.eq_ignore_ascii_case(known)) {
            if !self.has_plain_name {
                name.copy_from_slice(known.text().as_bytes());
            }
            return Some(Some(known));
        }
        if !self.has_plain_name {
            for byte in &mut *name {
                if !is_token(*byte) {
                    return None;
                }
                byte.make_ascii_lowercase();
            }
        }
        (1..=LONGEST_NAME).contains(&name.len()).then_some(None)
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

/// The key of the name that stands here, its letters small.
#[inline]
fn key(head: &[u8], at: usize, length: usize) -> Option<Key> {
    let first = word(head, at)?;
    let (first, last) =
        if length < 8 { (first & ((1 << (8 * length)) - 1), 0) } else { (first, word(head, at + length - 8)?) };
    Some(Key { length, first: small(first), last: small(last) })
}

// What answers have.
const CACHE_CONTROL: Key = Key::of_whole(b"cache-control");
const CONNECTION: Key = Key::of_whole(b"connection");
const CONTENT_ENCODING: Key = Key::of_whole(b"content-encoding");
const CONTENT_LENGTH: Key = Key::of_whole(b"content-length");
const CONTENT_TYPE: Key = Key::of_whole(b"content-type");
const DATE: Key = Key::of_whole(b"date");
const ETAG: Key = Key::of_whole(b"etag");
const LAST_MODIFIED: Key = Key::of_whole(b"last-modified");
const SERVER: Key = Key::of_whole(b"server");
const SET_COOKIE: Key = Key::of_whole(b"set-cookie");
const VARY: Key = Key::of_whole(b"vary");

/// What the library holds of a name at most.
const LONGEST_NAME: usize = u16::MAX as usize;

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

/// Where a name ends, and whether it is of letters of lower case, digits and dashes alone.
#[inline]
fn name_end(head: &[u8], at: usize) -> Option<(usize, bool)> {
    // Nearly all are shorter than a block.
    let (colons, others) = Block::whole(head, at).map_or((0, 0), ends_of_name);
    match colons {
        0 => far_name_end(head, at),
        colons => Some((at + colons.trailing_zeros() as usize, others == 0)),
    }
}

/// The colons of a block, and what stands before the first of them, and in no plain name.
#[inline]
fn ends_of_name(block: Block) -> (u32, u32) {
    let colons = block.bits(block.equal(b':'));
    // A bit for each byte before the first colon; for all where there is none.
    let before = colons.wrapping_sub(1) & !colons & ((1 << BLOCK) - 1);
    (colons, before & !block.bits(block.plain_in_names()))
}

#[inline(never)]
fn far_name_end(head: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut all_others = 0;
    loop {
        let (colons, others) = ends_of_name(Block::at(head, at)?);
        all_others |= others;
        if colons != 0 {
            return Some((at + colons.trailing_zeros() as usize, all_others == 0));
        }
        at += BLOCK;
    }
}

/// What may stand in no text: control characters.
#[inline]
fn controls(block: Block) -> u32 {
    block.bits(block.within(0, b' ' - 1) | block.equal(DELETE))
}

/// Where a text ends that a line end follows: no byte of it is a control character, but for tabs.
#[inline]
fn text_end(head: &[u8], mut at: usize) -> Option<usize> {
    let far = at + NEAR;
    while let Some(block) = Block::whole(head, at) {
        let found = controls(block);
        if found != 0 {
            at += found.trailing_zeros() as usize;
            return if is_end(head, at) { Some(at) } else { odd_text_end(head, at) };
        }
        at += BLOCK;
        if at >= far {
            return far_text_end(head, at);
        }
    }
    odd_text_end(head, at)
}

/// So near do most texts end: it takes less to look there than to call what takes less for each byte.
const NEAR: usize = 4 * BLOCK;

/// The same where it is farther away than that, as a token's end is.
#[inline(never)]
fn far_text_end(head: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr::memchr(b'\r', &head[at..])?;
    // Visible ASCII and blanks alone, as nearly all are: without a branch for each byte, two steps for sixteen.
    let most = head[at..end].iter().fold(0, |most, byte| byte.wrapping_sub(b' ').max(most));
    if most < DELETE - b' ' && is_end(head, end) { Some(end) } else { odd_text_end(head, at) }
}

/// The same of one with tabs, or at the end of what is there.
#[inline(never)]
fn odd_text_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = find(head, at, controls)?;
        match head.get(at..at + 2)? {
            b"\r\n" => return Some(at),
            [b'\t', _] => at += 1,
            _ => return None,
        }
    }
}

const DELETE: u8 = 0x7f;

/// Small letters for capital ones. All that is no letter stays what it is, or becomes what stands in no usual name.
#[inline]
fn small(word: u64) -> u64 {
    const CAPITAL: u64 = u64::from_ne_bytes([0x40; 8]);
    word | ((word & CAPITAL) >> 1)
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
    use http::HeaderName;
    use proptest::prelude::*;

    const USUAL: [&[u8]; 6] =
        [b"cache-control", b"connection", b"content-encoding", b"content-type", b"date", b"last-modified"];

    #[test]
    fn what_differs_from_a_usual_name_in_a_byte_is_another() {
        for spelled in USUAL {
            let key = Key::of_whole(spelled);
            for at in 0..spelled.len() {
                for byte in (0..=u8::MAX).filter(|byte| *byte != b':') {
                    let mut head = [spelled, &b": a\r\n"[..]].concat();
                    head[at] = byte;
                    let is_same = byte.eq_ignore_ascii_case(&spelled[at]);
                    let found = field(&head, 0).is_some_and(|field| field.key == key);
                    assert_eq!(found, is_same, "{:?}", head.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn what_a_name_means_to_a_connection_is_the_same_by_its_key() {
        let others =
            ["x-date", "transfer-encoding", "Transfer-Encoding", "te", "age", "a-name-of-many-letters-is-other"];
        let answers = ["date", "etag", "last-modified", "server", "set-cookie", "vary", "Content-Length", "CONNECTION"];
        let usual = USUAL.iter().map(|name| std::str::from_utf8(name).unwrap());
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

        #[test]
        fn a_name_is_small_as_the_library_has_it(name in "[ -~]{0,20}") {
            let mut head = format!("{name}: a\r\n").into_bytes();
            let expected = HeaderName::from_bytes(name.as_bytes()).ok();
            let field = field(&head, 0).filter(|_| !name.contains(':'));
            let small = field.and_then(|field| Some((field.small_name(&mut head)?, field.name_len())));
            let small = small.map(|(known, length)| (known, head[..length].to_vec()));
            let expected = expected.map(|name| name.as_str().as_bytes().to_vec());
            let expected = expected.map(|name| (KnownName::of(&name), name));
            prop_assert_eq!(small, expected);
        }

        #[test]
        fn a_known_name_is_known_in_whatever_letters_and_what_looks_like_it_is_not(
            name in prop::sample::select(KnownName::all().collect::<Vec<_>>()),
            capitals in any::<u32>(), odd in prop::option::of((any::<usize>(), any::<u8>())),
        ) {
            let mut head = name.text().to_owned().into_bytes();
            for (at, byte) in head.iter_mut().enumerate().filter(|(at, _)| capitals >> at & 1 == 1) {
                let _ = at;
                byte.make_ascii_uppercase();
            }
            if let Some((at, byte)) = odd {
                let at = at % head.len();
                head[at] = byte;
            }
            let written = head.clone();
            head.extend_from_slice(b": a value\r\n");
            let expected = HeaderName::from_bytes(&written).ok();
            let field = field(&head, 0).filter(|_| !written.contains(&b':'));
            let small = field.and_then(|field| field.small_name(&mut head));
            let expected = expected.map(|name| name.as_str().as_bytes().to_vec());
            prop_assert_eq!(small, expected.as_ref().map(|name| KnownName::of(name)));
            if let Some(expected) = expected {
                prop_assert_eq!(&head[..expected.len()], &expected[..]);
            }
        }

        #[test]
        fn a_value_ends_where_it_is_text_up_to_a_line_end(
            value in "[ -~\t\u{e9}]{0,180}", bad in any::<(bool, u8, u8)>(), behind in "[ -~]{0,20}",
        ) {
            let mut line = format!("{value}\r\n{behind}").into_bytes();
            if bad.0 {
                let at = usize::from(bad.1) % line.len();
                line[at] = bad.2;
            }
            let is_text = |byte: &u8| (*byte >= b' ' && *byte != DELETE) || *byte == b'\t';
            let end = line.iter().position(|byte| !is_text(byte));
            let expected = end.filter(|end| line[*end..].starts_with(b"\r\n"));
            prop_assert_eq!(text_end(&line, 0), expected, "{:?}", line);
        }

        #[test]
        fn a_name_ends_at_its_colon_and_is_plain_or_not(name in "[a-z0-9-]{0,40}", bad in any::<(bool, u8, u8)>()) {
            let mut line = format!("{name}: a\r\n").into_bytes();
            if bad.0 {
                let at = usize::from(bad.1) % line.len();
                line[at] = bad.2;
            }
            let end = line.iter().position(|byte| *byte == b':');
            let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            prop_assert_eq!(name_end(&line, 0), end.map(|end| (end, line[..end].iter().all(is_plain))));
        }
    }
}
