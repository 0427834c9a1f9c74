//! Edits of headers, compiled: which fields go, and which lines are written in their place or beside them. With those
//! of the query (`query_edits.rs`) they are all that a route edits of a request.
//!
//! Values of the request are made once, when its route is known and before anything of it is looked at further: of what
//! its client sent and was let in with, whatever becomes of it later. So an answer can tell of a request whose headers
//! are gone. Routes without such values pay one branch; fixed values cost a clone.
//!
//! What a client sent adds nothing to a message but the one value: bytes that no value holds leave the field out, and
//! so does a value of which nothing is left.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::config::settings::Route;
use crate::config::settings::header_edits::{EditValue, HeaderEdits, KnownValue, ValuePiece};
use crate::context::AnyFields;
use crate::context::target::port;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::query_edits::QueryEdits;
use crate::request_fields::RequestFields;

/// A value that was made; `None` = there is none, and its field is not written.
pub type MadeValue = Option<HeaderValue>;

/// The edits of a route.
#[derive(Debug)]
pub struct RouteEdits {
    /// Of its requests.
    pub request: Option<Box<Edits>>,
    /// Of its answers.
    pub response: Option<Box<Edits>>,
    /// Of its requests' queries.
    pub query: Option<Box<QueryEdits>>,
    /// Something is made for each request: values of headers, or the query.
    pub make_values: bool,
}

/// The edits of one direction.
#[derive(Debug)]
pub struct Edits {
    /// What is removed, and what is replaced.
    gone: Box<[HeaderName]>,
    /// What is set, then what is added.
    lines: Box<[(HeaderName, EditValue)]>,
    makes_values: bool,
}

/// The values that were made for a request, in the order of the lines that they belong to.
#[derive(Debug)]
pub struct Made {
    /// For the upstream.
    pub request: Box<[MadeValue]>,
    /// For the client.
    pub response: Box<[MadeValue]>,
    /// The query that the upstream is sent.
    pub query: MadeQuery,
}

/// The query that an upstream is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeQuery {
    /// As it came.
    AsItCame,
    /// This one in its place, or none.
    Edited(Option<Box<str>>),
}

impl MadeQuery {
    /// What is sent where this one came.
    pub fn sent<'a>(&'a self, came: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::AsItCame => came,
            Self::Edited(query) => query.as_deref(),
        }
    }
}

impl RouteEdits {
    /// Compiles them.
    pub fn new(route: &Route) -> Self {
        let (request, response) = (Edits::new(&route.request_headers), Edits::new(&route.response_headers));
        let query = QueryEdits::new(&route.request_query);
        let make_values =
            query.is_some() || [&request, &response].into_iter().flatten().any(|edits| edits.makes_values);
        Self { request, response, query, make_values }
    }
}

impl Edits {
    /// Compiles them; `None` where there is nothing to do.
    pub fn new(settings: &HeaderEdits) -> Option<Box<Self>> {
        if settings.is_empty() {
            return None;
        }
        let lines: Box<[_]> = settings.set.iter().chain(&settings.add).cloned().collect();
        Some(Box::new(Self {
            gone: settings.remove.iter().chain(settings.names_set()).cloned().collect(),
            makes_values: lines.iter().any(|(_, value)| matches!(value, EditValue::Made(_))),
            lines,
        }))
    }

    /// Whether what is there of this name goes.
    pub fn takes(&self, name: &HeaderName) -> bool {
        self.gone.contains(name)
    }

    /// What goes.
    pub fn gone(&self) -> &[HeaderName] {
        &self.gone
    }

