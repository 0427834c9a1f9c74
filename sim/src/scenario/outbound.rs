//! Where the gateways of a configuration would connect to by themselves.
//!
//! A scenario may be made of the very configuration that serves in production. So every address in it is found that a
//! gateway opens a connection to, whoever asks there: upstreams (health checks, mirrors, services that are asked
//! whether a request may pass are requests to upstreams), stores, the collector of spans, key servers and
//! introspection. What of them is not the scenario's own is refused by the reader, unless the scenario allows it. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateway::config::Config;
use gateway::config::settings::identity::{KeySource, Keys, ProviderKind};
use gateway::config::settings::store::Servers;
use gateway::config::settings::upstream::{Endpoints, Target};

/// The first half of the addresses that stand for the scenario's own while a configuration is looked at.
const OWN: [u8; 2] = [127, 254];
/// Their port, at which nobody serves.
const OWN_PORT: u16 = 1;

/// An address that a gateway connects to by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outbound {
    /// Who asks there, as a message names it.
    pub(super) who: String,
    /// A name or an IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What to write in its place.
    pub(super) instead: &'static str,
    /// It tells of further addresses, which the gateway then connects to, wherever they are.
    pub(super) tells_of_others: bool,
}

/// What stands for the scenario's own address of this number.
pub(super) fn own(number: usize) -> SocketAddr {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    SocketAddr::from(([OWN[0], OWN[1], high, low], OWN_PORT))
}

/// Everything that a configuration connects to and that is not the scenario's own.
pub(super) fn all(config: &Config) -> Vec<Outbound> {
    let mut found = Finder(Vec::new());
    found.upstreams(config);
    found.providers(config);
    for store in &config.stores {
        let who = format!("the store `{}`", store.name);
        let instead = "write url = \"mock://redis\", and [redis] with instances = 1 in the scenario";
        match &store.servers {
            Servers::One((host, port), _) => found.add(&who, host, *port, instead),
            // They tell which server is the master, and which others there are.
            Servers::Cluster(servers) | Servers::Sentinels(servers, ..) => {
                servers.iter().for_each(|(host, port)| found.add_teller(&who, host, *port, instead));
            }
        }
    }
    if let Some(export) = &config.telemetry.tracing.export {
        found.url("the export of spans", &export.endpoint, "leave `otlp_endpoint` out");
    }
    found.0.retain(|one| !one.is_own());
    found.0
}

struct Finder(Vec<Outbound>);

impl Finder {
    fn upstreams(&mut self, config: &Config) {
        let instead = "name a mock of the scenario, as in endpoints = [\"mock://orders/0\"]";
        for upstream in &config.upstreams {
            let who = format!("the upstream `{}`", upstream.name);
            match &upstream.endpoints {
                Endpoints::Dns(found) => self.add(&who, &found.host, found.port, instead),
                Endpoints::Static(endpoints) => {
                    for endpoint in endpoints {
                        match &endpoint.target {
                            Target::Socket(address) => {
                                self.add(&who, &address.ip().to_string(), address.port(), instead);
                            }
                            Target::Name(host, port) => self.add(&who, host, *port, instead),
                        }
                    }
                }
            }
        }
    }

    fn providers(&mut self, config: &Config) {
        for provider in &config.providers {
            let who = format!("the provider `{}`", provider.name);
            match &provider.kind {
                ProviderKind::Jwt(jwt) => {
                    let Some(Keys::Fetched(keys)) = &jwt.keys else { continue };
                    let instead = "write jwks = { inline = \"mock://jwks\" }, the keys of the run";
                    match &keys.from {
                        KeySource::Url(url) => self.url(&who, url, instead),
                        KeySource::Discovery(url) => {
                            let (host, port) = host_and_port(url);
                            self.add_teller(&who, &host, port, instead);
                        }
                    }
                }
                ProviderKind::Introspection(asked) => {
                    self.url(&who, &asked.url, "prove identity by another provider, or serve it on this machine");
                }
                ProviderKind::ApiKey(_) | ProviderKind::Basic(_) | ProviderKind::Mtls(_) | ProviderKind::Custom(_) => {}
            }
        }
    }

