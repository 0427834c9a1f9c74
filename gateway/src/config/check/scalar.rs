//! The check of single values: type, form, bounds, files.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use super::reader::number;
use super::{Context, other_words, remedy};
use crate::config::load::Purpose;
use crate::config::problem::{did_you_mean, quoted};
use crate::config::schema::Kind;
use crate::config::tree::{Node, Text, Value};
use crate::config::validate::addresses;
use crate::config::value::quantity::{self, show_duration, show_size};
use crate::config::value::text::{
    CIDR, CLIENT_NETWORK, EDIT_VALUE, HEADER_VALUE, METHOD, PARAMETER_VALUE, PATH_PATTERN, PATH_TEMPLATE, TextKind,
    cidr,
};
use crate::config::value::{edit_value, method, path_pattern};

/// Where files are looked for.
pub(crate) const FROM: &str = "a relative path starts from the folder of the file it is written in";

/// Checks a value that is neither list nor table; `path` is its key's, dotted. Says whether it is right.
pub(crate) fn check(context: &mut Context<'_>, node: &Node, kind: Kind, path: &str) -> bool {
    if !has_type(node, kind)
        && let Some(wanted) = wanted(kind)
    {
        return wrong_type(context, node, &wanted, remedy::of_value(path, node, kind).as_deref());
    }
    match kind {
        Kind::Integer(min, max) => match node.value {
            Value::Integer(integer) if !(min..=max).contains(&integer) => {
                refuse(context, node, format!("{integer} is not between {min} and {max}"), None)
            }
            _ => true,
        },
        Kind::Number(min, max) => match number(node) {
            Some(number) if !(min..=max).contains(&number) => {
                refuse(context, node, format!("{number} is not between {min} and {max}"), None)
            }
            _ => true,
        },
        Kind::Duration(min, max) => duration(context, node, min, max, false),
        Kind::DurationOrZero(min, max) => duration(context, node, min, max, true),
        Kind::Size(min, max) => size(context, node, min, max, false),
        Kind::SizeOrZero(min, max) => size(context, node, min, max, true),
        Kind::Rate => with_text(context, node, |context, node, text| {
            let read = quantity::rate(&text.content);
            read.is_ok() || bad_form(context, node, text, "a rate", &read.err().unwrap_or_default(), remedy::form(kind))
        }),
        Kind::Choice(words) => choice(context, node, words),
        Kind::Text(kind) => text_kind(context, node, kind),
        Kind::File => with_text(context, node, file_exists),
        Kind::FileOrWord(words) => with_text(context, node, |context, node, text| {
            if words.contains(&text.content.as_str()) {
                return true;
            }
            doubtful_file(context, node, text, words);
            folder_exists(context, node, text)
        }),
        _ => true,
    }
}

/// Whether a value is of the type that a kind has; of lists and tables nothing is said here.
fn has_type(node: &Node, kind: Kind) -> bool {
    match kind {
        Kind::Bool => matches!(node.value, Value::Bool(_)),
        Kind::Integer(..) => matches!(node.value, Value::Integer(_)),
        Kind::Number(..) => number(node).is_some(),
        Kind::Scalar => matches!(node.value, Value::Text(_) | Value::Integer(_) | Value::Number(_) | Value::Bool(_)),
        _ => matches!(node.value, Value::Text(_)) || wanted(kind).is_none(),
    }
}

/// What values of a kind are called; `None` for lists and tables.
fn wanted(kind: Kind) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match kind {
        Kind::Bool => "true or false",
        Kind::Integer(..) => "a whole number",
        Kind::Number(..) => "a number",
        Kind::Duration(..) | Kind::DurationOrZero(..) => "a duration",
        Kind::Size(..) | Kind::SizeOrZero(..) => "a size",
        Kind::Rate => "a rate",
        Kind::Choice(words) => return Some(Cow::Owned(one_of(words))),
        Kind::Text(kind) => kind.name,
        Kind::File | Kind::FileOrWord(_) => "a file's path",
        Kind::Scalar => "a string, a number or a boolean",
        _ => return None,
    }))
}

