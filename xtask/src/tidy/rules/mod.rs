//! The rules, one file each.

mod changelog;
mod clock;
mod file_names;
mod headers;
mod isolation;
mod lines;
mod links;
mod purity;
mod reading;
mod sizes;
mod test_manners;
mod unfinished;

use super::tree::{File, Finding, Tree};

/// A rule of the layout.
pub(crate) struct Rule {
    /// The short name that findings carry.
    pub(crate) name: &'static str,
    /// All places that break it.
    pub(crate) check: fn(&Tree) -> Vec<Finding>,
    /// What is printed once below its findings, such as a table of what is allowed.
    pub(crate) background: Option<fn() -> String>,
}

const fn rule(name: &'static str, check: fn(&Tree) -> Vec<Finding>) -> Rule {
    Rule { name, check, background: None }
}

/// Every rule, in the order in which findings are printed.
pub(crate) const RULES: &[Rule] = &[
    rule("purity", purity::check),
    rule("clock", clock::check),
    Rule { name: "reading", check: reading::check, background: Some(reading::table) },
    Rule { name: "isolation", check: isolation::check, background: Some(isolation::table) },
    rule("file-size", sizes::check_files),
    rule("function-size", sizes::check_functions),
    rule("header", headers::check),
    rule("unfinished", unfinished::check),
    rule("file-name", file_names::check),
    rule("line", lines::check),
    rule("test-manners", test_manners::check),
    rule("link", links::check),
    rule("changelog", changelog::check),
];

/// What deserves a second look, but fails nothing.
pub(crate) fn warnings(tree: &Tree) -> Vec<Finding> {
    sizes::large_files(tree)
}

/// A file's text after what a machine can mend.
pub(crate) fn mend(file: &File) -> String {
    lines::mend(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_rules_share_a_name() {
        let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn an_empty_tree_lacks_only_a_changelog() {
        let tree = Tree::default();
        let broken: Vec<_> =
            RULES.iter().filter(|rule| !(rule.check)(&tree).is_empty()).map(|rule| rule.name).collect();
        assert_eq!(broken, ["changelog"]);
    }
}