    /// What is written then, with the values that were made.
    pub fn lines<'a>(&'a self, made: &'a [MadeValue]) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        let mut made = made.iter();
        self.lines.iter().filter_map(move |(name, value)| match value {
            EditValue::Fixed(value) => Some((name, value)),
            EditValue::Made(_) => Some((name, made.next()?.as_ref()?)),
        })
    }

    /// Applies them.
    pub fn apply(&self, headers: &mut impl AnyFields, made: &[MadeValue]) {
        self.apply_but(headers, made, |_| false);
    }

    /// The same, but for fields that stay as they are.
    pub fn apply_but(&self, headers: &mut impl AnyFields, made: &[MadeValue], stays: impl Fn(&HeaderName) -> bool) {
        for name in self.gone.iter().filter(|name| !stays(name)) {
            headers.remove_all(name.as_str());
        }
        for (name, value) in self.lines(made).filter(|(name, _)| !stays(name)) {
            headers.add(name, value);
        }
    }

    fn make<N: Network>(&self, asked: &Asked<'_, N>) -> Box<[MadeValue]> {
        let values = self.lines.iter().filter_map(|(_, value)| match value {
            EditValue::Fixed(_) => None,
            EditValue::Made(pieces) => Some(asked.value(pieces)),
        });
        values.collect()
    }
}

/// Makes the values of an exchange's route. `headers` are the client's, `params` the ranges of the path's parameters.
#[cold]
pub fn of_route<N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    params: &[(u32, u32)],
) -> Option<Arc<Made>> {
    let edits = &exchange.route()?.edits;
    let asked = Asked { exchange, headers, params };
    let (request, response) = (asked.values(edits.request.as_deref()), asked.values(edits.response.as_deref()));
    Some(Arc::new(Made { request, response, query: asked.query(edits.query.as_deref()) }))
}

/// The same of a call that is made for the exchange by this route.
#[cold]
pub fn of_call<N: Network>(
    exchange: &Exchange<N>,
    route: usize,
    headers: &RequestFields,
    params: &[(u32, u32)],
) -> Option<Arc<Made>> {
    let edits = exchange.snapshot.routes.get(route)?.edits.request.as_deref();
    let request = Asked { exchange, headers, params }.values(edits);
    Some(Arc::new(Made { request, response: Box::default(), query: MadeQuery::AsItCame }))
}

/// The query that this route would send of the exchange's URL, as far as that is all it hangs on.
#[cold]
pub fn query_of_url<N: Network>(exchange: &Exchange<N>, route: usize, params: &[(u32, u32)]) -> MadeQuery {
    let edits = exchange.snapshot.routes.get(route).and_then(|route| route.edits.query.as_deref());
    Asked { exchange, headers: &RequestFields::new(), params }.query(edits)
}

/// A request, as its values are made of it.
struct Asked<'a, N: Network> {
    exchange: &'a Exchange<N>,
    headers: &'a RequestFields,
    params: &'a [(u32, u32)],
}

