//! Whether bytes are one JSON text (RFC 8259), told as they stream by: nothing is kept of them but where in the grammar
//! they stand.
//!
//! Strict: UTF-8 without a byte order mark, no value twice, nothing behind the value but white space. Numbers and
//! surrogates are as the grammar has them, whatever they mean. Nesting is bounded, so that a text takes no more memory
//! than another.

/// The deepest nesting that is followed.
pub const MOST_NESTED: usize = 256;

/// It is no JSON text, or nested deeper than [`MOST_NESTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// The first value of an array, or its end.
    FirstValue,
    /// The first name of an object, or its end.
    FirstName,
    /// A name.
    Name,
    /// The colon behind a name.
    Colon,
    /// What follows a value: a comma, an end, or only white space.
    After,
    /// Within a string.
    Text,
    /// Behind a backslash.
    Escape,
    /// So many digits of `\u` are left.
    Hex(u8),
    /// So many more bytes of a character; the next one lies between these.
    Character(u8, u8, u8),
    /// Within `true`, `false` or `null`: what is left of it.
    Word(&'static [u8]),
    /// Behind a minus.
    Minus,
    /// Behind a leading zero.
    Zero,
    /// Within a whole number.
    Whole,
    /// Behind the point.
    Point,
    /// Within the fraction.
    Fraction,
    /// Behind `e`.
    Exponent,
    /// Behind the exponent's sign.
    Sign,
    /// Within the exponent.
    Power,
}

/// A look at a JSON text as it comes.
#[derive(Debug, Clone)]
pub struct JsonScan {
    state: State,
    /// The string is a name.
    is_name: bool,
    /// For each level whether it is an object.
    objects: [u64; MOST_NESTED / 64],
    depth: usize,
}

impl Default for JsonScan {
    fn default() -> Self {
        Self { state: State::Value, is_name: false, objects: [0; MOST_NESTED / 64], depth: 0 }
    }
}