/// Reports a value of another type.
pub(crate) fn wrong_type(context: &mut Context<'_>, node: &Node, wanted: &str, help: Option<&str>) -> bool {
    if !matches!(node.value, Value::Broken) {
        let message = format!("expected {wanted}, found {}", node.value.type_name());
        context.report.error_maybe(node.at, message, help.map(str::to_owned));
    }
    false
}

fn refuse(context: &mut Context<'_>, node: &Node, message: String, help: Option<&str>) -> bool {
    context.report.error_maybe(node.at, message, help.map(str::to_owned));
    false
}

fn bad_form(context: &mut Context<'_>, node: &Node, text: &Text, what: &str, why: &str, help: Option<&str>) -> bool {
    // The reason may quote a part of the value, which a variable keeps secret.
    let why = if text.written.is_some() { String::new() } else { format!(": {why}") };
    refuse(context, node, format!("{} is not {what}{why}", quoted(text.shown())), help)
}

fn with_text(context: &mut Context<'_>, node: &Node, check: impl Fn(&mut Context<'_>, &Node, &Text) -> bool) -> bool {
    match &node.value {
        Value::Text(text) => check(context, node, text),
        // That has been said.
        _ => false,
    }
}

fn duration(context: &mut Context<'_>, node: &Node, min: u64, max: u64, zero: bool) -> bool {
    with_text(context, node, |context, node, text| {
        let duration = match quantity::duration(&text.content) {
            Ok(duration) => duration,
            Err(why) => {
                return bad_form(context, node, text, "a duration", &why, remedy::form(Kind::Duration(min, max)));
            }
        };
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if (min..=max).contains(&ms) || (zero && ms == 0) {
            return true;
        }
        let show = |ms| show_duration(std::time::Duration::from_millis(ms));
        let or_zero = if zero { ", or \"0s\"" } else { "" };
        let message = format!("{} is not between {} and {}{or_zero}", quoted(text.shown()), show(min), show(max));
        refuse(context, node, message, None)
    })
}

fn size(context: &mut Context<'_>, node: &Node, min: u64, max: u64, zero: bool) -> bool {
    with_text(context, node, |context, node, text| {
        let size = match quantity::size(&text.content) {
            Ok(size) => size,
            Err(why) => return bad_form(context, node, text, "a size", &why, remedy::form(Kind::Size(min, max))),
        };
        if (min..=max).contains(&size) || (zero && size == 0) {
            return true;
        }
        let or_zero = if zero { ", or \"0\"" } else { "" };
        let (min, max) = (show_size(min), show_size(max));
        refuse(context, node, format!("{} is not between {min} and {max}{or_zero}", quoted(text.shown())), None)
    })
}

fn choice(context: &mut Context<'_>, node: &Node, words: &'static [&'static str]) -> bool {
    with_text(context, node, |context, node, text| {
        if words.contains(&text.content.as_str()) {
            return true;
        }
        let near = || did_you_mean(&text.content, words.iter().copied());
        let help = other_words::of_value(&text.content, |ours| words.contains(&ours)).or_else(near);
        let message = format!("expected {}, found {}", one_of(words), quoted(text.shown()));
        context.report.error_maybe(node.at, message, help);
        false
    })
}

fn one_of(words: &[&str]) -> String {
    let listed = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    if words.len() == 1 { listed } else { format!("one of {listed}") }
}

/// Checks a text of a kind. Also used for the keys of tables with free keys.
pub(crate) fn text_kind(context: &mut Context<'_>, node: &Node, kind: &'static TextKind) -> bool {
    with_text(context, node, |context, node, text| match (kind.check)(&text.content) {
        Ok(()) => {
            if std::ptr::eq(kind, &METHOD) {
                doubtful_method(context, node, text);
            }
            if std::ptr::eq(kind, &PATH_PATTERN) {
                doubtful_path(context, node, text);
            }
            if std::ptr::eq(kind, &PATH_TEMPLATE) {
                doubtful_template(context, node, text);
            }
            if std::ptr::eq(kind, &CIDR) || std::ptr::eq(kind, &CLIENT_NETWORK) {
                doubtful_network(context, node, text);
            }
            if [&EDIT_VALUE, &HEADER_VALUE, &PARAMETER_VALUE].into_iter().any(|it| std::ptr::eq(kind, it)) {
                doubtful_value(context, node, text, kind);
            }
            addresses::is_somebody_elses(context, kind, node, text);
            true
        }
        Err(why) => {
            let ours = other_words::of_value(&text.content, |ours| (kind.check)(ours).is_ok());
            let query = || asks_for_a_query(kind, &text.content).map(str::to_owned);
            let help = ours.or_else(query).or_else(|| not_filled_in(text).map(str::to_owned));
            let help = help.unwrap_or_else(|| format!("for example {}", quoted(kind.example)));
            bad_form(context, node, text, kind.name, &why, Some(&help))
        }
    })
}

/// A variable as shells write it, or a template's place.
fn not_filled_in(text: &Text) -> Option<&'static str> {
    let name = text.content.strip_prefix('$').filter(|_| text.written.is_none());
    if name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')) {
        return Some("a variable of the environment is written ${NAME}");
    }
    text.content.contains("{{").then_some("this is a template that was not filled in")
}

