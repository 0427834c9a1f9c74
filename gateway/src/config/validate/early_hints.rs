//! `early_hints`: there is an upstream that may give some, and each of its calls is one client's.

use crate::config::check::{Context, Reader};

/// What the gateway or its program answers itself comes without hints; nobody is passed any that may share a call.
pub(crate) fn somebody_gives_them(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them.
    let Some(node) = route.own("early_hints").filter(|node| node.text() != Some("off")) else { return };
    if let Some(own) = ["redirect", "answer", "handler"].into_iter().find(|key| route.get(key).is_some()) {
        let message = format!("`early_hints` passes on what an upstream says; this route has `{own}`");
        return context.report.error_with(node.at, message, "leave it out here");
    }
    if route.flag("coalesce") {
        let help = "coalesce = false on the route whose pages have hints, or leave them out";
        context.report.warning(node.at, "with `coalesce` nobody gets early hints of what others may get too", help);
    }
    if !route.nodes("stages").is_empty() {
        let help = "leave it out, or the stages";
        context.report.warning(
            node.at,
            "stages see what a client gets, and would not see early hints: none pass",
            help,
        );
    }
}
