//! `[[aggregates]]`, and what holds for `[[batches]]` too.

use crate::algorithms::part_graph::{Circle, PartGraph};
use crate::config::check::{Context, Reader};
use crate::config::problem::{did_you_mean, quoted};
use crate::config::schema::route::ROUTE;
use crate::config::settings::aggregate::CallPiece;
use crate::config::tree::{Node, Value};
use crate::config::value::{call, path_pattern, quantity, text};

/// The most parts: each is a call that a single request makes.
const MOST_PARTS: usize = 32;

/// Its calls are GETs, so that it can answer nothing else: no body reaches them.
pub(crate) fn answers_get(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    for method in aggregate.nodes("methods") {
        if method.text().is_some_and(|method| !matches!(method, "GET" | "HEAD")) {
            let help = "its calls are GETs without a body: write methods = [\"GET\"], which answers HEAD too";
            context.report.error_with(method.at, "an aggregate answers GET and HEAD", help);
        }
    }
}

/// What keeps requests out by `[defaults.route]`, lets pages in or changes answers does nothing here: an aggregate or a
/// batch has no such keys, or its own.
pub(crate) fn defaults_that_do_not_hold(context: &mut Context<'_>, table: &Reader<'_>) {
    let Some(shared) = context.shared(&ROUTE, None) else { return };
    let what = if table.def().title == "[[batches]]" { "a batch" } else { "an aggregate" };
    let mut tell = |names: Vec<String>, help: &str| {
        if !names.is_empty() {
            let message = format!("{} of [defaults.route] does not hold for {what}", names.join(", "));
            context.report.warning(table.at("path"), message, help);
        }
    };
    let shared = Reader::new(Some(shared), None, &ROUTE, table.at);
    let written = ["https", "clients", "addresses", "forward_auth"].into_iter().filter(|key| shared.get(key).is_some());
    tell(
        written.map(quoted).collect(),
        "give it `auth`, or let routes that have these keys stand before its upstreams",
    );
    let says_something = |key: &&str| match shared.get(key).map(|node| &node.value) {
        Some(Value::List(list)) => !list.is_empty(),
        Some(Value::Table(table)) => !table.entries.is_empty(),
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Integer(number)) => *number != 0,
        _ => false,
    };
    let is_missing = |key: &&str| table.get(key).is_none() && !table.says_none(key);
    let own =
        ["listeners", "hosts", "rate_limits", "max_in_flight", "cors", "response_headers", "problems", "compress"];
    let is_own = |key: &&str| table.def().key(key).is_some();
    let (own, unknown): (Vec<&str>, Vec<&str>) = own.into_iter().filter(says_something).partition(is_own);
    tell(own.into_iter().filter(is_missing).map(quoted).collect(), "write it there too");
    tell(unknown.into_iter().map(quoted).collect(), "an item of a batch is not compressed");
    let kept = ["cache"].into_iter().filter(says_something);
    tell(kept.map(quoted).collect(), "what it answers is put together for each request, and is not kept");
}

