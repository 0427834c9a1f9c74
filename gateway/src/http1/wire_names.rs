//! Names of header fields as a client wrote them, where they are to reach the upstream in the same letters.
//!
//! To HTTP the case of a name says nothing (RFC 9110, section 5.1), and a map of fields forgets it; some old upstreams
//! compare names by their bytes all the same. Kept beside the map, so that nothing else has to know of it: a field that
//! is removed is not written, whatever is remembered of its name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};

use crate::request_fields::{FieldValue, RequestFields};

/// The names of a request's fields, in order for each name.
#[derive(Debug, Clone, Default)]
pub struct WireNames(Arc<HeaderMap<Spelled>>);

/// A name in a client's letters; a slice of the head it came in.
#[derive(Debug, Clone)]
struct Spelled(Bytes);

impl WireNames {
    /// Remembers names, in the order of their fields.
    pub(super) fn of(names: impl Iterator<Item = (HeaderName, Bytes)>) -> Self {
        let mut map = HeaderMap::with_capacity(names.size_hint().0);
        for (name, spelled) in names {
            map.append(name, Spelled(spelled));
        }
        Self(Arc::new(map))
    }

    /// Forgets the letters of a name: who sets the field now has not written it so.
    pub fn forget(&mut self, name: &HeaderName) {
        if self.0.contains_key(name) {
            Arc::make_mut(&mut self.0).remove(name);
        }
    }

    /// Forgets the names of fields that are not there any more, but for those that say how the body is framed: they are
    /// written anew for the same body.
    pub fn keep(&mut self, fields: &RequestFields) {
        let frames = |name: &HeaderName| matches!(*name, header::TRANSFER_ENCODING | header::CONTENT_LENGTH);
        let there: HashSet<&[u8]> = fields.names().collect();
        let gone = self.0.keys().filter(|name| !there.contains(name.as_str().as_bytes()) && !frames(name));
        let gone: Vec<HeaderName> = gone.cloned().collect();
        gone.iter().for_each(|name| self.forget(name));
    }

    /// How the first field of this name was written; its usual form where none was.
    pub(super) fn first<'n>(&'n self, name: &'n HeaderName) -> &'n [u8] {
        self.0.get(name).map_or(name.as_str().as_bytes(), |spelled| &spelled.0)
    }

    /// How fields were written, one by one, with their names and values. One of which there are more than came is
    /// written like the last of them.
    pub(super) fn spell<'n>(
        &'n self,
        fields: &'n RequestFields,
    ) -> impl Iterator<Item = (&'n [u8], &'n [u8], FieldValue<'n>)> {
        // Those of each name that are left, and how the last one was written: of each field one look-up, however many
        // there are.
        let mut left = HashMap::new();
        fields.iter().map(move |(name, value)| {
            let (spelled, last) = left.entry(name).or_insert_with(|| {
                let text = std::str::from_utf8(name).unwrap_or_default();
                (self.0.get_all(text).iter(), name)
            });
            if let Some(next) = spelled.next() {
                *last = &next.0[..];
            }
            (*last, name, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_keeps_its_letters_and_new_ones_have_the_usual() {
        let came = [("x-a", "X-A"), ("host", "HOST"), ("x-a", "x-a"), ("x-gone", "X-Gone")];
        let came =
            came.iter().map(|(name, spelled)| (HeaderName::from_static(name), Bytes::from_static(spelled.as_bytes())));
        let names = WireNames::of(came);
        let mut fields = RequestFields::new();
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("x-a", "3"), ("host", "a"), ("x-new", "b")] {
            fields.append(name, value);
        }
        let written: Vec<_> = names
            .spell(&fields)
            .map(|(name, _, value)| (std::str::from_utf8(name).unwrap(), value.to_str().unwrap()))
            .collect();
        assert_eq!(written, [("X-A", "1"), ("x-a", "2"), ("x-a", "3"), ("HOST", "a"), ("x-new", "b")]);
        assert_eq!(names.first(&header::HOST), b"HOST");
        assert_eq!(names.first(&header::CONTENT_LENGTH), b"content-length");
    }

    #[test]
    fn thousands_of_fields_keep_their_letters() {
        let mut fields = RequestFields::new();
        let name = |number: usize| format!("x-{}", number % 700);
        let spelled = |number: usize| if number.is_multiple_of(2) { name(number).to_uppercase() } else { name(number) };
        let came = (0..7000).map(|number| (name(number).parse::<HeaderName>().unwrap(), spelled(number).into()));
        let mut names = WireNames::of(came);
        (0..7000).for_each(|number| fields.append(&name(number), number.to_string()));
        names.keep(&fields);
        for (number, (written, name_of, value)) in names.spell(&fields).enumerate() {
            assert_eq!((written, name_of), (spelled(number).as_bytes(), name(number).as_bytes()));
            assert_eq!(value, number.to_string());
        }
    }
}
