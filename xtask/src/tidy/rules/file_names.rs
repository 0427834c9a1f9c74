//! Files are named by the thing that they hold.

use crate::tidy::tree::{Finding, Tree};

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "imp", "stuff"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("") {
        let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
        if let Some(name) = stem.split('/').find(|part| EMPTY_NAMES.contains(part)) {
            findings.push(Finding::new(file, 1, format!("`{name}` says nothing: name it by what it holds")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn names_say_what_is_inside() {
        let header = "//! X.";
        finds(check, &[("gateway/src/utilization.rs", header), ("docs/common.md", header)], &[]);
        let files = [("a/src/util.rs", header), ("a/tests/common/mod.rs", header)];
        finds(check, &files, &["a/src/util.rs:1", "a/tests/common/mod.rs:1"]);
    }
}
