//! `[telemetry.tracing]`.

use http::Uri;

use super::certificates;
use crate::config::check::{Context, Reader};
use crate::config::may_be_asked;
use crate::config::settings::telemetry::TRACES;

/// Headers that the gateway writes.
const OWN: [&str; 6] = ["content-type", "content-length", "transfer-encoding", "host", "te", "connection"];

/// The endpoint is where the collector is, and no more; secrets do not go there in the clear.
pub(crate) fn endpoint(context: &mut Context<'_>, tracing: &Reader<'_>) {
    let endpoint = tracing.text("otlp_endpoint");
    let Ok(uri) = endpoint.parse::<Uri>() else { return };
    let (at, path) = (tracing.at("otlp_endpoint"), uri.path().trim_end_matches('/'));
    let message = if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        "otlp_endpoint holds a user's name: write credentials in otlp_headers"
    } else if uri.query().is_some() {
        "otlp_endpoint holds a query, which collectors do not read"
    } else if path.ends_with(TRACES) {
        "otlp_endpoint ends in /v1/traces, which is added: write what stands before it"
    } else if tracing.text("otlp_protocol") == "grpc" && !path.is_empty() {
        "otlp_endpoint holds a path, which gRPC does not have: write scheme, host and port"
    } else {
        if !may_be_asked(&endpoint) && !tracing.map("otlp_headers").is_empty() {
            let help = "write https, or send them to a collector on this machine";
            context.report.warning(at, "otlp_headers are sent in the clear, which whoever listens can read", help);
        }
        return;
    };
    context.report.error(at, message);
}

/// Headers are not those that the gateway writes, and secrets come from the environment.
pub(crate) fn headers(context: &mut Context<'_>, tracing: &Reader<'_>) {
    for entry in tracing.map("otlp_headers") {
        let name = entry.key.to_ascii_lowercase();
        if OWN.contains(&&*name) || name.starts_with("grpc-") {
            context.report.error(entry.node.at, format!("the header `{name}` is written by the gateway"));
        } else if entry.node.text() == Some(entry.node.shown()) {
            let help = "write \"${NAME}\" for what is secret, and set that variable";
            context.report.warning(
                entry.node.at,
                "this value is written plainly: whoever reads the file, or sees a `gateway diff`, knows it",
                help,
            );
        }
    }
}

/// Who signs the collector's certificate can be read, and there is one to be signed.
pub(crate) fn ca(context: &mut Context<'_>, tracing: &Reader<'_>) {
    let Some(ca) = tracing.get("otlp_ca") else { return };
    let endpoint = tracing.text("otlp_endpoint");
    if certificates::roots(context, tracing, "otlp_ca") && !endpoint.starts_with("https:") {
        let message = "spans are not sent over TLS, so this decides nothing";
        context.report.warning(ca.at, message, "write an otlp_endpoint with https, or take `otlp_ca` away");
    }
}
