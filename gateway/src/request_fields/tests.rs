//! What is looked up and changed is what a map of the library would say, and what is written is what is there.

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// These lines as if they had come in a head.
fn received(lines: &[(&str, &str, &str, &str)]) -> RequestFields {
    let mut block = Vec::from(&b"GET / HTTP/1.1\r\n"[..]);
    let mut fields = RequestFields::new();
    for (name, before, value, after) in lines {
        let at = block.len();
        block.extend_from_slice(format!("{name}:{before}{value}{after}\r\n").as_bytes());
        fields.note(&block, (at, name.len()), (at + name.len() + 1 + before.len(), value.len()), block.len());
    }
    block.extend_from_slice(b"\r\n");
    fields.set_block(block.into());
    fields
}

fn written(fields: &RequestFields) -> String {
    let mut out = Vec::new();
    fields.write_lines(&mut out, |name, _| name == b"content-length");
    String::from_utf8(out).unwrap()
}

fn values(fields: &RequestFields, name: &str) -> Vec<String> {
    fields.get_all(name).map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn what_came_is_found_and_written_as_it_came_but_for_blanks() {
    let mut fields = received(&[
        ("host", " ", "a", ""),
        ("x", "", "1", ""),
        ("content-length", " ", "3", ""),
        ("x", " \t", "2", " "),
        ("y", " ", "", ""),
        ("z", " ", "4", ""),
        ("t", "\t", "5", ""),
    ]);
    assert_eq!((fields.len(), fields.get(HOST).unwrap().as_bytes()), (7, &b"a"[..]));
    assert_eq!(values(&fields, "x"), ["1", "2"]);
    assert!(fields.repeats("x") && !fields.repeats("y") && fields.get("y").unwrap().is_empty());
    assert_eq!(written(&fields), "host: a\r\nx: 1\r\nx: 2\r\ny: \r\nz: 4\r\nt: 5\r\n");
    fields.insert("x", "5");
    fields.append("z", "6");
    assert!(fields.remove(HOST) && !fields.remove(HOST) && !fields.contains_key("host"));
    assert_eq!(written(&fields), "x: 5\r\ny: \r\nz: 4\r\nt: 5\r\nz: 6\r\n");
    assert_eq!(fields.get_all("z").rev().map(FieldValue::as_bytes).collect::<Vec<_>>(), [b"6", b"4"]);
    assert_eq!(fields.take("z").unwrap(), "4");
    assert_eq!(written(&fields), "x: 5\r\ny: \r\nt: 5\r\n");
    fields.retain(|name, _| name == b"x");
    assert_eq!(fields, HeaderMap::from_iter([(HeaderName::from_static("x"), HeaderValue::from_static("5"))]));
    fields.clear();
    assert!(fields.is_empty() && fields.get("x").is_none() && written(&fields).is_empty());
}

#[test]
fn what_a_map_says_of_its_values_stays() {
    let mut secret = HeaderValue::from_static("a=b");
    secret.set_sensitive(true);
    let map = HeaderMap::from_iter([(COOKIE, secret), (HOST, HeaderValue::from_static("a"))]);
    let back = RequestFields::from(&map).to_map();
    assert!(back[COOKIE].is_sensitive() && !back[HOST].is_sensitive());
    assert_eq!(back, map);
}

#[test]
fn a_value_is_text_where_it_is_visible_ascii() {
    let fields = RequestFields::from_iter([("a", &b"a \t~"[..]), ("b", b"\xe4"), ("c", b"")]);
    assert_eq!(fields.get("a").unwrap().to_str(), Ok("a \t~"));
    assert_eq!(fields.get("b").unwrap().to_str(), Err(NotText));
    assert_eq!(fields.get("c").unwrap().to_header_value(), "");
    assert_eq!(format!("{fields:?}"), "{\"a\": \"a \\t~\", \"b\": \"\\xe4\", \"c\": \"\"}");
}

#[test]
fn a_place_is_small() {
    assert_eq!(size_of::<Place>(), 16);
    assert!(size_of::<RequestFields>() <= 96, "it is moved from hand to hand");
}

/// A change of fields.
#[derive(Debug, Clone)]
enum Change {
    Append(String, String),
    Insert(String, String),
    Remove(String),
    Take(String),
}

fn change() -> impl Strategy<Value = Change> {
    let field = || ("[a-c]{1,2}", "[ -~]{0,6}");
    prop_oneof![
        field().prop_map(|(name, value)| Change::Append(name, value)),
        field().prop_map(|(name, value)| Change::Insert(name, value)),
        "[a-c]{1,2}".prop_map(Change::Remove),
        "[a-c]{1,2}".prop_map(Change::Take),
    ]
}

proptest! {
    #[test]
    fn it_is_what_a_map_is(
        came in prop::collection::vec(("[a-c]{1,2}", "[ \t]{0,2}", "[!-~]{0,6}", "[ \t]{0,2}"), 0..8),
        changes in prop::collection::vec(change(), 0..12),
    ) {
        let lines = came.iter().map(|(name, before, value, after)| (&**name, &**before, &**value, &**after));
        let lines: Vec<_> = lines.collect();
        let mut fields = received(&lines);
        let mut map = HeaderMap::new();
        for (name, _, value, _) in &came {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        for change in changes {
            match change {
                Change::Append(name, value) => {
                    fields.append(&name, &value);
                    map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
                }
                Change::Insert(name, value) => {
                    fields.insert(&name, &value);
                    map.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
                }
                Change::Remove(name) => prop_assert_eq!(fields.remove(&name), map.remove(&name).is_some()),
                Change::Take(name) => prop_assert_eq!(fields.take(&name), map.remove(&name)),
            }
            prop_assert_eq!(fields.to_map(), map.clone());
            prop_assert_eq!(fields.len(), map.len());
            for name in ["a", "b", "c", "ab", "cc"] {
                prop_assert_eq!(fields.get(name).map(FieldValue::to_header_value), map.get(name).cloned());
                prop_assert_eq!(fields.contains_key(name), map.contains_key(name));
            }
        }
        let lines = written(&fields);
        let expected: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}: {}\r\n", name.escape_ascii(), value.to_str().unwrap())).collect();
        prop_assert_eq!(lines, expected.concat());
    }
}
