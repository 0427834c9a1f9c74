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
        let (known, value_at) = (KnownName::of(name.as_bytes()), at + name.len() + 1 + before.len());
        fields.note(&block, ((at, name.len()), known), (value_at, value.len()), block.len());
    }
    block.extend_from_slice(b"\r\n");
    fields.set_block(block.into());
    fields
}

fn written(fields: &RequestFields) -> String {
    let mut out = Vec::new();
    fields.write_lines(&mut out, NameSet::of(&[KnownName::CONTENT_LENGTH]));
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
    assert_eq!((fields.len(), fields.get(&HOST).unwrap().as_bytes()), (7, &b"a"[..]));
    assert_eq!(values(&fields, "x"), ["1", "2"]);
    assert!(fields.repeats("x") && !fields.repeats("y") && fields.get("y").unwrap().is_empty());
    assert_eq!(written(&fields), "host: a\r\nx: 1\r\nx: 2\r\ny: \r\nz: 4\r\nt: 5\r\n");
    fields.insert("x", "5");
    fields.append("z", "6");
    assert!(fields.remove(&HOST) && !fields.remove(&HOST) && !fields.contains_key("host"));
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
fn a_mark_stays_with_its_value_wherever_that_goes() {
    let mut fields = RequestFields::new();
    fields.append_marked("cookie", "a=b; secret=1", true);
    fields.append("cookie", "secret=2");
    fields.append("cookie", "c=d");
    fields.append_marked("x", "1", true);
    let mut copied = RequestFields::new();
    copied.copy_of(&fields, &COOKIE);
    copied.copy_of(&fields, "x");
    assert_eq!(shown(&copied), shown(&fields));
    copied.edit(&COOKIE, |value| match value {
        b"a=b; secret=1" => Edited::Is(b"a=b".to_vec()),
        b"secret=2" => Edited::Goes,
        _ => Edited::Stays,
    });
    assert_eq!(shown(&copied), [("cookie", "a=b", true), ("cookie", "c=d", false), ("x", "1", true)].map(owned));
    assert!(copied.take("x").unwrap().is_sensitive() && !copied.contains_key("x"));
    copied.insert_marked(&COOKIE, "e=f", true);
    assert_eq!(shown(&copied), [("cookie", "e=f", true)].map(owned));
    copied.insert(&COOKIE, "e=f");
    assert_eq!(shown(&copied), [("cookie", "e=f", false)].map(owned));
}

fn owned((name, value, mark): (&str, &str, bool)) -> (String, String, bool) {
    (name.to_owned(), value.to_owned(), mark)
}

fn shown(fields: &RequestFields) -> Vec<(String, String, bool)> {
    let of = |(name, value): (&HeaderName, &HeaderValue)| {
        owned((name.as_str(), value.to_str().unwrap(), value.is_sensitive()))
    };
    fields.to_map().iter().map(of).collect()
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

/// Names of both kinds, some of which are near to each other.
const NAMES: [&str; 10] = [
    "host",
    "te",
    "authorization",
    "if-modified-since",
    "x-forwarded-for",
    "a",
    "ab",
    "x-authorization",
    "if-modified-sinces",
    "hosts",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

/// A change of fields.
#[derive(Debug, Clone)]
enum Change {
    Append(String, String),
    Insert(String, String),
    Remove(String),
    Take(String),
    /// All whose value is longer than this go.
    Shorten(usize),
    /// All of the names go that have this number in the list, and those behind it.
    Few(usize),
    /// The values of a name: a long one goes, a short one is doubled.
    Edit(String),
}

fn change() -> impl Strategy<Value = Change> {
    let field = || (name(), "[ -~]{0,6}");
    prop_oneof![
        3 => field().prop_map(|(name, value)| Change::Append(name, value)),
        3 => field().prop_map(|(name, value)| Change::Insert(name, value)),
        3 => name().prop_map(Change::Remove),
        2 => name().prop_map(Change::Take),
        1 => (0_usize..6).prop_map(Change::Shorten),
        1 => (3_usize..10).prop_map(Change::Few),
        2 => name().prop_map(Change::Edit),
    ]
}

/// The plainest thing that fields can be: a list of names and values.
#[derive(Debug, Clone, PartialEq)]
struct Naive(Vec<(String, String)>);

impl Naive {
    fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|field| field.0 == name).map(|field| &*field.1).collect()
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(name, value) => self.0.push((name.clone(), value.clone())),
            Change::Insert(name, value) => {
                let field = (name.clone(), value.clone());
                match self.0.iter().position(|field| field.0 == *name) {
                    None => self.0.push(field),
                    Some(at) => {
                        let mut number = 0;
                        self.0.retain(|field| {
                            number += 1;
                            number <= at + 1 || field.0 != *name
                        });
                        self.0[at] = field;
                    }
                }
            }
            Change::Remove(name) | Change::Take(name) => self.0.retain(|field| field.0 != *name),
            Change::Shorten(most) => self.0.retain(|field| field.1.len() <= *most),
            Change::Few(from) => self.0.retain(|field| !NAMES[*from..].contains(&&*field.0)),
            Change::Edit(name) => {
                self.0.retain(|field| field.0 != *name || field.1.len() < 5);
                for field in self.0.iter_mut().filter(|field| field.0 == *name && field.1.len() < 4) {
                    field.1 = field.1.repeat(2);
                }
            }
        }
    }
}

