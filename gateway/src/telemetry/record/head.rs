//! What a record tells of a head: the headers that the configuration names, bounded and escaped.

use std::borrow::Cow;

use http::HeaderName;

use crate::telemetry::json::write_escaped;

/// Of one header, bytes: more of a browser's name, or of a page's address, tells nobody more.
const MOST_VALUE: usize = 256;
/// Headers that hold an address, or several: the query is left out, as that of the request is, and so is who asks.
const ADDRESSES: [&str; 9] = [
    "content-location",
    "link",
    "location",
    "referer",
    "refresh",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];
/// Between values of one name: they mean the same as one value (RFC 9110, section 5.3).
const BETWEEN: &[u8] = b", ";

/// Some headers of one head: the members of a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadFields(Vec<u8>);

impl HeadFields {
    /// The headers of these names that a head has. Of each, at most its first 256 bytes, and of an address no query
    /// and no user and password; several values of one are told as one.
    pub fn of<'a, V>(names: &'a [HeaderName], values: impl Fn(&'a HeaderName) -> V) -> Self
    where
        V: Iterator<Item = &'a [u8]>,
    {
        let mut out = Vec::new();
        let mut joined = Vec::new();
        for name in names {
            let is_address = ADDRESSES.contains(&name.as_str());
            let told = values(name).map(|value| if is_address { without_secrets(value) } else { Cow::Borrowed(value) });
            if !join(&mut joined, told) {
                continue;
            }
            let before: &[u8] = if out.is_empty() { b"\"" } else { b",\"" };
            out.extend_from_slice(before);
            // Names have no character that needs an escape (RFC 9110, section 5.6.2).
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b"\":\"");
            write_escaped(&mut out, cut(&joined));
            out.push(b'"');
        }
        Self(out)
    }

    /// Appends the object under this key; nothing where no header is told.
    #[cold]
    pub(super) fn write(&self, out: &mut Vec<u8>, key: &[u8]) {
        if !self.0.is_empty() {
            out.extend_from_slice(key);
            out.extend_from_slice(&self.0);
            out.push(b'}');
        }
    }
}

/// What stands before a query, or a fragment, which some clients send; without user and password (RFC 3986, section
/// 3.2.1), which stand between `//` and the last `@` before the path.
fn without_secrets(address: &[u8]) -> Cow<'_, [u8]> {
    let address = address.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or(address);
    if !address.contains(&b'@') {
        return Cow::Borrowed(address);
    }
    let mut told = Vec::with_capacity(address.len());
    let mut rest = address;
    while let Some(at) = rest.windows(2).position(|pair| pair.iter().all(is_slash)) {
        let slashes = rest[at..].iter().take_while(|byte| is_slash(byte)).count();
        let (before, host) = rest.split_at(at + slashes);
        told.extend_from_slice(before);
        let end = host.iter().position(is_slash).unwrap_or(host.len());
        let begin = host[..end].iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
        told.extend_from_slice(&host[begin..end]);
        rest = &host[end..];
    }
    told.extend_from_slice(rest);
    Cow::Owned(told)
}

/// What a browser takes for a slash is one.
fn is_slash(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Puts values together, as far as they can be told. False where there is none.
fn join<'a>(joined: &mut Vec<u8>, values: impl Iterator<Item = Cow<'a, [u8]>>) -> bool {
    joined.clear();
    let mut is_there = false;
    for value in values {
        if std::mem::replace(&mut is_there, true) {
            joined.extend_from_slice(BETWEEN);
        }
        // One byte more shows that it is cut.
        joined.extend_from_slice(&value[..value.len().min(MOST_VALUE + 1)]);
        if joined.len() > MOST_VALUE {
            break;
        }
    }
    is_there
}

