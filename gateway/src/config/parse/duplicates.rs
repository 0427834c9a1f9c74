//! What is written twice: which key or table it is, and where it was first. The parser says only that it was.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::config::problem::quoted;

/// The parser's message.
const MESSAGE: &str = "duplicate key";
/// So many are told of; who has more has them to begin with.
const MOST: usize = 100;
/// First places that are looked for, and how far into a file: each is read again up to the second place.
const MOST_LOOKED_FOR: usize = 32;
const FARTHEST: usize = 256 << 10;

/// A key that is there twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// Where it is the second time.
    pub(super) at: Range<usize>,
    /// What is there twice, and where it was first.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: &'static str,
}

/// What the parser found twice in this text. Keys of a table that is itself there twice are nothing more.
pub(super) fn duplicates(text: &str, whole: &DeTable<'_>, errors: &[toml::de::Error]) -> Vec<Duplicate> {
    let spans = errors.iter().filter(|error| is_duplicate(error)).filter_map(toml::de::Error::span);
    let mut spans: Vec<Range<usize>> = spans.filter(|span| text.get(span.clone()).is_some()).collect();
    spans.sort_by_key(|span| span.start);
    spans.truncate(MOST);
    let mut found: Vec<Duplicate> = Vec::new();
    // Where the last table that is there twice begins.
    let mut twice = None;
    for at in spans {
        let header = header_before(text, at.start);
        if header == line_start(text, at.start) {
            twice = header;
        } else if twice.is_some() && header == twice {
            continue;
        }
        let is_looked_for = found.len() < MOST_LOOKED_FOR && at.start <= FARTHEST;
        found.push(told(text, whole, at, is_looked_for));
    }
    found
}

/// Whether an error is one of those.
pub(super) fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message() == MESSAGE
}

fn told(text: &str, whole: &DeTable<'_>, at: Range<usize>, is_looked_for: bool) -> Duplicate {
    let start = line_start(text, at.start).unwrap_or(0);
    let first = is_looked_for.then(|| first(text, whole, &at)).flatten();
    let line_text = text[start..].lines().next().unwrap_or_default().trim();
    let is_header = line_text.starts_with('[');
    let is_list = line_text.starts_with("[[");
    let name = if is_header {
        quoted(line_text.split('#').next().unwrap_or_default().trim_end())
    } else {
        quoted(text[at.clone()].trim_matches(['"', '\'']))
    };
    let help = match &first {
        Some(first) if is_header && first.is_list != is_list => {
            "each table of a list is [[NAME]], and one alone [NAME]"
        }
        _ if is_header => "write its keys below the first one",
        _ => "keep one of them",
    };
    let place = first.map(|first| format!(": first at line {}", line(text, first.at))).unwrap_or_default();
    Duplicate { at, message: format!("{name} is there twice{place}"), help }
}

/// Where a key was first.
struct First {
    at: usize,
    /// It is a list of tables.
    is_list: bool,
}

fn first(text: &str, whole: &DeTable<'_>, at: &Range<usize>) -> Option<First> {
    let start = line_start(text, at.start)?;
    let written = &text[start..at.end];
    let (name, _) = path(&format!("{} = 0", &text[at.clone()]))?.pop()?;
    if written.trim_start().starts_with('[') {
        let mut keys = path(text[start..].lines().next()?)?;
        let depth = keys.iter().position(|(_, key)| start + key.start == at.start)?;
        keys.truncate(depth);
        return entry(DeTable::parse_recoverable(&text[..start]).0.get_ref(), &keys, &name);
    }
    if let Some(inner) = inline(text, whole, at.start) {
        return entry(inner, &[], &name).filter(|first| first.at < at.start);
    }
    let mut dotted = path(&format!("{written} = 0"))?;
    dotted.pop();
    let header = header_before(text, at.start);
    let mut keys = header.map_or(Some(Vec::new()), |header| path(text[header..].lines().next()?))?;
    keys.append(&mut dotted);
    entry(DeTable::parse_recoverable(&text[..start]).0.get_ref(), &keys, &name)
}

/// The keys of a line with one header, or one key, and their places in it.
fn path(line: &str) -> Option<Vec<(String, Range<usize>)>> {
    let parsed = DeTable::parse(line).ok()?;
    let mut keys = Vec::new();
    let mut table = Some(parsed.get_ref());
    while let Some((key, value)) = table.and_then(|table| table.iter().next()) {
        keys.push((key.get_ref().to_string(), key.span()));
        table = last_table(value.get_ref());
    }
    (!keys.is_empty()).then_some(keys)
}

/// A table, or the last one of a list.
fn last_table<'t, 'i>(value: &'t DeValue<'i>) -> Option<&'t DeTable<'i>> {
    match value {
        DeValue::Table(table) => Some(table),
        DeValue::Array(list) => match list.iter().next_back()?.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        },
        _ => None,
    }
}

