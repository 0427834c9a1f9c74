//! Clients' certificates that were taken back (CRL; RFC 5280, section 5), on listeners that ask for them (security.md,
//! G).

use std::path::Path;
use std::sync::Arc;

use gateway::telemetry::metrics::HandshakeResult;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, HandshakeKind};
use serde_json::json;

use crate::support::h2::H2Client;
use crate::support::{Authority, Events, Gateway, TlsClient, echo, eventually, one_route, quoted};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

/// A year in which nobody looks at lists any more, and one that is over.
const LONG: i32 = 2050;
const OVER: i32 = 2021;

struct World {
    gateway: Gateway,
    authority: Authority,
    list: std::path::PathBuf,
    upstream: mocks::Mock,
}

async fn world(client_auth: &str, revoked: &[CertificateDer<'static>], authority: Authority, until: i32) -> World {
    let upstream = echo().await;
    let list = authority.revoke("crl", revoked, until);
    let listener = listener(&authority, &list, client_auth);
    let gateway = Gateway::start(&format!("{listener}{}", one_route("", "", upstream.addr()))).await;
    World { gateway, authority, list, upstream }
}

fn listener(authority: &Authority, list: &Path, client_auth: &str) -> String {
    let (cert, key) = authority.write("a", &["a.test"]);
    let tls = format!(
        "cert = {}, key = {}, client_ca = {}, client_auth = '{client_auth}', client_crl = [{}]",
        quoted(&cert),
        quoted(&key),
        quoted(&authority.file()),
        quoted(list)
    );
    format!("[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ {tls} }}\n\n")
}

impl World {
    async fn connect(&self, config: impl Into<Arc<ClientConfig>>) -> TlsClient {
        TlsClient::over_tls(self.gateway.address, config, "a.test").await.unwrap()
    }

    /// Whether a request of this client is answered with 200.
    async fn serves(&self, config: impl Into<Arc<ClientConfig>>) -> bool {
        let Ok(mut client) = TlsClient::over_tls(self.gateway.address, config, "a.test").await else { return false };
        // In TLS 1.3 the client is done before it hears whether it was believed.
        matches!(client.try_ask(GET).await, Ok(Some(answer)) if answer.status == 200)
    }

    /// Takes these back, and nobody else.
    async fn revoke(&self, revoked: &[CertificateDer<'static>], until: i32) {
        self.authority.revoke("crl", revoked, until);
        assert!(self.list.is_file());
        assert_eq!(self.gateway.admin("POST", "/reload").await.status, 200);
    }

    /// Waits until so many handshakes came to this.
    async fn handshakes(&self, result: HandshakeResult, count: u64) {
        let listeners = self.gateway.inner().shared().metrics.listeners();
        let counted = || listeners.iter().map(|listener| listener.handshakes(result)).sum::<u64>();
        eventually(&format!("{count} handshakes {}", result.as_str()), || counted() >= count).await;
        assert_eq!(counted(), count);
    }
}

#[tokio::test]
async fn g_a_certificate_that_was_taken_back_opens_no_connection() {
    for client_auth in ["required", "optional"] {
        let authority = Authority::new();
        let (revoked, certificate) = authority.client_shown(&authority, "leaked.test");
        let it = world(client_auth, &[certificate], authority, LONG).await;
        assert!(!it.serves(revoked).await, "{client_auth}");
        assert!(it.serves(it.authority.client_as(&it.authority, "job.test")).await);
        assert_eq!(it.serves(it.authority.client()).await, client_auth == "optional");
        it.handshakes(HandshakeResult::Revoked, 1).await;
        assert_eq!(it.upstream.counters().requests, if client_auth == "optional" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn g_who_is_connected_or_resumes_a_session_is_refused_once_its_certificate_is_taken_back() {
    let authority = Authority::new();
    let (leaks, certificate) = authority.client_shown(&authority, "job.test");
    let it = world("required", &[], authority, LONG).await;
    let leaks = Arc::new(leaks);
    let mut connected = it.connect(Arc::clone(&leaks)).await;
    assert_eq!(connected.ask(GET).await.status, 200);
    let mut again = it.connect(Arc::clone(&leaks)).await;
    assert_eq!(again.ask(GET).await.status, 200);
    assert_eq!(again.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "a session is at hand");
    let mut streams = H2Client::over_tls(it.gateway.address, (*leaks).clone(), "a.test").await;
    assert_eq!(streams.get("/").await.status, 200);
    let mut stays = it.connect(it.authority.client_as(&it.authority, "other.test")).await;
    assert_eq!(stays.ask(GET).await.status, 200);

    it.revoke(&[certificate], LONG).await;
    let refused = connected.ask(GET).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("ClientCertificate")));
    connected.closed().await;
    assert_eq!(streams.get("/").await.status, 401);
    assert!(!it.serves(leaks).await, "by no session from before either");
    assert_eq!(stays.ask(GET).await.status, 200);
    it.handshakes(HandshakeResult::Revoked, 1).await;
    let records = it.gateway.records(7).await;
    let told = records.iter().filter(|record| record["auth"] == "revoked").count();
    assert_eq!(told, 2, "{records:?}");

    it.revoke(&[], LONG).await;
    assert_eq!(stays.ask(GET).await.status, 200, "what is given back holds again");
}

#[tokio::test]
async fn g_a_list_that_has_ended_lets_nobody_in_until_there_is_a_new_one() {
    let authority = Authority::new();
    let it = world("required", &[], authority, OVER).await;
    let job = Arc::new(it.authority.client_as(&it.authority, "job.test"));
    assert!(!it.serves(Arc::clone(&job)).await);
    it.handshakes(HandshakeResult::RevocationUnknown, 1).await;
    let metric = async |name: &str| {
        it.gateway.metric(&format!("gateway_tls_crl_{name}_seconds{{listener=\"127.0.0.1:0\"}}")).await
    };
    assert_eq!(metric("expiry").await, Some(1_609_459_200.0));
    assert_eq!(metric("due").await, Some(1_609_459_200.0 - 6.0 * 3_600.0), "operators can tell before");
    let problems = async || it.gateway.admin("GET", "/problems").await.json()["problems"].clone();
    let told = problems().await[0].clone();
    assert_eq!((&told["what"], &told["severity"]), (&json!("revocation_list"), &json!("bad")), "{told}");
    assert!(told["why"].as_str().unwrap().ends_with("no client is let in whose certificate its issuer has signed"));
    let mut events = Events::of(&it.gateway, "?after=0&kinds=certificate").await;
    let event = &events.next(1).await[0];
    assert_eq!((&event["expires_in"], event["revocation_list"].is_string()), (&json!(0), true), "{event}");
    it.revoke(&[], LONG).await;
    assert_eq!(problems().await, json!([]));
    assert!(it.serves(Arc::clone(&job)).await);
    let mut stays = it.connect(job).await;
    assert_eq!(stays.ask(GET).await.status, 200);
    // Somebody else's word in the authority's name is no list, and the one before stays.
    let stranger = Authority::new();
    std::fs::copy(stranger.revoke("crl", &[], LONG), &it.list).unwrap();
    assert_ne!(it.gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(stays.ask(GET).await.status, 200);
}

#[tokio::test]
async fn a_changed_list_is_read_by_itself() {
    let authority = Authority::new();
    let (leaks, certificate) = authority.client_shown(&authority, "job.test");
    let it = world("required", &[], authority, LONG).await;
    let mut client = it.connect(leaks).await;
    assert_eq!(client.ask(GET).await.status, 200);
    // The watcher starts beside the gateway; a change that it makes nothing of is made again.
    let mut n = 0;
    eventually("the list is read anew", || {
        if n % 500 == 0 {
            it.authority.revoke("crl", std::slice::from_ref(&certificate), LONG + 1 + n / 500);
        }
        n += 1;
        it.gateway.inner().snapshot().version > 1
    })
    .await;
    assert_eq!(client.ask(GET).await.status, 401);
}
