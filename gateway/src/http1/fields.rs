//! Header fields as they stood on the wire: one block of bytes, and where each field stands in it.
//!
//! An answer passes through with most of its fields untouched, so they are neither hashed nor copied one by one: runs
//! of lines that stay are written as they came, names in the case in which they came.

use arrayvec::ArrayVec;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::request_head::write_field;

/// Where one field stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The name's first byte, which is the line's.
    at: u32,
    name: u16,
    /// The value's first byte, counted from the name's.
    value: u16,
    length: u16,
    fate: Fate,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    /// It is the `content-length`: whoever frames the body decides.
    Frames,
}

/// Names that mean something to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    ContentLength,
    TransferEncoding,
    Connection,
    Date,
    Other,
}

impl Known {
    /// By length and first letter: most names cost one comparison.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        match (name.len(), name.first().map_or(0, |first| first | 0x20)) {
            (4, b'd') if name.eq_ignore_ascii_case(b"date") => Self::Date,
            (10, b'c') if name.eq_ignore_ascii_case(b"connection") => Self::Connection,
            (14, b'c') if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            (17, b't') if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

/// The most bytes that a head can have for its fields to be held here.
pub(super) const MAX_BLOCK: usize = u16::MAX as usize;

/// Room for the gateway's own lines: the request's id, of at most 128 bytes, and what a client is told of limits.
const OWN_BYTES: usize = 320;

/// Fields, in order. Every value is one that `HeaderValue` would take: no control character but a tab.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    /// The whole head, its empty line included.
    block: Bytes,
    places: SmallVec<[Place; 12]>,
    /// Further fields, each a whole line.
    own: ArrayVec<u8, OWN_BYTES>,
    /// Lines that would not fit there; empty with most answers.
    more: Vec<u8>,
    has_length: bool,
    has_date: bool,
    has_connection: bool,
    /// The connection closes after this message.
    pub(crate) closes: bool,
}

