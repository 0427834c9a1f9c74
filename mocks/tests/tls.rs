//! A service over TLS: both protocols, faults below HTTP, and what is said of files that are no certificate.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mocks::{Effect, Mock, Protocol, Reset, Rule, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for 127.0.0.1 and its key, in PEM, and who signed it.
fn certificate() -> (String, String, CertificateDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    (certificate.pem(), key.serialize_pem(), ca.der().clone())
}

/// A service that speaks TLS, and who signed its certificate.
fn mock() -> (Mock, CertificateDer<'static>) {
    let (certificate, key, ca) = certificate();
    let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    (Mock::builder().service("orders").tls(tls).launch().unwrap(), ca)
}

async fn connect(mock: &Mock, ca: &CertificateDer<'static>, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(mock.addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

fn get(target: &str) -> Request<Empty<Bytes>> {
    Request::builder().uri(target).header("host", "127.0.0.1").body(Empty::new()).unwrap()
}

#[tokio::test]
async fn http1_is_answered_on_connections_that_are_kept() {
    let (mock, ca) = mock();
    assert!(mock.url("/").starts_with("https://127.0.0.1:"));
    let stream = connect(&mock, &ca, b"http/1.1").await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for bytes in [10_usize, 300_000] {
        let answer = sender.send_request(get(&format!("/bytes/{bytes}"))).await.unwrap();
        assert_eq!(answer.headers()["x-mock-service"], "orders");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), bytes);
    }
    assert_eq!((mock.counters().accepts, mock.counters().requests), (1, 2));
}

#[tokio::test]
async fn http2_is_offered_and_many_requests_share_a_connection() {
    let (mock, ca) = mock();
    let stream = connect(&mock, &ca, b"h2").await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let asked = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move {
            let answer = sender.send_request(get("https://127.0.0.1/bytes/20000")).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes().len()
        }
    });
    assert_eq!(futures_util::future::join_all(asked).await, [20_000; 20]);
    mock.wait_for_entries(20).await;
    assert!(mock.journal().iter().all(|entry| entry.protocol == Protocol::Http2));
    assert_eq!(mock.counters().accepts, 1);
}

#[tokio::test]
async fn a_fault_breaks_what_is_secured_too() {
    let (mock, ca) = mock();
    mock.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let stream = connect(&mock, &ca, b"http/1.1").await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert!(sender.send_request(get("/")).await.is_err());
}

#[test]
fn files_that_are_no_certificate_are_told_of_before_anything_starts() {
    let (certificate, key, _) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (cert, key_file, nothing) = (path("a.pem", &certificate), path("a.key", &key), path("b.pem", "nothing"));
    let (_, another, _) = self::certificate();
    let another = path("c.key", &another);
    let missing = folder.path().join("d.pem").to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mocks"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    };
    for (cert, key, code, words) in [
        (&nothing, &key_file, 1, "there is no CERTIFICATE block"),
        (&cert, &nothing, 1, "no private key"),
        (&cert, &another, 1, "KeyMismatch"),
        (&missing, &key_file, 3, "cannot read"),
    ] {
        let (ended, said) = run(&["--tls-cert", cert, "--tls-key", key]);
        assert!(ended == Some(code) && said.contains(words), "{ended:?} {said}");
    }
    assert_eq!(run(&["--tls-cert", &cert]).0, Some(2));
}
