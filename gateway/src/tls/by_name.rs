//! Certificates by the name that a client asks for (RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::clock;
use crate::config::settings::listener::{ListenerTls, Stapled};

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
    /// Those that are shown with what their issuers say of them.
    staples: Arc<[Stapled]>,
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
        let staples = Arc::clone(&settings.staples);
        Self { exact, wildcard, unnamed: default.clone().or(first), default, staples }
    }

    /// The certificate for a name, in small letters.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        let by_parent = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_parent).or(self.default.as_ref())
    }

    /// What is shown of a certificate at this time: without its issuer's word once that does not hold any more.
    fn shown<'c>(
        &'c self,
        certificate: &'c Arc<CertifiedKey>,
        now_unix: impl FnOnce() -> i64,
    ) -> &'c Arc<CertifiedKey> {
        match self.staples.iter().find(|stapled| Arc::ptr_eq(&stapled.certificate, certificate)) {
            Some(stapled) if stapled.until <= now_unix() => &stapled.bare,
            _ => certificate,
        }
    }

    /// All of them, some more than once.
    pub(super) fn all(&self) -> impl Iterator<Item = &CertifiedKey> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.default).map(|certificate| &**certificate)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives names in small letters, as it checked them.
        self.find(hello.server_name()).map(|found| Arc::clone(self.shown(found, clock::unix_seconds)))
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
            staples: [].into(),
            clients: ClientCertificates::Unwanted,
            revoked: [].into(),
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

    #[test]
    fn what_an_issuer_said_is_shown_for_as_long_as_it_holds() {
        let bare = certificate(&["a.test"]);
        let stapled = Arc::new(CertifiedKey { ocsp: Some(vec![1]), ..CertifiedKey::clone(&bare) });
        let staple = Stapled { certificate: Arc::clone(&stapled), bare: Arc::clone(&bare), until: 100 };
        let default = Some(Arc::clone(&stapled));
        let (named, clients) = ([].into(), ClientCertificates::Unwanted);
        let (staples, revoked, files) = ([staple].into(), [].into(), [].into());
        let by_name = ByName::new(&ListenerTls { default, named, staples, clients, revoked, files });
        let found = by_name.find(None).unwrap();
        assert!(Arc::ptr_eq(found, &stapled), "the one certificate of this name, whatever is shown of it");
        assert!(Arc::ptr_eq(by_name.shown(found, || 99), &stapled));
        assert!(Arc::ptr_eq(by_name.shown(found, || 100), &bare));
    }
}
