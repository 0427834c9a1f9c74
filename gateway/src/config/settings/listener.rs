//! `[[listeners]]`: the addresses that clients connect to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::sign::CertifiedKey;

/// One listening address.
#[derive(Debug, Clone)]
pub struct Listener {
    /// What routes call it that are reached by it alone; no other one is called so.
    pub name: Option<Arc<str>>,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// `false`: one socket and an accept thread. `true`: a socket for each worker, the kernel spreads connections.
    pub reuse_port: bool,
    /// Connections begin with a header of the PROXY protocol, which trusted proxies send.
    pub proxy_protocol: bool,
    /// How it speaks TLS; `None` = in the clear.
    pub tls: Option<Arc<ListenerTls>>,
}

/// A listener's certificates, read.
#[derive(Debug)]
pub struct ListenerTls {
    /// Shown where no other has the name that is asked for, and where none is.
    pub default: Option<Arc<CertifiedKey>>,
    /// The others.
    pub named: Box<[NamedCertificate]>,
    /// What issuers say of them.
    pub staples: Arc<[Stapled]>,
    /// Whether clients show one of their own, and who signs those.
    pub clients: ClientCertificates,
    /// Which of those were taken back, as their signers say; empty where nobody is asked.
    pub revoked: Arc<[CertificateRevocationListDer<'static>]>,
    /// The files of all that.
    pub files: Box<[PathBuf]>,
}

/// A certificate for some names.
#[derive(Debug)]
pub struct NamedCertificate {
    /// In small letters; one that begins with `*.` stands for one label more.
    pub names: Box<[Box<str>]>,
    /// With its key.
    pub certificate: Arc<CertifiedKey>,
}

/// `client_auth`
#[derive(Debug)]
pub enum ClientCertificates {
    /// None is asked for.
    Unwanted,
    /// One may be shown; if it is, it has to hold.
    Optional(Arc<RootCertStore>),
    /// Without one that holds there is no connection.
    Required(Arc<RootCertStore>),
}

/// A certificate that is shown with what its issuer says of it.
#[derive(Debug)]
pub struct Stapled {
    /// As it is shown.
    pub certificate: Arc<CertifiedKey>,
    /// The same without, for when that does not hold any more.
    pub bare: Arc<CertifiedKey>,
    /// Until when it holds, seconds since the Unix epoch.
    pub until: i64,
}
