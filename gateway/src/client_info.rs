//! Whose a request is that comes through the server of the program around the gateway: what the program says of its
//! connection, and what is amiss where it says nothing.
//!
//! All of it is an extension of the request, which only code of this process can put there: no header, and nothing else
//! that a client sends, becomes one.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::extract::connect_info::MockConnectInfo;
use http::Extensions;
use rustls::pki_types::CertificateDer;

use crate::config::settings::own_answer::Origin;
use crate::config::settings::rate_limit::LimitKey;
use crate::config::settings::split::StickyKey;
use crate::config::settings::upstream::{Balance, ConsistentHash, HashKey};
use crate::config::settings::{Config, Route};
use crate::context::{Caller, Peer, Scheme};
use crate::tls::{ClientCertificate, Secured};

/// How many names of a kind are told.
const MOST_NAMED: usize = 5;

/// A client's connection, as the program's own server knows it.
///
/// A gateway that is mounted in a program ([`Builder::build`](crate::builder::Builder::build)) sees requests, and not
/// the connections by which they come. The program's acceptor inserts this into the extensions of each request, and the
/// gateway takes it for what a listener of its own would have seen: `https`, `hsts`, `Secure` of cookies,
/// `x-forwarded-proto`, `{scheme}`, identity by certificates and `listeners` of routes are right then.
/// [`Builder::with_client_info`](crate::builder::Builder::with_client_info) says that it does. It comes before axum's
/// `ConnectInfo<SocketAddr>`.
///
/// It is believed: put there what the connection itself has proven, and nothing that a request says.
///
/// ```
/// use std::net::SocketAddr;
///
/// use gateway::prelude::ClientInfo;
///
/// /// What a handshake by rustls has proven.
/// fn client(address: SocketAddr, tls: &rustls::ServerConnection) -> ClientInfo {
///     let certificates = tls.peer_certificates().into_iter().flatten();
///     ClientInfo::new(address).tls().server_name(tls.server_name()).certificates(certificates)
/// }
/// # let _ = client;
/// ```
#[derive(Debug, Clone)]
#[must_use = "it says nothing before it is among the extensions of a request"]
pub struct ClientInfo {
    address: SocketAddr,
    is_encrypted: bool,
    server_name: Option<Arc<str>>,
    shown: Option<Arc<CertificateDer<'static>>>,
    certificate: Option<Arc<ClientCertificate>>,
    listener: Option<Arc<str>>,
}

impl ClientInfo {
    /// A connection in the clear from this address: the socket's other end, or whom a balancer names that is believed.
    /// Where it is one of `trusted_proxies`, it is asked for whom it asks, as ever.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, is_encrypted: false, server_name: None, shown: None, certificate: None, listener: None }
    }

    /// The address it was made with.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// It is encrypted.
    pub fn tls(self) -> Self {
        Self { is_encrypted: true, ..self }
    }

    /// It is encrypted, and the client has asked for this host (SNI), where it has asked for one. A request for another
    /// host is 421, unless it is one of HTTP/2 and [`own_certificate`](Self::own_certificate) holds for that host too
    /// (RFC 9110, section 7.4; RFC 9113, section 9.1.1).
    /// Where this is not said, nothing is compared.
    pub fn server_name<'a>(self, name: impl Into<Option<&'a str>>) -> Self {
        let server_name = name.into().map(|name| Arc::from(name.to_ascii_lowercase()));
        Self { server_name, ..self.tls() }
    }

    /// It is encrypted, and the client was shown this certificate (DER), which says for which other hosts it may ask
    /// over HTTP/2.
    pub fn own_certificate(self, der: impl AsRef<[u8]>) -> Self {
        let shown = Some(Arc::new(CertificateDer::from(der.as_ref().to_vec())));
        Self { shown, ..self.tls() }
    }

    /// It is encrypted, and the client has proven that this certificate is its own (DER): the first of the chain that
    /// it has shown. An empty chain is none.
    ///
    /// Whoever says so has verified it, its signer and whether it was taken back: providers of identity with
    /// `kind = "mtls"` believe it. They hold it against their own `ca`, where they have one, and against its end.
    pub fn certificates<C: AsRef<[u8]>>(self, chain: impl IntoIterator<Item = C>) -> Self {
        let chain: Vec<CertificateDer<'_>> =
            chain.into_iter().map(|der| CertificateDer::from(der.as_ref().to_vec())).collect();
        let certificate = ClientCertificate::of(&chain).map(Arc::new);
        Self { certificate, ..self.tls() }
    }

    /// It came by what the configuration calls so: `name` of one of its `[[listeners]]`, which nobody listens at here.
    /// Routes with `listeners` are reached by those that they name. Another name is none.
    pub fn listener(self, name: impl Into<Arc<str>>) -> Self {
        Self { listener: Some(name.into()), ..self }
    }

    /// What it is called by which the request came.
    pub(crate) fn listener_name(&self) -> Option<&str> {
        self.listener.as_deref()
    }

    /// What its handshake proved, where something is known of it.
    pub(crate) fn secured(&self) -> Option<Arc<Secured>> {
        let Self { server_name, shown, certificate, .. } = self;
        if server_name.is_none() && certificate.is_none() {
            return None;
        }
        Some(Arc::new(Secured::told(server_name.clone(), shown.clone(), certificate.clone())))
    }

    /// The connection's other end.
    pub(crate) fn peer(&self) -> Peer {
        Peer::of(Caller::At(self.address), if self.is_encrypted { Scheme::Https } else { Scheme::Http })
    }
}

