//! Slips of the pen that are no TOML, in words and with a remedy. The parser says what it expected at a place, and
//! again at each place that the slip leads to: here each is told once.

use std::ops::Range;

use super::duplicates;
use crate::config::problem::quoted;

/// So much of a line is looked at on either side of an error, in characters.
const MOST: usize = 200;
/// What the parser says within a list, and goes on saying behind the end that is missing.
const IN_LIST: [&str; 2] = ["missing comma between array elements", "unexpected `=` in array"];
/// And of words without quotes: in general, and where the first letter is that of `nan`, `inf`, `true` or `false`.
const IN_WORDS: [&str; 3] = ["string values must be quoted", "invalid float", "invalid boolean"];

/// What is wrong at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    /// Where.
    pub(super) at: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What to write, where that is plain.
    pub(super) help: Option<String>,
}

impl Slip {
    fn new(at: Range<usize>, message: &str, help: &str) -> Self {
        Self { at, message: message.to_owned(), help: Some(help.to_owned()) }
    }
}

/// What is wrong with a text in which the parser found this. What is there twice is told elsewhere.
pub(super) fn told(text: &str, errors: &[toml::de::Error]) -> Vec<Slip> {
    let errors = errors.iter().filter(|error| !duplicates::is_duplicate(error));
    let mut all: Vec<(Range<usize>, &str)> =
        errors.map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    all.sort_by_key(|(span, _)| span.start);
    if let Some(merge) = all.first().and_then(|(span, _)| unfinished_merge(text, span.start)) {
        return vec![merge];
    }
    let open = unclosed_list(&all);
    let (mut found, mut told_up_to) = (Vec::new(), 0);
    for (index, (span, message)) in all.iter().enumerate() {
        let (slip, up_to) = match &open {
            Some(open) if open.start == index => (not_closed(text, span.start), 0),
            Some(open) if open.contains(&index) => continue,
            _ if span.start < told_up_to => continue,
            _ => one(text, span, message),
        };
        told_up_to = told_up_to.max(up_to);
        found.push(slip);
    }
    found
}

/// Where the first header is that is not closed: what stands below it is of no table.
pub(super) fn unclosed_header(errors: &[toml::de::Error]) -> Option<usize> {
    let unclosed = errors.iter().filter(|error| is_unclosed_header(error.message()));
    unclosed.filter_map(|error| Some(error.span()?.start)).min()
}

fn is_unclosed_header(message: &str) -> bool {
    message.starts_with("unclosed array table") || message.starts_with("unclosed table")
}

/// The errors that one list without an end leads to, by their places in these.
fn unclosed_list(all: &[(Range<usize>, &str)]) -> Option<Range<usize>> {
    let is_end = |message: &str| message.starts_with("unclosed array") && !is_unclosed_header(message);
    let end = all.iter().position(|(_, message)| is_end(message))?;
    let is_within = |message: &str| IN_LIST.iter().chain(&IN_WORDS).any(|kind| message.starts_with(kind));
    let within = all[..end].iter().rev().take_while(|(_, message)| is_within(message)).count();
    // A word without quotes is one of the list's own, or of what stands before it.
    let first = all[end - within..end].iter().position(|(_, message)| message.starts_with(IN_LIST[0]));
    Some(first.map_or(end, |first| end - within + first)..end + 1)
}

fn not_closed(text: &str, at: usize) -> Slip {
    let open = text.get(..at).and_then(|before| before.rfind('[')).unwrap_or(at);
    Slip::new(open..open + 1, "the list is not closed", "a `]` is missing where it ends")
}

/// A merge of which somebody has to choose a side.
fn unfinished_merge(text: &str, at: usize) -> Option<Slip> {
    let line = line(text, at);
    let is_mark = |mark: &str| text.get(line.clone()).is_some_and(|text| text.starts_with(mark));
    let help = "keep one side, or both, and delete the lines of <<<<<<<, ======= and >>>>>>>";
    (is_mark("<<<<<<< ") || is_mark(">>>>>>> ")).then(|| Slip::new(line, "the file holds an unfinished merge", help))
}

