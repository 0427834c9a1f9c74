//! Every Rust file begins by saying what it is for.

use crate::tidy::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let without = tree.rust_in("").filter(|file| !has_header(&file.text));
    without.map(|file| Finding::new(file, 1, "begin the file with `//!`: its purpose and its invariants")).collect()
}

fn has_header(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    lines.next().and_then(|line| line.strip_prefix("//!")).is_some_and(|header| !header.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn a_file_begins_with_its_purpose() {
        finds(check, &[("a.rs", "//! Keeps count.\nfn a() {}"), ("b.rs", "#![no_std]\n\n//! Counts.\n")], &[]);
        finds(check, &[("a.rs", "fn a() {}\n//! Late.")], &["a.rs:1"]);
        finds(check, &[("a.rs", "//!\nfn a() {}"), ("b.rs", "")], &["a.rs:1", "b.rs:1"]);
        finds(check, &[("README.md", "no header")], &[]);
    }
}
