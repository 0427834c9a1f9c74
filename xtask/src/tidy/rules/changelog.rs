//! There is a CHANGELOG.md with a place for what is not released yet (keepachangelog.com).

use crate::tidy::tree::{Finding, Tree};

const NAME: &str = "CHANGELOG.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let found = tree.files.iter().find(|file| file.path == NAME);
    if found.is_some_and(|file| file.text.contains("## [Unreleased]")) {
        return Vec::new();
    }
    let advice = "add the file with a section `## [Unreleased]`, and a line there for each change that a user notices";
    vec![Finding { path: NAME.to_owned(), line: 1, advice: advice.to_owned() }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn a_changelog_has_an_unreleased_section() {
        finds(check, &[("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")], &[]);
        finds(check, &[("CHANGELOG.md", "# Changelog\n")], &["CHANGELOG.md:1"]);
        finds(check, &[("docs/CHANGELOG.md", "## [Unreleased]\n")], &["CHANGELOG.md:1"]);
    }
}