/// One error in words, and up to where others only follow from it.
fn one(text: &str, span: &Range<usize>, message: &str) -> (Slip, usize) {
    let line = line(text, span.start);
    let whole = text.get(line.clone()).unwrap_or_default();
    let rest = text.get(span.start..line.end).unwrap_or_default().trim();
    let begins = |kind: &str| message.starts_with(kind);
    let slip = if IN_WORDS.iter().any(|kind| begins(kind)) {
        return no_value(text, span, !begins(IN_WORDS[0]));
    } else if begins("missing escaped value") || begins("too few unicode value digits") {
        return no_escape(text, span.start, &line);
    } else if begins("invalid unquoted key") {
        no_key(whole, span)
    } else if begins("unexpected key or value") {
        left_over(rest, span)
    } else if (begins("invalid basic string") || begins("invalid literal string")) && rest.is_empty() {
        Some(Slip::new(
            span.clone(),
            "the closing quote is missing",
            "a string ends with the quote that it begins with",
        ))
    } else if is_unclosed_header(message) {
        let help = format!("write {}]", whole.split('#').next().unwrap_or_default().trim());
        Some(Slip::new(span.clone(), "the table's header is not closed", &help))
    } else {
        None
    };
    match slip {
        Some(slip) => (slip, line.end + 1),
        None => (Slip { at: span.clone(), message: in_a_line(message), help: None }, 0),
    }
}

/// A word where a value belongs. The parser may speak of a part of it.
fn no_value(text: &str, span: &Range<usize>, is_a_part: bool) -> (Slip, usize) {
    let at = if is_a_part { word(text, span.start) } else { span.clone() };
    let written = text.get(at.clone()).unwrap_or_default().trim();
    if written.is_empty() {
        return (Slip { at, message: "the value is missing".to_owned(), help: None }, 0);
    }
    // Of a value without quotes the parser takes what stands behind it for a part.
    let end = at.end;
    if written.contains(" //") || written.contains(" ;") {
        return (Slip::new(at, "this is no comment", "a comment begins with #"), end);
    }
    if written.ends_with(';') {
        return (Slip::new(at, "a line ends without a semicolon", "delete it"), end);
    }
    let help = match &*written.to_ascii_lowercase() {
        "null" | "nil" | "undefined" => Some("TOML has no null: leave the key out".to_owned()),
        truth @ ("true" | "false") => Some(format!("write {truth}")),
        _ if written.contains(['"', '\'', '\\', '\n']) || written.len() > MOST => None,
        _ => Some(format!("write {}", quoted(written))),
    };
    (Slip { at, message: "this is no value; strings are quoted".to_owned(), help }, end)
}

/// The word around a place.
fn word(text: &str, at: usize) -> Range<usize> {
    around(text, at, |c| !c.is_whitespace() && !"=,[]{}\"'#".contains(*c))
}

/// A backslash in double quotes, as of a regular expression or of a path of Windows.
fn no_escape(text: &str, at: usize, line: &Range<usize>) -> (Slip, usize) {
    let message = "in double quotes a backslash begins an escape, and this is none".to_owned();
    let before = text.get(line.start..at).unwrap_or_default();
    let after = text.get(at..line.end).unwrap_or_default();
    let inside = before.rfind('"').zip(after.find('"'));
    let inside = inside.map(|(open, close)| (line.start + open + 1)..(at + close));
    let end = inside.as_ref().map_or(line.end, |inside| inside.end) + 1;
    let plain = inside.and_then(|inside| text.get(inside)).filter(|text| !text.contains('\''));
    let help = match plain {
        Some(plain) if plain.len() <= MOST => format!("in single quotes it is none: '{plain}'"),
        _ => "a backslash itself is written \\\\".to_owned(),
    };
    let escape = text.get(..at).filter(|before| before.ends_with('\\')).map_or(at, |_| at - 1);
    (Slip { at: escape..at, message, help: Some(help) }, end)
}

/// What stands where a key belongs: a comment of another language, or a key with a colon.
fn no_key(line: &str, span: &Range<usize>) -> Option<Slip> {
    let line = line.trim();
    if ["//", ";", "/*", "--"].iter().any(|sign| line.starts_with(sign)) {
        return Some(Slip::new(span.clone(), "this is no key", "a comment begins with #"));
    }
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end();
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let help = format!("write {key} = …");
    (is_key && !value.starts_with('/'))
        .then(|| Slip::new(span.clone(), "`=` stands between a key and its value", &help))
}