fn entry(root: &DeTable<'_>, keys: &[(String, Range<usize>)], name: &str) -> Option<First> {
    let mut table = root;
    for (key, _) in keys {
        let (_, value) = table.iter().find(|(it, _)| **it.get_ref() == **key)?;
        table = last_table(value.get_ref())?;
    }
    let (key, value) = table.iter().find(|(it, _)| **it.get_ref() == *name)?;
    Some(First { at: key.span().start, is_list: matches!(value.get_ref(), DeValue::Array(_)) })
}

/// The innermost table in braces around a place.
fn inline<'t, 'i>(text: &str, table: &'t DeTable<'i>, place: usize) -> Option<&'t DeTable<'i>> {
    let mut found = None;
    let mut ahead: Vec<&toml::Spanned<DeValue<'i>>> = table.values().collect();
    while let Some(value) = ahead.pop() {
        match value.get_ref() {
            DeValue::Table(inner) => {
                let span = value.span();
                let has_braces = text.get(span.start..).is_some_and(|rest| rest.starts_with('{'));
                if has_braces && span.contains(&place) {
                    found = Some(inner);
                    ahead.clear();
                }
                ahead.extend(inner.values());
            }
            DeValue::Array(list) => ahead.extend(list.iter()),
            _ => {}
        }
    }
    found
}

/// Where the line of the last header at or before a place begins.
fn header_before(text: &str, place: usize) -> Option<usize> {
    let mut end = line_start(text, place)?;
    loop {
        let line = text[end..].lines().next().unwrap_or_default();
        if is_header(line) {
            return Some(end);
        }
        end = line_start(text, end.checked_sub(1)?)?;
    }
}

/// Whether a line is a table's header, and not a part of a list in several lines.
fn is_header(line: &str) -> bool {
    let line = line.trim_start();
    let inside = line.split('#').next().unwrap_or_default().trim_end();
    inside.starts_with('[') && inside.ends_with(']') && !inside.contains([',', '='])
}

fn line_start(text: &str, place: usize) -> Option<usize> {
    Some(text.get(..place)?.rfind('\n').map_or(0, |end| end + 1))
}

fn line(text: &str, place: usize) -> usize {
    text.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let (table, errors) = DeTable::parse_recoverable(text);
        assert!(errors.iter().all(is_duplicate), "{errors:?}");
        let found = duplicates(text, table.get_ref(), &errors);
        found.iter().map(|it| format!("{}: {} ({})", line(text, it.at.start), it.message, it.help)).collect()
    }

    #[test]
    fn a_key_is_named_with_the_line_that_it_was_on() {
        let keep = "(keep one of them)";
        assert_eq!(told("a = 1\n\na = 2"), [format!("3: \"a\" is there twice: first at line 1 {keep}")]);
        assert_eq!(
            told("[[r]]\np = 1\n[[r]]\np = 2\nq = { p = 3 }\n# no\np = 4"),
            [format!("7: \"p\" is there twice: first at line 4 {keep}")],
            "of the same table"
        );
        assert_eq!(
            told("[s.t]\na.b = 1\nc = { b = 2 }\na.b = 3"),
            [format!("4: \"b\" is there twice: first at line 2 {keep}")]
        );
        assert_eq!(
            told("x = 1\nr = { x = 1, y = { x = 2 },\n x = 3 }"),
            [format!("3: \"x\" is there twice: first at line 2 {keep}")]
        );
        assert_eq!(told("\"a b\" = 1\n'a b' = 2"), [format!("2: \"a b\" is there twice: first at line 1 {keep}")]);
    }

    #[test]
    fn a_table_is_told_once_whatever_it_holds() {
        let below = "(write its keys below the first one)";
        assert_eq!(
            told("[s]\na = 1\n[u.x]\n[s] # again\na = 2\na = 3\nb = 1\n[u.x]\n[t]\nc = 1\nc = 2"),
            [
                format!("4: \"[s]\" is there twice: first at line 1 {below}"),
                format!("8: \"[u.x]\" is there twice: first at line 3 {below}"),
                "11: \"c\" is there twice: first at line 10 (keep one of them)".to_owned(),
            ]
        );
    }

    #[test]
    fn a_list_and_a_table_of_one_name_are_told_apart() {
        let help = "(each table of a list is [[NAME]], and one alone [NAME])";
        assert_eq!(told("[[r]]\na = 1\n[r]\n"), [format!("3: \"[r]\" is there twice: first at line 1 {help}")]);
        assert_eq!(told("[r]\na = 1\n[[r]]\n"), [format!("3: \"[[r]]\" is there twice: first at line 1 {help}")]);
    }
}
