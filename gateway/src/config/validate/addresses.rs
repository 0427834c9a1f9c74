//! Listening addresses: each once, and admin where only operators reach it; and what is sent to the gateway itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::server::LISTENER;
use crate::config::settings::upstream::Target;
use crate::config::tree::{Node, Text};
use crate::config::value::text::{HOST_PORT, TextKind, UPSTREAM};
use crate::config::value::{host_port, upstream_url};
use crate::network::ends_at;

/// Admin off loopback has a token (contract, notes.md).
pub(crate) fn admin_needs_token(context: &mut Context<'_>, admin: &Reader<'_>) {
    let Ok(address) = admin.text("address").parse::<SocketAddr>() else { return };
    if !address.ip().is_loopback() && admin.get("token_env").is_none() {
        let message = format!("the admin address {address} is off loopback and has no token");
        context.report.error_with(admin.at("address"), message, "set token_env, or use 127.0.0.1");
    }
}

/// Where the gateway listens for clients.
pub(crate) fn of_listeners(root: &Reader<'_>) -> Vec<SocketAddr> {
    let written = root.nodes("listeners");
    if written.is_empty() {
        return usual_listener().into_iter().collect();
    }
    understood(root).filter_map(|listener| listener.text("address").parse().ok()).collect()
}

/// The listeners of which it is known where they are: not where the address is no text, and not where it is left out
/// beside a key that nobody knows. What holds by default is not what is meant there.
fn understood<'a>(root: &Reader<'a>) -> impl Iterator<Item = Reader<'a>> + use<'a> {
    let tables = root.nodes("listeners").iter().filter_map(|node| Some((node.table()?, node.at)));
    let readers = tables.map(|(table, at)| Reader::new(Some(table), None, &LISTENER, at));
    readers.filter(|listener| match listener.get("address") {
        Some(address) => address.text().is_some(),
        None => !listener.has_unknown(),
    })
}

/// Where it listens if nobody says where.
fn usual_listener() -> Option<SocketAddr> {
    LISTENER.key("address").and_then(|key| key.default?.trim_matches('"').parse().ok())
}

/// An endpoint, or a URL in the place of an upstream, is somebody else's address. Not that of admin: clients would come
/// in by a route. That of a listener goes round in a circle, unless another route is meant. What a name of DNS stands
/// for is not known here, but when it is connected to (`upstream/closed.rs`); admin itself refuses what came through a
/// proxy (`admin/access.rs`), and requests that come back again and again are refused (`context/passes.rs`).
pub(crate) fn is_somebody_elses(context: &mut Context<'_>, kind: &'static TextKind, node: &Node, text: &Text) {
    let target = if std::ptr::eq(kind, &HOST_PORT) {
        host_port::parse(&text.content).ok()
    } else if std::ptr::eq(kind, &UPSTREAM) && upstream_url::is_url(&text.content) {
        upstream_url::parse(&text.content).ok().map(|url| url.target)
    } else {
        None
    };
    let Some(target) = target else { return };
    if context.admin.is_some_and(|admin| leads_to(&target, admin)) {
        let message = format!("{} is the admin address, which no client may reach", quoted(text.shown()));
        let help = "write the service's own address, or give [admin] another one";
        context.report.error_with(node.at, message, help);
    } else if context.own.iter().any(|listener| leads_to(&target, *listener)) {
        let message = format!("{} is this gateway: what is sent there comes in again", quoted(text.shown()));
        let help = "write the service's own address; what goes in a circle is refused when it has come ten times";
        context.report.warning(node.at, message, help);
    }
}

