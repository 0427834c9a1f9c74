//! TOML text to a tree with places. Syntax errors are collected; what could be read goes on.

use toml::de::{DeTable, DeValue};

use super::duplicates::{self, Duplicate};
use super::environment::{self, Environment, Expanded, Unfilled};
use super::foreign::{self, Foreign};
use super::slips::{self, Slip};
use crate::config::problem::{Report, quoted};
use crate::config::source::Span;
use crate::config::tree::{Entry, Node, Table, Text, Value};

/// Tables and lists within each other; far more than any key needs.
const MAX_DEPTH: usize = 32;
/// Stack for the parser: it bounds brackets and dotted keys each for itself, so together they can go some thousand
/// deep.
const PARSER_STACK: usize = 64 << 20;

/// A file as a tree.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// What was understood.
    pub(crate) table: Table,
    /// Without syntax errors.
    pub(crate) complete: bool,
}

/// Reads a file's text. On syntax errors the tree holds what was understood.
pub(crate) fn parse(text: &str, file: u32, environment: &dyn Environment, report: &mut Report) -> Parsed {
    let whole = Span::new(file, &(0..0));
    let parsed = std::thread::scope(|scope| {
        let work = || parse_here(text, file, environment, report);
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok())
    });
    parsed.unwrap_or_else(|| {
        report.error(whole, "the file could not be parsed: no memory for its parser");
        Parsed::default()
    })
}

fn parse_here(text: &str, file: u32, environment: &dyn Environment, report: &mut Report) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(Foreign { at, message, help }) = errors.first().and_then(|_| foreign::program(text)) {
        report.error_with(Span::new(file, &at), message, help);
        return Parsed::default();
    }
    for Duplicate { at, message, help } in duplicates::duplicates(text, table.get_ref(), &errors) {
        report.error_with(Span::new(file, &at), message, help);
    }
    for slip in slips::told(text, &errors) {
        syntax(slip, (text, file), report);
    }
    let mut faults: Vec<usize> = errors.iter().filter_map(toml::de::Error::span).map(|span| span.start).collect();
    faults.sort_unstable();
    let mut converter = Converter { file, text, environment, report, faults };
    let mut entries = converter.table(table.get_ref(), 0);
    if let Some(at) = slips::unclosed_header(&errors) {
        entries.entries.retain(|entry| (entry.key_at.start as usize) < at);
    }
    // The parser keeps tables in the order in which they were finished; people read them in the order of the file.
    entries.entries.sort_by_key(|entry| entry.key_at);
    Parsed { table: entries, complete: errors.is_empty() }
}

fn syntax(slip: Slip, (text, file): (&str, u32), report: &mut Report) {
    if let Some(Foreign { at, message, help }) = foreign::lookalike(text, slip.at.start) {
        return report.error_with(Span::new(file, &at), message, help);
    }
    report.error_maybe(Span::new(file, &slip.at), slip.message, slip.help);
}

/// A value written in this program, such as a default. `None` if it is no TOML.
pub(crate) fn literal(toml: &'static str) -> Option<Node> {
    let plain = |value| Some(Node { at: Span::default(), value });
    match toml {
        "true" => return plain(Value::Bool(true)),
        "false" => return plain(Value::Bool(false)),
        "{}" => return plain(Value::Table(Table::default())),
        "[]" => return plain(Value::List(Vec::new())),
        _ => {}
    }
    let unquoted = toml.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(text) = unquoted.filter(|text| !text.contains(['"', '\\'])) {
        return plain(Value::Text(Text::plain(text)));
    }
    let value = DeValue::parse(toml).ok()?;
    let mut report = Report::default();
    let mut converter = Converter { file: 0, text: "", environment: &Nothing, report: &mut report, faults: Vec::new() };
    let node = converter.node(value.get_ref(), Span::default(), 0);
    (!report.has_errors()).then_some(node)
}

struct Nothing;

impl Environment for Nothing {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

struct Converter<'a> {
    file: u32,
    text: &'a str,
    environment: &'a dyn Environment,
    report: &'a mut Report,
    /// Where the parser found something, in order.
    faults: Vec<usize>,
}

impl Converter<'_> {
    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Table {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let key_at = Span::new(self.file, &key.span());
            let at = Span::new(self.file, &value.span());
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            // A table that was only implied by `[a.b]` has no place of its own.
            let at = if at.end == 0 { key_at } else { at };
            Entry { key: key.to_string(), key_at, node: self.node(value.get_ref(), at, depth + 1) }
        };
        Table { entries: table.iter().map(entry).collect() }
    }

    fn node(&mut self, value: &DeValue<'_>, at: Span, depth: usize) -> Node {
        if depth > MAX_DEPTH {
            self.report.error(at, "tables and lists are nested too deeply");
            return Node { at, value: Value::Broken };
        }
        let value = match value {
            DeValue::String(text) => self.string(text, at),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => Value::Integer(integer),
                Err(_) => self.broken(at, "the number is too large"),
            },
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Number(number),
                // What is no number at all has been told of.
                _ if self.is_faulty(at) => Value::Broken,
                _ => self.broken(at, "the number is not finite"),
            },
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(array) => {
                let element = |element: &toml::Spanned<DeValue<'_>>| {
                    let at = Span::new(self.file, &element.span());
                    self.node(element.get_ref(), at, depth + 1)
                };
                Value::List(array.iter().map(element).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, depth)),
        };
        Node { at, value }
    }

    fn string(&mut self, text: &str, at: Span) -> Value {
        match environment::expand(text, self.environment) {
            Ok(None) => Value::Text(Text::plain(text)),
            // What is literal all the same is of this file.
            Ok(Some(Expanded { content, is_filled_in: false })) => Value::Text(Text::plain(content)),
            Ok(Some(Expanded { content, .. })) => Value::Text(Text { content, written: Some(text.to_owned()) }),
            Err(Unfilled::NotSet(name)) => {
                let message = format!("the environment variable {} is not set", quoted(&name));
                let help = format!("set it, or write a default: ${{{name}:-value}}; {}", environment::AT_START);
                self.report.error_with(at, message, help);
                Value::Broken
            }
            Err(Unfilled::Malformed) => {
                let message = format!("{} is not a variable", quoted(text));
                let help = "a variable is ${NAME} or ${NAME:-default}; a literal ${ is written $${";
                self.report.error_with(at, message, help);
                Value::Broken
            }
        }
    }

    /// Whether the parser found something in it, or where it ends.
    fn is_faulty(&self, at: Span) -> bool {
        let first = self.faults.partition_point(|fault| *fault < at.start as usize);
        self.faults.get(first).is_some_and(|fault| *fault <= at.end as usize)
    }

    fn broken(&mut self, at: Span, message: &str) -> Value {
        let written = self.text.get(at.start as usize..at.end as usize).unwrap_or("");
        self.report.error(at, format!("{message}: {}", quoted(written)));
        Value::Broken
    }
}