impl<N: Network> Asked<'_, N> {
    fn values(&self, edits: Option<&Edits>) -> Box<[MadeValue]> {
        edits.map_or_else(Box::default, |edits| edits.make(self))
    }

    fn value(&self, pieces: &[ValuePiece]) -> MadeValue {
        let mut out = Vec::with_capacity(64);
        pieces.iter().for_each(|piece| self.piece(piece, &mut out));
        field_value(&out)
    }

    fn query(&self, edits: Option<&QueryEdits>) -> MadeQuery {
        let Some(edits) = edits else { return MadeQuery::AsItCame };
        let query = edits.apply(self.exchange.uri.query(), |piece, out| match piece {
            // It is encoded in its path, and is about to be encoded for the query.
            ValuePiece::Param(number) => out.extend(percent_decode_str(self.param(*number))),
            piece => self.piece(piece, out),
        });
        MadeQuery::Edited(query.map(String::into_boxed_str))
    }

    fn piece(&self, piece: &ValuePiece, out: &mut Vec<u8>) {
        match piece {
            ValuePiece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            ValuePiece::Param(number) => out.extend_from_slice(self.param(*number).as_bytes()),
            ValuePiece::Known(known) => self.write(*known, out),
            ValuePiece::Header(name) => write_header(self.headers, name, out),
        }
    }

    fn param(&self, number: usize) -> &str {
        let range = self.params.get(number).map(|&(start, end)| start as usize..end as usize);
        range.and_then(|range| self.exchange.path().get(range)).unwrap_or("")
    }

    fn write(&self, known: KnownValue, out: &mut Vec<u8>) {
        let exchange = self.exchange;
        let scheme = if exchange.secure { "https" } else { "http" };
        let text = match known {
            KnownValue::ClientIp => exchange.client.as_str(),
            KnownValue::Scheme => scheme,
            KnownValue::Host => exchange.host().map_or("", |host| &host.name),
            KnownValue::Port => {
                let named = exchange.host().and_then(|host| port(&host.value));
                named.unwrap_or(if exchange.secure { "443" } else { "80" })
            }
            KnownValue::Method => exchange.method.as_str(),
            KnownValue::Uri => exchange.uri.path_and_query(),
            KnownValue::Path => exchange.path(),
            KnownValue::RequestId => exchange.request_id.as_str(),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// All lines of a header as one list (RFC 9110, section 5.3).
fn write_header(headers: &RequestFields, name: &HeaderName, out: &mut Vec<u8>) {
    for (number, value) in headers.get_all(name).iter().enumerate() {
        if number > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value.as_bytes());
    }
}

/// The value of a field, if these bytes are one, and more than blanks.
fn field_value(bytes: &[u8]) -> MadeValue {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() { None } else { HeaderValue::from_bytes(bytes).ok() }
}

#[cfg(test)]
mod tests {
    use http::header::{ETAG, VARY, VIA};
    use proptest::prelude::*;

    use super::*;

    fn fixed(text: &'static str) -> EditValue {
        EditValue::Fixed(HeaderValue::from_static(text))
    }

    #[test]
    fn what_is_set_replaces_and_what_is_added_stands_beside() {
        let known = EditValue::Made(Box::new([ValuePiece::Known(KnownValue::Host)]));
        let settings = HeaderEdits {
            set: vec![(VARY, fixed("b")), (ETAG, known.clone())],
            add: vec![(VIA, fixed("1.1 gw")), (VIA, known)],
            remove: vec![HeaderName::from_static("x-gone")],
            ..HeaderEdits::default()
        };
        let edits = Edits::new(&settings).unwrap();
        assert!(edits.makes_values && edits.takes(&ETAG) && !edits.takes(&VIA));
        let there = || {
            let lines = [("vary", "a"), ("via", "1.0 x"), ("etag", "e"), ("x-gone", "1"), ("x-stays", "1")];
            let line = |(name, value): (&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            RequestFields::from_iter(lines.map(line))
        };
        let mut headers = there();
        edits.apply(&mut headers, &[None, Some(HeaderValue::from_static("2.0 gw"))]);
        assert_eq!(headers.get_all(&VIA).iter().collect::<Vec<_>>(), ["1.0 x", "1.1 gw", "2.0 gw"]);
        assert_eq!((headers.get(&VARY).unwrap().as_bytes(), headers.get(&ETAG), headers.len()), (&b"b"[..], None, 5));
        // Without values that were made, what is fixed holds.
        let mut headers = there();
        edits.apply_but(&mut headers, &[], |name| *name == VARY);
        assert_eq!(headers.get_all(&VIA).iter().collect::<Vec<_>>(), ["1.0 x", "1.1 gw"]);
        assert_eq!((headers.get(&VARY).unwrap().as_bytes(), headers.contains_key("x-gone")), (&b"a"[..], false));
        assert!(Edits::new(&HeaderEdits::default()).is_none());
    }

    #[test]
    fn lines_of_a_header_are_one_value() {
        let name = HeaderName::from_static("x-a");
        let mut headers = RequestFields::new();
        let written = |headers: &RequestFields| {
            let mut out = Vec::new();
            write_header(headers, &name, &mut out);
            out
        };
        assert_eq!(written(&headers), b"");
        headers.append(&name, HeaderValue::from_static("1"));
        assert_eq!(written(&headers), b"1");
        headers.append(&name, HeaderValue::from_static("2"));
        assert_eq!(written(&headers), b"1, 2");
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_comes_to_one_value_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(value) = field_value(&bytes) {
                let splits = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
                prop_assert!(!value.is_empty() && !value.as_bytes().iter().any(splits));
                prop_assert_eq!(value.as_bytes(), bytes.trim_ascii());
            }
        }
    }
}
