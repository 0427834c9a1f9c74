//! `tls` of an upstream: how the gateway makes sure that it speaks to the right one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::upstream::Target;

/// TLS to the endpoints of an upstream; certificates and keys are read.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// Whose word counts for who an endpoint is.
    pub trust: Trust,
    /// The name that is asked for and has to be proven; `None` = the endpoint's own.
    pub name: Option<ServerName<'static>>,
    /// What the gateway shows where it is asked who it is.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// The files of all that.
    pub files: Box<[PathBuf]>,
}

/// Whose word counts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those whom the system trusts.
    System(Arc<RootCertStore>),
    /// Those of `ca`, and nobody else.
    Own(Arc<RootCertStore>),
    /// `insecure`: anybody may say to be the endpoint.
    Anybody,
}

impl Trust {
    /// As the admin API shows it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::Own(_) => "ca",
            Self::Anybody => "nobody",
        }
    }
}

impl UpstreamTls {
    /// Whether endpoints need not prove who they are.
    pub fn is_insecure(&self) -> bool {
        matches!(self.trust, Trust::Anybody)
    }

    /// The name that an endpoint has to prove; `None` where no certificate could be for it.
    pub fn name_of(&self, target: &Target) -> Option<ServerName<'static>> {
        self.name.clone().or_else(|| target.server_name())
    }
}

/// By what the files hold: a file that was written again with the same changes nothing.
impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        let trusts = match (&self.trust, &other.trust) {
            (Trust::System(one), Trust::System(other)) | (Trust::Own(one), Trust::Own(other)) => {
                one.roots == other.roots
            }
            (Trust::Anybody, Trust::Anybody) => true,
            _ => false,
        };
        // A certificate has one key.
        let chain = |tls: &Self| tls.certificate.as_ref().map(|certified| certified.cert.clone());
        trusts && self.name == other.name && chain(self) == chain(other)
    }
}

impl fmt::Display for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.trust {
            Trust::System(_) => "checked against the system's certificates",
            Trust::Own(_) => "checked against `ca`",
            Trust::Anybody => "NOT CHECKED (insecure)",
        })?;
        match &self.name {
            Some(name) => write!(f, ", as {}", name.to_str())?,
            None => f.write_str(", by the name of each endpoint")?,
        }
        if self.certificate.is_some() { f.write_str(", with a certificate of the gateway's own") } else { Ok(()) }
    }
}

impl Target {
    /// Who has to prove itself there; `None` where no certificate could be for it.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Socket(address) => Some(ServerName::IpAddress(address.ip().into())),
            Self::Name(host, _) => server_name(host),
        }
    }
}

/// A host as certificates name it: an IP address (IPv6 also in brackets) or a name, without the dot at its end.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    ServerName::try_from(inner.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_certificates_name_them() {
        for (host, name) in [
            ("orders.internal", Some("orders.internal")),
            ("orders.internal.", Some("orders.internal")),
            ("my_service", Some("my_service")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[::1]", Some("::1")),
            ("a.0xff", None),
            ("", None),
        ] {
            assert_eq!(server_name(host).map(|name| name.to_str().into_owned()).as_deref(), name, "{host}");
        }
        let address = Target::Socket("[::1]:443".parse().unwrap());
        assert!(matches!(address.server_name(), Some(ServerName::IpAddress(_))));
    }

    #[test]
    fn settings_are_the_same_if_they_trust_the_same_and_show_the_same() {
        let certificate = || {
            let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
            let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            Arc::new(CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider).unwrap())
        };
        let (one, two) = (certificate(), certificate());
        let roots = |certified: &Arc<CertifiedKey>| {
            let mut roots = RootCertStore::empty();
            roots.add(certified.cert[0].clone()).unwrap();
            Arc::new(roots)
        };
        let all = [
            (Trust::System(roots(&one)), None, None),
            (Trust::Own(roots(&one)), None, None),
            (Trust::Own(roots(&two)), None, None),
            (Trust::Anybody, None, None),
            (Trust::Anybody, server_name("a.test"), None),
            (Trust::Anybody, None, Some(&one)),
            (Trust::Anybody, None, Some(&two)),
        ];
        let built = || {
            let of = |(trust, name, certificate): &(Trust, Option<ServerName<'static>>, Option<&Arc<CertifiedKey>>)| {
                let (trust, name, certificate) = (trust.clone(), name.clone(), certificate.cloned());
                UpstreamTls { trust, name, certificate, files: Box::default() }
            };
            all.iter().map(of).collect::<Vec<_>>()
        };
        for (at, one) in built().iter().enumerate() {
            for (place, other) in built().iter().enumerate() {
                assert_eq!(one == other, at == place, "{one} and {other}");
            }
        }
    }
}
