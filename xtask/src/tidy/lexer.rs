//! Tells Rust's code from its comments and literals, and test code from the rest.
//!
//! Both views keep the text's length and lines: what is left out becomes spaces, so a place in one is the same place in
//! the other. Hostile text cannot break it: whatever is left open ends with the file.

/// A Rust file's text in two views.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// The code without comments and without the inside of string and character literals.
    pub(crate) code: String,
    /// The comments alone.
    pub(crate) comments: String,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<u8>,
}

/// Splits a text into its views.
pub(crate) fn split(text: &str) -> Views {
    let capacity = text.len();
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        code: Vec::with_capacity(capacity),
        comments: Vec::with_capacity(capacity),
    };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    Views { code: text(lexer.code), comments: text(lexer.comments) }
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (b'/', b'/') => self.comment(line_comment_length(&self.bytes[self.at..])),
            (b'/', b'*') => self.comment(block_comment_length(&self.bytes[self.at..])),
            (b'"', _) => self.literal(string_length(&self.bytes[self.at..])),
            (b'\'', _) => match char_length(&self.bytes[self.at..]) {
                Some(length) => self.literal(length),
                None => self.take_code(1),
            },
            (byte, _) if is_word(byte) => self.word(),
            _ => self.take_code(1),
        }
    }

    /// A word, or a raw string that begins with one (`r"`, `br#"`).
    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| is_word(**byte)).count();
        self.take_code(length);
        let rest = &self.bytes[self.at..];
        if matches!(&self.bytes[self.at - length..self.at], b"r" | b"br" | b"cr") {
            let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
            if rest.get(hashes) == Some(&b'"') {
                self.literal(raw_string_length(rest, hashes));
            }
        }
    }

    fn take_code(&mut self, length: usize) {
        self.emit(length, |byte| (byte, blank(byte)));
    }

    fn comment(&mut self, length: usize) {
        self.emit(length, |byte| (blank(byte), byte));
    }

    /// A literal keeps its delimiters' place as quotes, so that `""` still looks like an expression.
    fn literal(&mut self, length: usize) {
        let (first, last) = (self.at, self.at + length - 1);
        self.emit(length, |byte| (blank(byte), blank(byte)));
        for place in [first, last.min(self.code.len() - 1)] {
            if self.code[place] != b'\n' {
                self.code[place] = b'"';
            }
        }
    }

    fn emit(&mut self, length: usize, view: impl Fn(u8) -> (u8, u8)) {
        let end = (self.at + length).min(self.bytes.len());
        for &byte in &self.bytes[self.at..end] {
            let (code, comment) = view(byte);
            self.code.push(code);
            self.comments.push(comment);
        }
        self.at = end;
    }
}

fn blank(byte: u8) -> u8 {
    if byte == b'\n' { b'\n' } else { b' ' }
}

/// Whether a byte belongs to an identifier; all bytes past ASCII count, so that no character is cut in two.
pub(crate) fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn line_comment_length(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..rest.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string_length(rest: &[u8], hashes: usize) -> usize {
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let inside = hashes + 1;
    match rest[inside..].windows(end.len()).position(|window| window == end) {
        Some(place) => inside + place + end.len(),
        None => rest.len(),
    }
}

/// The length of a character literal, or `None` for a lifetime.
fn char_length(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        // The character after the backslash may be a quote itself.
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map(|place| place + 4);
    }
    let text = rest.get(1..rest.len().min(6))?;
    let width = match text.first()? {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    (text.get(width) == Some(&b'\'') && text[0] != b'\'').then_some(width + 2)
}

/// For each line, whether it belongs to an item that is compiled for tests only.
pub(crate) fn test_lines(code: &str, places: &Lines) -> Vec<bool> {
    let mut lines = vec![false; code.lines().count() + 1];
    for (start, _) in code.match_indices("#[") {
        let attribute = &code[start..];
        let is_test = ["#[cfg(test)", "#[cfg(all(test", "#[cfg(any(test", "#[test]", "#[tokio::test"]
            .iter()
            .any(|prefix| attribute.starts_with(prefix));
        if is_test {
            let (first, last) = (places.of_place(start), places.of_place(item_end(code, start)));
            lines[first - 1..last].fill(true);
        }
    }
    lines
}

/// The place of the last byte of the item that begins, with its attributes, at a place.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (place, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return block_end(code, place).unwrap_or(code.len()),
            b';' if depth == 0 => return place,
            _ => {}
        }
    }
    code.len()
}

/// The place of the brace that closes the one at a place.
pub(crate) fn block_end(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (place, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return Some(place),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the lines of a text end, so that thousands of places of it are not counted to from its beginning.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    /// Those of this text.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(place, _)| place).collect())
    }

    /// The line of a place, from 1.
    pub(crate) fn of_place(&self, place: usize) -> usize {
        self.0.partition_point(|end| *end < place) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, comments: &str) {
        let views = split(text);
        assert_eq!(views.code.split_whitespace().collect::<Vec<_>>().join(" "), code, "code of {text}");
        assert_eq!(views.comments.split_whitespace().collect::<Vec<_>>().join(" "), comments, "comments of {text}");
        assert_eq!(views.code.len(), text.len(), "places stay where they are");
    }

    #[test]
    fn comments_and_literals_are_told_from_code() {
        check("a(); // b \"c\"\nd", "a(); d", "// b \"c\"");
        check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */");
        check(r#"a("tokio // no \" x") // yes"#, r#"a(" ")"#, "// yes");
        check("a(r#\"b \" c\"#, d)", "a(r\" \", d)", "");
        check("br\"\\\" + x", "br\" \" + x", "");
        check(
            "'a' 'b: &'static str '\\'' '\\u{1F600}' 'é' '\"' x",
            "\" \" 'b: &'static str \" \" \" \" \" \" \" \" x",
            "",
        );
    }

    #[test]
    fn what_is_left_open_ends_with_the_file() {
        for text in ["\"abc", "/* abc", "r##\"abc\"#", "'\\", "\"\\", "'", "b'", "/"] {
            assert_eq!(split(text).code.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn a_place_is_in_the_line_that_has_so_many_ends_before_it() {
        let text = "a\n\nbc\n";
        let lines = Lines::of(text);
        for place in 0..=text.len() {
            let counted = text.as_bytes()[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
            assert_eq!(lines.of_place(place), counted, "{place}");
        }
    }

    #[test]
    fn test_items_are_marked_from_their_attribute_to_their_end() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}";
        let lines = test_lines(code, &Lines::of(code));
        assert_eq!(&lines[..9], &[false, true, true, true, true, false, true, true, false]);
    }
}