/// Parts have names of their own, use what there is, and do not wait for each other in a circle.
pub(crate) fn parts(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    let pattern = aggregate.text("path");
    let Ok(segments) = path_pattern::parse(&pattern) else { return };
    let parameters = path_pattern::parameters(&segments);
    let parts = aggregate.nodes("parts");
    if parts.len() > MOST_PARTS {
        let help = "split it into several aggregates, or let an upstream answer more at once";
        context.report.error_with(aggregate.at("parts"), format!("more than {MOST_PARTS} parts"), help);
    }
    let names = names(parts);
    for (index, part) in parts.iter().enumerate() {
        if let Some(name) = node(part, "name")
            && name.text().is_some_and(|name| names[..index].contains(&name))
        {
            context.report.error(name.at, format!("the part {} is there twice", quoted(names[index])));
        }
    }
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
    for (index, part) in parts.iter().enumerate() {
        let Some(path) = node(part, "path") else { continue };
        // A path that is none was reported for itself.
        let Some(text) = path.text().filter(|text| (text::CALL.check)(text).is_ok()) else { continue };
        match call::parse(text, &parameters, &names) {
            Ok(pieces) => {
                if let Some(name) = call::misplaced(&pieces) {
                    let message = format!("{{query.{name}}} is not the whole value of a parameter of the call's query");
                    let help = format!("write it so: /path?{name}={{query.{name}}}");
                    context.report.error_with(path.at, message, help);
                }
                needs[index] = pieces
                    .iter()
                    .filter_map(|piece| if let CallPiece::Value(part, _) = piece { Some(*part) } else { None })
                    .collect();
            }
            Err(unknown) => {
                let message = format!("{} is neither a parameter of the path nor a part's value", quoted(&unknown));
                let help = did_you_mean(&unknown, parameters.iter().copied()).or_else(|| {
                    let part = names.iter().copied().find(|name| *name == unknown)?;
                    Some(format!("a value of that part's answer is written {{{part}.NAME}}"))
                });
                context.report.error_maybe(path.at, message, help);
            }
        }
        if let Err(problem) = fixed_shape(text) {
            context.report.error(path.at, problem);
        }
    }
    if let Err(Circle(way)) = PartGraph::new(&needs) {
        let round = way.iter().chain(way.first()).map(|part| quoted(names[*part])).collect::<Vec<_>>().join(" needs ");
        let message = format!("parts wait for each other in a circle: {round}");
        let help = "one of them has to do without the other's value";
        context.report.error_with(parts[way[0]].at, message, help);
    }
}

/// The parts' names, empty where one has none.
fn names(parts: &[Node]) -> Vec<&str> {
    parts.iter().map(|part| node(part, "name").and_then(Node::text).unwrap_or("")).collect()
}

fn node<'n>(table: &'n Node, key: &str) -> Option<&'n Node> {
    table.table().and_then(|table| table.get(key))
}

/// A call's path is in its one form, whatever its placeholders turn out to be.
pub(super) fn fixed_shape(text: &str) -> Result<(), String> {
    let path = call::sample(text);
    path_pattern::plain(&path)?;
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if is_dots(segment) || segment.is_empty() && segments.peek().is_some() {
            return Err("a call's path has no dot segments and no empty ones".to_owned());
        }
    }
    if text.split('/').filter_map(|segment| segment.split_once('{')).any(|(before, _)| is_dots(before)) {
        return Err("a value cannot follow dots alone in a segment: the whole might be a dot segment".to_owned());
    }
    Ok(())
}

/// A part's time is within the whole's.
pub(crate) fn parts_within_timeout(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    let Some(whole) = aggregate.timeout("timeout") else { return };
    for part in aggregate.nodes("parts") {
        let Some(timeout) = node(part, "timeout") else { continue };
        let one = timeout.text().and_then(|text| quantity::duration(text).ok());
        if one.is_some_and(|one| one > whole) {
            context.report.error(timeout.at, "the part's timeout is above the aggregate's");
        }
    }
}

/// A part is a whole document that is not compressed, so that no call may ask for anything else.
pub(crate) fn headers_of_call(context: &mut Context<'_>, part: &Reader<'_>) {
    let edits = part.table("request_headers");
    for node in edits.nodes("remove") {
        if node.text().is_some_and(|name| name.eq_ignore_ascii_case("accept-encoding")) {
            let message = "without accept-encoding an answer may be compressed";
            context.report.error_with(node.at, message, "leave it out: parts are not compressed");
        }
    }
    for entry in edits.map("set").iter().chain(edits.map("add")) {
        let name = entry.key.to_ascii_lowercase();
        if matches!(&*name, "accept-encoding" | "range") || name.starts_with("if-") {
            let message = format!("{} may bring an answer that is no part of a document", quoted(&name));
            let help = "leave it out: parts are asked for as a whole, and not compressed";
            context.report.error_with(entry.key_at, message, help);
        }
    }
}

/// What stands in for a missing part is JSON, as it becomes a part of a JSON document.
pub(crate) fn fallback_is_json(context: &mut Context<'_>, part: &Reader<'_>) {
    let Some(node) = part.get("fallback") else { return };
    let Some(text) = node.text() else { return };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        context.report.error(node.at, "a part's fallback is JSON");
    }
}
