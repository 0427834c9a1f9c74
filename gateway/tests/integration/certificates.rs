//! Clients' certificates as identities (security.md, G and H): whom the handshake has verified is who is asking.

use std::sync::Arc;

use mocks::Mock;
use rustls::{ClientConfig, HandshakeKind};

use crate::support::{Authority, Gateway, Issuer, TlsClient, echo, one_route, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// A gateway whose only route has this `auth`, and who signs everything.
struct Protected {
    gateway: Gateway,
    authority: Authority,
    issuer: Issuer,
    upstream: Mock,
}

async fn protected(auth: &str) -> Protected {
    let (upstream, authority, issuer) = (echo().await, Authority::new(), Issuer::new("k1"));
    let (cert, key) = authority.write("a", &["a.test"]);
    let tls = format!(
        "cert = {}, key = {}, client_ca = {}, client_auth = 'optional'",
        quoted(&cert),
        quoted(&key),
        quoted(&authority.file())
    );
    let route = one_route("", &format!("auth = {auth}"), upstream.addr());
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\n{route}\n\
         [identity.providers.certs]\nkind = 'mtls'\n\n{}",
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    Protected { gateway, authority, issuer, upstream }
}

impl Protected {
    async fn connect(&self, config: impl Into<Arc<ClientConfig>>) -> TlsClient {
        TlsClient::over_tls(self.gateway.address, config, "a.test").await.unwrap()
    }

    fn job(&self) -> ClientConfig {
        self.authority.client_as(&self.authority, "job.test")
    }

    async fn count(&self, result: &str) -> Option<f64> {
        self.gateway.metric(&format!("gateway_auth_total{{provider=\"certs\",result=\"{result}\"}}")).await
    }
}

#[tokio::test]
async fn a_certificate_that_the_handshake_verified_says_who_is_asking() {
    let it = protected("{ providers = ['certs'] }").await;
    let mut client = it.connect(it.job()).await;
    for _ in 0..2 {
        let echo = client.ask("GET / HTTP/1.1\r\nhost: a.test\r\nx-auth-subject: root\r\n\r\n").await.echo();
        assert_eq!(echo.all("x-auth-subject"), ["job.test"], "what the client says of itself is not passed on");
    }
    assert_eq!(it.gateway.records(2).await[1]["subject"], "job.test");
    assert_eq!(it.count("granted").await, Some(2.0));
    let hits = it.gateway.metric("gateway_token_cache_total{result=\"connection\"}").await;
    assert_eq!(hits, Some(1.0), "the second request on a connection looks nothing up");
}

#[tokio::test]
async fn h_without_a_certificate_nobody_is_believed() {
    let it = protected("{ providers = ['certs'] }").await;
    let mut client = it.connect(it.authority.client()).await;
    for forged in ["", "x-auth-subject: job.test\r\n", "x-forwarded-client-cert: job.test\r\n"] {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nhost: a.test\r\n{forged}\r\n")).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("ClientCertificate")), "{forged}");
    }
    assert_eq!(it.upstream.counters().requests, 0);
    assert_eq!(it.count("missing").await, Some(3.0));
}

#[tokio::test]
async fn a_resumed_session_is_the_same_client() {
    let it = protected("{ providers = ['certs'] }").await;
    let config = Arc::new(it.job());
    assert_eq!(it.connect(Arc::clone(&config)).await.ask(GET).await.status, 200);
    let mut again = it.connect(config).await;
    assert_eq!(again.ask(GET).await.echo().header("x-auth-subject"), Some("job.test"));
    assert_eq!(again.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_route_names_the_certificates_that_are_enough_for_it() {
    for (rule, status) in [("dns = 'job.test'", 200), ("sub = 'job.test'", 200), ("dns = 'other.test'", 403)] {
        let it = protected(&format!("{{ providers = ['certs'], claims = {{ {rule} }} }}")).await;
        assert_eq!(it.connect(it.job()).await.ask(GET).await.status, status, "{rule}");
    }
}

#[tokio::test]
async fn the_first_provider_whose_credential_is_there_decides() {
    let it = protected("{ providers = ['certs', 'main'] }").await;
    let token = it.issuer.token(&serde_json::json!({}));
    let bearing = format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut client = it.connect(it.job()).await;
    assert_eq!(client.ask(&bearing).await.echo().header("x-auth-subject"), Some("job.test"));
    let mut without = it.connect(it.authority.client()).await;
    assert_eq!(without.ask(&bearing).await.echo().header("x-auth-subject"), Some("ada"));
    let answer = without.ask(GET).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
}

#[tokio::test]
async fn an_optional_certificate_is_told_where_it_is() {
    let it = protected("{ providers = ['certs'], optional = true }").await;
    let mut without = it.connect(it.authority.client()).await;
    assert_eq!(without.ask(GET).await.echo().all("x-auth-subject"), [""; 0]);
    assert_eq!(it.connect(it.job()).await.ask(GET).await.echo().header("x-auth-subject"), Some("job.test"));
}