/// Whether a connection to this ends at a listener of this machine.
fn leads_to(target: &Target, listener: SocketAddr) -> bool {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    match target {
        Target::Socket(to) => ends_at(*to, listener),
        Target::Name(name, port) => {
            let name = host_port::without_root(name);
            let is_here = name == "localhost" || name.ends_with(".localhost");
            is_here && loopback.into_iter().any(|ip| ends_at(SocketAddr::new(ip, *port), listener))
        }
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

/// No two listeners have one name: a route that names it means one of them.
pub(crate) fn named_apart(context: &mut Context<'_>, root: &Reader<'_>) {
    let mut taken: Vec<&str> = Vec::new();
    for node in root.nodes("listeners") {
        let Some(name) = node.table().and_then(|table| table.get("name")) else { continue };
        let Some(text) = name.text() else { continue };
        if taken.contains(&text) {
            context.report.error(name.at, format!("another listener is called {} already", quoted(name.shown())));
        }
        taken.push(text);
    }
}

/// No two listeners share an address, and admin has its own.
pub(crate) fn distinct(context: &mut Context<'_>, root: &Reader<'_>) {
    let mut taken: Vec<(SocketAddr, bool)> = Vec::new();
    for listener in understood(root) {
        let Ok(address) = listener.text("address").parse::<SocketAddr>() else { continue };
        let shares = listener.flag("reuse_port");
        // With `reuse_port` on both the kernel prefers the more specific one; else it refuses the later one.
        let clashes =
            |other: SocketAddr, their: bool| !(shares && their) && overlap(other, address) && !is_pair(other, address);
        let clash = taken.iter().find(|(other, their)| clashes(*other, *their));
        if taken.iter().any(|(other, _)| *other == address && address.port() != 0) {
            context.report.error(listener.at("address"), format!("another listener has the address {address} already"));
        } else if let Some((other, _)) = clash {
            let message = format!("{address} and the listener on {other} have addresses in common");
            let help = "leave one of both out: 0.0.0.0 is every address of IPv4, and [::] every one, IPv4 too";
            context.report.error_with(listener.at("address"), message, help);
        }
        taken.push((address, shares));
    }
    if root.nodes("listeners").is_empty() {
        taken.extend(usual_listener().map(|address| (address, false)));
    }
    let admin = root.table("admin");
    let Ok(address) = admin.text("address").parse::<SocketAddr>() else { return };
    if let Some((other, _)) = taken.iter().find(|(other, _)| overlap(*other, address)) {
        context.report.error(admin.at("address"), format!("a listener has the address {other}; admin needs its own"));
    }
}

/// Whether a connection could belong to both.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let holds = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    // The same address of a link is another one on each interface.
    let scope = |address: SocketAddr| if let SocketAddr::V6(it) = address { it.scope_id() } else { 0 };
    let are_same = a == b && (scope(one) == scope(other) || scope(one) == 0 || scope(other) == 0);
    one.port() == other.port() && one.port() != 0 && (are_same || holds(a, b) || holds(b, a))
}

/// `0.0.0.0` and `[::]`: each has its own family then.
fn is_pair(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip().is_unspecified() && other.ip().is_unspecified() && one.is_ipv4() != other.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j1_what_leads_to_a_listener_is_known_by_its_address() {
        let leads = |target: &str, listener: &str| {
            leads_to(&host_port::parse(target).unwrap(), listener.parse::<SocketAddr>().unwrap())
        };
        for (target, listener) in [
            ("127.0.0.1:9901", "127.0.0.1:9901"),
            ("[::ffff:127.0.0.1]:9901", "127.0.0.1:9901"),
            ("0.0.0.0:9901", "127.0.0.1:9901"),
            ("localhost:9901", "127.0.0.1:9901"),
            ("LOCALHOST.:9901", "127.0.0.1:9901"),
            ("admin.localhost:9901", "[::1]:9901"),
            ("[::]:9901", "[::1]:9901"),
            ("[::]:9901", "127.0.0.1:9901"),
            ("[::]:9901", "0.0.0.0:9901"),
            ("0.0.0.0:9901", "[::1]:9901"),
            ("0.0.0.0:9901", "[::]:9901"),
            ("127.0.0.1:9901", "0.0.0.0:9901"),
            ("127.0.0.2:9901", "[::]:9901"),
            ("10.0.0.7:9901", "10.0.0.7:9901"),
        ] {
            assert!(leads(target, listener), "{target} {listener}");
        }
        for (target, listener) in [
            ("127.0.0.1:9902", "127.0.0.1:9901"),
            ("127.0.0.2:9901", "127.0.0.1:9901"),
            ("[::1]:9901", "127.0.0.1:9901"),
            ("[::1]:9901", "0.0.0.0:9901"),
            ("localhost:9901", "10.0.0.7:9901"),
            ("0.0.0.0:9901", "10.0.0.7:9901"),
            ("[::]:9901", "127.0.0.1:9902"),
            ("orders.internal:9901", "127.0.0.1:9901"),
            // Perhaps another machine's.
            ("10.0.0.8:9901", "0.0.0.0:9901"),
            ("127.0.0.1:9901", "127.0.0.1:0"),
        ] {
            assert!(!leads(target, listener), "{target} {listener}");
        }
    }
}
