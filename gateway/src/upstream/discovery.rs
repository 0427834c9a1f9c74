//! DNS discovery: a name is resolved now and then, and its addresses become the upstream's endpoints.
//!
//! Runs on the control runtime. An answer that fails or is empty changes nothing: endpoints that served a moment ago
//! are better than none.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::state::Upstream;
use crate::config::settings::upstream::{DnsDiscovery, Endpoint, Endpoints, Target};
use crate::network::Network;

/// Resolves once and puts the result in force, if it differs.
///
/// # Errors
/// The name could not be resolved; nothing was changed.
pub async fn refresh<N: Network>(upstream: &Upstream<N>, network: &N) -> std::io::Result<()> {
    let settings = Arc::clone(&upstream.active().settings);
    let Endpoints::Dns(dns) = &settings.endpoints else { return Ok(()) };
    let mut addresses = network.resolve(&dns.host, dns.port).await?;
    addresses.sort_unstable();
    addresses.dedup();
    let found: Vec<Endpoint> = addresses.into_iter().map(endpoint_at).collect();
    if upstream.discovered() != found {
        upstream.apply(settings, &found);
    }
    Ok(())
}

/// Refreshes for as long as the upstream lives and is discovered so.
pub async fn keep_fresh<N: Network>(upstream: Weak<Upstream<N>>, network: N, dns: DnsDiscovery) {
    loop {
        let Some(strong) = upstream.upgrade() else { return };
        if !matches!(&strong.active().settings.endpoints, Endpoints::Dns(now) if *now == dns) {
            return;
        }
        // A failure is met again at the next refresh; until then the last good answer serves.
        let _ = refresh(&strong, &network).await;
        drop(strong);
        tokio::time::sleep(dns.refresh).await;
    }
}

fn endpoint_at(address: SocketAddr) -> Endpoint {
    Endpoint { address: Arc::from(address.to_string()), target: Target::Socket(address), weight: 1 }
}

impl<N: Network> Upstream<N> {
    /// The endpoints in force, in the form of settings; what discovery compares its answer with.
    pub fn discovered(&self) -> Vec<Endpoint> {
        let active = self.active();
        if matches!(active.settings.endpoints, Endpoints::Static(_)) {
            return Vec::new();
        }
        active
            .endpoints
            .iter()
            .map(|endpoint| Endpoint {
                address: Arc::clone(&endpoint.address),
                target: endpoint.target.clone(),
                weight: 1,
            })
            .collect()
    }
}