/// The other end of a connection of which the program says no more than its address, if that.
pub(crate) fn peer_without(extensions: &Extensions) -> Peer {
    let address = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    // What stands for it in a program's tests, as axum's own extractor has it.
    let address = address.or_else(|| extensions.get::<MockConnectInfo<SocketAddr>>().map(|info| info.0));
    address.map_or_else(Peer::unknown, |address| Peer::new(address, Scheme::Http))
}

/// What works in another way than it is written, under this configuration, where nobody says whose requests are; and
/// what to do about it.
pub(crate) fn what_suffers(config: &Config) -> String {
    let mut told = "requests come without their clients' addresses: 0.0.0.0 stands for them in records and before \
                    upstreams"
        .to_owned();
    let asks = |origin: &Origin| !origin.allow.is_empty() || !origin.deny.is_empty();
    let routes = config.routes.iter().filter(|route| route.origin.as_deref().is_some_and(asks));
    tell(&mut told, "routes with `addresses` refuse them", routes.map(|route| &*route.name));
    let of_clients = config.routes.iter().filter(|route| !route.matches.clients.is_empty());
    tell(&mut told, "routes for some `clients` alone are there for none", of_clients.map(|route| &*route.name));
    let rates = config.rate_limits.iter().map(|limit| (&limit.key, &limit.name));
    let limits = rates.chain(config.in_flight_limits.iter().map(|limit| (&limit.key, &limit.name)));
    let by_address = limits.filter(|(key, _)| matches!(key, LimitKey::ClientIp)).map(|(_, name)| &**name);
    tell(&mut told, "limits by `client_ip` count all clients as one", by_address);
    let hashes =
        |balance: &Balance| matches!(balance, Balance::ConsistentHash(ConsistentHash { key: HashKey::ClientIp, .. }));
    let upstreams = config.upstreams.iter().filter(|upstream| hashes(&upstream.balance));
    let upstreams = upstreams.map(|upstream| &*upstream.name);
    tell(&mut told, "upstreams that are hashed by `client_ip` have one endpoint for all clients", upstreams);
    let sticks =
        |route: &&Arc<Route>| route.split.as_ref().is_some_and(|split| matches!(split.key, Some(StickyKey::ClientIp)));
    let splits = config.routes.iter().filter(sticks).map(|route| &*route.name);
    tell(&mut told, "splits that are `sticky` by `client_ip` send all clients to one upstream", splits);
    told.push_str(
        ". Serve by `into_make_service_with_connect_info::<SocketAddr>()`, or insert a `ClientInfo` into each request",
    );
    told
}

