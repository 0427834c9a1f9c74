//! The fields of a request, from the listener to the upstream's head: places in the bytes that they came in.
//!
//! `http::HeaderMap` costs a hash, a check and two counts of references for each field, and most fields are never
//! looked up: they pass from one side to the other. Here the head is one block of bytes, and a field is where it stands
//! in it; fields of the gateway's own are lines in a buffer beside it. Where a library wants a map, one is made for it
//! (`to_map`), and nowhere else.
//!
//! Invariants: names are tokens in lower case, values are such as `http::HeaderValue` takes; fields of one name keep
//! the order in which they came or were added. A look-up goes over all places, a few bytes of each: by estimate 300
//! instructions where there are a hundred fields (`max_headers` bounds them). Most look-ups are for names that are not
//! there, and end before the first place, since the marks of all names that have ever been there are one number.

mod conversions;
mod place;

use bytes::Bytes;
use http::HeaderValue;

pub use self::conversions::NotText;
use self::place::{Buffer, Place, mark};

/// Memory for more of the gateway's own lines is not kept for another request.
const OWN_BYTES_KEPT: usize = 2 * 1024;
/// Nor are more places.
const PLACES_KEPT: usize = 128;

/// The fields of a request.
#[derive(Clone, Default)]
pub struct RequestFields {
    /// The head in which they came; empty where they came otherwise.
    block: Bytes,
    places: Vec<Place>,
    /// Fields that were put here since, each a whole line.
    own: Vec<u8>,
    /// A bit for the mark of each name that is there, and of some that were.
    marks: u64,
}

/// The value of a field: bytes that `http::HeaderValue` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldValue<'f>(&'f [u8]);

impl RequestFields {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// None, with room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self { places: Vec::with_capacity(fields), own: Vec::with_capacity(fields * 32), ..Self::default() }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The first value under a name in lower case.
    #[inline]
    pub fn get(&self, name: impl AsRef<str>) -> Option<FieldValue<'_>> {
        let at = self.find(name.as_ref().as_bytes())?;
        Some(FieldValue(self.value_at(self.places[at])))
    }

    /// All values under a name in lower case, in their order.
    #[inline]
    pub fn get_all(&self, name: impl AsRef<str>) -> Values<'_> {
        match self.find(name.as_ref().as_bytes()) {
            Some(at) => Values { fields: self, name: self.name_at(self.places[at]), places: self.places[at..].iter() },
            None => Values { fields: self, name: b"", places: [].iter() },
        }
    }

    /// Whether there is a field of this name, in lower case.
    #[inline]
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.find(name.as_ref().as_bytes()).is_some()
    }

    /// Whether there are several fields of this name, in lower case.
    #[inline]
    pub fn repeats(&self, name: impl AsRef<str>) -> bool {
        self.get_all(name).nth(1).is_some()
    }

    /// Names and values, those of one name in their order.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { fields: self, places: self.places.iter() }
    }

    /// Names in lower case; one that is repeated comes as often as it is there.
    #[inline]
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.name_at(*place))
    }

    /// Adds a field behind those of this name. The name is a token in lower case, the value one that `HeaderValue`
    /// would take.
    #[inline]
    pub fn append(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        let place = self.write(name.as_ref().as_bytes(), value.as_ref());
        self.places.push(place);
    }

    /// Puts a field in the place of all of this name, as `append` has it; where there is none, behind all others.
    pub fn insert(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().as_bytes();
        let found = self.find(name);
        let place = self.write(name, value.as_ref());
        match found {
            None => self.places.push(place),
            Some(at) => {
                self.remove_from(at + 1, name);
                self.places[at] = place;
            }
        }
    }

    /// Removes all fields of a name in lower case; whether there was one.
    #[inline]
    pub fn remove(&mut self, name: impl AsRef<str>) -> bool {
        let name = name.as_ref().as_bytes();
        match self.find(name) {
            None => false,
            Some(at) => {
                self.remove_from(at, name);
                true
            }
        }
    }

    /// The same; the first of their values, for who keeps it.
    pub fn take(&mut self, name: impl AsRef<str>) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.take_bytes(name)?).ok()
    }

    /// The same; the bytes of the first, where they stand: nobody looks at them again.
    pub(crate) fn take_bytes(&mut self, name: impl AsRef<str>) -> Option<Bytes> {
        let name = name.as_ref().as_bytes();
        let at = self.find(name)?;
        let place = self.places[at];
        let value = match place.buffer() {
            Buffer::Block => self.block.slice(place.value()),
            Buffer::Own => Bytes::copy_from_slice(&self.own[place.value()]),
        };
        self.remove_from(at, name);
        Some(value)
    }

    /// Keeps the fields for whose name and value this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], FieldValue<'_>) -> bool) {
        let Self { block, places, own, .. } = self;
        places.retain(|place| {
            let bytes = place.of(block, own);
            keep(&bytes[place.name()], FieldValue(&bytes[place.value()]))
        });
    }

    /// Forgets them all, and keeps the room for others. What grew is given back to the allocator.
    pub fn clear(&mut self) {
        self.block = Bytes::new();
        self.places.clear();
        self.places.shrink_to(PLACES_KEPT);
        self.own.clear();
        self.own.shrink_to(OWN_BYTES_KEPT);
        self.marks = 0;
    }

    /// Whether it has room that was allocated.
    pub(crate) fn has_room(&self) -> bool {
        self.places.capacity() > 0
    }

    /// The head in which the fields that are noted stand.
    #[inline]
    pub(crate) fn set_block(&mut self, block: Bytes) {
        self.block = block;
    }

    /// The head in which they came; those that stand in it are of no more use.
    #[inline]
    pub(crate) fn take_block(&mut self) -> Bytes {
        std::mem::take(&mut self.block)
    }

    /// Notes a field that stands at these places of the head that will be the block: the name's first byte and its
    /// length, the same of the value, and where the next line begins. The name is a token in lower case, the value a
    /// valid one, and the head no longer than 4 GiB.
    #[inline]
    pub(crate) fn note(&mut self, head: &[u8], name: (usize, usize), value: (usize, usize), next: usize) {
        let (at, end) = (name.0, name.0 + name.1);
        let mark = mark(&head[at..end]);
        self.marks |= 1 << mark;
        let is_usual = value.0 == end + 2 && next == value.0 + value.1 + 2 && head[end + 1] == b' ';
        self.places.push(Place::in_block(mark, name, value, is_usual));
    }

    /// Adds a field whose value takes no part in tables of fields that two sides keep (RFC 7541, section 7.1.3).
    fn append_sensitive(&mut self, name: &str, value: &[u8]) {
        let place = self.write(name.as_bytes(), value).sensitive();
        self.places.push(place);
    }

    /// Writes a line of the gateway's own.
    fn write(&mut self, name: &[u8], value: &[u8]) -> Place {
        debug_assert!(!name.iter().any(u8::is_ascii_uppercase), "names are in lower case");
        let (mark, at) = (mark(name), self.own.len());
        self.marks |= 1 << mark;
        self.own.reserve(name.len() + value.len() + 4);
        for part in [name, b": ", value, b"\r\n"] {
            self.own.extend_from_slice(part);
        }
        Place::in_own(mark, at, name.len(), value.len())
    }

    /// The first field of a name.
    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        let mark = mark(name);
        if self.marks & (1 << mark) == 0 {
            return None;
        }
        self.places.iter().position(|place| place.may_be(mark, name.len()) && self.name_at(*place) == name)
    }

    #[inline(never)]
    fn remove_from(&mut self, from: usize, name: &[u8]) {
        let mark = mark(name);
        let (block, own) = (&self.block, &self.own);
        let mut number = 0;
        self.places.retain(|place| {
            number += 1;
            number <= from || !(place.may_be(mark, name.len()) && place.of(block, own)[place.name()] == *name)
        });
    }

    #[inline]
    fn name_at(&self, place: Place) -> &[u8] {
        &place.of(&self.block, &self.own)[place.name()]
    }

    #[inline]
    fn value_at(&self, place: Place) -> &[u8] {
        &place.of(&self.block, &self.own)[place.value()]
    }

    /// Appends the fields as lines, but for those that `skips` names; runs of lines that stand together in their usual
    /// form are copied at once.
    #[inline]
    pub(crate) fn write_lines(&self, out: &mut Vec<u8>, mut skips: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut run = 0..0;
        let mut buffer = Buffer::Block;
        for place in &self.places {
            let bytes = place.of(&self.block, &self.own);
            if skips(&bytes[place.name()], &bytes[place.value()]) {
                continue;
            }
            let line = place.line();
            if !place.is_usual() {
                out.extend_from_slice(&self.bytes(buffer)[run]);
                run = 0..0;
                for part in [&bytes[place.name()], b": ", &bytes[place.value()], b"\r\n"] {
                    out.extend_from_slice(part);
                }
            } else if run.end == line.start && buffer == place.buffer() {
                run.end = line.end;
            } else {
                out.extend_from_slice(&self.bytes(buffer)[run]);
                (run, buffer) = (line, place.buffer());
            }
        }
        out.extend_from_slice(&self.bytes(buffer)[run]);
    }

    #[inline]
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        match buffer {
            Buffer::Block => &self.block,
            Buffer::Own => &self.own,
        }
    }
}

