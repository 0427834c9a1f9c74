//! The fields of a request, from the listener to the upstream's head: places in the bytes that they came in.
//!
//! `http::HeaderMap` costs a hash, a check and two counts of references for each field, and most fields are never
//! looked up: they pass from one side to the other. Here the head is one block of bytes, and a field is where it stands
//! in it; fields of the gateway's own are lines in a buffer beside it. Where a library wants a map, one is made for it
//! (`to_map`), and nowhere else.
//!
//! Invariants: names are tokens in lower case, values are such as `http::HeaderValue` takes; fields of one name keep
//! the order in which they came or were added. Of names that have numbers (`known.rs`) it is known without a look
//! whether they are there, and whether several times: most look-ups are for such as are not, and end there. Those of
//! other names go over all places, a few bytes of each: by estimate 300 instructions where there are a hundred fields
//! (`max_headers` bounds them).

mod conversions;
mod known;
mod place;
mod walk;

use bytes::Bytes;
use http::HeaderValue;

pub(crate) use self::conversions::Edited;
pub use self::conversions::NotText;
pub(crate) use self::known::Key;
use self::known::Tag;
pub use self::known::{FieldName, KnownName, NameSet};
use self::place::{Buffer, Place};
pub use self::walk::{Iter, Values};

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
    /// The names that are there. There may be no other names left, where it says that there are some.
    names: NameSet,
    /// Those of which there are several.
    several: NameSet,
}

/// Where a field is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldAt(usize);

