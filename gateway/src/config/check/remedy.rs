//! What to write in place of a value of another type: the right form, with what is written put into it where it is
//! plain what was meant. Nothing here decides whether a value is right.

use crate::config::problem::quoted;
use crate::config::schema::{Key, Kind, TableDef};
use crate::config::tree::{Node, Value};
use crate::config::value::quantity;
use crate::config::value::text::{
    ANY, HEADER_VALUE, HOST_PORT, LABEL, NOT_EMPTY, PATH_PATTERN, SENT_HOST, SOCKET, SOCKET_OR_EMPTY, TextKind,
    UPSTREAM, VALUE_MATCH,
};

const DURATIONS: &str = "a duration is written \"250ms\", \"5s\", \"10m\" or \"1h\"";
const SIZES: &str = "a size is written \"64KiB\", \"10MiB\", \"1GiB\" or \"0\"";
const RATES: &str = "a rate is written \"100/s\", \"600/m\" or \"36000/h\"";
/// Lists with more elements than this are not written anew in a message, and texts that are longer.
const MOST_SHOWN: usize = 8;
const LONGEST_SHOWN: usize = 60;

/// How values of a kind are written, where that is a form of its own.
pub(super) fn form(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Duration(..) | Kind::DurationOrZero(..) => Some(DURATIONS),
        Kind::Size(..) | Kind::SizeOrZero(..) => Some(SIZES),
        Kind::Rate => Some(RATES),
        _ => None,
    }
}

/// What to write in place of a value of another type, where one value stands. `path` is its key's, dotted.
pub(super) fn of_value(path: &str, node: &Node, kind: Kind) -> Option<String> {
    match kind {
        Kind::Bool => bool_meant(node).map(|meant| format!("write {meant}, without quotes")),
        Kind::Integer(min, max) => Some(of_integer(name(path), node, (min, max))),
        Kind::Number(..) => unquoted(node, kind).map(|number| format!("write it without quotes: {number}")),
        Kind::Text(text) => of_text(node, text),
        Kind::Choice(_) if fits_as_text(node, kind) => {
            shown(node).map(|word| format!("write it in quotes: {}", quoted(&word)))
        }
        Kind::Scalar if path.contains(".claims.") => {
            Some("write one value: the claim has to equal it, or to be a list that holds it".to_owned())
        }
        Kind::Scalar => Some("write one value".to_owned()),
        Kind::File | Kind::FileOrWord(_) => Some("write a path in quotes".to_owned()),
        Kind::Duration(..) | Kind::DurationOrZero(..) => Some(match node.value {
            Value::Integer(number) if number > 0 => format!("write the unit too: \"{number}s\", or \"{number}ms\""),
            _ => DURATIONS.to_owned(),
        }),
        Kind::Rate => Some(match node.value {
            Value::Integer(number) if number > 0 => format!("write for which time: \"{number}/s\", or \"{number}/m\""),
            _ => RATES.to_owned(),
        }),
        _ => form(kind).map(str::to_owned),
    }
}

/// The same where a table stands: `answer = 404` is `answer = { status = 404 }`. `None` for a file's own tables, and
/// where no key of the table takes such a value.
pub(super) fn of_table(path: &str, node: &Node, def: &TableDef) -> Option<String> {
    let (_, key) = path.rsplit_once('.')?;
    if matches!(node.value, Value::Bool(false))
        && let Some((off, value)) = def.off.first()
    {
        return Some(format!("write {key} = {{ {off} = {value} }}"));
    }
    // True says no more than that it is to be there.
    let (chosen, value) = chosen(def, node).filter(|_| !matches!(node.value, Value::Bool(_)))?;
    let missing = def.keys.iter().filter(|other| other.required && other.name != chosen.name);
    let missing: String = missing.map(|other| format!("{} = …, ", other.name)).collect();
    Some(format!("write {key} = {{ {missing}{} = {value} }}", chosen.name))
}

/// The same where true, false or a table stands.
pub(super) fn of_switch(path: &str, node: &Node, def: &TableDef) -> Option<String> {
    let switched = || bool_meant(node).map(|meant| format!("write {} = {meant}", name(path)));
    switched().or_else(|| of_table(path, node, def))
}

/// The same where a list stands.
pub(super) fn of_list(path: &str, node: &Node, element: Kind) -> String {
    let key = name(path);
    if let Kind::Table(def) = element {
        let needed: Vec<String> =
            def.keys.iter().filter(|key| key.required).map(|key| format!("{} = …", key.name)).collect();
        return format!("a list of tables is written {key} = [{{ {} }}]", needed.join(", "));
    }
    match listed(node, element) {
        Some(list) => format!("write {key} = {list}"),
        None => "a list is written [\"a\", \"b\"]".to_owned(),
    }
}

