//! Where values stand in a JSON text: found by names, without building anything, so that they can be cut out byte for
//! byte.
//!
//! The text has been looked at before (`json_scan.rs`): what is no JSON gives some range or none, never a panic and
//! never a look beyond its end.

use std::borrow::Cow;
use std::ops::Range;

/// The value that the names lead to: names of fields, or places in arrays. `None` where they lead to nothing, or to
/// two (a name that stands there twice: which is meant readers do not agree about).
pub fn find(text: &[u8], path: &[String]) -> Option<Range<usize>> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.white();
    for name in path {
        cursor.at = match cursor.peek()? {
            b'{' => cursor.field(name)?,
            b'[' => cursor.element(name.parse().ok()?)?,
            _ => return None,
        };
    }
    let start = cursor.at;
    cursor.skip()?;
    Some(start..cursor.at)
}

/// The elements of the array that begins at `start`, in order; `None` where none begins there.
pub fn elements(text: &[u8], start: usize) -> Option<impl Iterator<Item = Range<usize>>> {
    let mut cursor = Cursor { text, at: start };
    if cursor.peek()? != b'[' {
        return None;
    }
    let mut is_first = true;
    Some(std::iter::from_fn(move || {
        cursor.more(std::mem::take(&mut is_first))?.then_some(())?;
        let start = cursor.at;
        cursor.skip()?;
        Some(start..cursor.at)
    }))
}

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes to the next element of the array or object that it stands at the beginning of, or behind an element of.
    fn more(&mut self, is_first: bool) -> Option<bool> {
        if is_first {
            self.at += 1;
        }
        self.white();
        match self.peek()? {
            b']' | b'}' => return Some(false),
            b',' if !is_first => self.at += 1,
            _ => {}
        }
        self.white();
        Some(true)
    }

    /// Where the field's value begins of the object that it stands at.
    fn field(&mut self, wanted: &str) -> Option<usize> {
        let (mut found, mut is_first) = (None, true);
        while self.more(std::mem::take(&mut is_first))? {
            let name = self.at;
            self.string()?;
            let is_it = is_name(&self.text[name..self.at], wanted);
            self.white();
            (self.peek()? == b':').then_some(())?;
            self.at += 1;
            self.white();
            if is_it && found.replace(self.at).is_some() {
                return None;
            }
            self.skip()?;
        }
        found
    }

    fn element(&mut self, wanted: usize) -> Option<usize> {
        let mut place = 0;
        while self.more(place == 0)? {
            if place == wanted {
                return Some(self.at);
            }
            self.skip()?;
            place += 1;
        }
        None
    }

    /// Behind the string that it stands at.
    fn string(&mut self) -> Option<()> {
        (self.peek()? == b'"').then_some(())?;
        loop {
            self.at += 1;
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at += 1;
        Some(())
    }

    /// Behind the value that it stands at.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => {
                    let ends = |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(ends).unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// Whether a string as it stands there, quotes included, is this name.
fn is_name(written: &[u8], name: &str) -> bool {
    let bare = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
    if !bare.contains(&b'\\') {
        return bare == name.as_bytes();
    }
    serde_json::from_slice::<Cow<'_, str>>(written).is_ok_and(|text| text == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn names(path: &str) -> Vec<String> {
        path.split('/').skip(1).map(str::to_owned).collect()
    }

    fn at<'t>(text: &'t str, path: &str) -> Option<&'t str> {
        find(text.as_bytes(), &names(path)).map(|range| &text[range])
    }

    #[test]
    fn values_are_found_as_they_stand_there() {
        let text = "\n{ \"a\" : {\"b\\u0063\":[1.0e0 , {\"x\\\"]}\": [ ] }]}, \"s\":\"]}\\\\\\\"\",\"n\":-1 }\n";
        for (path, expected) in [
            ("", Some(text.trim())),
            ("/a", Some("{\"b\\u0063\":[1.0e0 , {\"x\\\"]}\": [ ] }]}")),
            ("/a/bc/0", Some("1.0e0")),
            ("/a/bc/1/x\"]}", Some("[ ]")),
            ("/a/bc/2", None),
            ("/a/bc/x", None),
            ("/s", Some("\"]}\\\\\\\"\"")),
            ("/n", Some("-1")),
            ("/n/x", None),
            ("/none", None),
        ] {
            assert_eq!(at(text, path), expected, "{path}");
        }
        assert_eq!(at("{\"a\":1,\"\\u0061\":2}", "/a"), None, "twice");
        assert_eq!(at("{}", "/a"), None);
        assert_eq!(at("[]", "/0"), None);
        assert_eq!(at("7", ""), Some("7"));
    }

    #[test]
    fn elements_are_cut_as_they_stand_there() {
        let cut = |text: &str| {
            let found = elements(text.as_bytes(), 0)?;
            Some(found.map(|range| text[range].to_owned()).collect::<Vec<_>>())
        };
        let text = "[ {\"a\":[1,2]} ,\"x,]\",\n-1.5,[ ], null ]";
        assert_eq!(cut(text), Some(["{\"a\":[1,2]}", "\"x,]\"", "-1.5", "[ ]", "null"].map(str::to_owned).to_vec()));
        assert_eq!((cut("[]"), cut("[ ]"), cut("{}"), cut("")), (Some(vec![]), Some(vec![]), None, None));
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            "[a-b\"\\\\é,\\]}:]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab\"]", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_holds(
            tree in trees(),
            path in prop::collection::vec("a|b|\"|0|1", 0..4),
            pretty in any::<bool>(),
        ) {
            let text = if pretty { serde_json::to_string_pretty(&tree).unwrap() } else { tree.to_string() };
            let pointer: String = path.iter().map(|name| format!("/{name}")).collect();
            let found = find(text.as_bytes(), &path);
            let parsed = found.as_ref().map(|range| serde_json::from_str::<Value>(&text[range.clone()]).unwrap());
            prop_assert_eq!(parsed.as_ref(), tree.pointer(&pointer));
            if let (Some(range), Some(Value::Array(list))) = (found, tree.pointer(&pointer)) {
                let cut = elements(text.as_bytes(), range.start).unwrap();
                let parsed: Vec<Value> = cut.map(|range| serde_json::from_str(&text[range]).unwrap()).collect();
                prop_assert_eq!(&parsed, list);
            }
        }

        #[test]
        fn no_bytes_make_it_look_beyond_their_end(
            text in prop::collection::vec(prop::sample::select(b"[]{},:\"\\a0 ".to_vec()), 0..24),
            path in prop::collection::vec("a|0|1", 0..3),
            start in 0..24_usize,
        ) {
            if let Some(range) = find(&text, &path) {
                prop_assert!(range.start <= range.end && range.end <= text.len());
            }
            for range in elements(&text, start).into_iter().flatten() {
                prop_assert!(range.start <= range.end && range.end <= text.len());
            }
        }
    }
}