impl JsonScan {
    /// Takes more of the text.
    ///
    /// # Errors
    /// No JSON text begins like this. Whatever comes later changes nothing.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NotJson> {
        let mut rest = bytes;
        loop {
            if self.state == State::Text {
                // Most bytes are text that says nothing of itself.
                let plain = |byte: &u8| !(b' '..=b'~').contains(byte) || matches!(byte, b'"' | b'\\');
                rest = &rest[rest.iter().position(plain).unwrap_or(rest.len())..];
            }
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            self.state = self.step(byte)?;
            rest = after;
        }
    }

    /// The text is over.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(&self) -> Result<(), NotJson> {
        let is_whole = self.depth == 0
            && matches!(self.state, State::After | State::Zero | State::Whole | State::Fraction | State::Power);
        if is_whole { Ok(()) } else { Err(NotJson) }
    }

    fn step(&mut self, byte: u8) -> Result<State, NotJson> {
        match self.state {
            State::Text => self.text(byte),
            State::Escape | State::Hex(_) | State::Character(..) => character(self.state, byte),
            State::Word(left) => match left.split_first() {
                Some((expected, [])) if *expected == byte => Ok(State::After),
                Some((expected, left)) if *expected == byte => Ok(State::Word(left)),
                _ => Err(NotJson),
            },
            State::Minus
            | State::Zero
            | State::Whole
            | State::Point
            | State::Fraction
            | State::Exponent
            | State::Sign
            | State::Power => match number(self.state, byte)? {
                Some(state) => Ok(state),
                None => self.structure(State::After, byte),
            },
            state => self.structure(state, byte),
        }
    }

    /// Between values.
    fn structure(&mut self, state: State, byte: u8) -> Result<State, NotJson> {
        match (state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => Ok(state),
            (State::Value | State::FirstValue, b'[') => self.open(false),
            (State::Value | State::FirstValue, b'{') => self.open(true),
            (State::FirstValue, b']') | (State::FirstName, b'}') => Ok(self.close()),
            (State::Value | State::FirstValue, _) => self.value(byte),
            (State::FirstName | State::Name, b'"') => {
                self.is_name = true;
                Ok(State::Text)
            }
            (State::Colon, b':') => Ok(State::Value),
            (State::After, b',') if self.depth > 0 => Ok(if self.is_in_object() { State::Name } else { State::Value }),
            (State::After, b'}') if self.depth > 0 && self.is_in_object() => Ok(self.close()),
            (State::After, b']') if self.depth > 0 && !self.is_in_object() => Ok(self.close()),
            _ => Err(NotJson),
        }
    }

    fn value(&mut self, byte: u8) -> Result<State, NotJson> {
        match byte {
            b'"' => {
                self.is_name = false;
                Ok(State::Text)
            }
            b't' => Ok(State::Word(b"rue")),
            b'f' => Ok(State::Word(b"alse")),
            b'n' => Ok(State::Word(b"ull")),
            b'-' => Ok(State::Minus),
            b'0' => Ok(State::Zero),
            b'1'..=b'9' => Ok(State::Whole),
            _ => Err(NotJson),
        }
    }

    fn text(&self, byte: u8) -> Result<State, NotJson> {
        match byte {
            b'"' => Ok(if self.is_name { State::Colon } else { State::After }),
            b'\\' => Ok(State::Escape),
            // The well-formed sequences of Unicode, table 3-7: none is longer than need be, none is a surrogate.
            0xC2..=0xDF => Ok(State::Character(1, 0x80, 0xBF)),
            0xE0 => Ok(State::Character(2, 0xA0, 0xBF)),
            0xED => Ok(State::Character(2, 0x80, 0x9F)),
            0xE1..=0xEF => Ok(State::Character(2, 0x80, 0xBF)),
            0xF0 => Ok(State::Character(3, 0x90, 0xBF)),
            0xF1..=0xF3 => Ok(State::Character(3, 0x80, 0xBF)),
            0xF4 => Ok(State::Character(3, 0x80, 0x8F)),
            0x00..=0x1F | 0x80..=0xFF => Err(NotJson),
            _ => Ok(State::Text),
        }
    }

    fn open(&mut self, is_object: bool) -> Result<State, NotJson> {
        if self.depth == MOST_NESTED {
            return Err(NotJson);
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if is_object {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.depth += 1;
        Ok(if is_object { State::FirstName } else { State::FirstValue })
    }

    fn close(&mut self) -> State {
        self.depth = self.depth.saturating_sub(1);
        State::After
    }

    fn is_in_object(&self) -> bool {
        let level = self.depth.saturating_sub(1);
        self.objects[level / 64] & (1 << (level % 64)) != 0
    }
}

/// Within a character of a string that takes more than one byte.
fn character(state: State, byte: u8) -> Result<State, NotJson> {
    match state {
        State::Escape => match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(State::Text),
            b'u' => Ok(State::Hex(4)),
            _ => Err(NotJson),
        },
        State::Hex(left) if byte.is_ascii_hexdigit() => Ok(if left > 1 { State::Hex(left - 1) } else { State::Text }),
        State::Character(left, least, most) if (least..=most).contains(&byte) => {
            Ok(if left > 1 { State::Character(left - 1, 0x80, 0xBF) } else { State::Text })
        }
        _ => Err(NotJson),
    }
}