/// What is told of a value: no half character at its end.
fn cut(value: &[u8]) -> &[u8] {
    if value.len() <= MOST_VALUE {
        return value;
    }
    let continues = |byte: &u8| byte & 0xc0 == 0x80;
    // A character of UTF-8 has at most three bytes behind its first; what has more is no text.
    let end = (MOST_VALUE - 3..=MOST_VALUE).rev().find(|end| !continues(&value[*end]));
    &value[..end.unwrap_or(MOST_VALUE)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What is told of a head with these fields, where these names are asked for.
    fn told(names: &[&'static str], head: &[(&str, &[u8])]) -> String {
        let names: Vec<HeaderName> = names.iter().map(|name| HeaderName::from_static(name)).collect();
        let values = |name: &HeaderName| {
            let name = name.as_str().to_owned();
            head.iter().filter(move |(other, _)| *other == name).map(|(_, value)| *value)
        };
        let mut out = Vec::new();
        // The names live no longer than this call, as the values do.
        HeadFields::of(&names, |name| values(name).collect::<Vec<_>>().into_iter()).write(&mut out, b"{");
        String::from_utf8(out).unwrap()
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_what_is_asked_for_and_there_is_told_in_the_order_of_the_names() {
        let head: [(&str, &[u8]); 3] = [("referer", b"http://a/"), ("cookie", b"s=secret"), ("user-agent", b"curl/8")];
        let names = ["user-agent", "x-other", "referer"];
        assert_eq!(told(&names, &head), "{\"user-agent\":\"curl/8\",\"referer\":\"http://a/\"}");
        assert_eq!(told(&["x-other"], &head), "", "absent rather than empty");
        assert_eq!(told(&[], &head), "");
        assert_eq!(told(&["a"], &[("a", b"")]), "{\"a\":\"\"}", "it was there");
    }

    #[test]
    fn several_values_are_told_as_one_and_nothing_is_told_beyond_the_bound() {
        assert_eq!(read(&told(&["a"], &[("a", b"1"), ("a", b"2")])), json!({ "a": "1, 2" }));
        let long = [b'x'; 300];
        assert_eq!(read(&told(&["a"], &[("a", &long)])), json!({ "a": "x".repeat(256) }));
        assert_eq!(
            read(&told(&["a"], &[("a", &long[..200]), ("a", &long)])),
            json!({
                "a": format!("{}, {}", "x".repeat(200), "x".repeat(54))
            })
        );
        let exact = [b'x'; 256];
        assert_eq!(read(&told(&["a"], &[("a", &exact), ("a", b"y")])), json!({ "a": "x".repeat(256) }));
    }

    #[test]
    fn of_an_address_the_query_is_not_told() {
        let names = ["referer", "location", "user-agent"];
        let head: [(&str, &[u8]); 3] =
            [("referer", b"http://a/b?token=secret#x"), ("location", b"/c#token=secret"), ("user-agent", b"what?")];
        assert_eq!(
            read(&told(&names, &head)),
            json!({ "referer": "http://a/b", "location": "/c", "user-agent": "what?" })
        );
    }

    #[test]
    fn of_an_address_user_and_password_are_not_told() {
        for (value, shown) in [
            ("https://user:PASSWORD@h:1/x?q=1", "https://h:1/x"),
            ("https://user@h", "https://h"),
            ("//user:pass@h/x", "//h/x"),
            ("https://us;er:pa ,ss>@h/x", "https://h/x"),
            ("https://a@b:p@ss@h/x@y", "https://h/x@y"),
            ("https:\\\\user:pass@h\\x", "https:\\\\h\\x"),
            ("https:///user:pass@h/x", "https:///h/x"),
            ("https://h/redirect/https://user:pass@other/x", "https://h/redirect/https://other/x"),
            ("<https://user:pass@h/a>; rel=next, <https://user:pass@h/b>", "<https://h/a>; rel=next, <https://h/b>"),
            ("0; url=https://user:pass@h/a", "0; url=https://h/a"),
            ("mailto:a@example.org", "mailto:a@example.org"),
            ("/users/@me", "/users/@me"),
            ("https://", "https://"),
        ] {
            for name in ["referer", "location", "link", "refresh"] {
                assert_eq!(read(&told(&[name], &[(name, value.as_bytes())])), json!({ name: shown }), "{value}");
            }
        }
        let long = format!("https://user:{}@h/x", "p".repeat(300));
        assert_eq!(read(&told(&["referer"], &[("referer", long.as_bytes())])), json!({ "referer": "https://h/x" }));
        assert_eq!(read(&told(&["user-agent"], &[("user-agent", b"a//b:c@d")])), json!({ "user-agent": "a//b:c@d" }));
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let long = "x".to_owned() + &"\u{e9}".repeat(200);
        let shown = read(&told(&["a"], &[("a", long.as_bytes())]));
        assert_eq!(shown["a"], format!("x{}", "\u{e9}".repeat(127)), "255 bytes");
        let long = "xx".to_owned() + &"\u{1f600}".repeat(100);
        let shown = read(&told(&["a"], &[("a", long.as_bytes())]));
        assert_eq!(shown["a"], format!("xx{}", "\u{1f600}".repeat(63)), "254 bytes");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_stays_in_its_member(
            value in proptest::collection::vec(any::<u8>(), 0..600), more in "[\\x00-\\x7f]{0,20}"
        ) {
            let written = told(&["a", "b"], &[("a", &value), ("b", more.as_bytes())]);
            prop_assert!(!written.chars().any(char::is_control));
            let shown = read(&written);
            prop_assert_eq!(&shown["b"], more.as_str());
            prop_assert!(shown["a"].is_string());
            prop_assert_eq!(shown.as_object().unwrap().len(), 2);
        }
    }
}
