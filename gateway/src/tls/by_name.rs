//! Certificates by the name that a client asks for (RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::settings::listener::ListenerTls;

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// For every other name.
    default: Option<Arc<CertifiedKey>>,
    /// For who asks for none: a client that connects to an address.
    unnamed: Option<Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(settings: &ListenerTls) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for named in &settings.named {
            for name in &named.names {
                let certificate = Arc::clone(&named.certificate);
                match name.strip_prefix("*.") {
                    Some(parent) => wildcard.insert(parent.into(), certificate),
                    None => exact.insert(name.clone(), certificate),
                };
            }
        }
        let default = settings.default.clone();
        let first = settings.named.first().map(|named| Arc::clone(&named.certificate));
        Self { exact, wildcard, unnamed: default.clone().or(first), default }
    }

    /// The certificate for a name, in small letters.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        let by_parent = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_parent).or(self.default.as_ref())
    }

    /// All of them, some more than once.
    pub(super) fn all(&self) -> impl Iterator<Item = &CertifiedKey> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.default).map(|certificate| &**certificate)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives names in small letters, as it checked them.
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::settings::listener::{ClientCertificates, NamedCertificate};

    pub(in crate::tls) fn certificate(names: &[&str]) -> Arc<CertifiedKey> {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let made = made.unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider).unwrap())
    }

    #[test]
    fn the_nearest_name_has_its_certificate_and_others_the_default() {
        let [one, wild, default] = ["a.test", "*.a.test", "b.test"].map(|name| certificate(&[name]));
        let named = |names: &[&str], certificate: &Arc<CertifiedKey>| NamedCertificate {
            names: names.iter().map(|name| Box::from(*name)).collect(),
            certificate: Arc::clone(certificate),
        };
        let mut settings = ListenerTls {
            default: Some(Arc::clone(&default)),
            named: [named(&["a.test", "x.a.test"], &one), named(&["*.a.test"], &wild)].into(),
            clients: ClientCertificates::Unwanted,
            files: [].into(),
        };
        let found = |settings: &ListenerTls, name: Option<&str>| ByName::new(settings).find(name).cloned();
        for (name, expected) in [
            (Some("a.test"), &one),
            (Some("x.a.test"), &one),
            (Some("y.a.test"), &wild),
            (Some("z.y.a.test"), &default),
            (Some("test"), &default),
            (None, &default),
        ] {
            assert!(Arc::ptr_eq(&found(&settings, name).unwrap(), expected), "{name:?}");
        }
        settings.default = None;
        assert!(found(&settings, Some("c.test")).is_none(), "nobody here has that name");
        assert!(Arc::ptr_eq(&found(&settings, None).unwrap(), &one), "who asks for none sees the first");
    }
}
