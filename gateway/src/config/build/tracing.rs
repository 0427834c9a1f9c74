//! `[telemetry.tracing]`.

use std::sync::Arc;

use super::route::header_pairs;
use crate::config::check::Reader;
use crate::config::settings::telemetry::{Export, OtlpProtocol, Tracing, TrustTrace};

/// `[telemetry.tracing]`
pub(super) fn tracing(table: &Reader<'_>) -> Tracing {
    Tracing {
        sample_ratio: table.number("sample_ratio"),
        trust_incoming: match &*table.text("trust_incoming") {
            "trusted" => TrustTrace::Trusted,
            "never" => TrustTrace::Never,
            _ => TrustTrace::Always,
        },
        export: export(table),
    }
}

/// `None` where no endpoint is written.
fn export(table: &Reader<'_>) -> Option<Arc<Export>> {
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
        timeout: table.duration("otlp_timeout"),
        queue: table.integer("otlp_queue"),
    }))
}