/// The values of one name, in their order.
#[derive(Clone)]
pub struct Values<'f> {
    fields: &'f RequestFields,
    name: &'f [u8],
    places: std::slice::Iter<'f, Place>,
}

impl<'f> Values<'f> {
    /// The same once more.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn value(&self, place: Place) -> Option<FieldValue<'f>> {
        let bytes = place.of(&self.fields.block, &self.fields.own);
        let is_one = usize::from(place.name_len) == self.name.len() && bytes[place.name()] == *self.name;
        is_one.then(|| FieldValue(&bytes[place.value()]))
    }
}

impl<'f> Iterator for Values<'f> {
    type Item = FieldValue<'f>;

    #[inline]
    fn next(&mut self) -> Option<FieldValue<'f>> {
        loop {
            let place = *self.places.next()?;
            if let Some(value) = self.value(place) {
                return Some(value);
            }
        }
    }
}

impl<'f> DoubleEndedIterator for Values<'f> {
    fn next_back(&mut self) -> Option<FieldValue<'f>> {
        loop {
            let place = *self.places.next_back()?;
            if let Some(value) = self.value(place) {
                return Some(value);
            }
        }
    }
}

/// Names and values.
#[derive(Clone)]
pub struct Iter<'f> {
    fields: &'f RequestFields,
    places: std::slice::Iter<'f, Place>,
}

impl<'f> Iterator for Iter<'f> {
    type Item = (&'f [u8], FieldValue<'f>);

    #[inline]
    fn next(&mut self) -> Option<(&'f [u8], FieldValue<'f>)> {
        let place = *self.places.next()?;
        let bytes = place.of(&self.fields.block, &self.fields.own);
        Some((&bytes[place.name()], FieldValue(&bytes[place.value()])))
    }
}

impl<'f> FieldValue<'f> {
    /// Its bytes.
    #[inline]
    pub fn as_bytes(self) -> &'f [u8] {
        self.0
    }

    /// How many they are.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
