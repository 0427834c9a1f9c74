//! `tracestate` (W3C Trace Context, section 3.3): checked, joined, bounded, and otherwise passed on as it is.
//!
//! The gateway has no member of its own, so nothing is moved to the left. A list that is invalid or too large is
//! dropped as a whole, as the standard allows; a trace goes on without it.

use http::HeaderValue;

use crate::request_fields::{KnownName, RequestFields, Values};

/// Members of a list (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;
/// Bytes of a combined list. The standard asks that at least 512 be passed on (section 3.3.1.5); we pass no more.
const BYTES_MAX: usize = 512;
/// Bytes of a key, and of a value (sections 3.3.1.3.1 and 3.3.1.3.2).
const PART_MAX: usize = 256;

/// The request's combined `tracestate`; `None` where there is none, or where it must be dropped.
pub(super) fn combined(headers: &RequestFields) -> Option<HeaderValue> {
    let values = headers.get_all(KnownName::TRACESTATE);
    let mut lines = values.iter();
    let first = lines.next()?;
    let joined = if lines.next().is_none() { first.to_header_value() } else { join(&values)? };
    is_valid(joined.as_bytes()).then_some(joined)
}

fn join(values: &Values<'_>) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(BYTES_MAX);
    for value in values {
        if text.len() + value.len() >= BYTES_MAX {
            return None;
        }
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(value.as_bytes());
    }
    HeaderValue::from_bytes(&text).ok()
}

fn is_valid(text: &[u8]) -> bool {
    if text.len() > BYTES_MAX {
        return false;
    }
    let mut keys: [&[u8]; MEMBERS_MAX] = [b""; MEMBERS_MAX];
    let mut count = 0;
    for member in text.split(|b| *b == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|b| *b == b'=') else { return false };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        if count == MEMBERS_MAX || !is_key(key) || !is_value(value) || keys[..count].contains(&key) {
            return false;
        }
        keys[count] = key;
        count += 1;
    }
    count > 0
}

/// A key: `vendor` or `tenant@vendor`. The later draft's grammar, which takes every key that the first one takes.
fn is_key(key: &[u8]) -> bool {
    let starts = key.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@');
    starts && key.len() <= PART_MAX && key.iter().all(rest) && key.iter().filter(|b| **b == b'@').count() <= 1
}

fn is_value(value: &[u8]) -> bool {
    let printable = |b: &u8| (0x20..=0x7e).contains(b) && *b != b'=' && *b != b',';
    !value.is_empty() && value.len() <= PART_MAX && value.iter().all(printable) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::super::names::TRACESTATE;
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: Option<&str>) {
        let mut headers = RequestFields::new();
        for line in lines {
            headers.append(&TRACESTATE, line);
        }
        let combined = combined(&headers);
        assert_eq!(combined.as_ref().map(|value| value.to_str().unwrap()), expected, "{lines:?}");
    }

    #[test]
    fn valid_lists_pass_and_lines_are_joined() {
        check(&["rojo=00f067aa0ba902b7"], Some("rojo=00f067aa0ba902b7"));
        check(&["a=1", "b=2", "c=3"], Some("a=1,b=2,c=3"));
        check(&["a=1 , b=2", "c=3"], Some("a=1 , b=2,c=3"));
        check(&["tenant@vendor=x y"], Some("tenant@vendor=x y"));
        check(&["a=1,,b=2"], Some("a=1,,b=2"));
        check(&["0key_-*/=v"], Some("0key_-*/=v"));
    }

    #[test]
    fn broken_lists_are_dropped_whole() {
        for bad in
            ["", " ", ",", "a", "=1", "a=", "A=1", "-a=1", "a=1,a=2", "a=b=c", "a b=1", "a@b@c=1", "a=1;b=\u{7f}"]
        {
            if let Ok(value) = HeaderValue::from_str(bad) {
                check(&[value.to_str().unwrap()], None);
            }
        }
        check(&["a=1", "b"], None);
        check(&["a=1", "a=2"], None);
    }

    #[test]
    fn lists_are_bounded() {
        let members = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        check(&[&members(32)], Some(&members(32)));
        check(&[&members(33)], None);
        let sized = |n: usize| format!("a={},b={}", "x".repeat(250), "y".repeat(n - 255));
        check(&[&sized(511)], Some(&sized(511)));
        check(&[&format!("a={}", "x".repeat(257))], None);
        let three = |n: usize| format!("a={},b={},c={}", "x".repeat(200), "y".repeat(200), "z".repeat(n - 408));
        check(&[&three(512)], Some(&three(512)));
        check(&[&three(513)], None);
        check(&[&three(500), "d=1234567", "e=1234567"], None);
    }
}
