//! Edits of a query by examples, and against services that read it, each in its own way.

use http::uri::PathAndQuery;
use proptest::prelude::*;

use super::*;

fn parameter((name, value): (&str, &str)) -> Parameter {
    let literal = (!value.is_empty()).then(|| ValuePiece::Literal(value.into()));
    Parameter { name: name.into(), value: literal.into_iter().collect(), is_filled_in: false }
}

fn names(list: &[&str]) -> Vec<Box<str>> {
    list.iter().map(|name| (*name).into()).collect()
}

fn edits(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str], keep: Option<&[&str]>) -> settings::QueryEdits {
    settings::QueryEdits {
        set: set.iter().copied().map(parameter).collect(),
        add: add.iter().copied().map(parameter).collect(),
        remove: names(remove),
        keep: keep.map(names),
        ..settings::QueryEdits::default()
    }
}

fn applied(settings: &settings::QueryEdits, query: Option<&str>) -> Option<String> {
    QueryEdits::new(settings).unwrap().apply(query, |piece, _| panic!("{piece:?} is no literal"))
}

#[track_caller]
fn removes(names: &[&str], query: &str, expected: Option<&str>) {
    assert_eq!(applied(&edits(&[], &[], names, None), Some(query)).as_deref(), expected, "{query}");
}

#[test]
fn what_is_removed_goes_as_often_as_it_is_there_and_the_rest_stays_as_it_came() {
    removes(&["b"], "a=1&b=2&c=%7e&b&b=&d=+%20", Some("a=1&c=%7e&d=+%20"));
    removes(&["a"], "a=1&b=2", Some("b=2"));
    removes(&["b"], "a=1&b=2", Some("a=1"));
    removes(&["a"], "a=1", None);
    removes(&["a"], "a&a=&a=a", None);
    removes(&["x"], "&&a=%zz&=1&=&a==b?/&", Some("&&a=%zz&=1&=&a==b?/&"));
    removes(&["x"], "", Some(""));
    assert_eq!(applied(&edits(&[], &[], &["x"], None), None), None);
}

#[test]
fn no_name_passes_in_disguise_and_no_other_is_taken_for_it() {
    for query in ["admin=1", "%61dmin=1", "%61%64%6D%69%6e=1", "admin", "admin=", "admin==", "admin=a=b"] {
        removes(&["admin"], query, None);
        removes(&["admin"], &format!("a=1&{query}&b=2"), Some("a=1&b=2"));
    }
    for query in [
        "Admin=1",
        "admin[]=1",
        "admin%5B%5D=1",
        "admin.a=1",
        "+admin=1",
        "admin+=1",
        "admin%00=1",
        "%2561dmin=1",
        "a=admin",
        "=admin",
        "%61dmi=1",
        "admin%3D1",
        "ad%6=1",
        "a=%26admin=1",
    ] {
        removes(&["admin"], query, Some(query));
    }
    removes(&["a b"], "a+b=1&a%20b=2&a%2Bb=3&ab=4", Some("a%2Bb=3&ab=4"));
    removes(&["größe"], "gr%C3%B6%c3%9fe=1&x=2", Some("x=2"));
}

#[test]
fn what_some_services_find_behind_a_semicolon_goes_too() {
    removes(&["admin"], "a=1;admin=1", Some("a=1"));
    removes(&["admin"], "a=1;%61dmin=1&b=2", Some("a=1&b=2"));
    removes(&["admin"], "a=1&admin=1;b=2", Some("a=1&b=2"));
    removes(&["admin"], "admin=1;b=2", Some("b=2"));
    removes(&["admin"], "a=1;b=2;;c", Some("a=1;b=2;;c"));
    removes(&["admin"], "a=1;admin;b=2", Some("a=1;b=2"));
}

#[test]
fn what_is_set_replaces_what_is_added_stands_behind() {
    let both = edits(&[("a", "1"), ("b", "")], &[("a", "2"), ("c", "x")], &[], None);
    let sent = |query| applied(&both, query);
    assert_eq!(sent(Some("%61=9&c=8&a")).as_deref(), Some("c=8&a=1&b=&a=2&c=x"));
    assert_eq!(sent(None).as_deref(), Some("a=1&b=&a=2&c=x"));
    assert_eq!(sent(Some("")).as_deref(), Some("a=1&b=&a=2&c=x"));
}

