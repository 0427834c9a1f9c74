//! Files and functions stay small: look twice at 300 lines a file, split at 500, at most 70 lines a function.
//!
//! Tests do not count in either. A function's lines are those of its body that hold code, as clippy counts them.

use crate::tidy::lexer::{block_end, is_word};
use crate::tidy::tree::{File, Finding, Tree};

const FILE_MAX: usize = 500;
const FILE_LARGE: usize = 300;
const FUNCTION_MAX: usize = 70;

pub(super) fn check_files(tree: &Tree) -> Vec<Finding> {
    files_above(tree, FILE_MAX, "split it by what its parts are about")
}

/// Files that are worth a second look.
pub(super) fn large_files(tree: &Tree) -> Vec<Finding> {
    files_above(tree, FILE_LARGE, "does it still hold one thing?")
}

fn files_above(tree: &Tree, limit: usize, what_to_do: &str) -> Vec<Finding> {
    let sized = tree.rust_in("").filter(|file| !file.is_test_file()).map(|file| (file, lines_outside_tests(file)));
    sized
        .filter(|(_, lines)| *lines > limit)
        .map(|(file, lines)| Finding::new(file, 1, format!("{lines} lines without tests, above {limit}: {what_to_do}")))
        .collect()
}

fn lines_outside_tests(file: &File) -> usize {
    (1..=file.text.lines().count()).filter(|line| !file.is_test_line(*line)).count()
}

pub(super) fn check_functions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("") {
        for (place, name, lines) in functions(&file.views.code) {
            let line = file.line_of(place);
            if lines > FUNCTION_MAX && !file.is_test_line(line) {
                let advice =
                    format!("`{name}` has {lines} lines, above {FUNCTION_MAX}: give its parts names of their own");
                findings.push(Finding::new(file, line, advice));
            }
        }
    }
    findings
}

/// Each function with a body: its place, its name, and how many lines of its body hold code.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (place, _) in code.match_indices("fn ") {
        let is_keyword = place == 0 || !is_word(code.as_bytes()[place - 1]);
        let rest = &code[place + 3..];
        let name = &rest[..rest.bytes().take_while(|byte| is_word(*byte)).count()];
        if !is_keyword || name.is_empty() {
            continue;
        }
        let Some(open) = body_start(code, place) else { continue };
        let end = block_end(code, open).unwrap_or(code.len());
        let lines = code[open + 1..end].lines().filter(|line| !line.trim().is_empty()).count();
        found.push((place, name, lines));
    }
    found
}

/// The place of the brace that opens a function's body; `None` for a declaration.
fn body_start(code: &str, place: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(place) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn a_file_of_500_lines_passes_and_one_more_does_not() {
        finds(check_files, &[("mocks/src/a.rs", &"x\n".repeat(500))], &[]);
        finds(check_files, &[("mocks/src/a.rs", &"x\n".repeat(501))], &["mocks/src/a.rs:1"]);
        finds(large_files, &[("mocks/src/a.rs", &"x\n".repeat(301))], &["mocks/src/a.rs:1"]);
    }

    #[test]
    fn tests_do_not_count() {
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(400), "y\n".repeat(200));
        finds(check_files, &[("mocks/src/a.rs", &tests), ("mocks/src/tests.rs", &"x\n".repeat(900))], &[]);
        let long = format!("#[test]\nfn story() {{\n{}}}\n", "a();\n".repeat(90));
        finds(check_functions, &[("mocks/src/a.rs", &long)], &[]);
    }

    #[test]
    fn a_function_of_70_lines_passes_and_one_more_does_not() {
        let of = |lines: usize| format!("\npub async fn f(a: [u8; 3]) -> X\n{{\n{}}}\n", "a();\n".repeat(lines));
        finds(check_functions, &[("mocks/src/a.rs", &of(70))], &[]);
        finds(check_functions, &[("mocks/src/a.rs", &of(71))], &["mocks/src/a.rs:2"]);
    }

    #[test]
    fn comments_blank_lines_and_declarations_do_not_count() {
        let body = format!("fn f() {{\n{}{}}}\n", "// why\n\n".repeat(60), "a();\n".repeat(70));
        finds(check_functions, &[("mocks/src/a.rs", &body)], &[]);
        let declared = format!("trait T {{ fn f(&self);\n type F = fn (u8);\n{} }}", "const A: u8 = 1;\n".repeat(90));
        finds(check_functions, &[("mocks/src/a.rs", &declared)], &[]);
    }
}
