//! Walks over fields: those of one name, and all of them.

use super::known::{KnownName, NameSet, Tag};
use super::place::Place;
use super::{FieldValue, RequestFields};

/// The values of one name, in their order.
#[derive(Clone)]
pub struct Values<'f> {
    fields: &'f RequestFields,
    tag: Tag,
    name: &'f [u8],
    places: std::slice::Iter<'f, Place>,
}

impl<'f> Values<'f> {
    /// Those of the name of the first of these places.
    #[inline]
    pub(super) fn of(fields: &'f RequestFields, places: &'f [Place]) -> Self {
        let (tag, name) = match places.first() {
            // Those are told by their number.
            Some(first) if first.tag.is_known() => (first.tag, &b""[..]),
            Some(first) => (first.tag, fields.name_at(*first)),
            None => (Tag::of_other(b""), &b""[..]),
        };
        Self { fields, tag, name, places: places.iter() }
    }

    /// The same once more.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Self {
        self.clone()
    }

    #[inline]
    fn value(&self, place: Place) -> Option<FieldValue<'f>> {
        let buffers = (&self.fields.block[..], &self.fields.own[..]);
        place.is(self.tag, self.name, buffers).then(|| FieldValue(&place.of(buffers.0, buffers.1)[place.value()]))
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

impl RequestFields {
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

    /// The same of names that are not among these, each with its number if it has one.
    #[inline]
    pub(crate) fn names_beside(&self, passed: NameSet) -> impl Iterator<Item = (Option<KnownName>, &[u8])> {
        let others = self.places.iter().filter(move |place| passed.within(place.tag.set()).is_empty());
        others.map(|place| (place.tag.known(), self.name_at(*place)))
    }

    /// Values of any of these names.
    #[inline]
    pub(crate) fn values_of_any(&self, names: NameSet) -> impl Iterator<Item = &[u8]> {
        let places = if self.has_any(names) { &self.places[..] } else { &[] };
        let wanted = places.iter().filter(move |place| !names.within(place.tag.set()).is_empty());
        wanted.map(|place| self.value_at(*place))
    }
}
