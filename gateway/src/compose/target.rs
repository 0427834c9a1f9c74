//! What a part is asked for: its template, filled with values.
//!
//! Invariant: the result has the path segments and the query parameters of the template, whatever the values are; of
//! those that are the client's to give, each is there as often as the client wrote it. All that is not unreserved
//! (RFC 3986, section 2.3) is percent-encoded, and what would make a segment of dots, or an empty one, is refused.

use bytes::Bytes;
use http::uri::PathAndQuery;
use percent_encoding::{percent_decode_str, percent_encode};

use crate::query::RESERVED;
use crate::request_target::PathQuery;

/// A piece of a target.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    /// Copied as it is.
    Literal(&'a str),
    /// A parameter as it stands in the request's path, percent-encoded there as its client liked.
    Param(&'a str),
    /// The same of `{*rest}`: it may be several segments, or none.
    Rest(&'a str),
    /// Any text.
    Value(&'a str),
    /// All values that a parameter of this name has in this query, each as its client wrote it: the value of the
    /// parameter whose name the literal before ends with.
    Query(&'a str, &'a str),
}

/// A value cannot stand where the template has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfit;

/// Fills a template.
///
/// # Errors
/// A segment of the path with a value in it would be empty, or could be taken for a dot segment.
pub(super) fn fill<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> Result<PathQuery, Unfit> {
    let mut filling = Filling { text: String::with_capacity(96), ..Filling::default() };
    for piece in pieces {
        match piece {
            Piece::Literal(text) => filling.literal(text)?,
            Piece::Param(text) => filling.value(&decoded(text)),
            // A service that decodes before it matches would find a segment more, or a name cut short. A client may not
            // write that into a path either.
            Piece::Value(text) if !filling.in_query && text.contains(['/', '\\', '\0']) => return Err(Unfit),
            Piece::Value(text) => filling.value(text.as_bytes()),
            Piece::Rest(text) if filling.in_query => filling.value(&decoded(text)),
            Piece::Rest(text) => filling.rest(text)?,
            Piece::Query(name, query) => filling.of_the_query(name, query),
        }
    }
    filling.end_segment()?;
    PathAndQuery::from_maybe_shared(Bytes::from(filling.text)).map(PathQuery::from).map_err(|_| Unfit)
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// Whether the name of a parameter of a query, as it was sent, says this.
fn is_name(sent: &str, name: &str) -> bool {
    if !sent.contains(['%', '+']) {
        return sent == name;
    }
    percent_decode_str(&sent.replace('+', " ")).eq(name.bytes())
}

#[derive(Default)]
struct Filling {
    text: String,
    /// Where the segment begins that is being written.
    segment: usize,
    /// There is a value in it.
    has_value: bool,
    /// A rest stands there that is nothing.
    is_gap: bool,
    in_query: bool,
    /// Where the parameter of the query begins that is being written: at its `?` or `&`.
    pair: usize,
    /// The query has begun to be written; where all parameters so far were left out it has not.
    has_query: bool,
}

impl Filling {
    fn literal(&mut self, text: &str) -> Result<(), Unfit> {
        for c in text.chars() {
            if !self.in_query && matches!(c, '/' | '?') {
                self.end_segment()?;
                // Of `/docs/{rest}/acl` there would be `/docs//acl` left, which many take for `/docs/acl`.
                if std::mem::take(&mut self.is_gap) && c == '/' {
                    return Err(Unfit);
                }
                self.in_query = c == '?';
                (self.has_query, self.pair) = (self.in_query, self.text.len());
                self.segment = self.text.len() + 1;
            } else if self.in_query && c == '&' {
                self.pair = self.text.len();
                if !std::mem::replace(&mut self.has_query, true) {
                    self.text.push('?');
                    continue;
                }
            }
            self.text.push(c);
        }
        Ok(())
    }

    fn value(&mut self, value: &[u8]) {
        self.text.extend(percent_encode(value, RESERVED));
        self.has_value = true;
    }

    /// Writes the parameter that has been begun once for each value that the client gave it: without any, not at all.
    fn of_the_query(&mut self, name: &str, query: &str) {
        if !self.in_query {
            return;
        }
        let begun = self.text.split_off(self.pair);
        let mut separator = begun.chars().next();
        self.has_query = separator == Some('&');
        let values = query.split('&').filter(|pair| !pair.is_empty());
        let values = values.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        for (_, value) in values.filter(|(sent, _)| is_name(sent, name)) {
            self.text.extend(separator.replace('&'));
            self.text.push_str(begun.get(1..).unwrap_or_default());
            self.as_sent(value);
            self.has_query = true;
        }
    }

    /// A value as its client sent it, of whom nobody knows whether a `+` is a space; what could end it is encoded.
    fn as_sent(&mut self, value: &str) {
        let mut rest = value;
        while let Some(c) = rest.chars().next() {
            let length = match rest.as_bytes() {
                [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
                _ => c.len_utf8(),
            };
            let (sent, behind) = rest.split_at(length);
            if length == 3 && c == '%' || c == '+' {
                self.text.push_str(sent);
            } else {
                self.text.extend(percent_encode(sent.as_bytes(), RESERVED));
            }
            rest = behind;
        }
    }

    /// Nothing is no value: `/files/{*rest}` also matches `/files/`.
    fn rest(&mut self, text: &str) -> Result<(), Unfit> {
        for (number, segment) in text.split('/').enumerate() {
            if number > 0 {
                self.literal("/")?;
            }
            if !segment.is_empty() {
                self.value(&decoded(segment));
            }
        }
        self.is_gap = text.is_empty() || text.ends_with('/');
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), Unfit> {
        if std::mem::take(&mut self.has_value) && !self.in_query {
            let segment = &self.text[self.segment..];
            if segment.is_empty() || may_be_dots(segment) {
                return Err(Unfit);
            }
        }
        Ok(())
    }
}

/// Whether somebody who decodes an encoded segment could find a dot segment in it: one who takes an encoded slash for a
/// separator, or who cuts parameters off behind a `;`. What follows dots and is encoded is never looked into.
fn may_be_dots(segment: &str) -> bool {
    let mut starts =
        std::iter::once(segment).chain(segment.match_indices('%').filter_map(|(at, _)| segment.get(at + 3..)));
    starts.any(|rest| {
        let behind = rest.trim_start_matches('.');
        matches!(rest.len() - behind.len(), 1 | 2) && (behind.is_empty() || behind.starts_with('%'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::{PathRules, normalise};

    fn filled(pieces: &[Piece<'_>]) -> Result<String, Unfit> {
        fill(pieces.iter().copied()).map(|target| target.to_string())
    }

    #[test]
    fn values_stay_within_their_place() {
        use Piece::{Literal, Param, Rest, Value};
        for (pieces, expected) in [
            (&[Literal("/users/"), Param("7")][..], Ok("/users/7")),
            (&[Literal("/users/"), Param("a%2Fb;c=1&d")], Ok("/users/a%2Fb%3Bc%3D1%26d")),
            (&[Literal("/users/"), Value("../admin?x#y")], Err(Unfit)),
            (&[Literal("/users/"), Value("a/../admin")], Err(Unfit)),
            (&[Literal("/users/"), Value("a/.")], Err(Unfit)),
            (&[Literal("/users/"), Value("b?x#y..z")], Ok("/users/b%3Fx%23y..z")),
            (&[Literal("/users/"), Value("a/b")], Err(Unfit)),
            (&[Literal("/users/"), Value("a\\b")], Err(Unfit)),
            (&[Literal("/users/"), Value("a\0")], Err(Unfit)),
            (&[Literal("/o?a="), Value("a/b\\\0")], Ok("/o?a=a%2Fb%5C%00")),
            (&[Literal("/users/"), Value("..")], Err(Unfit)),
            (&[Literal("/users/"), Value("."), Literal("/x")], Err(Unfit)),
            (&[Literal("/users/"), Value(".;x")], Err(Unfit)),
            (&[Literal("/users/"), Value("")], Err(Unfit)),
            (&[Literal("/users/"), Value(""), Literal("-x")], Ok("/users/-x")),
            (&[Literal("/users/"), Value("..."), Literal("/")], Ok("/users/.../")),
            (&[Literal("/o?user="), Param("1&admin=true+%41")], Ok("/o?user=1%26admin%3Dtrue%2BA")),
            (&[Literal("/o?a="), Value(""), Literal("&b="), Value("..")], Ok("/o?a=&b=..")),
            (&[Literal("/o?a=?/"), Value("é ")], Ok("/o?a=?/%C3%A9%20")),
            (&[Literal("/f/"), Rest("a/b%20c/")], Ok("/f/a/b%20c/")),
            (&[Literal("/f/"), Rest("")], Ok("/f/")),
            (&[Literal("/f/"), Rest(""), Literal("/acl")], Err(Unfit)),
            (&[Literal("/f/"), Rest("a/"), Literal("/acl")], Err(Unfit)),
            (&[Literal("/f/"), Rest("a"), Literal("/acl")], Ok("/f/a/acl")),
            (&[Literal("/f/"), Rest(""), Literal("?x")], Ok("/f/?x")),
            (&[Literal("/f?p="), Rest("a/b")], Ok("/f?p=a%2Fb")),
            (&[Literal("/"), Value("..%2F")], Err(Unfit)),
        ] {
            assert_eq!(filled(pieces), expected.map(str::to_owned), "{pieces:?}");
        }
    }

    #[test]
    fn parameters_of_the_query_are_there_as_often_as_their_client_wrote_them() {
        let asked = |query: &str| {
            let pieces = [
                Piece::Literal("/i?q="),
                Piece::Query("q", query),
                Piece::Literal("&n=1&tag="),
                Piece::Query("a tag", query),
                Piece::Literal("&page="),
                Piece::Query("page", query),
            ];
            filled(&pieces).unwrap()
        };
        for (query, expected) in [
            ("", "/i?n=1"),
            ("x=1&Q=2&qq=3", "/i?n=1"),
            ("q=", "/i?q=&n=1"),
            ("q&page=2", "/i?q=&n=1&page=2"),
            ("page=2&q=a", "/i?q=a&n=1&page=2"),
            ("a+tag=1&q=x&a%20tag=2&&", "/i?q=x&n=1&tag=1&tag=2"),
            ("q=a+b%2Bc%26d=e;f?#/%zz", "/i?q=a+b%2Bc%26d%3De%3Bf%3F%23%2F%25zz&n=1"),
            ("%71=é%", "/i?q=%C3%A9%25&n=1"),
        ] {
            assert_eq!(asked(query), expected, "{query}");
        }
        let only = |query| filled(&[Piece::Literal("/i?q="), Piece::Query("q", query)]).unwrap();
        assert_eq!((only(""), only("q=1&q=2")), ("/i".to_owned(), "/i?q=1&q=2".to_owned()));
        let two = |query| {
            let pieces =
                [Piece::Literal("/i/?a="), Piece::Query("a", query), Piece::Literal("&b="), Piece::Query("b", query)];
            filled(&pieces).unwrap()
        };
        assert_eq!((two("b=2"), two("")), ("/i/?b=2".to_owned(), "/i/".to_owned()));
    }

    type Pair = (Vec<u8>, Vec<u8>);

    /// What a reader makes of a target: the segments of its path, decoded, and the parameters of its query.
    fn read(target: &str) -> (Vec<Vec<u8>>, Vec<Pair>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path.split('/').skip(1).map(decoded).collect();
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        (segments, query.split('&').map(pair).collect())
    }

    proptest! {
        #[test]
        fn no_value_changes_the_shape(
            value in "(\\.|/|\\\\|%2[eEfF]|%|[?#&=;+ ]|é|\u{0}|\n|[a-z]){0,6}",
            parameter in "([.;@=&+a]|%2E|%3F|%26){1,6}",
        ) {
            let pieces = [
                Piece::Literal("/a/"), Piece::Value(&value), Piece::Literal("/b/"), Piece::Param(&parameter),
                Piece::Literal("?x="), Piece::Value(&value), Piece::Literal("&y="), Piece::Param(&parameter),
            ];
            match filled(&pieces) {
                Ok(target) => {
                    let (segments, query) = read(&target);
                    let (value, parameter) = (value.clone().into_bytes(), decoded(&parameter));
                    prop_assert_eq!(segments, vec![b"a".to_vec(), value.clone(), b"b".to_vec(), parameter.clone()]);
                    prop_assert_eq!(query, vec![(b"x".to_vec(), value), (b"y".to_vec(), parameter)]);
                    let rules = PathRules { keep_escaped_slash: true, merge_slashes: true };
                    let path = target.split_once('?').map_or(&*target, |(path, _)| path);
                    if !value_is_never_matched(path) {
                        let normal = normalise(path, rules);
                        prop_assert_eq!(normal.as_deref(), Ok(path), "it is in its one form");
                    }
                }
                Err(Unfit) => {
                    let dots = |value: &[u8]| value.is_empty() || value.iter().any(|byte| b"./\\\0".contains(byte));
                    prop_assert!(dots(value.as_bytes()) || dots(&decoded(&parameter)));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_client_gives_values_and_nothing_else(query in "([qp=&+%;?/#]|%26|%3D|%2e|é|[a-c]){0,12}") {
            let pieces = [
                Piece::Literal("/a/"), Piece::Param("x"), Piece::Literal("?q="), Piece::Query("q", &query),
                Piece::Literal("&y=1&p="), Piece::Query("p", &query),
            ];
            let target = filled(&pieces).unwrap();
            let (segments, pairs) = read(&target);
            prop_assert_eq!(segments, vec![b"a".to_vec(), b"x".to_vec()]);
            let names: Vec<&[u8]> = pairs.iter().map(|(name, _)| &**name).collect();
            let own = names.iter().position(|name| *name == b"y").unwrap();
            prop_assert!(names[..own].iter().all(|name| *name == b"q"));
            prop_assert!(names[own + 1..].iter().all(|name| *name == b"p"));
            let given = |name: &[u8]| -> Vec<Vec<u8>> {
                let pairs = query.split('&').filter(|pair| !pair.is_empty());
                let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let named = pairs.filter(|(sent, _)| decoded(&sent.replace('+', " ")) == name);
                named.map(|(_, value)| decoded(value)).collect()
            };
            let got = |name: &[u8]| -> Vec<Vec<u8>> {
                pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
            };
            prop_assert_eq!((got(b"q"), got(b"p")), (given(b"q"), given(b"p")));
        }
    }

    /// What no request's path may hold at all, an upstream may be asked for all the same: it is encoded.
    fn value_is_never_matched(path: &str) -> bool {
        path.contains("%00") || path.contains("%5C")
    }
}
