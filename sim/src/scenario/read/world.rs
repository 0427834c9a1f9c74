//! `[gateway]`, `[mocks.NAME]`, `[redis]`: what the run starts.

use std::path::{Path, PathBuf};

use super::super::gateway::{Known, Template};
use super::super::model::{GatewayPart, KEY_SERVER, MockPart};
use super::super::problem::Report;
use super::super::reader::{Reader, is_name};
use super::super::source::{Sources, Span};
use super::super::topology::topology;
use super::super::tree::{Entry, Table, Value};
use super::root::read_file;

/// The keys of `[gateway]`.
pub(super) const GATEWAY_KEYS: &[&str] = &["instances", "config", "allow_loopback"];
const MOCK_KEYS: &[&str] = &["endpoints", "service_time", "servers", "calls", "call_headers", "tls"];
const TLS_KEYS: &[&str] = &["cert", "key"];
const REDIS_KEYS: &[&str] = &["instances"];
/// More processes than this on one machine measure only the machine.
const MOST_GATEWAYS: u64 = 8;
/// More endpoints than this of one service are a slip of the finger.
const MOST_ENDPOINTS: u64 = 256;

/// `[mocks.NAME]`, one at least.
pub(super) fn mocks(reader: &Reader<'_>, file: &Path, report: &mut Report) -> Vec<MockPart> {
    let Some(node) = reader.node("mocks") else {
        reader.missing("mocks", "write a table for each service: [mocks.orders]", report);
        return Vec::new();
    };
    match &node.value {
        Value::Table(table) if !table.0.is_empty() => {
            let clean = report.is_clean();
            let parts: Vec<MockPart> = table.0.iter().filter_map(|entry| mock(entry, file, report)).collect();
            if clean && report.is_clean() {
                ask_mocks(&parts, table, report);
            }
            parts
        }
        _ => {
            report.error(node.at, "write a table for each service: [mocks.orders]");
            Vec::new()
        }
    }
}

fn mock(entry: &Entry, file: &Path, report: &mut Report) -> Option<MockPart> {
    if !is_name(&entry.key) {
        report.error(entry.key_at, "a name is made of letters, digits, `_` and `-`");
    }
    let reader = Reader::of(&entry.node, MOCK_KEYS, report)?;
    let service_time = reader.parsed("service_time", report, |text| match mocks::Delay::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(message) => Err(message),
    });
    let servers = reader.integer("servers", 0..=10_000, report).unwrap_or(0);
    if servers > 0 && !reader.has("service_time") {
        report.error(reader.place("servers"), "servers without a `service_time` have nothing to do");
    }
    let endpoints = reader.integer("endpoints", 1..=MOST_ENDPOINTS, report).unwrap_or(1);
    let endpoints = usize::try_from(endpoints).unwrap_or(1);
    let calls = reader.texts("calls", report);
    let call_headers = reader.pairs("call_headers", report);
    if calls.is_empty() && reader.has("call_headers") {
        report.error(reader.place("call_headers"), "headers of calls without `calls` are sent to nobody");
    }
    if entry.key == KEY_SERVER && endpoints > 1 {
        report.error(reader.place("endpoints"), "`jwks` is the key server, which has one address");
    }
    if entry.key == KEY_SERVER && !calls.is_empty() {
        report.error(reader.place("calls"), "`jwks` is the key server, which calls nobody");
    }
    if entry.key == KEY_SERVER && reader.has("tls") {
        report.error(reader.place("tls"), "`jwks` is the key server, which is asked in the clear");
    }
    let tls = tls(&reader, file, report);
    Some(MockPart { name: entry.key.clone(), endpoints, service_time, servers, calls, call_headers, tls })
}

