//! DNS discovery: a name is resolved now and then, and its addresses become the upstream's endpoints.
//!
//! Runs on the control runtime. An answer that fails or is empty changes nothing: endpoints that served a moment ago
//! are better than none. Where there are none yet, the name is resolved again soon, and not only when it is time.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::state::Upstream;
use crate::config::settings::upstream::{DnsDiscovery, Endpoint, Endpoints, Target};
use crate::network::Network;
use crate::telemetry::events::Event;
use crate::telemetry::notice;

/// The longest lookup: a resolver that says nothing is as good as none.
const LONGEST: Duration = Duration::from_secs(10);

/// The wait after the first failed lookup of an upstream that has no endpoint; each further one is twice as long.
const SOON: Duration = Duration::from_millis(250);

/// The longest of these waits.
const LATEST: Duration = Duration::from_secs(5);

/// Resolves once and puts the result in force, if it differs.
///
/// # Errors
/// The name could not be resolved; nothing was changed.
pub async fn refresh<N: Network>(upstream: &Upstream<N>, network: &N) -> io::Result<()> {
    let before = Arc::clone(&upstream.active().settings);
    let Endpoints::Dns(dns) = &before.endpoints else { return Ok(()) };
    let resolved = tokio::time::timeout(LONGEST, network.resolve(&dns.host, dns.port)).await;
    let mut addresses = resolved.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s"))??;
    addresses.sort_unstable();
    addresses.dedup();
    let found: Vec<Endpoint> = addresses.into_iter().map(endpoint_at).collect();
    // A reload may have come meanwhile: what it said, above all of TLS, must not be taken back.
    let settings = Arc::clone(&upstream.active().settings);
    let is_wanted =
        matches!(&settings.endpoints, Endpoints::Dns(now) if (&now.host, now.port) == (&dns.host, dns.port));
    if is_wanted && upstream.in_force() != found {
        upstream.apply(settings, &found);
    }
    Ok(())
}

/// Refreshes for as long as the upstream lives and is discovered so.
pub async fn keep_fresh<N: Network>(upstream: Weak<Upstream<N>>, network: N, claim: Arc<DnsDiscovery>) {
    let mut soon = SOON;
    loop {
        let Some(strong) = upstream.upgrade().filter(|strong| strong.is_discovering(&claim)) else { return };
        let refreshed = refresh(&strong, &network).await;
        let failed = refreshed.is_err();
        if !strong.is_discovering(&claim) {
            // What it came to says nothing of the name that is resolved now.
            return;
        }
        tell(&strong, &claim, refreshed);
        // Until the next refresh the last good answer serves; where there is none, nothing does.
        let wait = if failed && strong.active().endpoints.is_empty() {
            let wait = soon.min(claim.refresh);
            soon = (soon * 2).min(LATEST);
            wait
        } else {
            soon = SOON;
            claim.refresh
        };
        drop(strong);
        tokio::time::sleep(wait).await;
    }
}

/// Keeps what a lookup came to, and says when they begin to fail and when they do well again.
fn tell<N: Network>(upstream: &Upstream<N>, claim: &DnsDiscovery, refreshed: io::Result<()>) {
    let at = upstream.surroundings.clock.now();
    let why = |error: io::Error| format!("{}:{}: {error}", claim.host, claim.port);
    let why = refreshed.err().map(why);
    if !upstream.lookup.ended(why.clone().map(|why| (at, why))) {
        return;
    }
    notice::discovery(upstream.surroundings.plugins.voice(), &upstream.name, why.as_deref());
    upstream.surroundings.report(at, Event::Discovery { upstream: Arc::clone(&upstream.name), failed: why });
}

fn endpoint_at(address: SocketAddr) -> Endpoint {
    Endpoint { address: Arc::from(address.to_string()), target: Target::Socket(address), weight: 1, backup: false }
}

