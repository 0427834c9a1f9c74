//! The families of listeners: connections, handshakes, and until when their certificates and lists of
//! revoked ones hold.

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
    ends(page, CERTIFICATES, &inputs.certificates);
    ends(page, LISTS, &inputs.revocation_lists);
}

/// The names and words of when the first of something ends, and of when the first ought to have been replaced.
type Ends = [(&'static str, &'static str); 2];

const CERTIFICATES: Ends = [
    (
        "gateway_tls_certificate_expiry_seconds",
        "When the first of a listener's certificates ends, seconds since the Unix epoch.",
    ),
    (
        "gateway_tls_certificate_due_seconds",
        "When the first of a listener's certificates ought to have been replaced, seconds since the Unix epoch.",
    ),
];

const LISTS: Ends = [
    (
        "gateway_tls_crl_expiry_seconds",
        "When the first of a listener's lists of revoked certificates ends, seconds since the Unix epoch.",
    ),
    (
        "gateway_tls_crl_due_seconds",
        "When the first of a listener's lists of revoked certificates ought to have been replaced, seconds since the \
         Unix epoch.",
    ),
];

fn ends(page: &mut Page, names: Ends, listeners: &[(String, [i64; 2])]) {
    for (at, (name, words)) in names.into_iter().enumerate() {
        page.family(name, Kind::Gauge, words);
        for (listener, times) in listeners {
            page.float(&[("listener", listener)], times[at] as f64);
        }
    }
}
