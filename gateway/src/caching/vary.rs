//! Which requests an answer is for, beside what its key says: the values of the headers that `Vary` names (RFC 9111,
//! section 4.1), and of those that it should name.
//!
//! An answer that was coded for its client, or that lets one origin in, hangs on what that client sent, whether or not
//! its service says so.

use http::HeaderName;
use http::header::{ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, ORIGIN, VARY};

use crate::context::names;
use crate::http1::Fields;
use crate::request_fields::RequestFields;

/// The most headers that an answer may hang on.
const MOST: usize = 16;

/// A header, and what the request said under it: all its values, trimmed; `None` where it was not there.
type Named = (HeaderName, Option<Box<[u8]>>);

/// What an answer hangs on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Secondary(Box<[Named]>);

impl Secondary {
    /// Of an answer to this request, of which its upstream could not see what is under the names `unseen`: an answer
    /// that varies on one of those is the same for all. `None` where it hangs on what no other request has.
    pub fn of(answer: &Fields, asked: &RequestFields, unseen: &[HeaderName]) -> Option<Self> {
        let mut named: Vec<HeaderName> = Vec::new();
        for line in answer.all(&VARY) {
            for name in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
                // A star would be a name like any.
                let name = HeaderName::from_bytes(name).ok().filter(|name| *name != "*" && !is_ones_own(name))?;
                named.push(name);
            }
        }
        named.retain(|name| !unseen.contains(name));
        let is_coded =
            answer.all(&CONTENT_ENCODING).any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"));
        let lets_one_in = answer.all(&ACCESS_CONTROL_ALLOW_ORIGIN).any(|origin| origin.trim_ascii() != b"*");
        named.extend(is_coded.then_some(ACCEPT_ENCODING));
        named.extend(lets_one_in.then_some(ORIGIN));
        named.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        named.dedup();
        if named.len() > MOST {
            return None;
        }
        Some(Self(
            named.into_iter().map(|name| (said(asked, &name), name)).map(|(value, name)| (name, value)).collect(),
        ))
    }

    /// Whether it is for this request too.
    pub fn is_for(&self, asked: &RequestFields) -> bool {
        self.0.iter().all(|(name, value)| says(asked, name, value.as_deref()))
    }

    /// Whether it hangs on this header.
    pub fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(named, _)| named.as_str() == name)
    }

    /// What it takes in memory, nearly.
    pub fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| size_of::<Named>() + name.as_str().len() + value.as_ref().map_or(0, |it| it.len()))
            .sum()
    }
}

/// Headers that the gateway writes, in which it names the client or the request.
fn is_ones_own(name: &HeaderName) -> bool {
    names::is_own(name) && *name != names::X_FORWARDED_HOST && *name != names::X_FORWARDED_PROTO
}

/// All values under a name, as one.
fn said(asked: &RequestFields, name: &HeaderName) -> Option<Box<[u8]>> {
    let mut values = asked.get_all(name).iter();
    let mut all = values.next()?.as_bytes().trim_ascii().to_vec();
    for value in values {
        all.push(b',');
        all.extend_from_slice(value.as_bytes().trim_ascii());
    }
    Some(all.into())
}

/// The same compared, without putting it together.
fn says(asked: &RequestFields, name: &HeaderName, expected: Option<&[u8]>) -> bool {
    let mut values = asked.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
    let (Some(first), Some(expected)) = (values.next(), expected) else {
        return asked.contains_key(name) == expected.is_some();
    };
    let Some(mut rest) = expected.strip_prefix(first) else { return false };
    for value in values {
        match rest.strip_prefix(b",").and_then(|rest| rest.strip_prefix(value)) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(lines: &[(&str, &str)]) -> RequestFields {
        lines.iter().fold(RequestFields::new(), |mut map, (name, value)| {
            map.append(&name.parse::<HeaderName>().unwrap(), value);
            map
        })
    }

    fn of(answer: &[(&str, &str)], request: &[(&str, &str)]) -> Option<Secondary> {
        Secondary::of(&Fields::of_lines(answer), &asked(request), &[])
    }

    #[test]
    fn an_answer_is_for_who_says_the_same() {
        let english = [("accept-language", " en "), ("user-agent", "a")];
        let kept = of(&[("Vary", "Accept-Language, x-a"), ("vary", "accept")], &english).unwrap();
        assert!(kept.is_for(&asked(&english)) && kept.is_for(&asked(&[("accept-language", "en")])));
        assert!(!kept.is_for(&asked(&[("accept-language", "de")])));
        assert!(!kept.is_for(&asked(&[])));
        assert!(!kept.is_for(&asked(&[("accept-language", "en"), ("x-a", "")])), "there is not the same as empty");
        assert!(kept.names("accept") && !kept.names("user-agent"));
        assert!(of(&[], &english).unwrap().is_for(&asked(&[])), "one that hangs on nothing");
    }

    #[test]
    fn what_no_upstream_saw_no_answer_hangs_on() {
        let answer = Fields::of_lines(&[("vary", "cookie, accept"), ("access-control-allow-origin", "https://a")]);
        let unseen = [http::header::COOKIE, ORIGIN];
        let ada = asked(&[("cookie", "ada"), ("accept", "a"), ("origin", "https://a")]);
        let kept = Secondary::of(&answer, &ada, &unseen).unwrap();
        assert!(
            !kept.names("cookie") && kept.names("accept") && kept.names("origin"),
            "who is let in is the answer's word"
        );
        assert!(kept.is_for(&asked(&[("accept", "a"), ("origin", "https://a")])));
        let star = Fields::of_lines(&[("vary", "*")]);
        assert_eq!(Secondary::of(&star, &ada, &unseen), None);
    }

    #[test]
    fn what_hangs_on_one_request_is_for_no_other() {
        for vary in ["*", "accept, *", "X-Forwarded-For", "forwarded", "x-request-id", "traceparent", "a b"] {
            assert_eq!(of(&[("vary", vary)], &[]), None, "{vary}");
        }
        assert!(
            of(&[("vary", "x-forwarded-host, x-forwarded-proto")], &[]).is_some(),
            "host and scheme are in the key"
        );
        let many: Vec<String> = (0..=MOST).map(|n| format!("x-{n}")).collect();
        assert_eq!(of(&[("vary", &many.join(","))], &[]), None);
    }

    #[test]
    fn what_should_have_been_named_counts_as_named() {
        let gzip = [("accept-encoding", "gzip"), ("origin", "https://a.test")];
        assert!(of(&[("content-encoding", "gzip")], &gzip).unwrap().names("accept-encoding"));
        assert!(!of(&[("content-encoding", "identity")], &gzip).unwrap().names("accept-encoding"));
        let lets = |origin| of(&[("access-control-allow-origin", origin)], &gzip).unwrap();
        assert!(lets("https://a.test").names("origin") && !lets("*").names("origin"));
    }

    proptest! {
        #[test]
        fn requests_match_where_all_their_values_do(
            one in prop::collection::vec("[ab,]{0,3}", 0..4),
            other in prop::collection::vec("[ab,]{0,3}", 0..4),
        ) {
            let request = |values: &[String]| asked(&values.iter().map(|value| ("x", &**value)).collect::<Vec<_>>());
            let kept = Secondary::of(&Fields::of_lines(&[("vary", "x")]), &request(&one), &[]).unwrap();
            let is_alike = one.is_empty() == other.is_empty() && one.join(",") == other.join(",");
            prop_assert_eq!(kept.is_for(&request(&other)), is_alike);
            prop_assert!(kept.is_for(&request(&one)));
        }
    }
}