    fn url(&mut self, who: &str, url: &str, instead: &'static str) {
        let (host, port) = host_and_port(url);
        self.add(who, &host, port, instead);
    }

    fn add(&mut self, who: &str, host: &str, port: u16, instead: &'static str) {
        self.push(Outbound { who: who.to_owned(), host: host.to_owned(), port, instead, tells_of_others: false });
    }

    /// One that tells of others.
    fn add_teller(&mut self, who: &str, host: &str, port: u16, instead: &'static str) {
        self.push(Outbound { who: who.to_owned(), host: host.to_owned(), port, instead, tells_of_others: true });
    }

    fn push(&mut self, one: Outbound) {
        if !self.0.contains(&one) {
            self.0.push(one);
        }
    }
}

/// Where a URL leads. Of what is no URL after all nothing is known, so it is told as it is written.
fn host_and_port(url: &str) -> (String, u16) {
    let uri: Option<http::Uri> = url.parse().ok();
    let usual = if url.starts_with("https:") { 443 } else { 80 };
    let port = uri.as_ref().and_then(http::Uri::port_u16).unwrap_or(usual);
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or(url);
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

impl Outbound {
    /// Host and port, as configurations write them.
    pub(super) fn at(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Whether it is on this machine. What a name means is known only when it is asked for, so a name is not, but for
    /// `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    fn is_own(&self) -> bool {
        let own = |ip: Ipv4Addr| ip.octets()[..2] == OWN && self.port == OWN_PORT;
        self.host.parse().is_ok_and(own)
    }
}

/// Whether an address, with its port, is on this machine.
pub(super) fn is_address_here(text: &str) -> bool {
    let parts = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    parts.is_some_and(|(host, _)| is_loopback(host.trim_start_matches('[').trim_end_matches(']')))
}

fn is_loopback(host: &str) -> bool {
    let by_number = host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    by_number || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(host: &str, port: u16) -> Outbound {
        Outbound { who: String::new(), host: host.to_owned(), port, instead: "", tells_of_others: false }
    }

    #[test]
    fn only_numbers_and_localhost_are_on_this_machine() {
        for host in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "LocalHost"] {
            assert!(outbound(host, 80).is_loopback(), "{host}");
        }
        for host in ["192.0.2.7", "localhost.example", "127.1", "0.0.0.0", "::ffff:192.0.2.7", ""] {
            assert!(!outbound(host, 80).is_loopback(), "{host}");
        }
        for (text, is_here) in
            [("127.0.0.1:9400", true), ("[::1]:80", true), ("localhost:1", true), ("localhost", false), ("a:1", false)]
        {
            assert_eq!(is_address_here(text), is_here, "{text}");
        }
        assert!(!is_address_here("127.0.0.1:0") && !is_address_here("127.0.0.1:http"));
    }

    #[test]
    fn own_addresses_are_told_from_all_others() {
        for number in [0, 1, 255, 256, 70_000] {
            let own = own(number);
            assert!(outbound(&own.ip().to_string(), own.port()).is_own(), "{own}");
        }
        assert_ne!(own(1), own(257));
        assert!(!outbound("127.254.0.1", 80).is_own() && !outbound("127.0.0.1", 1).is_own());
    }

    #[test]
    fn an_address_is_written_as_configurations_write_it() {
        assert_eq!((outbound("::1", 80).at(), outbound("a", 1).at()), ("[::1]:80".to_owned(), "a:1".to_owned()));
        let mut found = Finder(Vec::new());
        for url in ["https://idp.example/keys", "http://[::1]:4318", "http://127.0.0.1:4318/v1"] {
            found.url("it", url, "");
        }
        let at: Vec<String> = found.0.iter().map(Outbound::at).collect();
        assert_eq!(at, ["idp.example:443", "[::1]:4318", "127.0.0.1:4318"]);
    }
}
