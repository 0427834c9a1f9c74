//! What a header or query value must be: `"*"`, `"~REGEX"`, or the value itself.

use regex::{Regex, RegexBuilder};

use crate::config::settings::route::ValueMatch;

/// The most memory that one compiled pattern may take, so that a configuration cannot ask for gigabytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Nesting of groups in a pattern; keeps the pattern's own parser shallow.
const MAX_NESTING: u32 = 64;

/// Reads a condition. A pattern is anchored: it matches the whole value (contract, notes.md).
pub(crate) fn parse(text: &str) -> Result<ValueMatch, String> {
    match text.strip_prefix('~') {
        Some(pattern) => Ok(ValueMatch::Pattern(anchored(pattern)?)),
        None if text == "*" => Ok(ValueMatch::Present),
        None => Ok(ValueMatch::Exact(text.to_owned())),
    }
}

/// Compiles a pattern of the whole text, in time that is linear in the text, and within bounds of memory.
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    // Compiled bare first: `a)(b` is no pattern, though the group around it would make it one.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

fn build(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).nest_limit(MAX_NESTING).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        other => {
            // The last line of a syntax error says what is wrong; the lines before it draw the pattern.
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            format!("the pattern is invalid: {last}")
        }
    })
}

/// Text with which everything begins that this pattern of a whole value matches, as far as it is written plainly.
pub(crate) fn begins(pattern: &Regex) -> &str {
    let inner = pattern.as_str().strip_prefix(r"\A(?:").and_then(|inner| inner.strip_suffix(r")\z")).unwrap_or("");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let end = inner.find(|c| !is_plain(c)).unwrap_or(inner.len());
    if inner.contains('|') {
        return "";
    }
    match inner[end..].chars().next() {
        // The last one may not be there.
        Some('?' | '*' | '+' | '{') => &inner[..end.saturating_sub(1)],
        _ => &inner[..end],
    }
}

/// What two equal conditions have in common; used to find routes that cannot be told apart.
pub(crate) fn canonical(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "*".to_owned(),
        ValueMatch::Exact(text) => format!("={text}"),
        ValueMatch::Pattern(pattern) => format!("~{}", pattern.as_str()),
        ValueMatch::Hidden(wanted) => canonical(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let Ok(ValueMatch::Pattern(pattern)) = parse("~a|b") else { panic!("a pattern") };
        assert!(pattern.is_match("a") && pattern.is_match("b"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("xa") && !pattern.is_match("a\n"));
    }

    #[test]
    fn a_pattern_begins_with_what_is_written_plainly() {
        for (pattern, expected) in [
            ("~application/grpc.*", "application/grpc"),
            ("~application/vnd\\.shop\\+json", "application/vnd"),
            ("~texts?/plain", "text"),
            ("~text/plain|a", ""),
            ("~(?i)text", ""),
            ("~.*", ""),
            ("~text", "text"),
        ] {
            let Ok(ValueMatch::Pattern(regex)) = parse(pattern) else { panic!("{pattern}") };
            assert_eq!(begins(&regex), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_do_not_read() {
        for text in ["~(", "~a)(b", "~[z-a]", "~\\", "~(a{1000}){1000}", "~*"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
