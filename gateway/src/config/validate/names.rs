//! Names that logs and metrics tell things apart by.

use std::collections::HashMap;

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::source::Span;
use crate::config::tree::Node;

/// Each name of routes, aggregates and batches once. What has no name has its path's; of several without a name on one
/// path all but the first are named by what tells them apart (`build::names`).
pub(crate) fn distinct<'a>(context: &mut Context<'_>, tables: impl Iterator<Item = Reader<'a>>) {
    let mut seen: HashMap<String, (Span, bool)> = HashMap::new();
    for table in tables {
        let written = table.get("name").is_some();
        let key = if written { "name" } else { "path" };
        let name = table.text(key).into_owned();
        let at = table.at(key);
        if name.is_empty() {
            continue;
        }
        let Some(&(first, was_written)) = seen.get(&name) else {
            seen.insert(name, (at, written));
            continue;
        };
        if !written && !was_written {
            continue;
        }
        let (file, place) = context.sources.locate(first);
        let message = format!(
            "the name {} is taken at {}:{}",
            quoted(table.get(key).map_or("", Node::shown)),
            file.display(),
            place.line
        );
        let help = if written { "each name is there once" } else { "without a `name` the path is the name; write one" };
        context.report.error_with(at, message, help);
    }
}