impl<N: Network> Upstream<N> {
    /// The endpoints in force, found or written, in the form of settings; what discovery compares its answer with.
    pub fn in_force(&self) -> Vec<Endpoint> {
        let active = self.active();
        let weighted = active.endpoints.iter().zip(&active.weights).enumerate();
        let written = weighted.map(|(index, (endpoint, weight))| Endpoint {
            address: Arc::clone(&endpoint.address),
            target: endpoint.target.clone(),
            weight: *weight,
            backup: active.is_backup(index),
        });
        written.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::DuplexStream;
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::Clock;
    use crate::config::settings;
    use crate::config::{Purpose, load_text};
    use crate::telemetry::events::{Events, Kinds};
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::registry::Registry;
    use crate::upstream::watch::Surroundings;

    /// Says when it is asked, and answers when it may.
    #[derive(Clone, Default)]
    struct Slow(Arc<(Notify, Notify)>);

    impl Network for Slow {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            self.0.0.notify_one();
            self.0.1.notified().await;
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    fn settings(keys: &str) -> Arc<settings::Upstream> {
        let loaded = load_text(&format!("[upstreams.up]\n{keys}\n"), Path::new("a.toml"), Purpose::Check);
        Arc::clone(&loaded.unwrap().config.upstreams[0])
    }

    /// Answers at once.
    #[derive(Clone)]
    struct Quick;

    impl Network for Quick {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_comes_back_is_resolved_again_by_one_task() {
        let named = settings("discovery = { dns = 'up.test:1', refresh = '30s' }");
        let written = settings("endpoints = [{ address = '127.0.0.1:2', weight = 3 }]");
        let surroundings = Surroundings::new(Clock::system(), Arc::default(), Arc::default());
        let upstreams: Registry<Quick> = Registry::new(Arc::new(Metrics::new(1)), surroundings, 1);
        let upstream = upstreams.apply(&named);
        let first = upstream.claim_discovery().unwrap();
        assert!(upstream.claim_discovery().is_none(), "somebody does it");
        let first = tokio::spawn(keep_fresh(Arc::downgrade(&upstream), Quick, first));
        // For less than a refresh, then for more.
        for waited in [1, 60] {
            upstreams.apply(&written);
            assert!(upstream.claim_discovery().is_none(), "there is nothing to discover");
            // virtual time
            tokio::time::sleep(Duration::from_secs(waited)).await;
            upstreams.apply(&named);
            let before = upstream.in_force();
            assert_eq!((&*before[0].address, before[0].weight), ("127.0.0.1:2", 3), "until the first answer");
            let again = upstream.claim_discovery().unwrap();
            let again = tokio::spawn(keep_fresh(Arc::downgrade(&upstream), Quick, again));
            // virtual time
            tokio::time::sleep(Duration::from_secs(40)).await;
            let found = upstream.in_force();
            assert_eq!((&*found[0].address, found[0].weight), ("127.0.0.1:1", 1));
            assert!(!again.is_finished());
        }
        assert!(first.is_finished(), "another one has taken its place");
    }

    /// Knows the name but when it is asked for these times, of all.
    #[derive(Clone)]
    struct Forgetful(&'static [usize], Arc<AtomicUsize>);

    impl Network for Forgetful {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            if self.0.contains(&self.1.fetch_add(1, Ordering::Relaxed)) {
                return Err(io::Error::other("nobody knows it"));
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_not_known_yet_is_asked_for_again_soon_and_who_wants_to_know_is_told() {
        let named = settings("discovery = { dns = 'up.test:1', refresh = '10m' }");
        let events = Arc::<Events>::default();
        let mut follower = events.follow(Kinds::rare(), None);
        let surroundings = Surroundings::new(Clock::system(), Arc::clone(&events), Arc::default());
        let upstreams: Registry<Forgetful> = Registry::new(Arc::new(Metrics::new(1)), surroundings, 1);
        let (upstream, asked) = (upstreams.apply(&named), Arc::<AtomicUsize>::default());
        let times = || asked.load(Ordering::Relaxed);
        let network = Forgetful(&[0, 1, 2, 4], Arc::clone(&asked));
        assert!(!upstream.lookup.has_ended());
        let claim = upstream.claim_discovery().unwrap();
        tokio::spawn(keep_fresh(Arc::downgrade(&upstream), network, claim));
        // virtual time
        tokio::time::sleep(Duration::from_secs(1)).await;
        let failed = upstream.lookup.failed().expect("it failed");
        assert_eq!((times(), failed.why.as_str()), (3, "up.test:1: nobody knows it"));
        assert!(upstream.lookup.has_ended() && upstream.in_force().is_empty());
        // virtual time
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((times(), upstream.in_force().len()), (4, 1), "within seconds, not at the next refresh");
        assert!(upstream.lookup.failed().is_none());
        // With endpoints in force a failure changes nothing, and waits.
        for (asked, fails) in [(5, true), (6, false)] {
            // virtual time
            tokio::time::sleep(Duration::from_secs(601)).await;
            assert_eq!((times(), upstream.in_force().len()), (asked, 1));
            assert_eq!(upstream.lookup.failed().is_some(), fails);
        }
        let told: Vec<_> = follower.next().await.events.iter().map(|event| event.to_json()).collect();
        let told: Vec<_> = told.iter().map(|event| event.split_once("kind\":").unwrap().1).collect();
        let failing = r#""discovery","upstream":"up","failing":true,"detail":"up.test:1: nobody knows it"}"#;
        let well = r#""discovery","upstream":"up","failing":false}"#;
        assert_eq!(told, [failing, well, failing, well], "each change, once");
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