/// Extension methods are legal, so a method that nobody knows is a warning.
fn doubtful_method(context: &mut Context<'_>, node: &Node, text: &Text) {
    let shown = quoted(text.shown());
    if text.content == "TRACE" {
        context.report.warning(
            node.at,
            format!("{shown} never matches"),
            "TRACE is refused before routes are looked at",
        );
    } else if matches!(text.content.as_str(), "*" | "ANY" | "ALL") {
        let help = "leave `methods` out: then it is any";
        context.report.warning(node.at, format!("{shown} is a method like another, and not any"), help);
    } else if !method::KNOWN.contains(&text.content.as_str()) {
        let near = did_you_mean(&text.content, method::KNOWN.iter().copied());
        let help = near.unwrap_or_else(|| "it is matched as written".to_owned());
        context.report.warning(node.at, format!("{shown} is not a known HTTP method"), help);
    }
}

/// Other gateways have signs of their own.
fn doubtful_path(context: &mut Context<'_>, node: &Node, text: &Text) {
    if let Some((segment, meant)) = path_pattern::foreign(&text.content) {
        let message = format!("{} in a path is matched as written", quoted(segment));
        context.report.warning(node.at, message, format!("perhaps {meant} is meant"));
    }
}

/// In others' new paths a number stands for a group of their pattern, or a variable for a value.
fn doubtful_template(context: &mut Context<'_>, node: &Node, text: &Text) {
    let Some(sign) = path_pattern::foreign_value(&text.content).filter(|_| text.written.is_none()) else { return };
    let message = format!("{} in a path is sent as written", quoted(sign));
    let help = "a parameter of the route's path is written {NAME}, and so is a group of `path_regex`: (?<NAME>…)";
    context.report.warning(node.at, message, help);
}

