//! How a load or a hostile client reaches its gateways: which listener, and what is spoken there.

use std::path::Path;

use gateway::config::settings::Listener;
use loadgen::announce::ProxyProtocol;
use loadgen::request::Protocol;
use loadgen::tls::{Tls, Trust};

use super::super::gateway::Checked;
use super::super::model::WayPart;
use super::super::problem::Report;
use super::super::reader::Reader;
use super::root::read_file;

const TLS_KEYS: &[&str] = &["ca", "full_handshakes"];
/// Whose certificate the gateways show: where they listen.
const HOST: &str = "127.0.0.1";
/// Requests at once on a connection where nothing is written, as `loadgen` has it.
const STREAMS: u64 = 100;
/// A configuration has no more listeners than this.
const MOST_LISTENERS: u64 = 64;

/// What a load's keys say of its way.
pub(super) fn way(reader: &Reader<'_>, file: &Path, report: &mut Report) -> WayPart {
    let http2 = reader.flag("http2", report);
    if reader.has("streams") && !http2 {
        report.error(reader.place("streams"), "requests at once on a connection need `http2 = true`");
    }
    let streams = reader.integer("streams", 1..=10_000, report).unwrap_or(STREAMS);
    let versions = [("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];
    WayPart {
        listener: listener(reader, report),
        protocol: match http2 {
            true => Protocol::Http2 { streams: usize::try_from(streams).unwrap_or(1) },
            false => Protocol::Http1,
        },
        tls: tls(reader, file, report),
        proxy_protocol: reader.word("proxy_protocol", &versions, report),
    }
}

/// The number of a listener.
pub(super) fn listener(reader: &Reader<'_>, report: &mut Report) -> usize {
    let listener = reader.integer("listener", 0..=MOST_LISTENERS, report).unwrap_or(0);
    usize::try_from(listener).unwrap_or(0)
}

fn tls(reader: &Reader<'_>, file: &Path, report: &mut Report) -> Option<Tls> {
    let node = reader.node("tls")?;
    let part = Reader::of(node, TLS_KEYS, report)?;
    if !part.has("ca") {
        part.missing("ca", "name who signed the listener's certificate, a PEM file beside the scenario", report);
    }
    let full = part.flag("full_handshakes", report);
    let path = file.parent().unwrap_or(Path::new("")).join(part.text("ca", report)?);
    let read = read_file(&path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let tls = read.and_then(|pem| {
        let tls = Tls::new(HOST, Trust::Own(pem.as_bytes()), !full);
        tls.map_err(|error| format!("{}: {error}", path.display()))
    });
    tls.map_err(|message| report.error(part.place("ca"), message)).ok()
}

/// Whether the listener of a way is there and speaks what the way does.
pub(super) fn check(way: &WayPart, reader: &Reader<'_>, checked: &Checked, report: &mut Report) {
    let Some(listener) = named(way.listener, reader, checked, report) else { return };
    let says = |says: bool, yes: &str, no: &str| if says { yes.to_owned() } else { no.to_owned() };
    if listener.tls.is_some() != way.tls.is_some() {
        let message = says(listener.tls.is_some(), "the listener speaks TLS", "the listener speaks no TLS");
        let help = says(listener.tls.is_some(), "write tls = { ca = \"FILE\" }", "choose another with `listener`");
        report.error_with(reader.place("tls"), message, help);
    }
    if listener.proxy_protocol != way.proxy_protocol.is_some() {
        let asks = listener.proxy_protocol;
        let message = says(asks, "the listener asks for the PROXY protocol", "the listener takes no PROXY protocol");
        let help = says(asks, "write proxy_protocol = \"v2\"", "choose another with `listener`");
        report.error_with(reader.place("proxy_protocol"), message, help);
    }
}

/// The listener with this number.
pub(super) fn named<'a>(
    number: usize,
    reader: &Reader<'_>,
    checked: &'a Checked,
    report: &mut Report,
) -> Option<&'a Listener> {
    let listeners = &checked.config.listeners;
    let listener = listeners.get(number);
    if listener.is_none() {
        let message = format!("the gateway's configuration has {} listeners, counted from 0", listeners.len());
        report.error(reader.place("listener"), message);
    }
    listener
}
