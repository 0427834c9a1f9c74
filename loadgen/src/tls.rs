//! TLS towards the server under load: whom to believe, and whether sessions are resumed.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, InvalidMessage, RootCertStore,
    SignatureScheme, StreamOwned,
};

use crate::announce::Announced;

/// The protocol's name in ALPN (RFC 7301; RFC 9113, section 3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Who is believed to be the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Whom the system believes.
    System,
    /// Whoever has a certificate of these authorities, PEM.
    Own(&'a [u8]),
    /// Anybody: for a server with a certificate that nobody signed.
    Anybody,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authorities cannot be read.
    #[error("no certificate of an authority could be read: {0}")]
    Authorities(String),
    /// The host is no name that a certificate could have.
    #[error("`{0}` is no name that a certificate could be for")]
    Name(String),
    /// The library refuses the settings.
    #[error("{0}")]
    Settings(#[from] rustls::Error),
}

/// How connections are secured.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A secured connection.
pub(crate) type Secured = StreamOwned<ClientConnection, Announced>;

impl Tls {
    /// Settings for the host of a URL's authority. With `resumes`, a later connection takes up the session of an
    /// earlier one where the server allows it, as browsers do; else each connection takes a whole handshake.
    ///
    /// # Errors
    /// When the authorities cannot be read, or no certificate could be for the host.
    pub fn new(authority: &str, trust: Trust<'_>, resumes: bool) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match trust {
            Trust::System => builder.with_root_certificates(system_roots()),
            Trust::Own(pem) => builder.with_root_certificates(roots_of(pem)?),
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAnybody(provider))),
        };
        let mut config = builder.with_no_client_auth();
        config.resumption = match resumes {
            true => Resumption::store(Arc::new(ClientSessionMemoryCache::new(256))),
            false => Resumption::disabled(),
        };
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        let host = host_of(authority);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// The same, asking for HTTP/2.
    #[must_use]
    pub(crate) fn asking_for_http2(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![HTTP_2.to_vec()];
        self
    }

    /// Begins a handshake, which goes on with each read and write.
    pub(crate) fn begin(&self, stream: Announced) -> io::Result<Secured> {
        let connection =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Takes one whole handshake on a socket that blocks, so that what is wrong is told before the load.
    ///
    /// # Errors
    /// Why the server is not believed, or does not speak what is asked for.
    pub(crate) fn try_out(&self, stream: Announced) -> io::Result<()> {
        let mut secured = self.begin(stream)?;
        while secured.conn.is_handshaking() {
            secured.conn.complete_io(&mut secured.sock).map_err(explained)?;
        }
        let wants_http2 = self.config.alpn_protocols.iter().any(|protocol| protocol == HTTP_2);
        if wants_http2 && secured.conn.alpn_protocol() != Some(HTTP_2) {
            return Err(io::Error::other("it does not offer HTTP/2 (by ALPN); leave --http2 out"));
        }
        Ok(())
    }
}

/// What to do about the certificate of a CA in the place of a server's (RFC 5280, section 4.2.1.9).
const CA_ITSELF: &str = "its certificate is that of a CA; let that CA issue one for the server: \
    openssl req -x509 -CA ca.pem -CAkey ca.key -newkey rsa:2048 -nodes -keyout server.key -out server.pem -subj /CN=NAME \
    -addext subjectAltName=DNS:NAME -addext basicConstraints=critical,CA:FALSE";

/// rustls' error, in our words where its own say nothing to whom made the certificate.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            io::Error::new(error.kind(), CA_ITSELF)
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            let help = "--ca names who signed its certificate, --insecure believes anybody";
            io::Error::new(error.kind(), format!("{error} ({help})"))
        }
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::new(error.kind(), "it speaks no TLS; try http://")
        }
        _ => error,
    }
}

/// The host alone: no port, no brackets around an IPv6 address.
fn host_of(authority: &str) -> &str {
    let has_port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = has_port.map_or(authority, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One that cannot be used is one less; a server that needs it is not believed, and the error says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Authorities("there is no CERTIFICATE block".to_owned()));
    }
    Ok(roots)
}

/// Whoever is at the other end has the key of the certificate that it shows, and that is all.
#[derive(Debug)]
struct BelievesAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_is_what_a_certificate_is_for() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("[::1]:1", "::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(host_of(authority), host);
            assert!(Tls::new(authority, Trust::Anybody, true).is_ok(), "{authority}");
        }
        assert!(matches!(Tls::new("a b", Trust::Anybody, true), Err(TlsError::Name(_))));
    }

    #[test]
    fn authorities_without_a_certificate_are_an_error_that_says_so() {
        let error = Tls::new("a.example", Trust::Own(b"not PEM"), true).unwrap_err();
        assert!(error.to_string().contains("there is no CERTIFICATE block"), "{error}");
    }
}
