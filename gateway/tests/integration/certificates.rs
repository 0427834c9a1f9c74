//! Clients' certificates as identities (security.md, G and H): whom the handshake has verified is who is asking.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mocks::Mock;
use rustls::{ClientConfig, HandshakeKind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::h2::H2Client;
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
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer realm=\"gateway\"")));
}

#[tokio::test]
async fn an_optional_certificate_is_told_where_it_is() {
    let it = protected("{ providers = ['certs'], optional = true }").await;
    let mut without = it.connect(it.authority.client()).await;
    assert_eq!(without.ask(GET).await.echo().all("x-auth-subject"), [""; 0]);
    assert_eq!(it.connect(it.job()).await.ask(GET).await.echo().header("x-auth-subject"), Some("job.test"));
}

#[tokio::test]
async fn h_a_token_that_is_bound_to_a_certificate_is_its_owners_alone() {
    let it = protected("{ providers = ['main'] }").await;
    let (owner, certificate) = it.authority.client_shown(&it.authority, "job.test");
    let bearing = |cnf: Value| {
        let token = it.issuer.token(&json!({ "cnf": cnf }));
        format!("GET / HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {token}\r\n\r\n")
    };
    let bound = bearing(json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)) }));
    let mut owner = it.connect(owner).await;
    let mut thieves = [it.connect(it.authority.client()).await, it.connect(it.job()).await];
    assert_eq!(owner.ask(&bound).await.echo().header("x-auth-subject"), Some("ada"));
    // It is known now, on every connection.
    for thief in &mut thieves {
        for _ in 0..2 {
            let answer = thief.ask(&bound).await;
            let told = answer.header("www-authenticate");
            assert_eq!((answer.status, told), (401, Some("Bearer error=\"invalid_token\"")));
        }
    }
    assert_eq!(owner.ask(&bound).await.status, 200, "whoever else has it takes nothing away");
    let of_dpop = bearing(json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }));
    assert_eq!(owner.ask(&of_dpop).await.status, 401, "it is no bearer token");
    let records = it.gateway.records(7).await;
    // Of those that were let in, records say who it was.
    let told: Vec<&str> = records.iter().map(|record| record["auth"].as_str().unwrap_or("")).collect();
    let stolen = ["not_holder"; 4];
    assert_eq!(told, [&[""][..], &stolen, &["", "not_holder"]].concat());
    assert!(records.iter().all(|record| record.get("auth").is_none() == record.get("subject").is_some()));
    assert_eq!(it.upstream.counters().requests, 2);
}

/// A listener whose certificate is this authority's, and whose clients' are signed by one of a file.
fn listener(own: &Authority, client_ca: &Path) -> String {
    let (cert, key) = own.write("a", &["a.test"]);
    let tls = format!(
        "cert = {}, key = {}, client_ca = {}, client_auth = 'required'",
        quoted(&cert),
        quoted(&key),
        quoted(client_ca)
    );
    format!("[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\n")
}

#[tokio::test]
async fn h_a_name_is_an_identity_where_the_provider_believes_who_signed_it() {
    let (upstream, ours, partners) = (echo().await, Authority::new(), Authority::new());
    let listeners = [listener(&ours, &ours.file()), listener(&ours, &partners.file())].concat();
    let route = one_route("", "auth = { providers = ['jobs'] }", upstream.addr());
    let provider = format!("[identity.providers.jobs]\nkind = 'mtls'\nca = {}\n", quoted(&ours.file()));
    let gateway = Gateway::start(&format!("{listeners}{route}\n{provider}")).await;
    // The partner's authority signs whatever name it likes, and its own listener believes it.
    for (address, signer, status) in [(0, &ours, 200), (1, &partners, 401)] {
        let config = ours.client_as(signer, "job.test");
        let mut client = TlsClient::over_tls(gateway.addresses()[address], config, "a.test").await.unwrap();
        for _ in 0..2 {
            assert_eq!(client.ask(GET).await.status, status);
        }
    }
    let records = gateway.records(4).await;
    let told: Vec<&str> = records.iter().map(|record| record["auth"].as_str().unwrap_or("")).collect();
    assert_eq!(told, ["", "", "issuer", "issuer"]);
    assert_eq!(upstream.counters().requests, 2);
}

#[tokio::test]
async fn g_who_is_connected_is_not_believed_any_more_once_its_signer_is_taken_out() {
    for auth in ["auth = { providers = ['certs'] }", ""] {
        let (upstream, ours, partners) = (echo().await, Authority::new(), Authority::new());
        let signers = ours.file().with_file_name("clients.pem");
        let [one, other] = [&ours, &partners].map(|authority| std::fs::read_to_string(authority.file()).unwrap());
        std::fs::write(&signers, format!("{one}{other}")).unwrap();
        let (listener, route) = (listener(&ours, &signers), one_route("", auth, upstream.addr()));
        let provider = "[identity.providers.certs]\nkind = 'mtls'\n";
        let gateway = Gateway::start(&format!("{listener}{route}\n{provider}")).await;
        let connect = async |signer: &Authority| {
            let config = ours.client_as(signer, "job.test");
            TlsClient::over_tls(gateway.address, config, "a.test").await.unwrap()
        };
        let (mut stays, mut leaves) = (connect(&ours).await, connect(&partners).await);
        let mut leaves_too = H2Client::over_tls(gateway.address, ours.client_as(&partners, "job.test"), "a.test").await;
        assert_eq!([stays.ask(GET).await.status, leaves.ask(GET).await.status], [200; 2]);
        assert_eq!(leaves_too.get("/").await.status, 200);

        std::fs::write(&signers, one).unwrap();
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        let refused = leaves.ask(GET).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("ClientCertificate")));
        assert_eq!(refused.header("connection"), Some("close"));
        leaves.closed().await;
        assert_eq!(leaves_too.get("/").await.status, 401);
        leaves_too.ended().await.unwrap();
        assert_eq!(stays.ask(GET).await.status, 200, "{auth}");
        assert_eq!(upstream.counters().requests, 4);
    }
}
