//! `host:port` as endpoints and discovery write it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::punycode;
use crate::config::settings::upstream::Target;

/// Reads `127.0.0.1:9001`, `[::1]:9001` or `orders.internal:9001`.
pub(crate) fn parse(text: &str) -> Result<Target, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 { Err(port_zero()) } else { Ok(Target::Socket(address)) };
    }
    if text.contains("://") {
        return Err("an endpoint is HOST:PORT, without a scheme; `tls = {}` beside them speaks TLS".to_owned());
    }
    if let Some(why) = without_brackets(text) {
        return Err(why);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("the port is missing".to_owned());
    };
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("the port is missing".to_owned());
    }
    let port: u16 = port.parse().map_err(|_| "the port is above 65535".to_owned())?;
    if port == 0 {
        return Err(port_zero());
    }
    Ok(Target::Name(Arc::from(host_name(host)?), port))
}

/// What is wrong with an IPv6 address that a port follows, or should, where no brackets tell the two apart.
pub(crate) fn without_brackets(text: &str) -> Option<String> {
    let is_of_it = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    if text.matches(':').count() < 2 || !text.bytes().all(is_of_it) {
        return None;
    }
    let is_one = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    let parts = text.rsplit_once(':').filter(|(host, port)| is_one(host) && port.parse::<u16>().is_ok());
    let right = match parts {
        Some((host, port)) => format!("[{host}]:{port}"),
        None if is_one(text) => format!("[{text}]:PORT"),
        None => "[::1]:PORT".to_owned(),
    };
    Some(format!("an IPv6 address is in brackets, and its port behind them: {right}"))
}

/// A DNS name: labels of letters, digits, hyphens and underscores; lower case in the answer. The last label is no
/// number, so that a mistyped IP address is not taken for a name.
pub(crate) fn host_name(host: &str) -> Result<String, String> {
    let labels = host.strip_suffix('.').unwrap_or(host);
    let fits = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if labels.len() > 253 || !labels.split('.').all(fits) {
        return Err(no_host_name(host));
    }
    if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err("that is neither an IP address nor a host name".to_owned());
    }
    Ok(host.to_ascii_lowercase())
}

/// What keeps a text from being a host's name.
fn no_host_name(text: &str) -> String {
    let why = match text.rsplit_once(':') {
        _ if text.contains("://") => "it is written without its scheme",
        _ if text.contains('/') => "it is written without a path",
        Some((_, port)) if port.bytes().all(|b| b.is_ascii_digit()) => "it is written without its port",
        _ if text.contains('*') => "a star stands for no name here",
        _ if !text.is_ascii() => return punycode::remedy(text),
        _ => "it is labels of letters, digits and hyphens, with dots between",
    };
    why.to_owned()
}

/// A name without the dot of the root, which may end it: hosts are compared without, and names of TLS never have one
/// (RFC 6066, section 3).
pub(crate) fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// A host without a port: a name or an IP address (IPv6 in brackets), in its one canonical form.
pub(crate) fn host(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: IpAddr = inner.parse().map_err(|_| "that is no IPv6 address".to_owned())?;
        return Ok(format!("[{address}]"));
    }
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(address.to_string());
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err("an IPv6 address goes in brackets".to_owned());
    }
    host_name(text)
}

fn port_zero() -> String {
    "port 0 cannot be connected to".to_owned()
}
