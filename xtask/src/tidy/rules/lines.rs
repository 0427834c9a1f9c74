//! Lines of Rust are at most 120 characters; no line of any text ends in spaces.
//!
//! A line that holds an address of the web may be longer: it cannot be broken.

use crate::tidy::tree::{Finding, Tree};

const LINE_MAX: usize = 120;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let length = line.chars().count();
            if file.is_rust() && length > LINE_MAX && !line.contains("://") {
                findings.push(Finding::new(
                    file,
                    index + 1,
                    format!("{length} characters, above {LINE_MAX}: break it"),
                ));
            }
            if line.ends_with([' ', '\t']) {
                findings.push(Finding::new(file, index + 1, "the line ends in spaces: cut them"));
            }
        }
    }
    findings
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
}