fn apply(fields: &mut RequestFields, change: &Change) {
    match change {
        Change::Append(name, value) => fields.append(name, value),
        Change::Insert(name, value) => fields.insert(name, value),
        Change::Remove(name) => drop(fields.remove(name)),
        Change::Take(name) => drop(fields.take(name)),
        Change::Shorten(most) => fields.retain(|_, value| value.len() <= *most),
        Change::Few(from) => {
            let gone = &NAMES[*from..];
            fields.retain_names(|known, name| {
                assert_eq!(known, KnownName::of(name));
                !gone.iter().any(|gone| gone.as_bytes() == name)
            });
        }
        Change::Edit(name) => fields.edit(name, |value| match value.len() {
            5.. => Edited::Goes,
            4 => Edited::Stays,
            _ => Edited::Is(value.repeat(2)),
        }),
    }
}

/// All that can be asked, held against the plain list.
fn check(fields: &RequestFields, naive: &Naive) {
    let all: Vec<(String, String)> =
        fields.iter().map(|(name, value)| (name.escape_ascii().to_string(), value.to_str().unwrap().into())).collect();
    assert_eq!(all, naive.0);
    assert_eq!((fields.len(), fields.is_empty()), (naive.0.len(), naive.0.is_empty()));
    let bytes: usize = naive.0.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert_eq!(fields.line_bytes(), bytes);
    for name in NAMES {
        let expected = naive.values(name);
        assert_eq!(values(fields, name), expected, "{name}");
        assert_eq!(fields.get(name).map(|value| value.to_str().unwrap()), expected.first().copied());
        assert_eq!((fields.contains_key(name), fields.repeats(name)), (!expected.is_empty(), expected.len() > 1));
        let mut backwards: Vec<&str> = fields.get_all(name).rev().map(|value| value.to_str().unwrap()).collect();
        backwards.reverse();
        assert_eq!(backwards, expected);
        if let Some(known) = KnownName::of(name.as_bytes()) {
            assert_eq!(values(fields, known.text()), expected);
            assert_eq!(fields.get_all(known).count(), expected.len());
            assert_eq!(fields.has_any(NameSet::of(&[known])), !expected.is_empty());
            assert_eq!((fields.contains_key(known), fields.repeats(known)), (!expected.is_empty(), expected.len() > 1));
        }
    }
    let known: Vec<KnownName> = NAMES.iter().filter_map(|name| KnownName::of(name.as_bytes())).collect();
    for most in 0..=known.len() {
        let some = NameSet::of(&known[..most]);
        let is_one = |name: &str| KnownName::of(name.as_bytes()).is_some_and(|name| some.contains(name));
        assert_eq!(fields.has_any(some), naive.0.iter().any(|field| is_one(&field.0)));
        // Of names without numbers it may say that there are some where there are none any more.
        let has_none_but = fields.has_none_but(some);
        assert!(!has_none_but || naive.0.iter().all(|field| is_one(&field.0)));
        assert_eq!(
            fields.has_none_but(some.with(NameSet::OTHERS)),
            naive.0.iter().all(|field| { is_one(&field.0) || KnownName::of(field.0.as_bytes()).is_none() })
        );
        let beside: Vec<&[u8]> = fields.names_beside(some).map(|(_, name)| name).collect();
        let expected: Vec<&[u8]> = naive
            .0
            .iter()
            .map(|field| field.0.as_bytes())
            .filter(|name| !is_one(str::from_utf8(name).unwrap()))
            .collect();
        assert_eq!(beside, expected);
        let of_any: Vec<&[u8]> = fields.values_of_any(some).collect();
        let expected: Vec<&[u8]> =
            naive.0.iter().filter(|field| is_one(&field.0)).map(|field| field.1.as_bytes()).collect();
        assert_eq!(of_any, expected);
    }
    let written = written(fields);
    let expected: String = naive.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    assert_eq!(written, expected);
}

proptest! {
    #[test]
    fn whatever_is_changed_names_and_numbers_say_what_a_list_says(
        came in prop::collection::vec((name(), "[ \t]{0,2}", "[!-~]{0,6}", "[ \t]{0,2}"), 0..10),
        changes in prop::collection::vec(change(), 0..16),
    ) {
        let lines = came.iter().map(|(name, before, value, after)| (&**name, &**before, &**value, &**after));
        let mut fields = received(&lines.collect::<Vec<_>>());
        let mut naive = Naive(came.iter().map(|(name, _, value, _)| (name.clone(), value.clone())).collect());
        check(&fields, &naive);
        for change in changes {
            apply(&mut fields, &change);
            naive.apply(&change);
            check(&fields, &naive);
        }
        let copy = fields.clone();
        check(&copy, &naive);
        fields.clear();
        check(&fields, &Naive(Vec::new()));
    }

    #[test]
    fn it_is_what_a_map_is(
        came in prop::collection::vec((name(), "[ \t]{0,2}", "[!-~]{0,6}", "[ \t]{0,2}"), 0..8),
        changes in prop::collection::vec(change(), 0..12),
    ) {
        let lines = came.iter().map(|(name, before, value, after)| (&**name, &**before, &**value, &**after));
        let mut fields = received(&lines.collect::<Vec<_>>());
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
                Change::Shorten(_) | Change::Few(_) | Change::Edit(_) => {}
            }
            prop_assert_eq!(fields.to_map(), map.clone());
        }
    }
}
