//! A request's target: as it came, and as an upstream is sent it.
//!
//! Nearly all are a path and a query of fewer than eighty bytes, of plain characters. Those are kept as text in their
//! place, which is neither counted nor allocated, and of which `http` need not look at each byte. All others are what
//! `http` makes of them; so is every target that it refuses. What is kept here it would take, too, and read alike:
//! tests hold the two against each other.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use http::Uri;
use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};

use crate::algorithms::blocks::{BLOCK, Block};

/// Bytes of a target that is kept as text: with them it is as large as a `Uri`, and moved without a call.
const SHORT: usize = 78;

/// A path and perhaps a query, in origin-form (RFC 9112, section 3.2.1).
#[derive(Clone)]
pub struct PathQuery(Form);

#[derive(Clone)]
enum Form {
    /// Plain characters, of which so many are the path.
    Short { text: ArrayString<SHORT>, path: u8 },
    /// What `http` made of it.
    Library(PathAndQuery),
}

impl PathQuery {
    /// One that is short and of plain characters; `None` where it is not, right or wrong.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is short")]
    pub fn plain(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SHORT || bytes.first() != Some(&b'/') {
            return None;
        }
        let (mut at, mut path) = (0, bytes.len());
        while at < bytes.len() {
            let block = Block::at(bytes, at)?;
            // A path takes no `<`, `>` or grave accent, a query no `"`, and a target no `#`.
            let odd = block.within(b'"', b'#') | block.equal(b'<') | block.equal(b'>') | block.equal(b'`');
            if block.other_bits(block.within(b'!', b'~')) | block.bits(odd) != 0 {
                return None;
            }
            let marks = block.bits(block.equal(b'?'));
            if marks != 0 && path == bytes.len() {
                path = at + marks.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        let text = ArrayString::from(std::str::from_utf8(bytes).ok()?).ok()?;
        Some(Self(Form::Short { text, path: path as u8 }))
    }

    /// One that is known to be right.
    ///
    /// # Panics
    /// It is not.
    pub fn from_static(text: &'static str) -> Self {
        PathAndQuery::from_static(text).into()
    }

    /// All of it, as it is written.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Short { text, .. } => text,
            Form::Library(target) => target.as_str(),
        }
    }

    /// The path.
    #[inline]
    pub fn path(&self) -> &str {
        match &self.0 {
            Form::Short { text, path } => &text[..usize::from(*path)],
            Form::Library(target) => target.path(),
        }
    }

    /// The query, where there is one.
    #[inline]
    pub fn query(&self) -> Option<&str> {
        match &self.0 {
            Form::Short { text, path } => text.get(usize::from(*path) + 1..),
            Form::Library(target) => target.query(),
        }
    }

    /// The same in the form of `http`.
    #[cold]
    pub fn to_library(&self) -> PathAndQuery {
        match &self.0 {
            // What is kept as text `http` takes. Were it not so, nobody serves what is asked for then.
            Form::Short { text, .. } => {
                PathAndQuery::try_from(text.as_str()).unwrap_or_else(|_| PathAndQuery::from_static("*"))
            }
            Form::Library(target) => target.clone(),
        }
    }
}

impl From<PathAndQuery> for PathQuery {
    fn from(target: PathAndQuery) -> Self {
        Self(Form::Library(target))
    }
}

impl FromStr for PathQuery {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        text.parse::<PathAndQuery>().map(Self::from)
    }
}

impl fmt::Display for PathQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PathQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for PathQuery {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<&str> for PathQuery {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// A request's target as it came (RFC 9112, section 3.2).
#[derive(Clone)]
pub struct RequestTarget(Kind);

#[derive(Clone)]
enum Kind {
    /// Origin-form.
    Path(PathQuery),
    /// Any other.
    Whole(Box<Uri>),
}

impl RequestTarget {
    /// The path; `*` where that is all.
    #[inline]
    pub fn path(&self) -> &str {
        match &self.0 {
            Kind::Path(target) => target.path(),
            Kind::Whole(uri) => uri.path(),
        }
    }

    /// The query, where there is one.
    #[inline]
    pub fn query(&self) -> Option<&str> {
        match &self.0 {
            Kind::Path(target) => target.query(),
            Kind::Whole(uri) => uri.query(),
        }
    }

    /// Path and query as they are written; `/` where there is neither.
    pub fn path_and_query(&self) -> &str {
        match &self.0 {
            Kind::Path(target) => target.as_str(),
            Kind::Whole(uri) => uri.path_and_query().map_or("/", PathAndQuery::as_str),
        }
    }

    /// The authority, where there is one.
    #[inline]
    pub fn authority(&self) -> Option<&Authority> {
        match &self.0 {
            Kind::Path(_) => None,
            Kind::Whole(uri) => uri.authority(),
        }
    }

