//! What is no TOML at all: the file of another program, in another encoding, or with what a web page put in the place
//! of spaces and quotes. It is told once and with a remedy, in place of all that a parser finds in it.

use std::ops::Range;

/// Bytes that tell whether a file is UTF-16.
const LOOKED_AT: usize = 64;
/// The remedy for a file of another program.
const HELP: &str = "docs/coming-from.md says what another gateway's words are here; `gateway init` writes a first \
                    configuration; keys are `path = \"/\"`, tables are [server] and [[routes]]";

/// What a text is instead of TOML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// Where it shows.
    pub(super) at: Range<usize>,
    /// What it is.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: &'static str,
}

/// The text of a file in UTF-16, as notepads and shells of Windows write it; `None` where it is another.
pub(crate) fn utf16(bytes: &[u8]) -> Option<String> {
    let (is_little, rest) = match bytes {
        [0xff, 0xfe, rest @ ..] => (true, rest),
        [0xfe, 0xff, rest @ ..] => (false, rest),
        // Without a mark: every other byte is zero, and no other.
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 && every_other_is_zero(bytes, 1) => (true, bytes),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 && every_other_is_zero(bytes, 0) => (false, bytes),
        _ => return None,
    };
    let unit = |two: &[u8]| (u16::from(two[usize::from(is_little)]) << 8) | u16::from(two[usize::from(!is_little)]);
    let units: Vec<u16> = rest.chunks_exact(2).map(unit).collect();
    Some(String::from_utf16_lossy(&units))
}

fn every_other_is_zero(bytes: &[u8], from: usize) -> bool {
    bytes.iter().take(LOOKED_AT).skip(from).step_by(2).all(|byte| *byte == 0)
}

/// Whose file a text is that does not parse. Where a line of it is a table's header of TOML, it is none of another
/// program with a slip in its first line.
pub(super) fn program(text: &str) -> Option<Foreign> {
    let (at, first) = first_line(text)?;
    let name = of_program(first, &text[at..])?;
    let is_toml = text.lines().any(is_header);
    (!is_toml).then(|| Foreign {
        at: at..at + first.len(),
        message: format!("this is {name}, and a configuration is TOML"),
        help: HELP,
    })
}

/// The first line that says something, and where it begins.
fn first_line(text: &str) -> Option<(usize, &str)> {
    // A byte order mark is no part of a line.
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for line in text[at..].split_inclusive('\n') {
        let told = line.trim();
        if !told.is_empty() && !told.starts_with('#') {
            return Some((at + (line.len() - line.trim_start().len()), told));
        }
        at += line.len();
    }
    None
}

/// Whose file begins with this line; `rest` begins with it too.
fn of_program(first: &str, rest: &str) -> Option<&'static str> {
    const BRACES: &str = "the file of a server with blocks in braces (nginx, Caddy)";
    let is_key = |word: &str| !word.is_empty() && !word.contains(['=', '[', '{', '"', ' ']);
    let word = first.split_whitespace().next().unwrap_or_default();
    let has_yaml_key =
        first.split_once(':').is_some_and(|(key, value)| is_key(key) && (value.is_empty() || value.starts_with(' ')));
    if let Some(inside) = rest.strip_prefix('{').map(str::trim_start) {
        let is_json = inside.is_empty() || inside.starts_with(['"', '}']);
        Some(if is_json { "JSON" } else { BRACES })
    } else if first == "[" || first.starts_with("[{") || first.starts_with("[ {") {
        Some("JSON")
    } else if first.starts_with('<') {
        Some("XML or a web page")
    } else if first == "---" || first.starts_with("- ") || has_yaml_key {
        Some("YAML")
    } else if first.contains('=') {
        None
    } else if first.ends_with(['{', ';']) {
        Some(BRACES)
    } else if matches!(word, "global" | "defaults" | "frontend" | "backend" | "listen") {
        Some("HAProxy's")
    } else {
        None
    }
}