#[test]
fn of_what_is_kept_by_name_nothing_else_passes() {
    let kept = |names: &[&str], query| applied(&edits(&[], &[], &[], Some(names)), Some(query));
    assert_eq!(kept(&["a", "c"], "b=1&a=2&%63=3&A=4&&=5&a[]=6&a;d=7").as_deref(), Some("a=2&%63=3&a"));
    assert_eq!(kept(&[], "a=1&b=2"), None);
    let with = edits(&[("b", "1")], &[("c", "2")], &["a"], Some(&["a", "b", "d"]));
    assert_eq!(applied(&with, Some("a=9&b=9&c=9&d=9")).as_deref(), Some("d=9&b=1&c=2"));
}

#[test]
fn values_of_a_request_are_encoded_and_none_that_is_empty_is_sent() {
    let made = |pieces: &[ValuePiece]| Parameter { name: "v v".into(), value: pieces.into(), is_filled_in: false };
    let literal = |text: &str| ValuePiece::Literal(text.into());
    for (value, pieces, expected) in [
        ("a&b=c#d", &[ValuePiece::Param(0)][..], Some("q&v%20v=a%26b%3Dc%23d")),
        ("1\r\n2\0 +%;é", &[literal("<"), ValuePiece::Param(0)], Some("q&v%20v=%3C1%0D%0A2%00%20%2B%25%3B%C3%A9")),
        ("", &[ValuePiece::Param(0)], Some("q")),
        ("", &[literal("-"), ValuePiece::Param(0)], Some("q&v%20v=-")),
    ] {
        let settings = settings::QueryEdits { set: vec![made(pieces)], ..Default::default() };
        let edits = QueryEdits::new(&settings).unwrap();
        let sent = edits.apply(Some("q&v+v=mine"), |_, out| out.extend_from_slice(value.as_bytes()));
        assert_eq!(sent.as_deref(), expected);
    }
    assert!(QueryEdits::new(&settings::QueryEdits::default()).is_none());
}

/// A service that ends parameters at these signs: what it finds, decoded.
fn read(query: Option<&str>, signs: &[char]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).collect();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    query.unwrap_or("").split(signs).filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn names_of_edits() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(vec!["a", "b", "a b", "é"], 0..=3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whoever reads the query finds nothing of what goes, what is written as it is meant, and of the rest, where no
    /// semicolon stands, all that there was.
    #[test]
    fn services_read_what_the_edits_say(
        query in prop::option::of("(a|b|%61|%62|%C3%A9|\\+|%20|=|&|;|%|c|6|A|\\?){0,14}"),
        set in prop::option::of("(\\PC|&|=|;|#|%| |\\+|\r|\n){0,6}"),
        (remove, keep) in (names_of_edits(), prop::option::of(names_of_edits())),
        added in any::<bool>(),
    ) {
        let written: Vec<(&str, &str)> = set.iter().map(|value| ("a b", value.as_str())).collect();
        let add = if added { vec![("b", "x")] } else { vec![] };
        let settings = edits(&written, &add, &remove, keep.as_deref());
        prop_assume!(!settings.is_empty());
        let sent = applied(&settings, query.as_deref());
        let named = || remove.iter().chain(written.iter().map(|(name, _)| name));
        let is_named = |name: &[u8]| named().any(|it| it.as_bytes() == name);
        let is_kept = |name: &[u8]| keep.as_ref().is_none_or(|kept| kept.iter().any(|it| it.as_bytes() == name));
        let own = written.iter().chain(&add);
        let own: Vec<_> = own.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        for signs in [&['&'][..], &['&', ';']] {
            let mut found = read(sent.as_deref(), signs);
            let behind = found.split_off(found.len() - own.len());
            prop_assert_eq!(&behind, &own, "{:?}", sent);
            prop_assert!(!found.iter().any(|(name, _)| is_named(name)), "{:?} reads {:?}", sent, found);
            if signs.len() == 2 {
                let mut stays = read(query.as_deref(), signs);
                stays.retain(|(name, _)| is_kept(name) && !is_named(name));
                prop_assert_eq!(found, stays, "{:?}", sent);
            }
        }
        if let Some(sent) = sent {
            let target = format!("/p?{sent}");
            let parsed = PathAndQuery::try_from(target.as_str()).unwrap();
            prop_assert_eq!(parsed.as_str(), target);
        }
    }

    /// What no edit names is sent byte for byte.
    #[test]
    fn what_is_not_named_is_not_touched(query in "[a-c=&;%+0-9?/]{0,20}") {
        prop_assert_eq!(applied(&edits(&[], &[], &["name"], None), Some(&query)), Some(query));
    }
}
