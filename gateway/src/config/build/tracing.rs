//! `[telemetry.tracing]`.

use std::path::PathBuf;
use std::sync::Arc;

use super::route::header_pairs;
use crate::config::certificates;
use crate::config::check::Reader;
use crate::config::settings::telemetry::{Export, OtlpCa, OtlpProtocol, Tracing, TrustTrace};
use crate::config::source::Sources;

/// `[telemetry.tracing]`
pub(super) fn tracing(table: &Reader<'_>, sources: &Sources) -> Tracing {
    Tracing {
        sample_ratio: table.number("sample_ratio"),
        trust_incoming: match &*table.text("trust_incoming") {
            "trusted" => TrustTrace::Trusted,
            "never" => TrustTrace::Never,
            _ => TrustTrace::Always,
        },
        export: export(table, sources),
    }
}

/// `None` where no endpoint is written.
fn export(table: &Reader<'_>, sources: &Sources) -> Option<Arc<Export>> {
    let endpoint = table.text("otlp_endpoint");
    if endpoint.is_empty() {
        return None;
    }
    let mut headers = header_pairs(table, "otlp_headers");
    headers.iter_mut().for_each(|(_, value)| value.set_sensitive(true));
    Some(Arc::new(Export {
        protocol: if table.text("otlp_protocol") == "grpc" { OtlpProtocol::Grpc } else { OtlpProtocol::Http },
        endpoint: endpoint.as_ref().into(),
        headers,
        service_name: table.text("service_name").as_ref().into(),
        ca: table.get("otlp_ca").and_then(|node| Some(ca(sources.resolve(node.text()?, node.at)))),
        timeout: table.duration("otlp_timeout"),
        queue: table.integer("otlp_queue"),
    }))
}

/// What has gone since it was checked leaves nobody who is believed.
fn ca(file: PathBuf) -> OtlpCa {
    OtlpCa { certificates: certificates::chain(&file).unwrap_or_default(), file }
}