fn is_header(line: &str) -> bool {
    let inner = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next());
    inner.is_some_and(|inner| {
        let name = inner.strip_prefix('[').unwrap_or(inner);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    })
}

/// A character at this place that looks like another one, or like nothing.
pub(super) fn lookalike(text: &str, at: usize) -> Option<Foreign> {
    let found = text.get(at..)?.chars().next()?;
    let (what, help) = match found {
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ("is no space of TOML", "it came with a text that was pasted: type a space in its place")
        }
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {
            ("is there, and is not seen", "it came with a text that was pasted: delete it, or type the line anew")
        }
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => ("is no quote of TOML", "write the plain one: \""),
        '\u{2018}'..='\u{201b}' => ("is no quote of TOML", "write a plain one: \" or '"),
        _ => return None,
    };
    let message = format!("the character U+{:04X} {what}", u32::from(found));
    Some(Foreign { at: at..at + found.len_utf8(), message, help })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<(String, usize)> {
        program(text).map(|foreign| (foreign.message, foreign.at.start))
    }

    #[test]
    fn files_of_other_programs_are_known_by_their_first_line() {
        let is = |name: &str, at| Some((format!("this is {name}, and a configuration is TOML"), at));
        for text in ["listeners:\n  - a: b\n", "---\nroutes: []\n", "- path: /\n", "apiVersion: v1\n"] {
            assert_eq!(told(text), is("YAML", 0), "{text}");
        }
        assert_eq!(told("\n# about\n  routes:\n"), is("YAML", 11));
        for text in ["{\n \"routes\": []\n}", "[\n{}\n]", "[{ \"path\": \"/\" }]", "{}"] {
            assert_eq!(told(text), is("JSON", 0), "{text}");
        }
        for text in ["server {\n listen 80;\n}", "user nginx;\nhttp {\n}", "example.com {\n}", "{\n debug\n}"] {
            assert_eq!(told(text), is("the file of a server with blocks in braces (nginx, Caddy)", 0), "{text}");
        }
        assert_eq!(told("global\n daemon\nfrontend http\n"), is("HAProxy's", 0));
        assert_eq!(told("\u{feff}a:\n"), is("YAML", 3));
        assert_eq!(told("<!doctype html>"), is("XML or a web page", 0));
        for text in [
            "",
            "# only a word",
            "[server]\nworkers: 1",
            "workers: 1\n[server]\n",
            "server {\n[[routes]]\n",
            "a = {",
            "a.b = [\n",
            "what is this",
            "\"a: b\" = 1",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn two_bytes_a_character_are_read_whatever_their_order() {
        let text = "[[routes]]\npath = \"/\"\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big] {
            assert_eq!(utf16(bytes).as_deref(), Some(text));
        }
        assert_eq!(utf16(&[&[0xff, 0xfe][..], &little].concat()).as_deref(), Some(text));
        assert_eq!(utf16(&[&[0xfe, 0xff][..], &big].concat()).as_deref(), Some(text));
        for other in [&b""[..], b"a", b"[[routes]]", b"a\0b", b"\0\0\0\0", b"a\0\0\0b\0\0\0", b"a = \"\0\""] {
            assert_eq!(utf16(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_only_looks_like_a_space_or_a_quote_is_named() {
        let told = |text: &str| lookalike(text, 0).map(|foreign| (foreign.message, foreign.at.end));
        assert_eq!(told("\u{a0}= 1"), Some(("the character U+00A0 is no space of TOML".to_owned(), 2)));
        assert_eq!(told("\u{200b}a"), Some(("the character U+200B is there, and is not seen".to_owned(), 3)));
        assert_eq!(told("\u{201c}/\u{201d}"), Some(("the character U+201C is no quote of TOML".to_owned(), 3)));
        for fine in ["", " a", "\"", "ä"] {
            assert_eq!(told(fine), None, "{fine}");
        }
        assert_eq!(lookalike("ä", 1), None, "in the middle of a letter");
    }
}