/// The same where a table stands whose keys are free.
pub(super) fn of_map(path: &str, node: &Node, keys: &TextKind, values: Kind) -> Option<String> {
    let value = match values {
        // Other gateways only ask whether something is there.
        Kind::Text(kind) if std::ptr::eq(kind, &VALUE_MATCH) => quoted("*"),
        Kind::Text(kind) => quoted(kind.example),
        Kind::Scalar => quoted("value"),
        _ => return None,
    };
    let names: Option<Vec<&str>> = match &node.value {
        Value::List(list) if list.len() <= MOST_SHOWN => list.iter().map(Node::text).collect(),
        _ => node.text().map(|text| vec![text]),
    };
    let is_shown = match &node.value {
        Value::List(list) => list.iter().all(|one| literal(one).is_some()),
        _ => literal(node).is_some(),
    };
    if let Some(pairs) =
        names.as_deref().filter(|_| is_shown && value == quoted("*")).and_then(|names| pairs(names, keys))
    {
        return Some(format!("write {} = {{ {pairs} }}", name(path)));
    }
    let names = names.filter(|names| !names.is_empty() && names.iter().all(|name| (keys.check)(name).is_ok()));
    let names = names.unwrap_or_else(|| vec![keys.example]);
    let entries: Vec<String> = names.iter().map(|name| format!("{} = {value}", bare(name))).collect();
    Some(format!("write {} = {{ {} }}", name(path), entries.join(", ")))
}

/// `a=1` and `a: 1` as entries of a table, where each text is such a one.
fn pairs(texts: &[&str], keys: &TextKind) -> Option<String> {
    let pair = |text: &&str| {
        let (key, value) = text.split_once(['=', ':'])?;
        let (key, value) = (key.trim(), value.trim());
        let is_right = (keys.check)(key).is_ok() && (VALUE_MATCH.check)(value).is_ok() && text.len() <= LONGEST_SHOWN;
        is_right.then(|| format!("{} = {}", bare(key), quoted(value)))
    };
    let pairs: Option<Vec<String>> = texts.iter().map(pair).collect();
    pairs.filter(|pairs| !pairs.is_empty()).map(|pairs| pairs.join(", "))
}

/// A key's own name.
fn name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A key as TOML has it.
fn bare(name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// The key of a table that takes this value: one that has to be there before others, and one that takes any text last.
fn chosen<'d>(def: &'d TableDef, node: &Node) -> Option<(&'d Key, String)> {
    let takes = |key: &'d Key| {
        let value = match key.kind {
            Kind::List(element, _) => listed(node, *element),
            kind => literal(node).filter(|_| fits(kind, node)),
        };
        value.map(|value| (key, value))
    };
    let strict = || def.keys.iter().filter(|key| !takes_anything(key.kind));
    let mut required = strict().filter(|key| key.required);
    let first = required.find_map(takes).or_else(|| strict().find_map(takes));
    first.or_else(|| def.keys.iter().find_map(takes))
}

fn takes_anything(kind: Kind) -> bool {
    let is_any =
        |kind: &'static TextKind| [&ANY, &NOT_EMPTY, &HEADER_VALUE, &LABEL].iter().any(|any| std::ptr::eq(*any, kind));
    match kind {
        Kind::Text(kind) => is_any(kind),
        Kind::List(element, _) => takes_anything(*element),
        Kind::File | Kind::FileOrWord(_) | Kind::Scalar | Kind::Anything => true,
        _ => false,
    }
}

/// A value as a list of such elements: itself, its parts between commas, or the list that it is.
fn listed(node: &Node, element: Kind) -> Option<String> {
    let within = |list: &[Node]| {
        let all = !list.is_empty() && list.len() <= MOST_SHOWN && list.iter().all(|one| fits(element, one));
        let written: Option<Vec<String>> = list.iter().map(literal).collect();
        written.filter(|_| all).map(|written| format!("[{}]", written.join(", ")))
    };
    if let Value::List(list) = &node.value {
        return within(list);
    }
    if fits(element, node) {
        return literal(node).map(|value| format!("[{value}]"));
    }
    let parts: Vec<&str> = node.text()?.split(',').map(str::trim).collect();
    let Kind::Text(kind) = element else { return None };
    let fit = parts.len() > 1 && parts.len() <= MOST_SHOWN && parts.iter().all(|part| (kind.check)(part).is_ok());
    let written = || parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(", ");
    (fit && literal(node).is_some()).then(|| format!("[{}]", written()))
}

/// Whether a value is one of a kind, its bounds and its form included.
fn fits(kind: Kind, node: &Node) -> bool {
    let text = |check: &dyn Fn(&str) -> bool| node.text().is_some_and(check);
    match kind {
        Kind::Bool => matches!(node.value, Value::Bool(_)),
        Kind::Integer(min, max) => matches!(node.value, Value::Integer(number) if (min..=max).contains(&number)),
        Kind::Number(min, max) => super::reader::number(node).is_some_and(|number| (min..=max).contains(&number)),
        Kind::Duration(..) | Kind::DurationOrZero(..) => text(&|text| quantity::duration(text).is_ok()),
        Kind::Size(..) | Kind::SizeOrZero(..) => text(&|text| quantity::size(text).is_ok()),
        Kind::Rate => text(&|text| quantity::rate(text).is_ok()),
        Kind::Choice(words) => text(&|text| words.contains(&text)),
        Kind::Text(kind) => text(&|text| (kind.check)(text).is_ok()),
        Kind::Scalar => literal(node).is_some() && node.list().is_none(),
        Kind::Short(short, _) => fits(*short, node),
        _ => false,
    }
}

