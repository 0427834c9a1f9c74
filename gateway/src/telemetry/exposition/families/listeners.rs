//! The families of listeners: connections, handshakes, and until when their certificates hold.

use super::ScrapeInputs;
use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::metrics::{Announcement, HandshakeResult, Registry};

/// What there is of each listener.
pub(super) fn render(page: &mut Page, registry: &Registry, inputs: &ScrapeInputs) {
    page.family("gateway_connections", Kind::Gauge, "Open client connections of a listener.");
    for listener in registry.listeners() {
        page.number(&[("listener", listener.name())], listener.open());
    }
    page.family("gateway_tls_handshakes_total", Kind::Counter, "TLS handshakes by what they came to.");
    for listener in registry.listeners() {
        for result in HandshakeResult::ALL {
            // A listener in the clear has none.
            let count = listener.handshakes(*result);
            if count > 0 {
                page.number(&[("listener", listener.name()), ("result", result.as_str())], count);
            }
        }
    }
    page.family(
        "gateway_proxy_protocol_total",
        Kind::Counter,
        "Connections where the PROXY protocol is spoken, by what was said of whose they are.",
    );
    for listener in registry.listeners() {
        for what in Announcement::ALL {
            // Where it is not spoken there are none.
            if listener.announcements(what) > 0 {
                let labels = [("listener", &**listener.name()), ("result", what.as_str())];
                page.number(&labels, listener.announcements(what));
            }
        }
    }
    page.family(
        "gateway_tls_certificate_expiry_seconds",
        Kind::Gauge,
        "When the first of a listener's certificates ends, seconds since the Unix epoch.",
    );
    for (listener, [expires, _]) in &inputs.certificates {
        page.float(&[("listener", listener)], *expires as f64);
    }
    page.family(
        "gateway_tls_certificate_due_seconds",
        Kind::Gauge,
        "When the first of a listener's certificates ought to have been replaced, seconds since the Unix epoch.",
    );
    for (listener, [_, due]) in &inputs.certificates {
        page.float(&[("listener", listener)], *due as f64);
    }
}
