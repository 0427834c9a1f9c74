//! Problems as text: `file:line:column: error: message`, then the line with a caret, then the advice.

use std::fmt::Write as _;

use super::{Place, Problem, Problems, Severity};

/// The longest part of a source line that is shown; a minified line would bury the message.
const MAX_SHOWN: usize = 120;
/// Characters kept before the caret of a cut line.
const LEAD: usize = 60;

struct Paint {
    colour: bool,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn severity(&self, severity: Severity) -> String {
        let code = if severity == Severity::Error { "1;31" } else { "1;33" };
        self.wrap(code, severity.as_str())
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn frame(&self, text: &str) -> String {
        self.wrap("1;34", text)
    }
}

/// One problem with its source line.
pub(super) fn problem(problem: &Problem, place: &Place, colour: bool) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    let file = printable(&problem.file.display().to_string());
    let head = format!("{file}:{}:{}:", problem.line, problem.column);
    let severity = paint.severity(problem.severity);
    let _ = writeln!(out, "{} {severity}: {}", paint.bold(&head), paint.bold(&printable(&problem.message)));
    let gutter = problem.line.to_string();
    let blank = " ".repeat(gutter.len());
    let (shown, indent, width) = window(place);
    let bar = paint.frame("|");
    let _ = writeln!(out, "{blank} {bar}");
    let _ = writeln!(out, "{} {bar} {shown}", paint.frame(&gutter));
    let caret = "^".repeat(width);
    let caret = paint.wrap(if problem.severity == Severity::Error { "1;31" } else { "1;33" }, &caret);
    let _ = writeln!(out, "{blank} {bar} {indent}{caret}");
    if let Some(help) = &problem.help {
        let _ = writeln!(out, "{blank} {} {}", paint.frame("= help:"), printable(help));
    }
    out
}

/// All problems and a line that counts them.
pub(super) fn problems(problems: &Problems, colour: bool) -> String {
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(out, "{}", problem.render(colour));
    }
    if problems.not_kept() > 0 {
        let _ = writeln!(out, "{} more are not shown", problems.not_kept());
    }
    let errors = problems.len();
    let warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let _ = write!(out, "{}", counted(errors, "problem"));
    if warnings > 0 {
        let _ = write!(out, ", {}", counted(warnings, "warning"));
    }
    out
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The part of the line to show, the blanks before the caret, and the caret's width.
fn window(place: &Place) -> (String, String, usize) {
    let characters: Vec<char> = place.text.chars().map(visible).collect();
    let column = place.column.saturating_sub(1).min(characters.len());
    let from = if characters.len() <= MAX_SHOWN { 0 } else { column.saturating_sub(LEAD) };
    let to = characters.len().min(from + MAX_SHOWN);
    let mut shown: String = characters[from..to].iter().collect();
    let mut indent: String = characters[from..column].iter().map(|c| if *c == '\t' { '\t' } else { ' ' }).collect();
    if from > 0 {
        shown.insert(0, '…');
        indent.insert(0, ' ');
    }
    if to < characters.len() {
        shown.push('…');
    }
    let width = place.width.min((to.saturating_sub(column)).max(1));
    (shown, indent, width)
}

/// Text without control characters.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// A character that is safe on a terminal. Tabs stay, as the caret line repeats them.
fn visible(c: char) -> char {
    let turns_text =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if (c.is_control() && c != '\t') || turns_text { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::source::{Source, Sources, Span};
    use super::super::Report;

    /// One error at a byte range of a text.
    fn shown(text: &str, range: std::ops::Range<usize>, colour: bool) -> String {
        let mut sources = Sources::default();
        let file = sources.add(Source::new(Path::new("a.toml"), text.to_owned()));
        let mut report = Report::default();
        report.error_with(Span::new(file, &range), "wrong", "right");
        report.finish(&sources).iter().map(|problem| problem.render(colour)).collect()
    }

    #[test]
    fn the_caret_stands_under_the_spot() {
        let expected = "a.toml:2:4: error: wrong\n  |\n2 | \tä b\n  | \t  ^\n  = help: right\n";
        assert_eq!(shown("x\n\tä b\r\n", 6..7, false), expected);
    }

    #[test]
    fn a_range_over_lines_is_marked_to_the_end_of_its_first() {
        assert_eq!(
            shown("a = [\n1]", 4..8, false),
            "a.toml:1:5: error: wrong\n  |\n1 | a = [\n  |     ^\n  = help: right\n"
        );
    }

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        assert!(shown("ab", 9..12, false).starts_with("a.toml:1:3: error: wrong\n  |\n1 | ab\n  |   ^\n"));
        assert!(shown("", 0..0, false).starts_with("a.toml:1:1: error: wrong\n"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_spot() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let lines: Vec<String> = shown(&text, 500..501, false).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "a.toml:1:501: error: wrong");
        assert!(lines[2].len() < 140 && lines[2].starts_with("1 | …a") && lines[2].ends_with("b…"), "{}", lines[2]);
        let under = lines[2].chars().nth(lines[3].chars().position(|c| c == '^').unwrap_or(0));
        assert_eq!(under, Some('X'));
    }

    #[test]
    fn colour_is_only_where_it_was_asked_for() {
        assert!(shown("ab", 0..1, true).contains("\u{1b}[1;31merror\u{1b}[0m"));
        assert!(!shown("ab", 0..1, false).contains('\u{1b}'));
    }
}
