//! A query as services read it: parameters with names and values, of which each is decoded (`%XX`, and `+` as a space).
//! Pure.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What is percent-encoded where it is written: everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The pairs of a query, as sent; a name without `=` has the empty value.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The parameters of these names, as they were sent and in their order; empty where there is none. A value is cut
/// behind its first `;`: for some services that ends it, and what follows may be of another name. The `;` stays, since
/// without it the value would be one that no condition on the request saw.
pub(crate) fn only(query: &str, names: &[Box<str>]) -> String {
    let mut told = String::new();
    if names.is_empty() {
        return told;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if names.iter().any(|one| decodes_to(name, one)) {
            if !told.is_empty() {
                told.push('&');
            }
            told.push_str(pair.split_inclusive(';').next().unwrap_or(pair));
        }
    }
    told
}

/// Whether an encoded text says this.
pub(crate) fn decodes_to(encoded: &str, plain: &str) -> bool {
    if !encoded.contains(['%', '+']) {
        return encoded == plain;
    }
    // A `+` that is written `%2B` is not a space, so spaces are made before triplets are decoded.
    let mut parts = encoded.split('+');
    let mut bytes = plain.bytes();
    let mut same = |part: &str| percent_encoding::percent_decode_str(part).all(|byte| bytes.next() == Some(byte));
    let first = parts.next().unwrap_or("");
    if !same(first) {
        return false;
    }
    for part in parts {
        if !same("%20") || !same(part) {
            return false;
        }
    }
    bytes.next().is_none()
}

/// What an encoded text says; `None` if that is not UTF-8.
pub(crate) fn decoded(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.contains(['%', '+']) {
        return Some(Cow::Borrowed(encoded));
    }
    let spaced = encoded.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_is_pairs_and_a_name_alone_has_the_empty_value() {
        let all = |query| pairs(query).collect::<Vec<_>>();
        assert_eq!(all(Some("a=1&&b&=2&c=d=e")), [("a", "1"), ("b", ""), ("", "2"), ("c", "d=e")]);
        assert_eq!((all(None), all(Some(""))), (vec![], vec![]));
    }

    #[test]
    fn of_a_query_only_what_is_named_is_told_as_it_was_sent() {
        let names = ["page".into(), "q x".into()];
        for (query, told) in [
            ("page=2&token=secret&sort=asc", "page=2"),
            ("token=secret&%70age=%32&page=3&q+x=a%20b", "%70age=%32&page=3&q+x=a%20b"),
            ("page&q%20x=", "page&q%20x="),
            ("page=2;token=secret&token=secret;page=3", "page=2;"),
            ("page=2;&page;x=1&page=;;3", "page=2;&page=;"),
            ("Page=2&pages=3&&=4&page%00=5", ""),
            ("next=/x?page=2", ""),
            ("", ""),
        ] {
            assert_eq!(only(query, &names), told, "{query}");
        }
        assert_eq!(only("page=2", &[]), "");
    }

    proptest! {
        #[test]
        fn what_is_told_was_sent_and_no_other_value_is(query in "[a-c%=&;+1]{0,40}") {
            let told = only(&query, &["a".into()]);
            prop_assert!(told.len() <= query.len());
            prop_assert!(pairs(Some(&told)).all(|(name, _)| decodes_to(name, "a")));
        }

        #[test]
        fn what_is_compared_is_what_is_decoded(encoded in "(%[0-9a-f]{2}|%|[+a-c %é]){0,6}", plain in "[a-c +%é]{0,4}") {
            prop_assert_eq!(decodes_to(&encoded, &plain), decoded(&encoded).is_some_and(|text| text == plain));
        }
    }
}
