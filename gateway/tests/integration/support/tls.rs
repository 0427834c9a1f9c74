//! Certificates of an authority of the test's own, and clients that believe it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair,
    RevokedCertParams, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Client;

/// A client over TLS.
pub(crate) type TlsClient = Client<TlsStream<TcpStream>>;

/// Signs certificates, and keeps what it writes in a folder.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate and its key, written to files of this name.
    pub(crate) fn write(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        self.write_made(file, &self.params(names))
    }

    fn write_made(&self, file: &str, params: &CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let paths = ["pem", "key"].map(|extension| self.folder.path().join(format!("{file}.{extension}")));
        let [chain, secret] = paths;
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        (chain, secret)
    }

    /// A list of what it has taken back, written to a file of this name, until the first day of a year.
    pub(crate) fn revoke(&self, file: &str, certificates: &[CertificateDer<'static>], until: i32) -> PathBuf {
        let revoked = |certificate: &CertificateDer<'static>| {
            let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
            RevokedCertParams {
                serial_number: SerialNumber::from_slice(parsed.raw_serial()),
                revocation_time: rcgen::date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: certificates.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.path().join(format!("{file}.pem"));
        std::fs::write(&path, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }

    /// A certificate and its key, likewise, which ends in so many seconds.
    pub(crate) fn write_ending_in(&self, file: &str, names: &[&str], seconds: u64) -> (PathBuf, PathBuf) {
        let end = std::time::Duration::from_secs(u64::try_from(super::now()).unwrap() + seconds);
        let mut params = self.params(names);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
        self.write_made(file, &params)
    }

    /// The same, which began so many seconds ago.
    pub(crate) fn write_living(&self, file: &str, names: &[&str], ago: u64, seconds: u64) -> (PathBuf, PathBuf) {
        let begin = std::time::Duration::from_secs(u64::try_from(super::now()).unwrap() - ago);
        let mut params = self.params(names);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + begin;
        params.not_after = params.not_before + std::time::Duration::from_secs(ago + seconds);
        self.write_made(file, &params)
    }

    fn params(&self, names: &[&str]) -> CertificateParams {
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// What a client believes that believes this authority; it has no certificate of its own.
    pub(crate) fn client(&self) -> ClientConfig {
        self.builder().with_no_client_auth()
    }

    /// The same, with a certificate of its own that `signer` signs.
    pub(crate) fn client_as(&self, signer: &Authority, name: &str) -> ClientConfig {
        self.client_shown(signer, name).0
    }

    /// The same, and that certificate.
    pub(crate) fn client_shown(&self, signer: &Authority, name: &str) -> (ClientConfig, CertificateDer<'static>) {
        let (chain, secret) = signer.sign(&signer.params(&[name]));
        let own = chain[0].clone();
        (self.builder().with_client_auth_cert(chain, secret).unwrap(), own)
    }

    /// A server of these names.
    pub(crate) fn server(&self, names: &[&str]) -> ServerConfig {
        self.server_with(&self.params(names))
    }

    /// The same, with a certificate that has expired.
    pub(crate) fn expired_server(&self, names: &[&str]) -> ServerConfig {
        let mut params = self.params(names);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
        self.server_with(&params)
    }

    /// The same, for clients of this authority only.
    pub(crate) fn server_for_clients(&self, names: &[&str]) -> ServerConfig {
        let (provider, mut roots) = (Arc::new(rustls::crypto::aws_lc_rs::default_provider()), RootCertStore::empty());
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let (chain, secret) = self.sign(&self.params(names));
        let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
        builder.with_single_cert(chain, secret).unwrap()
    }

    fn server_with(&self, params: &CertificateParams) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let (chain, secret) = self.sign(params);
        builder.with_no_client_auth().with_single_cert(chain, secret).unwrap()
    }

    fn sign(&self, params: &CertificateParams) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_root_certificates(roots)
    }
}

impl TlsClient {
    /// Connects, asking for this name.
    pub(crate) async fn over_tls(
        address: SocketAddr,
        config: impl Into<Arc<ClientConfig>>,
        name: &str,
    ) -> std::io::Result<Self> {
        Self::handshake(Client::on(TcpStream::connect(address).await?), config, name).await
    }

    /// The same on a connection that is there already.
    pub(crate) async fn handshake(
        plain: Client,
        config: impl Into<Arc<ClientConfig>>,
        name: &str,
    ) -> std::io::Result<Self> {
        let stream = plain.into_stream();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Ok(Self::on(TlsConnector::from(config.into()).connect(name, stream).await?))
    }
}

/// As a configuration writes a path.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
