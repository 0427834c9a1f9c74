//! `expect` of a request: the statuses that are right, as a list or with the headers of the answers that have them.

use loadgen::request::ExpectedHeader;
use loadgen::request::header::{HeaderError, Wanted};

use super::super::problem::Report;
use super::super::reader::Reader;
use super::super::tree::{Node, Value};

const KEYS: &[&str] = &["status", "headers", "upstream_headers"];

/// What a request expects of its answer.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Statuses that are right; empty means 200 to 399.
    pub(super) statuses: Vec<u16>,
    pub(super) headers: Vec<ExpectedHeader>,
}

/// Reads `expect = [200, 429]`, or `expect = { status = [200], headers = { x-a = "1" }, upstream_headers = { ... } }`.
pub(super) fn expected(reader: &Reader<'_>, report: &mut Report) -> Expected {
    let Some(node) = reader.node("expect") else { return Expected::default() };
    if node.table().is_none() {
        return Expected { statuses: statuses(node, "expect", report), headers: Vec::new() };
    }
    let Some(reader) = Reader::of(node, KEYS, report) else { return Expected::default() };
    let statuses = reader.node("status").map_or_else(Vec::new, |node| statuses(node, "status", report));
    let mut headers = read_headers(&reader, "headers", ExpectedHeader::of_answer, report);
    headers.extend(read_headers(&reader, "upstream_headers", ExpectedHeader::of_request, report));
    if headers.is_empty() && statuses.is_empty() && report.is_clean() {
        report.error_with(node.at, "nothing is expected here", "write `status`, `headers` or `upstream_headers`");
    }
    Expected { statuses, headers }
}

fn statuses(node: &Node, key: &str, report: &mut Report) -> Vec<u16> {
    let read = |node: &Node| match node.value {
        Value::Integer(status) => u16::try_from(status).ok().filter(|status| (200..600).contains(status)),
        _ => None,
    };
    let statuses: Option<Vec<u16>> = node.list().and_then(|list| list.iter().map(read).collect());
    statuses.unwrap_or_else(|| {
        let message = format!("`{key}` is a list of statuses from 200 to 599");
        match key {
            "expect" => {
                report.error_with(node.at, message, "or a table: { status = [200], headers = { x-a = \"1\" } }");
            }
            _ => report.error(node.at, message),
        }
        Vec::new()
    })
}

/// A table of names: a string is the value that it has, `true` is any value, `false` is none.
fn read_headers(
    reader: &Reader<'_>,
    key: &str,
    make: fn(&str, Wanted) -> Result<ExpectedHeader, HeaderError>,
    report: &mut Report,
) -> Vec<ExpectedHeader> {
    let Some(node) = reader.node(key) else { return Vec::new() };
    let Some(table) = node.table() else {
        report.error(node.at, format!("`{key}` is a table of header names"));
        return Vec::new();
    };
    let mut headers = Vec::new();
    for entry in &table.0 {
        let wanted = match &entry.node.value {
            Value::Text(value) => Wanted::Is(value.clone()),
            Value::Bool(true) => Wanted::Present,
            Value::Bool(false) => Wanted::Absent,
            _ => {
                let message =
                    format!("what is expected of `{}` is a string, true for any value, or false for none", entry.key);
                report.error(entry.node.at, message);
                continue;
            }
        };
        match make(&entry.key, wanted) {
            Ok(header) => headers.push(header),
            Err(HeaderError::Name(name)) => report.error(entry.key_at, format!("`{name}` is no name of a header")),
            Err(error) => report.error(entry.node.at, error.to_string()),
        }
    }
    headers
}