    /// The scheme, where there is one.
    #[inline]
    pub fn scheme(&self) -> Option<&Scheme> {
        match &self.0 {
            Kind::Path(_) => None,
            Kind::Whole(uri) => uri.scheme(),
        }
    }

    /// Path and query as an upstream can be sent them; `None` where what was written of them begins with no path.
    #[inline]
    pub fn to_path_query(&self) -> Option<PathQuery> {
        match &self.0 {
            Kind::Path(target) => Some(target.clone()),
            Kind::Whole(uri) => {
                uri.path_and_query().filter(|target| target.as_str().starts_with('/')).cloned().map(PathQuery::from)
            }
        }
    }
}

impl Default for RequestTarget {
    fn default() -> Self {
        let mut text = ArrayString::new();
        text.push('/');
        PathQuery(Form::Short { text, path: 1 }).into()
    }
}

impl From<PathQuery> for RequestTarget {
    #[inline]
    fn from(target: PathQuery) -> Self {
        Self(Kind::Path(target))
    }
}

impl From<Uri> for RequestTarget {
    fn from(uri: Uri) -> Self {
        let is_path = uri.scheme().is_none() && uri.authority().is_none();
        match uri.path_and_query().filter(|target| is_path && target.as_str().starts_with('/')) {
            Some(target) => PathQuery::from(target.clone()).into(),
            None => Self(Kind::Whole(Box::new(uri))),
        }
    }
}

impl fmt::Display for RequestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Path(target) => target.fmt(f),
            Kind::Whole(uri) => uri.fmt(f),
        }
    }
}

impl fmt::Debug for RequestTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What this and `http` read of a target.
    fn alike(target: &RequestTarget, uri: &Uri) -> bool {
        let sent = uri.path_and_query().filter(|target| target.as_str().starts_with('/'));
        (target.path(), target.query(), target.to_string()) == (uri.path(), uri.query(), uri.to_string())
            && (target.authority(), target.scheme()) == (uri.authority(), uri.scheme())
            && target.path_and_query() == uri.path_and_query().map_or("/", PathAndQuery::as_str)
            && target.to_path_query().map(|target| target.to_library()) == sent.cloned()
    }

    /// Whether it is kept as text; then `http` reads it alike.
    fn is_kept(text: &[u8]) -> bool {
        let Some(kept) = PathQuery::plain(text) else { return false };
        let uri = Uri::try_from(text).unwrap();
        assert_eq!(kept.to_library().as_str().as_bytes(), text);
        assert!(alike(&kept.into(), &uri), "{uri}");
        true
    }

    #[test]
    fn what_is_kept_as_text_is_read_as_the_library_reads_it_whatever_byte_is_in_it() {
        for byte in 0..=u8::MAX {
            for (before, behind) in [("/", ""), ("/a", "b?c"), ("/?", ""), ("/a-path-of-many-bytes?", "a=b"), ("", "/")]
            {
                let text = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
                let is_plain = byte.is_ascii_graphic() && !b"\"#<>`".contains(&byte);
                assert_eq!(is_kept(&text), is_plain && (!before.is_empty() || byte == b'/'), "{byte:#x} in {before}");
            }
        }
    }

    #[test]
    fn one_that_is_long_is_left_to_the_library() {
        for length in 1..200 {
            let text = format!("/{}", "a".repeat(length - 1));
            assert_eq!(is_kept(text.as_bytes()), length <= SHORT, "{length}");
            for query in 1..length {
                let (path, rest) = text.split_at(query);
                assert_eq!(
                    is_kept(format!("{path}?{}", &rest[1..]).as_bytes()),
                    length <= SHORT,
                    "{query} of {length}"
                );
            }
        }
    }

    #[test]
    fn a_target_in_any_form_is_what_the_library_makes_of_it() {
        for text in
            ["*", "/", "/a?", "/a?b?c", "//a/b", "http://a.test", "http://a.test?b", "https://a.test:1/b?c", "a.test:1"]
        {
            let uri: Uri = text.parse().unwrap();
            assert!(alike(&uri.clone().into(), &uri), "{text}");
        }
        assert!(alike(&RequestTarget::default(), &Uri::default()));
        assert!(size_of::<RequestTarget>() <= size_of::<Uri>(), "moved without a call");
    }

    proptest! {
        #[test]
        fn any_target_is_read_as_the_library_reads_it(text in "/[!-~\u{e9}]{0,100}", uri in "[!-~]{0,40}") {
            is_kept(text.as_bytes());
            is_kept(uri.as_bytes());
            for text in [text, uri] {
                if let Ok(uri) = text.parse::<Uri>() {
                    prop_assert!(alike(&uri.clone().into(), &uri), "{}", text);
                }
            }
        }
    }
}