/// Where the query is said that somebody has written behind a path.
fn asks_for_a_query(kind: &'static TextKind, text: &str) -> Option<&'static str> {
    if !text.contains('?') {
        None
    } else if std::ptr::eq(kind, &PATH_PATTERN) {
        Some("what the query has to hold is `query = { NAME = \"value\" }` of the route")
    } else if std::ptr::eq(kind, &PATH_TEMPLATE) {
        Some(
            "the query goes on as it came; edits of it are `request_query = { set = { NAME = \"{id}\" } }` of the route",
        )
    } else {
        None
    }
}

/// Other gateways have variables of their own. What a variable of the environment holds is not looked into.
fn doubtful_value(context: &mut Context<'_>, node: &Node, text: &Text, kind: &'static TextKind) {
    if text.written.is_none() && std::ptr::eq(kind, &PARAMETER_VALUE) {
        encoded_twice(context, node, &text.content);
    }
    let Some((sign, meant)) = edit_value::foreign(&text.content).filter(|_| text.written.is_none()) else { return };
    let help = match meant {
        _ if std::ptr::eq(kind, &HEADER_VALUE) => "this value is the same for every request".to_owned(),
        Some(meant) => format!("perhaps {meant} is meant"),
        None => "values of the request are written {client_ip} here, a parameter of the path {NAME}".to_owned(),
    };
    context.report.warning(node.at, format!("{} in {} is sent as written", quoted(sign), kind.name), help);
}

/// What is written into a query is encoded by the gateway.
fn encoded_twice(context: &mut Context<'_>, node: &Node, text: &str) {
    let is_triplet = |rest: &&str| rest.bytes().skip(1).take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let triplet = text.match_indices('%').map(|(at, _)| &text[at..]).find(is_triplet).and_then(|rest| rest.get(..3));
    if let Some(triplet) = triplet {
        let message =
            format!("{} is sent as \"%25{}\": values are encoded for the query", quoted(triplet), &triplet[1..]);
        context.report.warning(node.at, message, "write it as the service is to read it");
    }
}

/// Who writes an address with a prefix length means one of both.
fn doubtful_network(context: &mut Context<'_>, node: &Node, text: &Text) {
    let Ok(network) = cidr(text.content.trim_start_matches('!')) else { return };
    // What a variable holds is not shown.
    if network.addr() != network.network() && text.written.is_none() {
        let message = format!("{} is all of {}", quoted(&text.content), network.trunc());
        let help = format!("write {}, or {} for the one address", network.trunc(), network.addr());
        context.report.warning(node.at, message, help);
    }
}

fn file_exists(context: &mut Context<'_>, node: &Node, text: &Text) -> bool {
    let path = context.sources.resolve(&text.content, node.at);
    context.held.look_at(&path);
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::PermissionDenied => {
            (reason(&error), "it has to be readable for the user that runs the gateway", false)
        }
        _ => (reason(&error), FROM, false),
    };
    let opened = match std::fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => Err(("it is not a file".to_owned(), FROM, true)),
        Ok(_) => std::fs::File::open(&path).map(drop).map_err(told),
        Err(error) => Err(told(error)),
    };
    let Err((why, help, is_here)) = opened else { return true };
    let message = format!("cannot read the file {}: {why}", quoted(text.shown()));
    if is_here {
        return refuse(context, node, message, Some(help));
    }
    context.is_not_here(node.at, message, Some(help));
    context.purpose == Purpose::CheckElsewhere
}

/// A word that others write for an output, or for none, is a file's name here.
fn doubtful_file(context: &mut Context<'_>, node: &Node, text: &Text, words: &[&str]) {
    let meant = match &*text.content.to_ascii_lowercase() {
        "stdout" | "stderr" | "console" | "syslog" | "journald" | "-" | "true" | "on" => "stdout",
        "off" | "none" | "no" | "false" | "null" | "nil" | "disabled" | "disable" | "discard" | "never" => "off",
        _ => return,
    };
    if words.contains(&meant) {
        let shown = quoted(text.shown());
        let help = format!("perhaps \"{meant}\" is meant; a file of this name is \"./{}\"", text.shown());
        context.report.warning(node.at, format!("{shown} is a file of this name"), help);
    }
}

fn folder_exists(context: &mut Context<'_>, node: &Node, text: &Text) -> bool {
    if text.content.is_empty() {
        return refuse(context, node, "expected a file's path, found nothing".to_owned(), None);
    }
    let path = context.sources.resolve(&text.content, node.at);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return refuse(context, node, format!("{} is a folder", quoted(text.shown())), None);
    }
    if !folder.is_dir() {
        context.is_not_here(node.at, format!("the folder of {} does not exist", quoted(text.shown())), None);
        return context.purpose == Purpose::CheckElsewhere;
    }
    // Who checks is perhaps another user than who runs it; who runs it is told when the file is opened.
    let written_to = if path.exists() { path.as_path() } else { folder };
    if context.purpose == Purpose::Check && rustix::fs::access(written_to, rustix::fs::Access::WRITE_OK).is_err() {
        let message = format!("{} cannot be written to by the user that asks now", quoted(text.shown()));
        context.report.warning(
            node.at,
            message,
            "the file and its folder have to be writable for the user that runs the gateway",
        );
    }
    true
}

/// The system's message in words, without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
