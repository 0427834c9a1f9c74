//! `kind = "basic"`: users whose passwords are kept well, and do not go over networks as they are.

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::users_file;

/// A file of users can be read, and nobody finds passwords from it.
pub(crate) fn users(context: &mut Context<'_>, provider: &Reader<'_>) {
    let Some(node) = provider.get("users_file") else { return };
    let shown = quoted(node.shown());
    match context.file(node).map(|file| users_file::users(&file)) {
        Some(Err(why)) => context.report.error(node.at, format!("{shown}: {why}")),
        Some(Ok(read)) if read.users.is_empty() => {
            let help = "`htpasswd -B -C 12 FILE NAME` writes one";
            context.report.warning(node.at, format!("{shown} has no users: nobody is let in"), help);
        }
        Some(Ok(read)) => {
            if let Some(doubt) = read.doubt {
                context.report.warning(node.at, format!("{shown}: {doubt}"), "10 to 14 are usual today");
            }
        }
        None => {}
    }
}

/// A password is the same with each request: who reads one in the clear has it.
pub(crate) fn in_the_clear(context: &mut Context<'_>, route: &Reader<'_>) {
    let knows_https = route.def().key("https").is_some();
    if route.get("auth").is_none() || (knows_https && route.text("https") != "any") || context.has_trusted_proxies() {
        return;
    }
    let auth = route.table("auth");
    let asks = |name: &str| context.provider_kind(name) == Some("basic");
    let Some(node) = auth.nodes("providers").iter().find(|node| node.text().is_some_and(asks)) else { return };
    let Some(address) = context.listens_in_the_clear(&route.texts("listeners")) else { return };
    let message = format!("passwords for {} come in the clear over {address}", quoted(node.shown()));
    let help =
        "give the listener `tls`, write https = \"require\", or name the proxies that end TLS in `trusted_proxies`";
    context.report.warning(node.at, message, help);
}