/// What stands behind a value.
fn left_over(rest: &str, span: &Range<usize>) -> Option<Slip> {
    match rest {
        ";" | "," => Some(Slip::new(span.clone(), "a line ends without this sign", "delete it")),
        _ if rest.starts_with("//") || rest.starts_with(';') => {
            Some(Slip::new(span.clone(), "this is no comment", "a comment begins with #"))
        }
        _ => None,
    }
}

/// The line around a place, without its end; of a long one what is near.
fn line(text: &str, at: usize) -> Range<usize> {
    around(text, at, |c| *c != '\n')
}

/// The characters around a place that are such.
fn around(text: &str, at: usize, is_such: impl Fn(&char) -> bool) -> Range<usize> {
    let before = text.get(..at).unwrap_or_default().chars().rev().take(MOST).take_while(&is_such);
    let after = text.get(at..).unwrap_or_default().chars().take(MOST).take_while(&is_such);
    at - before.map(char::len_utf8).sum::<usize>()..at + after.map(char::len_utf8).sum::<usize>()
}

/// The parser's message as one line.
fn in_a_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a text: the line, the message and the remedy of each.
    fn slips(text: &str) -> Vec<(usize, String, String)> {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        told(text, &errors).into_iter().map(|it| (line(it.at.start), it.message, it.help.unwrap_or_default())).collect()
    }

    #[track_caller]
    fn once(text: &str, line: usize, message: &str, help: &str) {
        assert_eq!(slips(text), [(line, message.to_owned(), help.to_owned())], "{text}");
    }

    #[test]
    fn a_word_without_quotes_is_no_number_whatever_it_begins_with() {
        for word in
            ["nginx", "inventory", "info", "test", "frontend", "nginx-1.example.com", "0.0.0.0:80", "10MiB", "orders"]
        {
            once(&format!("a = {word} # b"), 1, "this is no value; strings are quoted", &format!("write \"{word}\""));
        }
        once("a = null", 1, "this is no value; strings are quoted", "TOML has no null: leave the key out");
        once("a = True", 1, "this is no value; strings are quoted", "write true");
        assert_eq!(slips("a = [nginx, b]").len(), 2);
        assert_eq!(slips("a = nan"), []);
    }

    #[test]
    fn a_backslash_has_a_remedy_once_for_each_string() {
        let message = "in double quotes a backslash begins an escape, and this is none";
        once(r#"a = "^/v\d+""#, 1, message, r"in single quotes it is none: '^/v\d+'");
        once(r#"a = "C:\certs\a.pem""#, 1, message, r"in single quotes it is none: 'C:\certs\a.pem'");
    }

    #[test]
    fn one_slip_is_told_once_and_where_it_is() {
        let list = "[upstreams.a]\nendpoints = [\"127.0.0.1:9001\"\n[[routes]]\npath = \"/\"\nupstream = \"a\"\n";
        once(list, 2, "the list is not closed", "a `]` is missing where it ends");
        let merge = "a = 0\n<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> other\n";
        once(
            merge,
            2,
            "the file holds an unfinished merge",
            "keep one side, or both, and delete the lines of <<<<<<<, ======= and >>>>>>>",
        );
        for sign in ["//", ";"] {
            once(&format!("a = 1\n{sign} a word"), 2, "this is no key", "a comment begins with #");
            for value in ["1", "true", "\"x\""] {
                once(&format!("a = {value} {sign} a word"), 1, "this is no comment", "a comment begins with #");
            }
        }
        once("a = \"x\";", 1, "a line ends without this sign", "delete it");
        once("a = 5;", 1, "a line ends without a semicolon", "delete it");
        once("upstream: \"x\"", 1, "`=` stands between a key and its value", "write upstream = …");
        once("a = \"x\nb = 1", 1, "the closing quote is missing", "a string ends with the quote that it begins with");
        once("[[routes]\nb = 1", 1, "the table's header is not closed", "write [[routes]]");
    }
}
