//! The demo's little world: three services and a commented gateway configuration for them.

use std::net::SocketAddr;
use std::path::Path;

use crate::children::MockService;

/// Orders: two endpoints, the first with twice the weight.
pub(super) const ORDERS: MockService = MockService { name: "orders", endpoints: 2, seed: 1 };
/// Users: three equal endpoints; one of them fails half way.
pub(super) const USERS: MockService = MockService { name: "users", endpoints: 3, seed: 2 };
/// Billing: one endpoint.
pub(super) const BILLING: MockService = MockService { name: "billing", endpoints: 1, seed: 3 };

/// Weights of the orders' endpoints, as the configuration gives them.
pub(super) const ORDERS_WEIGHTS: [u32; 2] = [2, 1];
/// Which of the users' endpoints fails.
pub(super) const FAILING: usize = 1;

/// Where the services' endpoints are.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) orders: Vec<SocketAddr>,
    pub(super) users: Vec<SocketAddr>,
    pub(super) billing: Vec<SocketAddr>,
}

impl Endpoints {
    /// The services in the order in which they are shown.
    pub(super) fn services(&self) -> [(&'static str, &[SocketAddr]); 3] {
        [(ORDERS.name, &self.orders), (USERS.name, &self.users), (BILLING.name, &self.billing)]
    }

    /// What an endpoint's port is called: `users/1`.
    pub(super) fn name_of(&self, port: u16) -> String {
        let found = self.services().into_iter().find_map(|(service, addresses)| {
            let index = addresses.iter().position(|address| address.port() == port)?;
            Some(format!("{service}/{index}"))
        });
        found.unwrap_or_else(|| format!("port {port}"))
    }

    /// The endpoint that fails half way.
    pub(super) fn failing(&self) -> SocketAddr {
        self.users[FAILING]
    }
}

/// The gateway's configuration, with comments for a first reader.
pub(super) fn gateway_config(endpoints: &Endpoints, access_log: &Path) -> String {
    let weighted: Vec<String> = endpoints
        .orders
        .iter()
        .zip(ORDERS_WEIGHTS)
        .map(|(address, weight)| format!("  {{ address = \"{address}\", weight = {weight} }},"))
        .collect();
    let plain = |addresses: &[SocketAddr]| {
        addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    };
    // Debug form quotes and escapes as a TOML basic string does, for every path that is text.
    let access_log = format!("{:?}", access_log.display().to_string());
    CONFIG
        .replace("@ACCESS_LOG@", &access_log)
        .replace("@ORDERS@", &weighted.join("\n"))
        .replace("@USERS@", &plain(&endpoints.users))
        .replace("@BILLING@", &plain(&endpoints.billing))
}

const CONFIG: &str = r#"# Written by `sim demo`. Try it: gateway check THIS_FILE, gateway run --config THIS_FILE.

# Clients come here. Port 0 takes a free port; the gateway prints which on standard error.
[[listeners]]
address = "127.0.0.1:0"

# Health, metrics and what the gateway knows of itself. Never share it with a public listener.
[admin]
address = "127.0.0.1:0"

# One line of JSON for each request, whatever its end.
[telemetry.access_log]
output = @ACCESS_LOG@

# An upstream is a service: a name, its addresses, and how requests are spread over them.
# Smooth weighted round robin: of three requests the first endpoint gets two, never all in a row.
[upstreams.orders]
endpoints = [
@ORDERS@
]
balance = { policy = "round_robin" }

# Least request: two endpoints are drawn, the one with fewer requests in flight is taken.
[upstreams.users]
endpoints = [@USERS@]
balance = { policy = "least_request" }

[upstreams.billing]
endpoints = [@BILLING@]

# A route says which requests go to which upstream. {*rest} matches whatever follows.
[[routes]]
name = "orders"
path = "/api/orders/{*rest}"
upstream = "orders"
rewrite = { strip_prefix = "/api" }

# {id} matches one segment.
[[routes]]
name = "users"
path = "/api/users/{id}"
upstream = "users"
rewrite = { strip_prefix = "/api" }

# Other methods than these are answered with 405 and an Allow header.
[[routes]]
name = "billing"
path = "/api/billing/{*rest}"
methods = ["GET", "POST"]
upstream = "billing"
rewrite = { strip_prefix = "/api" }

# Bigger answers, streamed through.
[[routes]]
name = "files"
path = "/files/{*rest}"
upstream = "orders"
rewrite = { strip_prefix = "/files" }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_its_place_and_its_name() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let endpoints = Endpoints {
            orders: vec![address(1), address(2)],
            users: vec![address(3), address(4), address(5)],
            billing: vec![address(6)],
        };
        let config = gateway_config(&endpoints, Path::new("/tmp/a \"b\"/access.log"));
        for port in 1..=6 {
            assert_eq!(config.matches(&format!("\"127.0.0.1:{port}\"")).count(), 1, "{port}");
        }
        assert!(config.contains(r#"output = "/tmp/a \"b\"/access.log""#));
        assert!(!config.contains('@'), "every blank is filled in");
        assert_eq!(endpoints.name_of(4), "users/1");
        assert_eq!(endpoints.failing().port(), 4);
    }
}
