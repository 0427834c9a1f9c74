//! How rules are tested: a small tree, and the places that a rule finds in it.

use super::tree::{Finding, Tree};

/// Asserts that a rule finds exactly these `path:line` places in a tree of these files.
pub(super) fn finds(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[&str]) {
    let tree = Tree::new(files.iter().copied());
    let found: Vec<String> =
        rule(&tree).into_iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect();
    assert_eq!(found, expected, "in {files:#?}");
}
