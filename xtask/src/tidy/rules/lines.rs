//! Lines of Rust are at most 120 characters; no line of any text ends in spaces.
//!
//! A line may be longer where it cannot be broken: by an address of the web, or by a text in quotes. Comments that are
//! too long can be mended by machine (`cargo xtask tidy --fix`).

use crate::tidy::tree::{File, Finding, Tree};

const LINE_MAX: usize = 120;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let mut views = file.views.code.lines().zip(file.views.comments.lines());
        for (index, line) in file.text.lines().enumerate() {
            let (code, comment) = views.next().unwrap_or(("", ""));
            let length = line.chars().count();
            if file.is_rust() && length > LINE_MAX && !line.contains("://") && can_break(line, code, comment) {
                let advice = format!("{length} characters, above {LINE_MAX}: break it (`tidy --fix` breaks comments)");
                findings.push(Finding::new(file, index + 1, advice));
            }
            if is_written_by_hand(file) && line.ends_with([' ', '\t']) {
                findings.push(Finding::new(file, index + 1, "the line ends in spaces: cut them"));
            }
        }
    }
    findings
}

/// Whether a long line is long without the texts in quotes that it holds.
fn can_break(line: &str, code: &str, comment: &str) -> bool {
    // The lexer leaves blanks where a text was; words are apart by one.
    let words: usize = code.split_whitespace().map(|word| word.chars().count() + 1).sum();
    let indent = line.len() - line.trim_start().len();
    !comment.trim().is_empty() || words > 0 && indent + words > LINE_MAX
}

/// Whether spaces at the ends of a file's lines are ours to judge; a sample of bytes may need them.
fn is_written_by_hand(file: &File) -> bool {
    [".rs", ".md", ".toml", ".sh", ".yml", ".yaml", ".json", ".ci/run"].iter().any(|end| file.path.ends_with(end))
}

/// A file's text with its too long comment lines broken and spaces at the ends of lines cut.
pub(super) fn mend(file: &File) -> String {
    if !is_written_by_hand(file) {
        return file.text.clone();
    }
    let mut lines: Vec<String> = file.text.lines().map(|line| line.trim_end().to_owned()).collect();
    let mut at = 0;
    while at < lines.len() {
        if file.is_rust() {
            break_comment(&mut lines, at);
        }
        at += 1;
    }
    let mut text = lines.join("\n");
    if file.text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Moves the words of a comment line that stand past the limit to the next line, if that goes on with the same comment,
/// or to a new one.
fn break_comment(lines: &mut Vec<String>, at: usize) {
    let line = lines[at].clone();
    let prefix = comment_prefix(&line).to_owned();
    if prefix.is_empty() || line.chars().count() <= LINE_MAX || line.contains("://") || line.contains('|') {
        return;
    }
    let limit = line.char_indices().nth(LINE_MAX + 1).map_or(line.len(), |(place, _)| place);
    let Some(cut) = line[..limit].rfind(' ').filter(|cut| *cut > prefix.len()) else { return };
    let rest = line[cut + 1..].to_owned();
    lines[at].truncate(cut);
    match lines.get(at + 1).and_then(|next| continuation(next, &prefix)) {
        Some(text) => lines[at + 1] = format!("{prefix}{rest} {text}"),
        None => lines.insert(at + 1, format!("{prefix}{rest}")),
    }
}

/// The indent, slashes and the space of a line that is a comment and nothing else; empty for another.
fn comment_prefix(line: &str) -> &str {
    let indent = line.len() - line.trim_start().len();
    let mark = ["//! ", "/// ", "// "].into_iter().find(|mark| line[indent..].starts_with(mark));
    mark.map_or("", |mark| &line[..indent + mark.len()])
}

/// The text of a line that goes on with the same comment; lists, tables, headings and code begin something new.
fn continuation(next: &str, prefix: &str) -> Option<String> {
    let text = next.strip_prefix(prefix)?;
    let begins_new = text.is_empty() || text.starts_with(['-', '*', '|', '#', '`', ' ', '>', '[']);
    let is_numbered = text.starts_with(|letter: char| letter.is_ascii_digit());
    (!begins_new && !is_numbered).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn long_lines_and_spaces_at_the_end_are_found() {
        let long = "é".repeat(120);
        finds(check, &[("a.rs", &format!("{long}\n{long}x\n// https://example.com/{long}\n"))], &["a.rs:2"]);
        finds(check, &[("a.md", &format!("{long}{long}\nends \n\tno\n"))], &["a.md:2"]);
    }

    #[test]
    fn a_text_in_quotes_may_be_long() {
        let text = format!("    f(a, \"{}\");\n", "word ".repeat(40));
        let code = format!("    f({});\n", "word, ".repeat(40));
        finds(check, &[("a.rs", &format!("{text}{code}"))], &["a.rs:2"]);
        let raw = format!("let a = r#\"\n{}\n\"#;\n", "word ".repeat(40).trim());
        finds(check, &[("a.rs", &raw), ("a.http", "Host: x \n")], &[]);
        let tail = format!("f(\"{}\"); // why\n", "word ".repeat(40));
        finds(check, &[("a.rs", &tail)], &["a.rs:1"]);
    }

    #[test]
    fn long_comments_are_broken_by_machine() {
        let words = "word ".repeat(23);
        let text = format!("//! {words}one\n//! two three.\n//! - {words}a\n//!\nfn a() {{}}  \n    // {words}x y\n");
        let mended = mend(&Tree::new([("a.rs", text.as_str())]).files[0]);
        let expected = format!(
            "//! {}\n//! one two three.\n//! - {}\n//! a\n//!\nfn a() {{}}\n    // {}\n    // word x y\n",
            words.trim(),
            words.trim(),
            "word ".repeat(22).trim(),
        );
        assert_eq!(mended, expected);
        finds(check, &[("a.rs", &mended)], &[]);
    }
}