/// The files of a service's certificate and key, which lie beside the scenario.
fn tls(reader: &Reader<'_>, file: &Path, report: &mut Report) -> Option<(PathBuf, PathBuf)> {
    let part = Reader::of(reader.node("tls")?, TLS_KEYS, report)?;
    for key in TLS_KEYS.iter().filter(|key| !part.has(key)) {
        part.missing(key, "name a PEM file beside the scenario", report);
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut beside = |key| part.text(key, report).map(|name| std::path::absolute(folder.join(name)));
    Some((beside("cert")?.ok()?, beside("key")?.ok()?))
}

/// The mocks read their file as they will in the run, and say what they cannot do.
fn ask_mocks(parts: &[MockPart], table: &Table, report: &mut Report) {
    let Err(problems) = mocks::Builder::from_toml(&topology(parts)) else { return };
    for problem in problems.0 {
        // `services.orders.service_time`, `services.orders.calls[0].headers`
        let mut keys = problem.key.split('.').skip(1);
        let service = keys.next().and_then(|name| table.0.iter().find(|entry| entry.key == name));
        let key = keys.next().map(|key| key.split('[').next().unwrap_or(key));
        let key = if keys.next() == Some("headers") { Some("call_headers") } else { key };
        let key = key.and_then(|key| service?.node.table()?.0.iter().find(|entry| entry.key == key));
        let at = key.or(service).map_or_else(Span::default, |entry| entry.key_at);
        report.error(at, problem.message);
    }
}

/// `[redis]`.
pub(super) fn redis(reader: &Reader<'_>, report: &mut Report) -> bool {
    let Some(reader) = reader.node("redis").and_then(|node| Reader::of(node, REDIS_KEYS, report)) else { return false };
    reader.integer("instances", 0..=1, report).unwrap_or(0) == 1
}

/// `[gateway]` and the configuration that it names.
pub(super) fn gateway(
    reader: &Reader<'_>,
    file: &Path,
    mocks: &[MockPart],
    redis: bool,
    sources: &mut Sources,
    report: &mut Report,
) -> Option<GatewayPart> {
    let Some(node) = reader.node("gateway") else {
        reader.missing("gateway", "write [gateway] with config = \"FILE\"", report);
        return None;
    };
    let part = Reader::of(node, GATEWAY_KEYS, report)?;
    let instances = part.integer("instances", 1..=MOST_GATEWAYS, report).unwrap_or(1);
    if !part.has("config") {
        part.missing("config", "name the gateway's configuration, beside the scenario", report);
    }
    part.text("config", report)?;
    let path = config_path(reader, file);
    let text = match read_file(&path) {
        Ok(text) => text,
        Err(error) => {
            report.error(part.place("config"), format!("cannot read {}: {error}", path.display()));
            return None;
        }
    };
    let names: Vec<String> =
        mocks.iter().flat_map(|mock| (0..mock.endpoints).map(move |index| format!("{}/{index}", mock.name))).collect();
    let key_server = mocks.iter().any(|mock| mock.name == KEY_SERVER);
    let known = Known { endpoints: names.iter().map(String::as_str).collect(), redis, key_server };
    let number = sources.add(&path, text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let template = Template::read(sources, number, folder, &known, report);
    if key_server && !template.asks_key_server {
        let entries = reader.node("mocks").and_then(|node| node.table()).map_or(&[][..], |table| &table.0[..]);
        let at = entries.iter().find(|entry| entry.key == KEY_SERVER).map_or_else(Span::default, |entry| entry.key_at);
        let help = "write jwks = { url = \"mock://jwks\" } in a provider of the gateway's configuration";
        report.error_with(at, "`jwks` is the key server, and no provider asks it", help);
    }
    Some(GatewayPart { instances: usize::try_from(instances).unwrap_or(1), template })
}

/// The configuration's path, from the folder of the scenario.
pub(super) fn config_path(reader: &Reader<'_>, file: &Path) -> PathBuf {
    let table = reader.node("gateway").and_then(|node| node.table());
    let written = table.and_then(|table| table.get("config")).and_then(|node| node.text()).unwrap_or_default();
    file.parent().unwrap_or(Path::new("")).join(written)
}
