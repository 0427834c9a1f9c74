//! Links in Markdown that point into the repository point at something.
//!
//! Addresses of the web and anchors are not followed; code is not read.

use crate::tidy::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(&file.text) {
            let goal = resolve(folder, &target);
            if !goal.is_some_and(|goal| goal.is_empty() || tree.paths.contains(&goal)) {
                findings.push(Finding::new(file, line, format!("`{target}` is not in the repository: mend the link")));
            }
        }
    }
    findings
}

/// The links to files, with their lines: inline ones and reference definitions.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            in_fence = !in_fence;
            continue;
        }
        if in_fence {
            continue;
        }
        let line = without_code(line);
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let reference =
            line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, goal)| goal);
        for target in inline.chain(reference).filter_map(local_target) {
            found.push((index + 1, target));
        }
    }
    found
}

/// A line without its `code spans`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The file part of a link, if it points to a file.
fn local_target(link: &str) -> Option<String> {
    let target = link.trim().trim_start_matches('<').split([' ', '>']).next().unwrap_or("");
    let file = target.split(['#', '?']).next().unwrap_or("").replace("%20", " ");
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
    (!file.is_empty() && !is_elsewhere).then_some(file)
}

/// A link's goal from the root; `None` if it leaves the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let (start, target) = target.strip_prefix('/').map_or((folder, target), |target| ("", target));
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn a_link_to_a_missing_file_is_found() {
        let text = "[a](docs/a.md) and [b](docs/b.md#part)\n\n[c]: ../outside.md\n[d](docs/)\n";
        finds(check, &[("README.md", text), ("docs/a.md", "")], &["README.md:1", "README.md:3"]);
    }

    #[test]
    fn links_are_relative_to_their_file_or_to_the_root() {
        let text =
            "[up](../README.md) [root](/docs/a.md) [self](#here) [web](https://example.com/x.md) [n](b%20c.md \"t\")";
        finds(check, &[("docs/a.md", text), ("README.md", ""), ("docs/b c.md", "")], &[]);
    }

    #[test]
    fn code_is_not_read() {
        finds(check, &[("a.md", "```\n[x](nowhere)\n```\nand `[y](nowhere)` too\n")], &[]);
    }
}
