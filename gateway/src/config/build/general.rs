//! `[server]`, `[[listeners]]`, `[admin]`, `[telemetry]`.

use std::sync::Arc;

use http::HeaderValue;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

use super::route::header_pairs;
use super::tracing;

use crate::config::certificates;
use crate::config::check::{Context, Reader};
use crate::config::ocsp;
use crate::config::parse::environment::Environment;
use crate::config::revocation_lists;
use crate::config::schema::server::{CERTIFICATE, LISTENER};
use crate::config::settings::listener::{ClientCertificates, ListenerTls, NamedCertificate, Stapled};
use crate::config::settings::server::{EscapedSlash, Http2Limits, Underscores};
use crate::config::settings::telemetry::{AccessLog, LogOutput, RecordedHeads, Recorder, Slow};
use crate::config::settings::{Admin, Listener, Server, Telemetry};
use crate::config::source::Sources;
use crate::config::value::{host_port, quantity, text};

/// The longest target that `http::Uri` can hold.
const MAX_TARGET: usize = 65_534;

/// `[server]`
pub(crate) fn server(table: &Reader<'_>) -> Server {
    Server {
        workers: table.integer("workers"),
        trusted_proxies: table.texts("trusted_proxies").iter().filter_map(|cidr| text::cidr(cidr).ok()).collect(),
        max_connections: table.integer("max_connections"),
        max_connections_per_ip: table.limit("max_connections_per_ip"),
        drain_timeout: table.duration("drain_timeout"),
        drain_delay: table.duration("drain_delay"),
        header_read_timeout: table.duration("header_read_timeout"),
        idle_timeout: table.duration("idle_timeout"),
        max_header_bytes: table.bytes("max_header_bytes"),
        max_headers: table.integer("max_headers"),
        max_uri_bytes: table.bytes::<usize>("max_uri_bytes").min(MAX_TARGET),
        max_body: table.bound("max_body"),
        body_match_memory: table.bytes("body_match_memory"),
        compress_memory: table.bytes("compress_memory"),
        cache_memory: table.bytes("cache_memory"),
        h2: Http2Limits {
            max_concurrent_streams: table.integer("h2_max_concurrent_streams"),
            stream_window: table.bytes("h2_stream_window"),
            connection_window: table.bytes("h2_connection_window"),
            keepalive: table.timeout("h2_keepalive"),
            max_resets_per_second: table.integer("h2_max_resets_per_second"),
        },
        preserve_header_case: table.flag("preserve_header_case"),
        answers_half_closed: table.text("half_closed") == "answer",
        via: Some(table.text("via")).filter(|name| !name.is_empty()).map(|name| Box::from(&*name)),
        own_headers: header_pairs(table, "own_headers"),
        problems: None,
        hsts: table.get("hsts").and_then(|_| hsts(&table.table("hsts"))),
        https_port: table.integer("https_port"),
        escaped_slash: if table.text("escaped_slash") == "keep" { EscapedSlash::Keep } else { EscapedSlash::Reject },
        merge_slashes: table.flag("merge_slashes"),
        underscores_in_headers: match &*table.text("underscores_in_headers") {
            "drop" => Underscores::Drop,
            "keep" => Underscores::Keep,
            _ => Underscores::Reject,
        },
        tls_handshake_timeout: table.duration("tls_handshake_timeout"),
        body_idle_timeout: table.duration("body_idle_timeout"),
        body_total_timeout: table.timeout("body_total_timeout"),
        max_in_flight: table.limit("max_in_flight"),
        shed_above_rss: table.bound("shed_above_rss"),
    }
}

fn hsts(table: &Reader<'_>) -> Option<HeaderValue> {
    let mut text = format!("max-age={}", table.duration("max_age").as_secs());
    for (key, directive) in [("include_subdomains", "; includeSubDomains"), ("preload", "; preload")] {
        if table.flag(key) {
            text.push_str(directive);
        }
    }
    text.try_into().ok()
}

/// `[[listeners]]`; the default one where none is written.
pub(crate) fn listeners(context: &Context<'_>, root: &Reader<'_>) -> Vec<Listener> {
    let listener = |table: Reader<'_>| {
        let address = table.text("address").parse().ok()?;
        let name = table.get("name").map(|_| table.text("name").into());
        let (reuse_port, proxy_protocol) = (table.flag("reuse_port"), table.flag("proxy_protocol"));
        Some(Listener { name, address, reuse_port, proxy_protocol, tls: tls(context, &table) })
    };
    let written = root.nodes("listeners");
    if written.is_empty() {
        return listener(Reader::new(None, None, &LISTENER, root.at)).into_iter().collect();
    }
    let tables = written.iter().filter_map(|node| Some(Reader::new(Some(node.table()?), None, &LISTENER, node.at)));
    tables.filter_map(listener).collect()
}