/// Adds what is so of these, where there are some.
fn tell<'a>(told: &mut String, what: &str, names: impl Iterator<Item = &'a str>) {
    let mut names: Vec<&str> = names.collect();
    // A limit of rates and one of requests at once may be one table.
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if names.is_empty() {
        return;
    }
    told.extend(["; ", what, ": ", &names.join(", ")]);
    if more > 0 {
        told.extend([" and ", &more.to_string(), " more"]);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    fn address() -> SocketAddr {
        "192.0.2.7:50000".parse().unwrap()
    }

    #[test]
    fn what_is_known_of_a_handshake_says_that_there_was_one() {
        let plain = ClientInfo::new(address());
        assert!(plain.secured().is_none() && plain.peer().scheme == Scheme::Http && !plain.peer().is_unknown);
        let certificate = rcgen::generate_simple_self_signed(["a.test".to_owned(), "b.test".to_owned()]).unwrap();
        let der = certificate.cert.der();
        for told in [
            plain.clone().tls(),
            plain.clone().server_name(None),
            plain.clone().own_certificate(der),
            plain.clone().certificates(Vec::<Vec<u8>>::new()),
        ] {
            assert!(told.secured().is_none() && told.peer().scheme == Scheme::Https, "{told:?}");
        }
        let named = plain.clone().server_name("A.test").secured().unwrap();
        assert!(named.serves("a.test", true) && !named.serves("b.test", true));
        let shown = plain.clone().own_certificate(der).server_name("a.test").secured().unwrap();
        assert!(shown.serves("b.test", true) && !shown.serves("c.test", true) && shown.client().is_none());
        let client = plain.certificates([der]).secured().unwrap();
        assert_eq!(client.client().unwrap().der(), &der[..]);
    }

    #[test]
    fn an_address_is_the_servers_or_nobodys() {
        let mut extensions = Extensions::new();
        let unknown = peer_without(&extensions);
        assert!(unknown.is_unknown && unknown.ip.to_string() == "0.0.0.0");
        extensions.insert(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        assert_eq!(peer_without(&extensions).ip.to_string(), "192.0.2.1");
        extensions.insert(ConnectInfo(address()));
        let peer = peer_without(&extensions);
        assert_eq!((peer.ip.to_string(), peer.port, peer.is_unknown), ("192.0.2.7".to_owned(), 50_000, false));
    }

    #[test]
    fn whoever_suffers_from_unknown_clients_is_named() {
        let of = |text: &str| what_suffers(&load_text(text, Path::new("a"), Purpose::Check).unwrap().config);
        let plain = of("[[routes]]\npath = '/'\nanswer = {}\n");
        assert!(plain.contains("0.0.0.0 stands for them") && !plain.contains(';'), "{plain}");
        let mut text = "[rate_limits.few]\nrate = '1/s'\nburst = 1\nkey = 'client_ip'\nin_flight = 3\n\
                        [rate_limits.all]\nrate = '1/s'\nburst = 1\nkey = 'global'\n\
                        [upstreams.near]\nendpoints = ['127.0.0.1:1']\n\
                        balance = { policy = 'consistent_hash', key = 'client_ip' }\n"
            .to_owned();
        for number in 1..=7 {
            text += &format!("[[routes]]\nname = 'r{number}'\npath = '/{number}'\nupstream = 'near'\n");
            text += "addresses = { deny = ['192.0.2.0/24'] }\n";
        }
        text += "[[routes]]\nname = 'inner'\npath = '/8'\nupstream = 'near'\nclients = ['!192.0.2.0/24']\n";
        let told = of(&text);
        for part in [
            "; routes with `addresses` refuse them: r1, r2, r3, r4, r5 and 2 more; ",
            "; routes for some `clients` alone are there for none: inner; ",
            "; limits by `client_ip` count all clients as one: few; ",
            "; upstreams that are hashed by `client_ip` have one endpoint for all clients: near. Serve by",
        ] {
            assert!(told.contains(part), "{part:?} of {told}");
        }
    }
}
