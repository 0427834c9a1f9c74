//! Nothing unfinished is committed: no markers for later in comments, no macros that stand for missing code.

use crate::tidy::lexer::is_word;
use crate::tidy::tree::{File, Finding, Tree};

const MARKERS: &[&str] = &["TODO", "FIXME", "XXX"];
const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in comment_lines(file) {
            if let Some(marker) = words(line).find(|word| MARKERS.contains(word)) {
                findings.push(Finding::new(file, number, format!("`{marker}`: do it now, or write an issue")));
            }
        }
        for (index, line) in file.views.code.lines().enumerate() {
            if let Some(name) = MACROS.iter().find(|name| calls_macro(line, name)) {
                findings.push(Finding::new(file, index + 1, format!("`{name}!`: write the code, or leave it out")));
            }
        }
    }
    findings
}

/// The lines that hold comments, numbered: of Rust its comments, of files with `#` comments those.
fn comment_lines(file: &File) -> Vec<(usize, &str)> {
    let is_rust = file.is_rust();
    let text = if is_rust { &file.views.comments } else { &file.text };
    let has_hash_comments = [".toml", ".sh", ".yml", ".yaml", ".ci/run"].iter().any(|end| file.path.ends_with(end));
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| is_rust || has_hash_comments && line.trim_start().starts_with('#')).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

fn calls_macro(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(place, _)| {
        let starts = place == 0 || !is_word(line.as_bytes()[place - 1]);
        starts && line[place + name.len()..].starts_with('!') && !line[place + name.len()..].starts_with("!=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn markers_in_comments_are_found() {
        let code = "fn a() {} // TODO: more\n/* FIXME */\nlet autodo = \"TODO\";\n// TODOS are fine\n";
        finds(check, &[("a.rs", code)], &["a.rs:1", "a.rs:2"]);
        finds(check, &[("a.toml", "# TODO: more\nkey = \"TODO\"\n"), ("a.md", "No TODO here.")], &["a.toml:1"]);
    }

    #[test]
    fn macros_that_stand_for_missing_code_are_found() {
        let code =
            "fn a() { todo!() }\nfn b() { std::unimplemented!(); }\nlet x = dbg!(y);\nlet z = todo != y;\nmy_dbg!(x)";
        finds(check, &[("a.rs", code)], &["a.rs:1", "a.rs:2", "a.rs:3"]);
    }
}