/// `tls`; `None` where it is not written.
fn tls(context: &Context<'_>, listener: &Reader<'_>) -> Option<Arc<ListenerTls>> {
    listener.get("tls")?;
    let table = listener.table("tls");
    let mut files = Vec::new();
    let mut staples = Vec::new();
    let mut certificate = |table: &Reader<'_>| {
        let (cert, key) = (context.path(table.get("cert")?)?, context.path(table.get("key")?)?);
        let bare = context.certificate(&cert, &key).ok();
        files.extend([cert, key]);
        let response = table.get("ocsp").and_then(|node| context.path(node));
        let staple = response.as_ref().zip(bare.as_ref()).and_then(|(file, bare)| ocsp::about(bare, file).ok());
        files.extend(response);
        let (Some(bare), Some(staple)) = (&bare, staple) else { return bare };
        let certificate = Arc::new(CertifiedKey { ocsp: Some(staple.der), ..CertifiedKey::clone(bare) });
        let until = staple.until.unwrap_or(i64::MAX);
        staples.push(Stapled { certificate: Arc::clone(&certificate), bare: Arc::clone(bare), until });
        Some(certificate)
    };
    let default = certificate(&table);
    let mut named = Vec::new();
    for node in table.nodes("certificates") {
        let table = Reader::new(Some(node.table()?), None, &CERTIFICATE, node.at);
        let names = table.texts("names");
        let names = names.iter().map(|name| host_port::without_root(name).to_ascii_lowercase().into()).collect();
        named.extend(certificate(&table).map(|certificate| NamedCertificate { names, certificate }));
    }
    let file = table.get("client_ca").and_then(|node| context.path(node));
    // Without any root no acceptor can be made: a file that has gone since it was checked lets nobody in.
    let roots = file.as_ref().and_then(|file| certificates::roots(file).ok());
    let mut roots = roots.unwrap_or_else(|| Arc::new(RootCertStore::empty()));
    files.extend(file);
    let mut revoked = Vec::new();
    for file in table.nodes("client_crl").iter().filter_map(|node| context.path(node)) {
        match revocation_lists::of_file(&file) {
            Ok(lists) => revoked.extend(lists),
            // The same of a list: nobody knows who was taken back.
            Err(_) => roots = Arc::new(RootCertStore::empty()),
        }
        files.push(file);
    }
    let clients = match &*table.text("client_auth") {
        "optional" => ClientCertificates::Optional(roots),
        "required" => ClientCertificates::Required(roots),
        _ => ClientCertificates::Unwanted,
    };
    Some(Arc::new(ListenerTls {
        default,
        named: named.into(),
        staples: staples.into(),
        clients,
        revoked: revoked.into(),
        files: files.into(),
    }))
}

/// `[admin]`; `None` when its address is empty.
pub(crate) fn admin(table: &Reader<'_>, environment: &dyn Environment) -> Option<Admin> {
    let address = table.text("address").parse().ok()?;
    let token = table.get("token_env").and_then(|node| environment.get(node.text()?));
    Some(Admin { address, token: token.filter(|token| !token.is_empty()) })
}

/// `[telemetry]`
pub(crate) fn telemetry(table: &Reader<'_>, sources: &Sources) -> Telemetry {
    let log = table.table("access_log");
    let output = match &*log.text("output") {
        "stdout" => LogOutput::Stdout,
        "off" => LogOutput::Off,
        path => LogOutput::File(sources.resolve(path, log.at("output"))),
    };
    let names = |key: &str| log.texts(key).iter().filter_map(|name| text::header_name(name).ok()).collect();
    Telemetry {
        access_log: AccessLog { output, sample: log.number("sample"), queue: log.integer("queue") },
        recorded: RecordedHeads {
            query: log.texts("query").into_iter().map(String::into_boxed_str).collect(),
            request: names("request_headers"),
            response: names("response_headers"),
        },
        recorder: recorder(&table.table("recorder")),
        tracing: tracing::tracing(&table.table("tracing"), sources),
    }
}

fn recorder(table: &Reader<'_>) -> Recorder {
    let written = table.text("slow");
    let slow = match written.strip_prefix('p') {
        Some(percent) => percent.parse().ok().map(Slow::Percentile),
        None => quantity::duration(&written).ok().filter(|from| !from.is_zero()).map(Slow::From),
    };
    Recorder {
        requests: table.integer("requests"),
        max_bytes: table.bytes("max_bytes"),
        slow: slow.unwrap_or(Slow::Never),
        sample: table.number("sample"),
    }
}