/// Within a number; `None` where it is over, and the byte belongs to what follows.
fn number(state: State, byte: u8) -> Result<Option<State>, NotJson> {
    let next = match (state, byte) {
        (State::Minus, b'0') => State::Zero,
        (State::Minus, b'1'..=b'9') | (State::Whole, b'0'..=b'9') => State::Whole,
        (State::Zero | State::Whole, b'.') => State::Point,
        (State::Point | State::Fraction, b'0'..=b'9') => State::Fraction,
        (State::Zero | State::Whole | State::Fraction, b'e' | b'E') => State::Exponent,
        (State::Exponent, b'+' | b'-') => State::Sign,
        (State::Exponent | State::Sign | State::Power, b'0'..=b'9') => State::Power,
        (State::Zero | State::Whole | State::Fraction | State::Power, _) => return Ok(None),
        _ => return Err(NotJson),
    };
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn scan(parts: &[&[u8]]) -> Result<(), NotJson> {
        let mut scan = JsonScan::default();
        for part in parts {
            scan.push(part)?;
        }
        scan.finish()
    }

    /// A library's word on it. What it passes over it does not look at for UTF-8.
    fn is_json(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        for text in
            ["0", " -0.5e+7\n", "[]", "{}", "[[],{}]", "{\"a\":[1,2,{\"b\":null}]}", "\"\\ud800\\n\u{10ffff}\"", "true"]
        {
            assert_eq!(scan(&[text.as_bytes()]), Ok(()), "{text}");
            assert!(is_json(text.as_bytes()), "{text}");
        }
        for text in
            ["", " ", "01", "1.", "-", "1e", ".5", "[1,]", "{\"a\":1,}", "{a:1}", "[1 2]", "1 2", "nul", "nulll"]
        {
            assert_eq!(scan(&[text.as_bytes()]), Err(NotJson), "{text}");
            assert!(!is_json(text.as_bytes()), "{text}");
        }
        for text in ["[}", "{]", "]", "}", "\"\t\"", "\"\\x\"", "\"\\u12g4\"", "\u{feff}1", "[", "{\"a\"", "\"", ","] {
            assert_eq!(scan(&[text.as_bytes()]), Err(NotJson), "{text}");
            assert!(!is_json(text.as_bytes()), "{text}");
        }
        for bytes in
            [b"\"\xff\"".as_slice(), b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\xe2\x82\""]
        {
            assert_eq!(scan(&[bytes]), Err(NotJson), "{bytes:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(scan(&[nested(MOST_NESTED).as_bytes()]), Ok(()));
        assert_eq!(scan(&[nested(MOST_NESTED + 1).as_bytes()]), Err(NotJson));
        let mixed = ["[{\"a\":".repeat(MOST_NESTED / 2), "1".into(), "}]".repeat(MOST_NESTED / 2)].concat();
        assert_eq!(scan(&[mixed.as_bytes()]), Ok(()), "each level keeps its kind");
    }

    /// Texts that are JSON, or would be but for a slip.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"a\"",
            "\"\\u00e9\\\\\"",
            "\"é\u{1f600}\"",
            "0",
            "-1.5e3",
            "12",
            "true",
            "null",
            " ",
            "\"",
            "\\",
            "e",
            ".",
            "-",
            "\n",
            "\u{1}",
        ]);
        let soup = prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes());
        let leaf = prop_oneof![
            Just("1".to_owned()),
            Just("-0.5E2".to_owned()),
            Just("null".to_owned()),
            Just("\"x\\ny€\"".to_owned()),
        ];
        let tree = leaf.prop_recursive(5, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
                prop::collection::vec(inner, 0..4).prop_map(|all| {
                    let fields: Vec<String> = all.iter().map(|value| format!("\"k\" :{value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        });
        let slipped =
            (tree, any::<prop::sample::Index>(), prop::option::of(any::<u8>())).prop_map(|(text, at, slip)| {
                let mut bytes = text.into_bytes();
                if let Some(slip) = slip {
                    let at = at.index(bytes.len());
                    bytes[at] = slip;
                }
                bytes
            });
        prop_oneof![soup, slipped, prop::collection::vec(any::<u8>(), 0..8)]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_parser_however_the_text_is_cut(text in texts(), cuts: [prop::sample::Index; 3]) {
            let mut cuts = cuts.map(|cut| cut.index(text.len() + 1));
            cuts.sort_unstable();
            let [a, b, c] = cuts;
            let cut = scan(&[&text[..a], &text[a..b], &text[b..c], &text[c..]]);
            prop_assert_eq!(cut, scan(&[&text]));
            prop_assert_eq!(cut.is_ok(), is_json(&text), "{:?}", String::from_utf8_lossy(&text));
        }
    }
}