impl Fields {
    /// Forgets everything. What grew is given back, so that whoever keeps this keeps little.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.block = Bytes::new();
        self.places.clear();
        if self.places.spilled() {
            self.places = SmallVec::new();
        }
        self.own.clear();
        self.more = Vec::new();
        (self.has_length, self.has_date, self.has_connection, self.closes) = (false, false, false, false);
    }

    /// The head in which the noted fields stand.
    pub(super) fn set_block(&mut self, block: Bytes) {
        debug_assert!(block.len() <= MAX_BLOCK, "places are 16 bits wide");
        self.block = block;
    }

    /// Notes a field that stands at these offsets of the block; what it means to a connection.
    #[inline]
    pub(super) fn note(&mut self, name_at: usize, name: &[u8], value_at: usize, value: usize) -> Known {
        let known = Known::of(name);
        self.note_known(known, (name_at, name.len()), (value_at, value));
        known
    }

    /// The same for who knows what it means; with how many bytes name and value have.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a block is at most 64 KiB")]
    pub(super) fn note_known(
        &mut self,
        known: Known,
        (name_at, name): (usize, usize),
        (value_at, value): (usize, usize),
    ) {
        self.has_date |= known == Known::Date;
        self.has_connection |= known == Known::Connection;
        self.has_length |= known == Known::ContentLength;
        self.places.push(Place {
            at: name_at as u32,
            name: name as u16,
            value: (value_at - name_at) as u16,
            length: value as u16,
            fate: if known == Known::ContentLength { Fate::Frames } else { Fate::Stays },
        });
    }

    /// Bytes of the head in which they came.
    pub(super) fn wire_len(&self) -> usize {
        self.block.len()
    }

    /// Whether a `connection` came.
    pub fn has_connection(&self) -> bool {
        self.has_connection
    }

    /// Whether a `content-length` came.
    pub(super) fn has_length(&self) -> bool {
        self.has_length
    }

    /// Whether a `date` came.
    pub(super) fn has_date(&self) -> bool {
        self.has_date
    }

    fn name(&self, place: Place) -> &[u8] {
        let at = place.at as usize;
        &self.block[at..at + usize::from(place.name)]
    }

    fn value(&self, place: Place) -> &[u8] {
        let at = place.at as usize + usize::from(place.value);
        &self.block[at..at + usize::from(place.length)]
    }

    /// Names, as received, and values of the fields that came from the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.left().map(|place| (self.name(*place), self.value(*place)))
    }

    fn left(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.fate != Fate::Goes)
    }

    /// The first value under a name, which case does not matter to.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All values under a name, those of the gateway's own lines too.
    pub fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str().as_bytes();
        let of_wire = self.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let of_own = self.own_lines().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        of_wire.chain(of_own.map(|(_, value)| value))
    }

    /// Names and values of the gateway's own lines.
    fn own_lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = [&self.own[..], &self.more].into_iter().flat_map(|lines| lines.split(|byte| *byte == b'\n'));
        lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii_start()))
        })
    }

    /// Drops fields from the wire whose name is not to be kept.
    #[inline]
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let block = &self.block;
        for place in &mut self.places {
            let at = place.at as usize;
            if !keep(&block[at..at + usize::from(place.name)]) {
                self.has_length &= place.fate != Fate::Frames;
                place.fate = Fate::Goes;
            }
        }
    }

    /// Adds a field of the gateway's own behind the others. The value must be one that `HeaderValue` would take.
    #[inline]
    pub fn push(&mut self, name: &HeaderName, value: &[u8]) {
        if line_length(name, value) <= self.own.remaining_capacity() {
            self.push_own(name, value);
        } else {
            self.push_more(&[(name, value)]);
        }
    }

    /// Adds several. Those of which there are too many to have room get memory of their own.
    pub fn push_more<V: AsRef<[u8]>>(&mut self, lines: &[(&HeaderName, V)]) {
        let bytes = lines.iter().map(|(name, value)| line_length(name, value.as_ref())).sum();
        // Behind what has memory of its own already: several of one name stay in their order.
        if self.more.is_empty() && bytes <= self.own.remaining_capacity() {
            return lines.iter().for_each(|(name, value)| self.push_own(name, value.as_ref()));
        }
        self.more.reserve_exact(bytes);
        for (name, value) in lines {
            write_field(&mut self.more, name, value.as_ref());
        }
    }

    /// Begins a field of the gateway's own whose value comes in parts, which together are one that `HeaderValue` would
    /// take. It is one once it has been ended.
    #[inline]
    pub fn begin(&mut self, name: &HeaderName) -> Line<'_> {
        // Behind what has memory of its own already: several of one name stay in their order.
        let own = self.more.is_empty().then_some(self.own.len());
        let mut line = Line { fields: self, own };
        line.put(name.as_str().as_bytes());
        line.put(b": ");
        line
    }

    /// One for which there is room.
    #[inline]
    fn push_own(&mut self, name: &HeaderName, value: &[u8]) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            let _ = self.own.try_extend_from_slice(part);
        }
    }

    /// Replaces fields, the gateway's own too: those of `gone` and of `set` go, those of `set` come behind the others.
    #[cold]
    pub fn edit(&mut self, gone: &[HeaderName], set: &[(HeaderName, HeaderValue)]) {
        let gone: SmallVec<[HeaderName; 4]> = gone.iter().chain(set.iter().map(|(name, _)| name)).cloned().collect();
        self.replace(&gone, set.iter().map(|(name, value)| (name, value)));
    }

    /// Takes fields away, the gateway's own too, and puts lines behind the others. No name is one that frames a body or
    /// speaks of the connection.
    #[cold]
    pub fn replace<'a>(&mut self, gone: &[HeaderName], put: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) {
        let goes = |name: &[u8]| gone.iter().any(|other| other.as_str().as_bytes().eq_ignore_ascii_case(name));
        self.retain(|name| !goes(name));
        self.has_date &= !goes(b"date");
        let own = std::mem::take(&mut self.own);
        let mut lines = Vec::with_capacity(own.len() + self.more.len());
        for line in [&own[..], &self.more].into_iter().flat_map(|lines| lines.split_inclusive(|byte| *byte == b'\n')) {
            if !goes(&line[..memchr::memchr(b':', line).unwrap_or(0)]) {
                lines.extend_from_slice(line);
            }
        }
        for (name, value) in put {
            self.has_date |= *name == http::header::DATE;
            write_field(&mut lines, name, value.as_bytes());
        }
        self.more = lines;
    }

    /// The same fields as a map, for who has to look up, change or merge them.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.places.len() + 4);
        for place in self.left() {
            let at = place.at as usize + usize::from(place.value);
            let value = self.block.slice(at..at + usize::from(place.length));
            append(&mut map, self.name(*place), HeaderValue::from_maybe_shared(value));
        }
        for (name, value) in self.own_lines() {
            append(&mut map, name, HeaderValue::from_bytes(value));
        }
        map
    }

    /// Appends the fields that are left as lines; a `content-length` among them only if it is to stay.
    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>, length_stays: bool) {
        let end = self.block.len().saturating_sub(2);
        let mut run: Option<usize> = None;
        for place in &self.places {
            let stays = match place.fate {
                Fate::Stays => true,
                Fate::Goes => false,
                Fate::Frames => length_stays,
            };
            match run {
                None if stays => run = Some(place.at as usize),
                Some(from) if !stays => {
                    out.extend_from_slice(&self.block[from..place.at as usize]);
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(from) = run {
            out.extend_from_slice(&self.block[from..end]);
        }
        out.extend_from_slice(&self.own);
        out.extend_from_slice(&self.more);
    }
}

/// A field that is being written.
pub struct Line<'f> {
    fields: &'f mut Fields,
    /// Where it begins among those for which there was room; none where there is none for it.
    own: Option<usize>,
}

impl Line<'_> {
    /// Writes a part of the value.
    #[inline]
    pub fn put(&mut self, part: &[u8]) {
        if self.own.is_some() && self.fields.own.try_extend_from_slice(part).is_ok() {
            return;
        }
        self.put_more(part);
    }

    /// It does not fit: what there is of it moves to where there is room for anything.
    #[cold]
    fn put_more(&mut self, part: &[u8]) {
        let Fields { own, more, .. } = &mut *self.fields;
        if let Some(from) = self.own.take() {
            more.extend_from_slice(&own[from..]);
            own.truncate(from);
        }
        more.extend_from_slice(part);
    }

    /// Ends it.
    #[inline]
    pub fn end(mut self) {
        self.put(b"\r\n");
    }
}

