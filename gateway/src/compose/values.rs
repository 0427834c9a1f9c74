//! A value of a part's answer, for others to be asked with: found by the names that lead to it, without building the
//! rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest value that others are asked with, bytes.
const LONGEST: usize = 2048;

/// Whole numbers beyond this have no one form as floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The text of the string, number or boolean that the names lead to: names of fields, or places in arrays. `None` where
/// they lead to nothing else, to two values (a name that stands there twice), to a number that could not be told
/// exactly, or where the text is longer than what others may be asked with.
pub(super) fn find(json: &[u8], path: &[String]) -> Option<String> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    Seek(path).deserialize(&mut parser).ok().flatten().filter(|text| text.len() <= LONGEST)
}

/// Looks for what the names lead to.
struct Seek<'p>(&'p [String]);

impl Seek<'_> {
    fn here<E>(&self, text: impl FnOnce() -> Option<String>) -> Result<Option<String>, E> {
        Ok(if self.0.is_empty() { text() } else { None })
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let (mut found, mut seen) = (None, false);
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((wanted, rest)) if *name == **wanted => {
                    let value = map.next_value_seed(Seek(rest))?;
                    // Which of two is meant readers do not agree about.
                    found = if seen { None } else { value };
                    seen = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        let wanted = self.0.split_first().and_then(|(place, rest)| Some((place.parse::<usize>().ok()?, rest)));
        let (mut found, mut place) = (None, 0);
        loop {
            match wanted {
                Some((wanted, rest)) if wanted == place => match list.next_element_seed(Seek(rest))? {
                    Some(value) => found = value,
                    None => return Ok(found),
                },
                _ => {
                    if list.next_element::<IgnoredAny>()?.is_none() {
                        return Ok(found);
                    }
                }
            }
            place += 1;
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        self.here(|| Some(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<String>, E> {
        self.here(|| Some(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<String>, E> {
        self.here(|| Some(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<String>, E> {
        self.here(|| Some(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<String>, E> {
        self.here(|| (value.abs() < EXACT).then(|| value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn at(json: &str, path: &str) -> Option<String> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        find(json.as_bytes(), &path)
    }

    #[test]
    fn values_are_found_by_their_names_and_places() {
        let json =
            r#"{"a":{"b":"x\u00e9"},"n":-7,"big":18446744073709551615,"f":52.25,"t":true,"l":[1,{"c":"y"}],"z":null}"#;
        for (path, expected) in [
            ("a.b", Some("xé")),
            ("n", Some("-7")),
            ("big", Some("18446744073709551615")),
            ("f", Some("52.25")),
            ("t", Some("true")),
            ("l.1.c", Some("y")),
            ("l.0", Some("1")),
            ("l.2", None),
            ("l.x", None),
            ("a", None),
            ("a.b.c", None),
            ("z", None),
            ("none", None),
        ] {
            assert_eq!(at(json, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_has_no_one_value_is_not_given() {
        assert_eq!(at(r#"{"a":1,"a":2}"#, "a"), None, "twice");
        assert_eq!(at(r#"{"a":18446744073709551616}"#, "a"), None, "not exact");
        assert_eq!(at(r#"{"a":1e400}"#, "a"), None);
        assert_eq!(at(r#"{"a":1"#, "a"), None, "no JSON");
        assert_eq!(at(&format!(r#"{{"a":"{}"}}"#, "x".repeat(LONGEST + 1)), "a"), None, "too long");
        assert_eq!(at("7", "a"), None);
    }

    /// The same on a tree.
    fn naive(value: &Value, path: &[String]) -> Option<String> {
        match (path.split_first(), value) {
            (None, Value::String(text)) => Some(text.clone()),
            (None, Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
            (Some((name, rest)), Value::Object(fields)) => naive(fields.get(name)?, rest),
            (Some((place, rest)), Value::Array(list)) => naive(list.get(place.parse::<usize>().ok()?)?, rest),
            _ => None,
        }
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_holds(tree in trees(), path in prop::collection::vec("a|b|0|1", 1..4)) {
            prop_assert_eq!(find(tree.to_string().as_bytes(), &path), naive(&tree, &path));
        }
    }
}
