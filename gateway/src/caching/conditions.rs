//! What a client knows already: conditions of a request, judged by an answer that is kept (RFC 9110, section 13).

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderName, HeaderValue};

use super::directives::elements;
use crate::clock::http_date_seconds;
use crate::http1::Fields;
use crate::request_fields::RequestFields;

/// Whether the client has this answer: it is told 304 then. A date is looked at only where no tag is named.
pub(super) fn has_it(asked: &RequestFields, kept: &Fields) -> bool {
    let mut tags = asked.get_all(&IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        let own = kept.get(ETAG.as_str());
        return tags
            .any(|line| elements(line.as_bytes()).any(|tag| tag == b"*" || own.is_some_and(|own| is_same(tag, own))));
    }
    let since = asked.get(&IF_MODIFIED_SINCE).map(|value| value.as_bytes()).and_then(http_date_seconds);
    let modified = kept.get(LAST_MODIFIED.as_str()).and_then(http_date_seconds);
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// Whether a client says what it knows.
pub(super) fn are_there(asked: &RequestFields) -> bool {
    asked.contains_key(&IF_NONE_MATCH) || asked.contains_key(&IF_MODIFIED_SINCE)
}

/// Weak comparison (RFC 9110, section 8.8.3.2).
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag: &[u8]| -> Vec<u8> { tag.trim_ascii().strip_prefix(b"W/").unwrap_or(tag.trim_ascii()).to_vec() };
    let (one, other) = (opaque(one), opaque(other));
    one.starts_with(b"\"") && one == other
}

/// Takes a client's own conditions out of what the upstream is asked.
pub(super) fn forget(headers: &mut RequestFields) {
    headers.remove(&IF_NONE_MATCH);
    headers.remove(&IF_MODIFIED_SINCE);
}

/// What asks the upstream whether a kept answer still holds; false where nothing of the answer's can, and then nothing
/// has changed.
pub(super) fn ask_whether_it_holds(headers: &mut RequestFields, kept: &Fields) -> bool {
    let value = |name: HeaderName| kept.get(name.as_str()).and_then(|value| HeaderValue::from_bytes(value).ok());
    let told = [(IF_NONE_MATCH, value(ETAG)), (IF_MODIFIED_SINCE, value(LAST_MODIFIED))];
    if told.iter().all(|(_, value)| value.is_none()) {
        return false;
    }
    forget(headers);
    headers.extend(told.into_iter().filter_map(|(name, value)| Some((name, value?))));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[(&'static str, &'static str)]) -> RequestFields {
        lines.iter().fold(RequestFields::new(), |mut map, (name, value)| {
            map.append(*name, HeaderValue::from_static(value));
            map
        })
    }

    #[test]
    fn a_tag_decides_before_a_date() {
        let (then, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let kept = Fields::of_lines(&[("ETag", "\"a,b\""), ("Last-Modified", then)]);
        for (lines, has) in [
            (&[("if-none-match", "\"a,b\"")][..], true),
            (&[("if-none-match", "\"x\", W/\"a,b\"")], true),
            (&[("if-none-match", "*")], true),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")], true),
            (&[("if-none-match", "\"a\"")], false),
            (&[("if-none-match", "a,b")], false),
            (&[("if-none-match", "\"x\""), ("if-modified-since", later)], false),
            (&[("if-modified-since", then)], true),
            (&[("if-modified-since", later)], true),
            (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], false),
            (&[("if-modified-since", "yesterday")], false),
            (&[], false),
        ] {
            assert_eq!(has_it(&asked(lines), &kept), has, "{lines:?}");
        }
        let plain = Fields::of_lines(&[("date", then)]);
        assert!(!has_it(&asked(&[("if-none-match", "\"a\"")]), &plain));
        assert!(!has_it(&asked(&[("if-modified-since", later)]), &plain), "it does not say when it was changed");
    }

    #[test]
    fn the_upstream_is_asked_by_what_the_answer_came_with() {
        let mut headers = asked(&[("if-none-match", "\"x\""), ("a", "b")]);
        assert!(ask_whether_it_holds(&mut headers, &Fields::of_lines(&[("etag", "\"v1\"")])));
        assert_eq!((headers.get("if-none-match").unwrap().as_bytes(), headers.len()), (&b"\"v1\""[..], 2));
        assert!(!ask_whether_it_holds(&mut headers, &Fields::of_lines(&[("date", "x")])));
        assert_eq!(headers.len(), 2, "nothing has changed");
        forget(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
