//! A question that a trusted proxy passes on: by its word the gateway goes, of whose it is and how it came. Of a client
//! that the proxy does not name nothing is known but that it is behind the proxy, whose address is no reason to let it
//! in.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

use super::Question;
use crate::config::settings::Config;
use crate::context::{ClientAddress, Peer, Scheme, TrustedProxies, client_address, forwarded};

/// What a trusted proxy says of a request.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Which proxy.
    pub(super) by: IpAddr,
    /// For whom it asks; its own address, or that of a proxy before it, stands for a client that is hidden.
    pub(super) client: ClientAddress,
    /// Whether its client's connection is encrypted, where it says so.
    pub(super) secure: Option<bool>,
    /// The host that was asked for, where it says so.
    pub(super) host: Option<HeaderValue>,
}

impl Told {
    /// For whom it asks, in words; `None` where it asks for nobody else.
    pub(super) fn client_in_words(&self) -> Option<String> {
        let Self { by, client, .. } = self;
        if client.is_hidden {
            Some(format!(
                "hidden: the proxy at {by} does not say for whom it asks, so it is in no network of `clients` and \
                 `allow`; limits and splits go by {}",
                client.as_str()
            ))
        } else {
            (client.ip != *by).then(|| format!("{}, as the proxy at {by} says", client.as_str()))
        }
    }
}

/// The same question as the gateway sees it: asked by the client of whom the proxy tells, where whoever asks is one
/// that is trusted.
pub(super) fn seen(config: &Config, question: &Question) -> Question {
    let trusted = TrustedProxies::new(&config.server.trusted_proxies);
    let Some(by) = question.client.filter(|client| trusted.contains(*client)) else { return question.clone() };
    let headers = &question.headers;
    let peer = |scheme| Peer::new(SocketAddr::new(by, 0), scheme);
    let is_secure = |scheme| forwarded::is_secure(headers, &peer(scheme), Some(&trusted));
    let (plain, encrypted) = (is_secure(Scheme::Http), is_secure(Scheme::Https));
    let client = client_address(headers, &peer(Scheme::Http), &trusted);
    let known = (!client.is_hidden).then_some(client.ip);
    let told = Told {
        by,
        client,
        // It says nothing where its own connection counts.
        secure: (plain == encrypted).then_some(plain),
        host: forwarded::told_host(headers, &trusted),
    };
    Question { client: known, told: Some(told), ..question.clone() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::answer;
    use super::*;
    use crate::config::{Purpose, load_text};

    fn ask(client: &str, headers: &[&str]) -> super::super::Answer {
        let text = "[server]\ntrusted_proxies = ['127.0.0.0/8']\n[[routes]]\nname = 'a'\npath = '/a'\n\
                    upstream = 'http://127.0.0.1:1'\nhttps = 'redirect'\naddresses = { deny = ['192.0.2.1/32'] }\n";
        let config = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let question = Question::parse("GET", "http://a.test/a", headers).unwrap();
        answer(&config, &question.asked_from(client.parse().unwrap()))
    }

    fn origin(answer: &super::super::Answer) -> &str {
        answer.policies.as_ref().unwrap().origin.as_deref().unwrap()
    }

    #[test]
    fn what_a_trusted_proxy_says_is_believed() {
        let over_tls = ask("127.0.0.1", &["x-forwarded-proto: https", "x-forwarded-for: 203.0.113.9"]);
        assert!(origin(&over_tls).starts_with("came over TLS: served"), "{over_tls:?}");
        assert_eq!((over_tls.removed.len(), over_tls.status), (0, None));
        assert_eq!(over_tls.came.as_deref(), Some("over TLS, as the proxy at 127.0.0.1 says"));
        let clear = ask("127.0.0.1", &["x-forwarded-proto: http", "x-forwarded-host: shop.test"]);
        assert!(origin(&clear).starts_with("came in the clear: sent to https://shop.test/a with 308"), "{clear:?}");
        let denied = ask("127.0.0.1", &["x-forwarded-proto: https", "x-forwarded-for: 192.0.2.1"]);
        assert_eq!(denied.status, Some(403), "whom it tells of, and not itself");
    }

    #[test]
    fn a_client_that_the_proxy_hides_is_not_taken_for_the_proxy() {
        let text = "[server]\ntrusted_proxies = ['10.0.0.0/8']\n\
                    [[routes]]\nname = 'inner'\npath = '/a'\nupstream = 'http://127.0.0.1:1'\nclients = ['10.0.0.0/8']\n\
                    [[routes]]\nname = 'all'\npath = '/a'\nupstream = 'http://127.0.0.1:1'\n\
                    [[routes]]\nname = 'listed'\npath = '/b'\nupstream = 'http://127.0.0.1:1'\naddresses = { allow = ['10.0.0.0/8'] }\n\
                    [[routes]]\nname = 'split'\npath = '/c'\nsplit = [{ upstream = 'u', weight = 1, sticky = 'client_ip' }, { upstream = 'v', weight = 1 }]\n\
                    [upstreams]\nu.endpoints = ['127.0.0.1:1']\nv.endpoints = ['127.0.0.1:2']\n";
        let config = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|it| panic!("{it:?}"));
        let ask = |path: &str, header: &str| {
            let question = Question::parse("GET", path, &[header]).unwrap();
            answer(&config.config, &question.asked_from("10.0.0.1".parse().unwrap()))
        };
        for hidden in ["forwarded: for=unknown", "x-forwarded-for: _proxy"] {
            let told = ask("/a", hidden);
            assert_eq!(told.routing.as_ref().unwrap().route.as_deref(), Some("all"), "{hidden}");
            assert!(told.client.as_deref().unwrap().starts_with("hidden: the proxy at 10.0.0.1"), "{told:?}");
            assert_eq!(ask("/b", hidden).status, Some(403), "{hidden}");
            let chosen = ask("/c", hidden).policies.unwrap().chosen.unwrap();
            assert!(!chosen.contains("none is given"), "the proxy's address stands for it: {chosen}");
        }
        let known = ask("/a", "x-forwarded-for: 10.0.0.2");
        assert_eq!(known.client.as_deref(), Some("10.0.0.2, as the proxy at 10.0.0.1 says"));
        assert_eq!(known.routing.unwrap().route.as_deref(), Some("inner"));
        assert_eq!(ask("/b", "x-forwarded-for: 10.0.0.2").status, None);
        // One that says nothing of anybody asks for itself.
        let own = ask("/a", "x-other: 1");
        assert_eq!((own.client.as_deref(), own.routing.unwrap().route.as_deref()), (None, Some("inner")));
    }

    #[test]
    fn what_strangers_say_is_not() {
        let told = ask("203.0.113.9", &["x-forwarded-proto: https", "x-forwarded-host: shop.test"]);
        assert!(origin(&told).starts_with("came in the clear: sent to https://a.test/a"), "{told:?}");
        assert_eq!(told.removed.len(), 2);
    }
}
