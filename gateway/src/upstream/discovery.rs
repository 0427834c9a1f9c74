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
    let before = Arc::clone(&upstream.active().settings);
    let Endpoints::Dns(dns) = &before.endpoints else { return Ok(()) };
    let mut addresses = network.resolve(&dns.host, dns.port).await?;
    addresses.sort_unstable();
    addresses.dedup();
    let found: Vec<Endpoint> = addresses.into_iter().map(endpoint_at).collect();
    // A reload may have come meanwhile: what it said, above all of TLS, must not be taken back.
    let settings = Arc::clone(&upstream.active().settings);
    let is_wanted =
        matches!(&settings.endpoints, Endpoints::Dns(now) if (&now.host, now.port) == (&dns.host, dns.port));
    if is_wanted && upstream.discovered() != found {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::DuplexStream;
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::Clock;
    use crate::config::settings;
    use crate::config::{Purpose, load_text};
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::watch::Surroundings;

    /// Says when it is asked, and answers when it may.
    #[derive(Clone, Default)]
    struct Slow(Arc<(Notify, Notify)>);

    impl Network for Slow {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> std::io::Result<DuplexStream> {
            Err(std::io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
            self.0.0.notify_one();
            self.0.1.notified().await;
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }

        fn adopt(&self, stream: DuplexStream) -> std::io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    fn settings(keys: &str) -> Arc<settings::Upstream> {
        let loaded = load_text(&format!("[upstreams.up]\n{keys}\n"), Path::new("a.toml"), Purpose::Check);
        Arc::clone(&loaded.unwrap().config.upstreams[0])
    }

    #[tokio::test]
    async fn an_answer_that_was_asked_for_before_a_reload_takes_nothing_of_it_back() {
        let discovered = "discovery = { dns = 'up.test:1' }";
        let secured = settings(&format!("{discovered}\ntls = {{ insecure = true }}"));
        let written = settings("endpoints = ['127.0.0.1:2']");
        for (reloaded, port, is_secured) in [(&secured, 1, true), (&written, 2, false)] {
            let network = Slow::default();
            let surroundings = Arc::new(Surroundings::new(Clock::system(), Arc::default(), Arc::default()));
            let series = Metrics::new(1).upstream("up");
            let upstream: Upstream<Slow> = Upstream::new(settings(discovered), series, surroundings, 1);
            let reloading = async {
                network.0.0.notified().await;
                match &reloaded.endpoints {
                    Endpoints::Static(endpoints) => upstream.apply(Arc::clone(reloaded), endpoints),
                    Endpoints::Dns(_) => upstream.apply(Arc::clone(reloaded), &[]),
                }
                network.0.1.notify_one();
            };
            let (refreshed, ()) = tokio::join!(refresh(&upstream, &network), reloading);
            refreshed.unwrap();
            let active = upstream.active();
            assert_eq!(active.endpoints[0].address.split(':').next_back(), Some(&*port.to_string()));
            assert_eq!(active.settings.tls.is_some(), is_secured);
            assert_eq!(active.endpoints[0].way().tls().is_some(), is_secured);
        }
    }
}
