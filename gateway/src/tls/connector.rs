//! From a socket to an endpoint that has proven who it is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::unsecured::Unsecured;
use super::{HTTP_2, HTTP_11};
use crate::config::settings::upstream::{Protocol, Target};
use crate::config::settings::upstream_tls::{Trust, UpstreamTls};
use crate::network::ByteStream;

/// Sessions that are kept to be resumed, for one endpoint. rustls keeps eight tickets for a name at most.
const SESSIONS: usize = 8;

/// Takes handshakes with one endpoint, under one configuration.
pub struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    /// For checked settings. What it remembers of sessions is its own: whoever was believed under other settings, or at
    /// another endpoint, is asked again. `None` where no certificate could be for the endpoint.
    pub fn new(settings: &UpstreamTls, target: &Target, protocol: Protocol) -> Option<Self> {
        let name = settings.name_of(target)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).ok()?;
        let builder = match &settings.trust {
            // Without any root nobody is believed.
            Trust::System(roots) | Trust::Own(roots) => builder.with_root_certificates(Arc::clone(roots)),
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAnybody(provider))),
        };
        let mut config = match &settings.certificate {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((**own).clone()))),
        };
        let spoken = if protocol == Protocol::Http2 { HTTP_2 } else { HTTP_11 };
        config.alpn_protocols = vec![spoken.to_vec()];
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(SESSIONS)));
        Some(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Takes the handshake. The caller limits the time.
    ///
    /// # Errors
    /// Why the endpoint is not believed, or does not believe the gateway.
    pub async fn connect<S: ByteStream>(&self, stream: S) -> Result<TlsStream<S>, Unsecured> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| Unsecured::new(&error))
    }

    /// Who has to prove itself.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

/// `insecure`: whoever is at the other end has the key of the certificate that it shows, and that is all.
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
