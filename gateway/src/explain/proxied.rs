//! A question that a trusted proxy passes on: by its word the gateway goes, of whose it is and how it came.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

use super::Question;
use crate::config::settings::Config;
use crate::context::{Peer, Scheme, TrustedProxies, client_address, forwarded};

/// What a trusted proxy says of a request.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Which proxy.
    pub(super) by: IpAddr,
    /// Whether its client's connection is encrypted, where it says so.
    pub(super) secure: Option<bool>,
    /// The host that was asked for, where it says so.
    pub(super) host: Option<HeaderValue>,
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
    let told = Told {
        by,
        // It says nothing where its own connection counts.
        secure: (plain == encrypted).then_some(plain),
        host: forwarded::told_host(headers, &trusted),
    };
    let client = client_address(headers, &peer(Scheme::Http), &trusted).ip;
    Question { client: Some(client), told: Some(told), ..question.clone() }
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
    fn what_strangers_say_is_not() {
        let told = ask("203.0.113.9", &["x-forwarded-proto: https", "x-forwarded-host: shop.test"]);
        assert!(origin(&told).starts_with("came in the clear: sent to https://a.test/a"), "{told:?}");
        assert_eq!(told.removed.len(), 2);
    }
}
