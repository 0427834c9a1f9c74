//! Text for a terminal of which clients, tokens, services or whoever wrote a file chose some words.

/// One line of it: nothing ends it early, moves the cursor, or turns what stands behind it round.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Text of a file, as it is shown in a report on it.
pub fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// A character that is safe on a terminal, and as wide as the one that it stands for: carets below it stay in place.
/// Tabs stay, as the line of carets repeats them.
pub fn visible(c: char) -> char {
    if (c.is_control() && c != '\t') || turns_text(c) { '\u{fffd}' } else { c }
}

/// Whether a character turns the direction of text (UAX #9), so that a line reads as something else.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_forges_no_line_and_moves_no_cursor() {
        assert_eq!(one_line("a \"b\" \\ é 書"), "a \"b\" \\ é 書", "what is plain stays as it is");
        assert_eq!(one_line("ada\nidentity   granted: root"), "ada\\u{a}identity   granted: root");
        assert_eq!(one_line("\u{1b}[2J\r\t\u{9b}31m"), "\\u{1b}[2J\\u{d}\\u{9}\\u{9b}31m");
        assert_eq!(one_line("\u{202e}\u{2028}\u{feff}\u{61c}"), "\\u{202e}\\u{2028}\\u{feff}\\u{61c}");
    }

    #[test]
    fn what_is_shown_of_a_file_keeps_its_columns() {
        assert_eq!(printable("a\t\u{1b}[2J\u{202e}é\n"), "a\t\u{fffd}[2J\u{fffd}é\u{fffd}");
    }
}
