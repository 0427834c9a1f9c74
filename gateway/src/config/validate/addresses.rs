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

/// Where connections begin with a word on whose they are, somebody is believed, and not everybody.
pub(crate) fn somebody_is_believed(context: &mut Context<'_>, root: &Reader<'_>) {
    let trusted = root.table("server").texts("trusted_proxies");
    let everybody = trusted.iter().find(|network| network.ends_with("/0"));
    for node in root.nodes("listeners") {
        let Some(table) = node.table() else { continue };
        let listener = Reader::new(Some(table), None, &LISTENER, node.at);
        if !listener.flag("proxy_protocol") {
            continue;
        }
        let at = listener.at("proxy_protocol");
        if trusted.is_empty() {
            let message =
                "proxy_protocol without trusted_proxies refuses every connection: nobody's header is believed";
            context.report.error_with(at, message, "write the balancers' networks in [server] trusted_proxies");
        } else if let Some(network) = everybody {
            let message = format!("with {network} in trusted_proxies anybody who connects chooses their own address");
            context.report.warning(at, message, "write the balancers' networks there, and no others");
        }
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
