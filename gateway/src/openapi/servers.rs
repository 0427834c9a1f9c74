//! Where clients ask: the listeners, under the names of the hosts that a route is for.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::settings::route::HostPattern;

/// A place where clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// The address, its port resolved where it is known.
    pub address: SocketAddr,
    /// Whether TLS is spoken there.
    pub is_secure: bool,
}

impl Listening {
    fn scheme(self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// `:8080`; nothing for the usual one.
    fn port(self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.address.port() == usual { String::new() } else { format!(":{}", self.address.port()) }
    }

    /// What a browser calls it that has reached this machine as `host`.
    pub fn origin(self, host: &str) -> String {
        let ip = self.address.ip();
        let host = match ip {
            _ if ip.is_unspecified() => host.to_owned(),
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        };
        format!("{}://{host}{}", self.scheme(), self.port())
    }
}

/// The listeners as they are.
pub(super) fn of_listeners(listeners: &[Listening]) -> Vec<Value> {
    let server = |listening: &Listening| {
        if listening.address.ip().is_unspecified() {
            let url = format!("{}://{{host}}{}", listening.scheme(), listening.port());
            let host = json!({ "default": "localhost", "description": "Any name or address of the gateway." });
            return json!({ "url": url, "variables": { "host": host } });
        }
        json!({ "url": listening.origin("localhost") })
    };
    let mut servers: Vec<Value> = Vec::new();
    for listening in listeners {
        let server = server(listening);
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The listeners under the names of these hosts.
pub(super) fn of_hosts(listeners: &[Listening], hosts: &[HostPattern]) -> Vec<Value> {
    let mut servers: Vec<Value> = Vec::new();
    for host in hosts {
        for listening in listeners {
            let (scheme, port) = (listening.scheme(), listening.port());
            let server = match host {
                HostPattern::Exact(name) => json!({ "url": format!("{scheme}://{name}{port}") }),
                HostPattern::Wildcard(suffix) => json!({
                    "url": format!("{scheme}://{{subdomain}}.{suffix}{port}"),
                    "variables": { "subdomain": { "default": "www", "description": "One label or more." } },
                }),
            };
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers
}

/// Whether a route of these hosts is there for a client that asks for this one.
pub(super) fn are_for(hosts: &[HostPattern], asked: Option<&str>) -> bool {
    let Some(asked) = asked else { return true };
    let matches = |host: &HostPattern| match host {
        HostPattern::Exact(name) => name == asked,
        HostPattern::Wildcard(suffix) => asked.strip_suffix(suffix.as_str()).is_some_and(|label| label.ends_with('.')),
    };
    hosts.is_empty() || hosts.iter().any(matches)
}

/// Whether a route of these listeners is there for a client that comes by this one.
pub(super) fn is_reached_by(listeners: &[Arc<str>], asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| listeners.is_empty() || listeners.iter().any(|name| **name == *asked))
}

/// A name that a route of these hosts is asked by.
pub(super) fn sample_of(hosts: &[HostPattern], asked: Option<&str>) -> String {
    match (asked, hosts.first()) {
        (Some(asked), _) => asked.to_owned(),
        (None, None) => String::new(),
        (None, Some(HostPattern::Exact(name))) => name.clone(),
        (None, Some(HostPattern::Wildcard(suffix))) => format!("{}.{suffix}", super::template::SAMPLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str, is_secure: bool) -> Listening {
        Listening { address: address.parse().unwrap(), is_secure }
    }

    #[test]
    fn a_listener_on_every_address_has_a_name_to_fill_in() {
        let servers = of_listeners(&[at("127.0.0.1:8080", false), at("0.0.0.0:443", true), at("[::]:443", true)]);
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0]["url"], "http://127.0.0.1:8080");
        assert_eq!(servers[1]["url"], "https://{host}");
        assert_eq!(at("[::1]:80", false).origin("x"), "http://[::1]");
        assert_eq!(at("0.0.0.0:8443", true).origin("10.0.0.7"), "https://10.0.0.7:8443");
    }

    #[test]
    fn hosts_are_told_by_their_names_and_matched_as_routing_does() {
        let hosts = [HostPattern::Exact("a.test".into()), HostPattern::Wildcard("shop.test".into())];
        let urls: Vec<Value> =
            of_hosts(&[at("0.0.0.0:443", true)], &hosts).iter().map(|it| it["url"].clone()).collect();
        assert_eq!(urls, ["https://a.test", "https://{subdomain}.shop.test"]);
        assert!(are_for(&hosts, Some("a.test")) && are_for(&hosts, Some("x.y.shop.test")) && are_for(&hosts, None));
        assert!(
            !are_for(&hosts, Some("shop.test")) && !are_for(&hosts, Some("b.test")) && are_for(&[], Some("b.test"))
        );
    }
}