/// A value as TOML has it, where it is short and no variable of the environment is in it, which may be a secret.
fn literal(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if text.written.is_none() && text.content.len() <= LONGEST_SHOWN => {
            Some(quoted(&text.in_a_file()))
        }
        Value::Text(_) => None,
        _ => shown(node),
    }
}

/// A number, or true or false, as it is written.
fn shown(node: &Node) -> Option<String> {
    match &node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// What others write for true and false.
fn bool_meant(node: &Node) -> Option<bool> {
    match (&node.value, node.text().map(str::to_ascii_lowercase).as_deref()) {
        (Value::Integer(1), _) | (_, Some("true" | "yes" | "on" | "1" | "enabled")) => Some(true),
        (Value::Integer(0), _) | (_, Some("false" | "no" | "off" | "0" | "none" | "disabled")) => Some(false),
        _ => None,
    }
}

/// A number that stands in quotes.
fn unquoted(node: &Node, kind: Kind) -> Option<String> {
    let text = node.text().filter(|_| literal(node).is_some())?;
    let value = match kind {
        Kind::Integer(..) => Value::Integer(text.parse().ok()?),
        _ => Value::Number(text.parse().ok()?),
    };
    fits(kind, &Node { at: node.at, value }).then(|| text.to_owned())
}

fn of_integer(key: &str, node: &Node, (min, max): (i64, i64)) -> String {
    if let Some(number) = unquoted(node, Kind::Integer(min, max)) {
        return format!("write it without quotes: {number}");
    }
    if key == "workers" && node.text() == Some("auto") {
        return "write 0, which is the default: one for each core".to_owned();
    }
    match node.value {
        Value::Number(_) if key == "weight" => {
            "weights are whole numbers, and count beside each other: 0.25 and 0.75 are 1 and 3".to_owned()
        }
        Value::Number(number) if number.fract() == 0.0 => format!("write it without a point: {number:.0}"),
        _ => format!("write a whole number without quotes, for example {}", 10.clamp(min, max)),
    }
}

fn fits_as_text(node: &Node, kind: Kind) -> bool {
    let written =
        shown(node).map(|text| Node { at: node.at, value: Value::Text(crate::config::tree::Text::plain(text)) });
    written.is_some_and(|node| fits(kind, &node))
}

fn of_text(node: &Node, kind: &'static TextKind) -> Option<String> {
    if let Value::List(list) = &node.value {
        return Some(of_several(list, kind));
    }
    let is = |other: &TextKind| std::ptr::eq(kind, other);
    match node.value {
        Value::Integer(port @ 0..=65_535) if is(&SOCKET) || is(&SOCKET_OR_EMPTY) => {
            Some(format!("write \"0.0.0.0:{port}\" for every address, or \"127.0.0.1:{port}\" for this machine alone"))
        }
        Value::Integer(port @ 0..=65_535) if is(&HOST_PORT) => {
            Some(format!("write the host too: \"127.0.0.1:{port}\""))
        }
        _ if fits_as_text(node, Kind::Text(kind)) => {
            shown(node).map(|text| format!("write it in quotes: {}", quoted(&text)))
        }
        _ => Some(format!("for example {}", quoted(kind.example))),
    }
}

/// A list stands where one text does.
fn of_several(list: &[Node], kind: &'static TextKind) -> String {
    let is = |other: &TextKind| std::ptr::eq(kind, other);
    let fitting = |one: &&Node| fits(Kind::Text(kind), one) && literal(one).is_some();
    if is(&SENT_HOST) && !list.iter().filter_map(Node::text).any(|word| matches!(word, "client" | "upstream")) {
        return "`host` is what the upstream is told: which hosts a route is for is `hosts = [ … ]`".to_owned();
    }
    if let [one] = list
        && let Some(value) = Some(one).filter(fitting).and_then(literal)
    {
        return format!("write it without brackets: {value}");
    }
    let words: Option<Vec<&str>> = list.iter().map(Node::text).collect();
    let is_plain =
        |word: &&str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b' '));
    match words.filter(|_| is(&VALUE_MATCH) && list.len() <= MOST_SHOWN && list.iter().all(|one| fitting(&one))) {
        Some(words) if words.len() > 1 && words.iter().all(is_plain) => {
            format!("one of several is a pattern: {}", quoted(&format!("~{}", words.join("|"))))
        }
        _ if is(&UPSTREAM) => {
            "several endpoints are `endpoints` of one [upstreams.NAME], and several upstreams of a route \
                               its `split`"
                .to_owned()
        }
        _ if is(&PATH_PATTERN) => {
            "write a route for each path, or `path_regex` beside one that takes them all".to_owned()
        }
        _ => format!("write one value, for example {}", quoted(kind.example)),
    }
}
