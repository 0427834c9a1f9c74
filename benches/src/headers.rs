//! The work on a request's headers and target, each step as its stage does it.

use std::sync::Arc;

use gateway::context::{Peer, RequestId, Scheme, TraceContext, client_address, screen_request_headers, set_forwarded};
use gateway::gateway::Gateway;
use gateway::request_fields::RequestFields;
use gateway::request_target::PathQuery;
use gateway::routing::{Ask, Body, Found, Params};
use gateway::snapshot::Snapshot;
use http::{HeaderValue, Method};

use crate::memory::{Memory, Wire};
use crate::world::gateway;

const CONFIGURATION: &str = r#"
[server]
trusted_proxies = ["10.0.0.0/8"]

[telemetry.access_log]
output = "off"

[upstreams.orders]
endpoints = ["127.0.0.1:9001"]

[[routes]]
name = "prefix"
path = "/api/orders/{*rest}"
upstream = "orders"
rewrite = { strip_prefix = "/api" }

[[routes]]
name = "template"
path = "/shop/{id}/items/{item}"
upstream = "orders"
rewrite = { path = "/v2/items/{item}/of/{id}" }
"#;

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Anybody: nothing that it says about itself is believed.
    Client,
    /// A trusted proxy.
    Proxy,
}

/// The rules in force, and the two senders.
pub struct Headers {
    snapshot: Arc<Snapshot<Memory>>,
    client: Peer,
    proxy: Peer,
    host: HeaderValue,
    _gateway: Gateway<Memory>,
}

impl Default for Headers {
    fn default() -> Self {
        let gateway = gateway(CONFIGURATION, Memory::new(Arc::new(Wire::default()), b""));
        let peer = |ip: [u8; 4]| Peer::new((ip, 40_000).into(), Scheme::Http);
        Self {
            snapshot: gateway.snapshot(),
            client: peer([192, 0, 2, 1]),
            proxy: peer([10, 0, 0, 1]),
            host: HeaderValue::from_static("api.example.com"),
            _gateway: gateway,
        }
    }
}

impl Headers {
    fn peer(&self, from: From) -> &Peer {
        match from {
            From::Client => &self.client,
            From::Proxy => &self.proxy,
        }
    }

    /// Removes what may not pass; whether the request may.
    pub fn screen(&self, headers: &mut RequestFields, from: From) -> bool {
        screen_request_headers(headers, &self.snapshot.header_rules, from == From::Proxy).is_ok()
    }

    /// The request's id, as it is sent on.
    pub fn request_id(&self, headers: &RequestFields, from: From, seed: u64) -> HeaderValue {
        RequestId::accept_or_mint(headers, from == From::Proxy, [seed, !seed]).to_header_value()
    }

    /// The request's trace, as it is sent on.
    pub fn trace(&self, headers: &RequestFields, from: From, seed: u64) -> (HeaderValue, Option<HeaderValue>) {
        let draws = [seed, !seed, seed ^ 7];
        let trace = TraceContext::continue_or_start(headers, &self.snapshot.trace_policy, from == From::Proxy, draws);
        (trace.to_header_value(), trace.tracestate)
    }

    /// Finds the client, and makes what tells the upstream of it: lines for a stranger's request, merged headers for a
    /// proxy's. The bytes of both.
    pub fn forwarded(&self, headers: &mut RequestFields, from: From) -> usize {
        let peer = self.peer(from);
        let client = client_address(headers, peer, &self.snapshot.trusted).as_str().len();
        match from {
            From::Client => client + with_lines(peer, &self.host, <[u8]>::len),
            From::Proxy => {
                set_forwarded(headers, peer, Some(&self.snapshot.trusted), Some(&self.host));
                client
            }
        }
    }

    /// A rewrite that is ready to be used on this path.
    ///
    /// # Panics
    /// No route with a rewrite has this path.
    pub fn rewrite(&self, path: &'static str) -> Rewriting {
        let headers = RequestFields::new();
        let ask = Ask {
            listener: "",
            host: "api.example.com",
            method: &Method::GET,
            path,
            query: None,
            client: None,
            headers: &headers,
            body: Body::Absent,
        };
        let Found::Route { index, params } = self.snapshot.table.find(&ask) else { panic!("no route for {path}") };
        Rewriting { snapshot: Arc::clone(&self.snapshot), index, params, path }
    }
}

/// One path, and the rewrite of its route.
pub struct Rewriting {
    snapshot: Arc<Snapshot<Memory>>,
    index: usize,
    params: Params,
    path: &'static str,
}

impl Rewriting {
    /// What the upstream is sent.
    pub fn apply(&self) -> Option<PathQuery> {
        let rewrite = self.snapshot.routes[self.index].rewrite.as_ref()?;
        rewrite.apply(self.path, &self.params, Some("fields=name")).ok()
    }
}

/// A path for each of the two kinds of rewrite.
pub const REWRITTEN: [&str; 2] = ["/api/orders/123456/lines/7", "/shop/17/items/123456"];

/// As a request does: made once for all that ask for the same host.
fn with_lines<R>(peer: &Peer, host: &HeaderValue, with: impl FnOnce(&[u8]) -> R) -> R {
    let asked = peer.recall(host.as_bytes()).unwrap_or_else(|| peer.host(host));
    with(peer.known(&asked).map_or(&[], |host| &host.lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{clean_headers, hostile_headers, proxied_headers};

    #[test]
    fn screening_leaves_what_a_browser_sends_and_nothing_else() {
        let headers = Headers::default();
        for mut sent in [clean_headers(), hostile_headers()] {
            assert!(headers.screen(&mut sent, From::Client));
            sent.remove(&http::header::TE);
            assert_eq!(sent, clean_headers());
        }
    }

    #[test]
    fn a_proxy_is_believed_and_a_client_is_not() {
        let (headers, sent) = (Headers::default(), proxied_headers());
        assert_eq!(headers.request_id(&sent, From::Proxy, 1), sent.get("x-request-id").unwrap().to_header_value());
        assert_ne!(headers.request_id(&sent, From::Client, 1), sent.get("x-request-id").unwrap().to_header_value());
        let (trace, state) = headers.trace(&sent, From::Proxy, 1);
        assert!(trace.to_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(state.is_some());
        let mut passed = sent;
        assert_eq!(headers.forwarded(&mut passed, From::Proxy), "203.0.113.7".len());
        assert_eq!(passed.get("x-forwarded-for").unwrap(), "203.0.113.7, 10.2.2.2, 10.0.0.1");
        let lines = with_lines(&headers.client, &headers.host, <[u8]>::to_vec);
        assert!(lines.starts_with(b"x-forwarded-for: 192.0.2.1\r\n"));
        assert_eq!(headers.forwarded(&mut passed, From::Client), "192.0.2.1".len() + lines.len());
    }

    #[test]
    fn both_rewrites_apply() {
        let headers = Headers::default();
        let targets = REWRITTEN.map(|path| headers.rewrite(path).apply().unwrap().to_string());
        assert_eq!(targets, ["/orders/123456/lines/7?fields=name", "/v2/items/123456/of/17?fields=name"]);
    }
}
