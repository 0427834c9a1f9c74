//! `[[aggregates]]` and `[[batches]]`.

use std::collections::HashMap;

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::tree::Node;
use crate::config::value::path_pattern;

/// Names in braces: `/users/{id}` has `id`, `/offers?tier={user.tier}` has `user.tier`.
fn placeholders(call: &str) -> impl Iterator<Item = &str> {
    call.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// Parts have names of their own, use what there is, and do not wait for each other in a circle.
pub(crate) fn parts(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    let pattern = aggregate.text("path");
    let Ok(segments) = path_pattern::parse(&pattern) else { return };
    let parameters = path_pattern::parameters(&segments);
    let mut names: HashMap<&str, usize> = HashMap::new();
    let parts = aggregate.nodes("parts");
    let text = |node: &'_ Node, key: &str| node.table().and_then(|table| table.get(key)).cloned();
    for (index, part) in parts.iter().enumerate() {
        let Some(name) = part.table().and_then(|table| table.get("name")) else { continue };
        if names.insert(name.text().unwrap_or(""), index).is_some() {
            context.report.error(name.at, format!("the part {} is there twice", quoted(name.text().unwrap_or(""))));
        }
    }
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
    for (index, part) in parts.iter().enumerate() {
        let Some(path) = text(part, "path") else { continue };
        for placeholder in placeholders(path.text().unwrap_or("")) {
            match placeholder.split_once('.').map(|(name, _)| names.get(name)) {
                Some(Some(&other)) => needs[index].push(other),
                None if parameters.contains(&placeholder) => {}
                _ => {
                    let message =
                        format!("{} is neither a parameter of the path nor a part's value", quoted(placeholder));
                    context.report.error(path.at, message);
                }
            }
        }
    }
    if let Some(index) = circle(&needs) {
        context.report.error(parts[index].at, "parts wait for each other in a circle");
    }
}

/// A part that can never start, if there is one: parts whose needs are met are taken away until none is left.
fn circle(needs: &[Vec<usize>]) -> Option<usize> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut waited_for: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (index, needed) in needs.iter().enumerate() {
        for &other in needed {
            waited_for[other].push(index);
        }
    }
    let mut ready: Vec<usize> = (0..needs.len()).filter(|&index| waiting[index] == 0).collect();
    while let Some(done) = ready.pop() {
        for &index in &waited_for[done] {
            waiting[index] -= 1;
            if waiting[index] == 0 {
                ready.push(index);
            }
        }
    }
    waiting.iter().position(|&open| open > 0)
}

/// What stands in for a missing part is JSON, as it becomes a part of a JSON document.
pub(crate) fn fallback_is_json(context: &mut Context<'_>, part: &Reader<'_>) {
    let Some(node) = part.get("fallback") else { return };
    let Some(text) = node.text() else { return };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        context.report.error(node.at, "a part's fallback is JSON");
    }
}

/// The one call says which items it wants.
pub(crate) fn ids_are_sent(context: &mut Context<'_>, request: &Reader<'_>) {
    let sent = ["path", "body"].iter().any(|key| request.text(key).contains("{ids}"));
    if !sent {
        context.report.error(request.at, "neither `path` nor `body` holds {ids}");
    }
}

#[cfg(test)]
mod tests {
    use super::circle;

    #[test]
    fn a_circle_is_found() {
        assert_eq!(circle(&[vec![], vec![0], vec![1, 0]]), None);
        assert_eq!(circle(&[vec![], vec![2], vec![1]]), Some(1));
        assert_eq!(circle(&[vec![0]]), Some(0));
    }
}