/// Bytes of a field as a line.
#[inline]
fn line_length(name: &HeaderName, value: &[u8]) -> usize {
    name.as_str().len() + value.len() + b": \r\n".len()
}

/// Both have been checked where they were read or made; what could not be a field is left out rather than sent.
fn append<E>(map: &mut HeaderMap, name: &[u8], value: Result<HeaderValue, E>) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
        map.append(name, value);
    }
}

#[cfg(test)]
impl Fields {
    /// These lines as if they had come from the wire.
    pub(crate) fn of_lines(lines: &[(&str, &str)]) -> Self {
        let mut block = String::from("HTTP/1.1 200 OK\r\n");
        let mut places = Vec::new();
        for (name, value) in lines {
            places.push((block.len(), *name, block.len() + name.len() + 2, value.len()));
            block.push_str(&format!("{name}: {value}\r\n"));
        }
        block.push_str("\r\n");
        let mut fields = Self::default();
        fields.set_block(Bytes::from(block));
        for (name_at, name, value_at, value) in places {
            fields.note(name_at, name.as_bytes(), value_at, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;
    use proptest::prelude::*;

    fn written(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.write(&mut out, true);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_stays_is_written_as_it_came() {
        let mut fields = Fields::of_lines(&[("X-One", "1"), ("Server", "secret"), ("ETag", "\"a\""), ("x-one", "2")]);
        fields.retain(|name| !name.eq_ignore_ascii_case(b"server"));
        fields.push(&header::VIA, b"1.1 gw");
        let long = "x".repeat(2 * OWN_BYTES);
        fields.push_more(&[(&header::AGE, "7"), (&header::ALLOW, &*long)]);
        let expected = "X-One: 1\r\nETag: \"a\"\r\nx-one: 2\r\nvia: 1.1 gw\r\nage: 7\r\nallow: ";
        assert_eq!(written(&fields), format!("{expected}{long}\r\n"));
        assert_eq!((fields.get("etag"), fields.get("server")), (Some(&b"\"a\""[..]), None));
        let all = |name: &HeaderName| fields.all(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(all(&HeaderName::from_static("x-one")), [b"1", b"2"]);
        assert_eq!((all(&header::VIA), all(&header::AGE)), (vec![b"1.1 gw".to_vec()], vec![b"7".to_vec()]));
        assert_eq!(all(&header::SERVER), Vec::<Vec<u8>>::new());
        let map = fields.to_map();
        assert_eq!(map.get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(map.len(), 6);
        assert_eq!((&map["via"], &map["allow"]), (&"1.1 gw".parse().unwrap(), &long.parse().unwrap()));
    }

    #[test]
    fn edits_replace_fields_of_the_wire_and_of_the_gateway() {
        let mut fields = Fields::of_lines(&[("X-One", "1"), ("X-Two", "2"), ("ETag", "a"), ("Date", "then")]);
        fields.push(&header::VIA, b"1.1 gw");
        fields.push_more(&[(&header::AGE, "7")]);
        let set = [(header::ETAG, "b"), (header::AGE, "8"), (header::DATE, "now"), (header::ETAG, "c")];
        let set = set.map(|(name, value)| (name, HeaderValue::from_static(value)));
        fields.edit(&[HeaderName::from_static("x-two"), header::VIA], &set);
        assert_eq!(written(&fields), "X-One: 1\r\netag: b\r\nage: 8\r\ndate: now\r\netag: c\r\n");
        assert!(fields.has_date());
        fields.edit(&[header::DATE], &[]);
        assert!(!fields.has_date() && fields.get("x-one").is_some());
    }

    #[test]
    fn what_finds_no_room_is_told_all_the_same() {
        let (mut fields, half) = (Fields::of_lines(&[("ETag", "a")]), "x".repeat(OWN_BYTES / 2));
        for name in [&header::VIA, &header::AGE] {
            fields.push(name, half.as_bytes());
        }
        fields.push_more(&[(&header::AGE, "7")]);
        let expected = format!("ETag: a\r\nvia: {half}\r\nage: {half}\r\nage: 7\r\n");
        assert_eq!(written(&fields), expected);
        assert_eq!(fields.all(&header::AGE).collect::<Vec<_>>(), [half.as_bytes(), b"7"]);
    }

    #[test]
    fn a_field_that_comes_in_parts_is_whole_wherever_there_is_room() {
        for parts in [1, 30, 60, 300] {
            let mut fields = Fields::default();
            for name in [&header::VIA, &header::AGE] {
                let mut line = fields.begin(name);
                (0..parts).for_each(|_| line.put(b"one"));
                line.end();
            }
            fields.push_more(&[(&header::AGE, "7")]);
            let value = "one".repeat(parts);
            assert_eq!(written(&fields), format!("via: {value}\r\nage: {value}\r\nage: 7\r\n"));
        }
    }

    #[test]
    fn what_was_cleared_is_as_new() {
        let mut fields = Fields::of_lines(&[("Date", "now"), ("Content-Length", "1"), ("Connection", "close")]);
        fields.push(&header::VIA, &[b'x'; OWN_BYTES]);
        fields.closes = true;
        fields.clear();
        assert_eq!(format!("{fields:?}"), format!("{:?}", Fields::default()));
    }

    proptest! {
        #[test]
        fn dropping_fields_leaves_the_others_whole(
            lines in proptest::collection::vec(("[a-z]{1,8}", "[a-z ]{0,9}", any::<bool>()), 0..40),
        ) {
            let named: Vec<(String, String)> =
                lines.iter().map(|(name, value, keep)| (format!("{name}-{keep}"), value.trim().to_owned())).collect();
            let pairs: Vec<(&str, &str)> = named.iter().map(|(name, value)| (&**name, &**value)).collect();
            let mut fields = Fields::of_lines(&pairs);
            fields.retain(|name| name.ends_with(b"-true"));
            let expected: String = pairs.iter().filter(|(name, _)| name.ends_with("-true"))
                .map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            prop_assert_eq!(written(&fields), expected);
        }
    }
}
