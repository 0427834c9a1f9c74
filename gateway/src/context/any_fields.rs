//! What a request's fields and a map of an answer's have in common, for rules that hold for both.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::request_fields::RequestFields;

/// Fields that can be looked up and changed.
pub trait AnyFields {
    /// The values under a name, in their order.
    fn values_of<'f>(&'f self, name: &HeaderName) -> impl Iterator<Item = &'f [u8]>;
    /// All names and values.
    fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
    /// Puts a value in the place of all under this name.
    fn set(&mut self, name: &HeaderName, value: HeaderValue);
    /// Adds a value.
    fn add(&mut self, name: &HeaderName, value: &HeaderValue);
    /// Removes all values under this name, which is in lower case.
    fn remove_all(&mut self, name: &str);
    /// The same of these names, which are sorted.
    fn remove_each(&mut self, names: &[String]);
}

impl AnyFields for HeaderMap {
    fn values_of<'f>(&'f self, name: &HeaderName) -> impl Iterator<Item = &'f [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }

    fn set(&mut self, name: &HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }

    fn remove_all(&mut self, name: &str) {
        self.remove(name);
    }

    fn remove_each(&mut self, names: &[String]) {
        names.iter().for_each(|name| drop(self.remove(name)));
    }
}

impl AnyFields for RequestFields {
    fn values_of<'f>(&'f self, name: &HeaderName) -> impl Iterator<Item = &'f [u8]> {
        self.get_all(name).map(|value| value.as_bytes())
    }

    fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter().map(|(name, value)| (name, value.as_bytes()))
    }

    fn set(&mut self, name: &HeaderName, value: HeaderValue) {
        self.insert_marked(name, &value, value.is_sensitive());
    }

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append_marked(name, value, value.is_sensitive());
    }

    fn remove_all(&mut self, name: &str) {
        self.remove(name);
    }

    fn remove_each(&mut self, names: &[String]) {
        if let [name] = names {
            self.remove(name);
        } else if !names.is_empty() {
            self.retain_names(|_, name| names.binary_search_by(|other| other.as_bytes().cmp(name)).is_err());
        }
    }
}
