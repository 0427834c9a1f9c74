//! Between these fields and what libraries take: maps, and values of their own.

use std::collections::HashSet;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::place::Place;
use super::{FieldName, FieldValue, Iter, RequestFields, Values, tag_of};

/// A value that is not all visible ASCII, blanks and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

impl<'f> FieldValue<'f> {
    /// The value as text.
    ///
    /// # Errors
    /// It is not all visible ASCII, blanks and tabs.
    #[inline]
    pub fn to_str(self) -> Result<&'f str, NotText> {
        let is_text = self.0.iter().fold(true, |all, byte| all & (matches!(byte, b' '..=b'~') | (*byte == b'\t')));
        if is_text { std::str::from_utf8(self.0).map_err(|_| NotText) } else { Err(NotText) }
    }

    /// A copy, for who keeps it.
    pub fn to_header_value(self) -> HeaderValue {
        HeaderValue::from_bytes(self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl RequestFields {
    /// The same fields as a map, for libraries that want one. What could be no field is left out.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len() + 4);
        self.append_to(&mut map, |_| true);
        map
    }

    /// Each name once, for who tells of them.
    pub fn header_names(&self) -> impl Iterator<Item = HeaderName> {
        let mut told = HashSet::new();
        let once = self.names().filter(move |name| told.insert(*name));
        once.filter_map(|name| HeaderName::from_bytes(name).ok())
    }

    /// Appends to a map the fields whose name this holds for.
    pub(crate) fn append_to(&self, map: &mut HeaderMap, mut takes: impl FnMut(&HeaderName) -> bool) {
        for place in &self.places {
            let name = HeaderName::from_bytes(self.name_at(*place));
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(self.value_at(*place)))
                && takes(&name)
            {
                value.set_sensitive(place.is_sensitive());
                map.append(name, value);
            }
        }
    }
}

impl From<&HeaderMap> for RequestFields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Self::default();
        fields.extend_from(map);
        fields
    }
}

impl From<HeaderMap> for RequestFields {
    fn from(map: HeaderMap) -> Self {
        Self::from(&map)
    }
}

impl RequestFields {
    /// Appends the fields of a map.
    pub fn extend_from(&mut self, map: &HeaderMap) {
        let bytes: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        self.own.reserve(bytes);
        self.places.reserve(map.len());
        for (name, value) in map {
            self.append_marked(name, value, value.is_sensitive());
        }
    }
}

/// What becomes of a field.
pub(crate) enum Edited {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
    /// It has this value instead.
    Is(Vec<u8>),
}

impl RequestFields {
    /// Appends the fields of a name that others have, with their marks.
    pub(crate) fn copy_of(&mut self, others: &Self, name: impl FieldName) {
        let (tag, text) = (tag_of(&name), name.text().as_bytes());
        let is_one = |place: &&Place| place.is(tag, text, (&others.block, &others.own));
        for place in others.places.iter().filter(is_one) {
            self.append_marked(name.text(), others.value_at(*place), place.is_sensitive());
        }
    }

    /// Changes the fields of a name, each where it stands and with its mark.
    pub(crate) fn edit(&mut self, name: impl FieldName, change: impl Fn(&[u8]) -> Edited) {
        let (tag, text) = (tag_of(&name), name.text().as_bytes());
        let mut gone = Vec::new();
        for at in 0..self.places.len() {
            let place = self.places[at];
            if !place.is(tag, text, (&self.block, &self.own)) {
                continue;
            }
            match change(self.value_at(place)) {
                Edited::Stays => {}
                Edited::Goes => gone.push(at),
                Edited::Is(value) => self.places[at] = self.write(tag, text, &value).marked(place.is_sensitive()),
            }
        }
        if !gone.is_empty() {
            // Of what was changed nobody is asked again.
            let (mut gone, mut at) = (gone.into_iter().peekable(), 0);
            self.retain_places(|_, _| {
                at += 1;
                gone.next_if_eq(&(at - 1)).is_none()
            });
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Extend<(N, V)> for RequestFields {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, fields: I) {
        fields.into_iter().for_each(|(name, value)| self.append(name.as_ref(), value));
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for RequestFields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut all = Self::default();
        all.extend(fields);
        all
    }
}

impl<'f> IntoIterator for &'f RequestFields {
    type Item = (&'f [u8], FieldValue<'f>);
    type IntoIter = Iter<'f>;

    fn into_iter(self) -> Iter<'f> {
        self.iter()
    }
}

impl<'f> IntoIterator for &Values<'f> {
    type Item = FieldValue<'f>;
    type IntoIter = Values<'f>;

    fn into_iter(self) -> Values<'f> {
        self.iter()
    }
}

/// The same fields, those of one name in the same order.
impl PartialEq for RequestFields {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

impl PartialEq<HeaderMap> for RequestFields {
    fn eq(&self, other: &HeaderMap) -> bool {
        self.to_map() == *other
    }
}

impl fmt::Debug for RequestFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (String::from_utf8_lossy(name), value))).finish()
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl PartialEq<[u8]> for FieldValue<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}

impl PartialEq<str> for FieldValue<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for FieldValue<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<String> for FieldValue<'_> {
    fn eq(&self, other: &String) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<HeaderValue> for FieldValue<'_> {
    fn eq(&self, other: &HeaderValue) -> bool {
        self.0 == other.as_bytes()
    }
}

impl AsRef<[u8]> for FieldValue<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}
