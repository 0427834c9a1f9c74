//! Calls of the admin API.

use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::metrics::{AdminAction, AdminResult, Registry};

/// Those that would change the gateway.
pub(super) fn render(page: &mut Page, registry: &Registry) {
    page.family(
        "gateway_admin_writes_total",
        Kind::Counter,
        "Calls that would change the gateway by its admin API, by what they asked for and what came of it.",
    );
    for (action, result) in
        AdminAction::ALL.iter().flat_map(|it| AdminResult::ALL.iter().map(move |result| (it, result)))
    {
        let count = registry.admin().total(*action, *result);
        if count > 0 {
            page.number(&[("action", action.as_str()), ("result", result.as_str())], count);
        }
    }
}
