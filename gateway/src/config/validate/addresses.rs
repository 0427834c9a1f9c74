//! Listening addresses: each once, and admin where only operators reach it.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::check::{Context, Reader};
use crate::config::schema::server::LISTENER;

/// Admin off loopback has a token (contract, notes.md).
pub(crate) fn admin_needs_token(context: &mut Context<'_>, admin: &Reader<'_>) {
    let Ok(address) = admin.text("address").parse::<SocketAddr>() else { return };
    if !address.ip().is_loopback() && admin.get("token_env").is_none() {
        let message = format!("the admin address {address} is off loopback and has no token");
        context.report.error_with(admin.at("address"), message, "set token_env, or use 127.0.0.1");
    }
}

/// No two listeners share an address, and admin has its own.
pub(crate) fn distinct(context: &mut Context<'_>, root: &Reader<'_>) {
    let mut seen: HashMap<SocketAddr, ()> = HashMap::new();
    for node in root.nodes("listeners") {
        let Some(table) = node.table() else { continue };
        let listener = Reader::new(Some(table), None, &LISTENER, node.at);
        let Ok(address) = listener.text("address").parse::<SocketAddr>() else { continue };
        if address.port() != 0 && seen.insert(address, ()).is_some() {
            context.report.error(listener.at("address"), format!("another listener has the address {address} already"));
        }
    }
    if root.nodes("listeners").is_empty() {
        seen.extend(
            LISTENER.key("address").and_then(|key| key.default?.trim_matches('"').parse().ok()).map(|a| (a, ())),
        );
    }
    let admin = root.table("admin");
    let Ok(address) = admin.text("address").parse::<SocketAddr>() else { return };
    if seen.contains_key(&address) {
        context.report.error(admin.at("address"), format!("a listener has the address {address}; admin needs its own"));
    }
}
