//! OCSP responses beside certificates: shown in handshakes, for as long as they hold, and exchanged without a restart.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gateway::config::{Purpose, load_text};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Authority, Gateway, TlsClient, echo, eventually, quoted};

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], &inner].concat()
}

/// A response that says that the certificate of a file is good until then; nobody has signed it.
fn good(certificate: &Path, until: &str) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    let (sequence, octets, time) = (0x30, 0x04, 0x18);
    let hash = der(octets, &[&[1; 20]]);
    let id = der(sequence, &[&der(sequence, &[]), &hash, &hash, &der(0x02, &[parsed.tbs_certificate.raw_serial()])]);
    let (made, next) = (der(time, &[b"20260101000000Z"]), der(0xa0, &[&der(time, &[until.as_bytes()])]));
    let one = der(sequence, &[&id, &der(0x80, &[]), &made, &next]);
    let data = der(sequence, &[&der(0xa2, &[&hash]), &made, &der(sequence, &[&one])]);
    let basic = der(sequence, &[&data, &der(sequence, &[]), &der(0x03, &[&[0; 64]])]);
    let bytes = der(sequence, &[&der(0x06, &[&[0x2b]]), &der(octets, &[&basic])]);
    der(sequence, &[&der(0x0a, &[&[0]]), &der(0xa0, &[&bytes])])
}

/// Believes everybody, and keeps what it is shown.
#[derive(Debug)]
struct Keeps(Mutex<Vec<u8>>, CryptoProvider);

impl ServerCertVerifier for Keeps {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}

/// What a client is shown beside the certificate of this name.
async fn shown(gateway: &Gateway, name: &str) -> Vec<u8> {
    let keeps = Arc::new(Keeps(Mutex::default(), aws_lc_rs::default_provider()));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let config = builder.with_custom_certificate_verifier(Arc::clone(&keeps) as _).with_no_client_auth();
    let mut client = TlsClient::over_tls(gateway.address, config, name).await.unwrap();
    let answer = client.ask(format!("GET / HTTP/1.1\r\nhost: {name}\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
    keeps.0.lock().unwrap().clone()
}

#[tokio::test]
async fn a_response_is_shown_with_its_certificate_and_a_new_one_with_the_next_connection() {
    let (authority, upstream) = (Authority::new(), echo().await);
    let ((a, a_key), (b, b_key)) = (authority.write("a", &["a.test"]), authority.write("b", &["b.test"]));
    let responses = ["a", "b"].map(|name| a.with_file_name(format!("{name}.ocsp")));
    let first = good(&a, "20991231235959Z");
    std::fs::write(&responses[0], &first).unwrap();
    // One that does not hold any more is not shown: clients would refuse the connection for it.
    std::fs::write(&responses[1], good(&b, "20200101000000Z")).unwrap();
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\ntls = {{ cert = {}, key = {}, ocsp = {}, certificates = [\
         {{ names = ['b.test'], cert = {}, key = {}, ocsp = {} }}] }}\n\
         [[routes]]\npath = '/'\nupstream = 'http://{}'\n",
        quoted(&a),
        quoted(&a_key),
        quoted(&responses[0]),
        quoted(&b),
        quoted(&b_key),
        quoted(&responses[1]),
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    assert_eq!(shown(&gateway, "a.test").await, first);
    assert_eq!(shown(&gateway, "b.test").await, b"");
    let later = good(&b, "20981231235959Z");
    std::fs::write(&responses[1], &later).unwrap();
    eventually("the new file is in force", || gateway.inner().snapshot().version > 1).await;
    assert_eq!(shown(&gateway, "b.test").await, later);
    assert_eq!(shown(&gateway, "a.test").await, first);
}

#[test]
fn what_is_no_response_about_the_certificate_is_refused_where_it_is_written() {
    let authority = Authority::new();
    let ((a, key), (b, _)) = (authority.write("a", &["a.test"]), authority.write("b", &["b.test"]));
    let file = a.with_file_name("a.ocsp");
    let errors = |response: &[u8]| {
        std::fs::write(&file, response).unwrap();
        let text = format!(
            "[[listeners]]\ntls = {{ cert = {}, key = {}, ocsp = {} }}\n\
             [[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:1'\n",
            quoted(&a),
            quoted(&key),
            quoted(&file)
        );
        match load_text(&text, Path::new("gateway.toml"), Purpose::Check) {
            Ok(loaded) => loaded.warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>().join("; "),
            Err(problems) => format!("error: {problems}"),
        }
    };
    assert!(errors(b"no response").contains("error: ") && errors(b"no response").contains("no OCSP response"));
    assert!(errors(&good(&b, "20991231235959Z")).contains("it is about another certificate"));
    let stale = errors(&good(&a, "20200101000000Z"));
    assert!(!stale.contains("error: ") && stale.contains("does not hold any more"), "{stale}");
    assert!(!errors(&good(&a, "20991231235959Z")).contains("ocsp"));
}