/// There are several fields of a name.
#[derive(Debug)]
pub(crate) struct Several;

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
    pub fn get(&self, name: impl FieldName) -> Option<FieldValue<'_>> {
        let at = self.find(tag_of(&name), name.text().as_bytes())?;
        Some(FieldValue(self.value_at(self.places[at])))
    }

    /// All values under a name in lower case, in their order.
    #[inline]
    pub fn get_all(&self, name: impl FieldName) -> Values<'_> {
        let tag = tag_of(&name);
        match self.find(tag, name.text().as_bytes()) {
            Some(at) if self.is_single(tag) => Values::of(self, &self.places[at..=at]),
            Some(at) => Values::of(self, &self.places[at..]),
            None => Values::of(self, &[]),
        }
    }

    /// Whether there is a field of this name, in lower case.
    #[inline]
    pub fn contains_key(&self, name: impl FieldName) -> bool {
        let tag = tag_of(&name);
        // Which known names are there is known.
        !self.names.within(tag.set()).is_empty() && (tag.is_known() || self.find(tag, name.text().as_bytes()).is_some())
    }

    /// Whether there are several fields of this name, in lower case.
    #[inline]
    pub fn repeats(&self, name: impl FieldName) -> bool {
        let tag = tag_of(&name);
        !self.several.within(tag.set()).is_empty() && (tag.is_known() || self.get_all(name).nth(1).is_some())
    }

    /// The only field of a known name: where it is until the next change, and its value.
    ///
    /// # Errors
    /// There are several.
    #[inline]
    pub(crate) fn only(&self, name: KnownName) -> Result<Option<(FieldAt, &[u8])>, Several> {
        let tag = Tag::of_known(name);
        if !self.is_single(tag) {
            return Err(Several);
        }
        Ok(self.find(tag, b"").map(|at| (FieldAt(at), self.value_at(self.places[at]))))
    }

    /// Removes a field of a known name that was found as the only one, with nothing changed since.
    #[inline]
    pub(crate) fn remove_only(&mut self, name: KnownName, at: FieldAt) {
        let tag = Tag::of_known(name);
        if self.places.get(at.0).is_some_and(|place| place.tag == tag) {
            self.remove_found(at.0, tag, b"");
        }
    }

    /// Whether there is a field of any of these names.
    #[inline]
    pub fn has_any(&self, names: NameSet) -> bool {
        !self.names.within(names).is_empty()
    }

    /// Whether all fields are of these names.
    #[inline]
    pub(crate) fn has_none_but(&self, names: NameSet) -> bool {
        self.names.without(names).is_empty()
    }

    /// Bytes of all fields as lines: name, colon, space, value, line end.
    #[inline]
    pub fn line_bytes(&self) -> usize {
        self.places.iter().map(|place| place.line_len()).sum()
    }

    /// Adds a field behind those of this name. The name is a token in lower case, the value one that `HeaderValue`
    /// would take.
    #[inline]
    pub fn append(&mut self, name: impl FieldName, value: impl AsRef<[u8]>) {
        self.append_marked(name, value, false);
    }

    /// The same; whether its value takes no part in tables of fields that two sides keep (RFC 7541, section 7.1.3).
    #[inline]
    pub fn append_marked(&mut self, name: impl FieldName, value: impl AsRef<[u8]>, is_sensitive: bool) {
        let place = self.write(tag_of(&name), name.text().as_bytes(), value.as_ref());
        self.add(place.marked(is_sensitive));
    }

    /// Puts a field in the place of all of this name, as `append` has it; where there is none, behind all others.
    pub fn insert(&mut self, name: impl FieldName, value: impl AsRef<[u8]>) {
        self.insert_marked(name, value, false);
    }

    /// The same, marked as by `append_marked`.
    pub fn insert_marked(&mut self, name: impl FieldName, value: impl AsRef<[u8]>, is_sensitive: bool) {
        let (tag, text) = (tag_of(&name), name.text().as_bytes());
        let found = self.find(tag, text);
        let place = self.write(tag, text, value.as_ref()).marked(is_sensitive);
        match found {
            None => self.add(place),
            Some(at) => {
                if !self.is_single(tag) {
                    self.remove_from(at + 1, tag, text);
                }
                self.places[at] = place;
            }
        }
    }

    /// Removes all fields of a name in lower case; whether there was one.
    #[inline]
    pub fn remove(&mut self, name: impl FieldName) -> bool {
        let (tag, text) = (tag_of(&name), name.text().as_bytes());
        let found = self.find(tag, text);
        if let Some(at) = found {
            self.remove_found(at, tag, text);
        }
        found.is_some()
    }

    /// The same; the first of their values, for who keeps it.
    pub fn take(&mut self, name: impl FieldName) -> Option<HeaderValue> {
        let is_sensitive = self.is_sensitive(name);
        let mut value = HeaderValue::from_maybe_shared(self.take_bytes(name)?).ok()?;
        value.set_sensitive(is_sensitive);
        Some(value)
    }

    /// The same; the bytes of the first, where they stand: nobody looks at them again.
    pub(crate) fn take_bytes(&mut self, name: impl FieldName) -> Option<Bytes> {
        let (tag, text) = (tag_of(&name), name.text().as_bytes());
        let at = self.find(tag, text)?;
        let place = self.places[at];
        let value = match place.buffer() {
            Buffer::Block => self.block.slice(place.value()),
            Buffer::Own => Bytes::copy_from_slice(&self.own[place.value()]),
        };
        self.remove_found(at, tag, text);
        Some(value)
    }

    /// Whether the first value of a name, in lower case, takes no part in tables of fields.
    pub(crate) fn is_sensitive(&self, name: impl FieldName) -> bool {
        self.find(tag_of(&name), name.text().as_bytes()).is_some_and(|at| self.places[at].is_sensitive())
    }

    /// Keeps the fields for whose name and value this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], FieldValue<'_>) -> bool) {
        self.retain_places(|place, bytes| keep(&bytes[place.name()], FieldValue(&bytes[place.value()])));
    }

    /// Keeps the fields for whose name this holds.
    pub(crate) fn retain_names(&mut self, mut keep: impl FnMut(Option<KnownName>, &[u8]) -> bool) {
        self.retain_places(|place, bytes| keep(place.tag.known(), &bytes[place.name()]));
    }

    fn retain_places(&mut self, mut keep: impl FnMut(Place, &[u8]) -> bool) {
        let Self { block, places, own, names, several } = self;
        (*names, *several) = (NameSet::NONE, NameSet::NONE);
        places.retain(|place| {
            let stays = keep(*place, place.of(block, own));
            if stays {
                let set = place.tag.set();
                *several = several.with(names.within(set));
                *names = names.with(set);
            }
            stays
        });
    }

    /// Forgets them all, and keeps the room for others. What grew is given back to the allocator.
    pub fn clear(&mut self) {
        self.block = Bytes::new();
        self.places.clear();
        self.places.shrink_to(PLACES_KEPT);
        self.own.clear();
        self.own.shrink_to(OWN_BYTES_KEPT);
        (self.names, self.several) = (NameSet::NONE, NameSet::NONE);
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
    /// length, the same of the value, and where the next line begins. The name is a token in lower case, with its
    /// number if it has one; the value is a valid one, and the head no longer than 4 GiB.
    #[inline]
    pub(crate) fn note(
        &mut self,
        head: &[u8],
        (name, known): ((usize, usize), Option<KnownName>),
        value: (usize, usize),
        next: usize,
    ) {
        let (at, end) = (name.0, name.0 + name.1);
        debug_assert_eq!(known, KnownName::of(&head[at..end]), "a name's number is its own");
        let tag = known.map_or_else(|| Tag::of_other(&head[at..end]), Tag::of_known);
        let is_usual = value.0 == end + 2 && next == value.0 + value.1 + 2 && head[end + 1] == b' ';
        self.add(Place::in_block(tag, name, value, is_usual));
    }

    #[inline]
    fn add(&mut self, place: Place) {
        let set = place.tag.set();
        self.several = self.several.with(self.names.within(set));
        self.names = self.names.with(set);
        self.places.push(place);
    }

    /// Writes a line of the gateway's own.
    fn write(&mut self, tag: Tag, name: &[u8], value: &[u8]) -> Place {
        debug_assert!(!name.iter().any(u8::is_ascii_uppercase), "names are in lower case");
        let at = self.own.len();
        self.own.reserve(name.len() + value.len() + 4);
        for part in [name, b": ", value, b"\r\n"] {
            self.own.extend_from_slice(part);
        }
        Place::in_own(tag, at, name.len(), value.len())
    }

    /// Whether a name that is there is known to be there once.
    #[inline]
    fn is_single(&self, tag: Tag) -> bool {
        tag.is_known() && self.several.within(tag.set()).is_empty()
    }

    /// The first field of a name.
    #[inline]
    fn find(&self, tag: Tag, name: &[u8]) -> Option<usize> {
        if self.names.within(tag.set()).is_empty() {
            return None;
        }
        if tag.is_known() {
            return self.places.iter().position(|place| place.tag == tag);
        }
        self.places.iter().position(|place| place.is(tag, name, (&self.block, &self.own)))
    }

    /// Removes a field that was found, and those of its name behind it.
    #[inline]
    fn remove_found(&mut self, at: usize, tag: Tag, name: &[u8]) {
        if self.is_single(tag) {
            self.places.remove(at);
        } else {
            self.remove_from(at, tag, name);
        }
        if tag.is_known() {
            self.names = self.names.without(tag.set());
        }
    }

    /// Removes those of a name from this place on, before which there is one at most.
    #[inline(never)]
    fn remove_from(&mut self, from: usize, tag: Tag, name: &[u8]) {
        let (block, own) = (&self.block, &self.own);
        let mut number = 0;
        self.places.retain(|place| {
            number += 1;
            number <= from || !place.is(tag, name, (block, own))
        });
        if tag.is_known() {
            self.several = self.several.without(tag.set());
        }
    }

    #[inline]
    fn name_at(&self, place: Place) -> &[u8] {
        &place.of(&self.block, &self.own)[place.name()]
    }

    #[inline]
    fn value_at(&self, place: Place) -> &[u8] {
        &place.of(&self.block, &self.own)[place.value()]
    }

    /// Appends the fields as lines, but for those of these names; runs of lines that stand together in their usual form
    /// are copied at once.
    #[inline]
    pub(crate) fn write_lines(&self, out: &mut Vec<u8>, without: NameSet) {
        let mut run = 0..0;
        let mut buffer = Buffer::Block;
        for place in &self.places {
            if place.tag.known().is_some_and(|name| without.contains(name)) {
                continue;
            }
            let line = place.line();
            if !place.is_usual() {
                out.extend_from_slice(&self.bytes(buffer)[run]);
                run = 0..0;
                let bytes = place.of(&self.block, &self.own);
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

/// What tells of a name that is looked up.
#[inline]
fn tag_of(name: &impl FieldName) -> Tag {
    name.known().map_or_else(|| Tag::of_other(name.text().as_bytes()), Tag::of_known)
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
