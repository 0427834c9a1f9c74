//! What a handshake proved.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A connection's TLS, as its requests see it.
#[derive(Debug)]
pub struct Secured {
    /// Whom the client asked for, in small letters.
    server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    shown: Option<Arc<CertifiedKey>>,
    /// Whom the client's own certificate names, where it has shown one that holds.
    pub subject: Option<Arc<str>>,
}

impl Secured {
    pub(super) fn new(
        server_name: Option<&str>,
        shown: Option<Arc<CertifiedKey>>,
        client: Option<&CertificateDer<'_>>,
    ) -> Self {
        Self { server_name: server_name.map(Box::from), shown, subject: client.and_then(subject) }
    }

    /// Whether a request for this host may come on this connection (RFC 9110, section 7.4): the client has asked for
    /// it, or was shown a certificate that holds for it too.
    pub fn serves(&self, host: &str) -> bool {
        let Some(asked) = &self.server_name else { return true };
        if **asked == *host {
            return true;
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok();
        let shown = self.shown.as_ref().and_then(|shown| ParsedCertificate::try_from(shown.cert.first()?).ok());
        name.zip(shown).is_some_and(|(name, shown)| verify_server_name(&shown, &name).is_ok())
    }
}

/// Whom a certificate names: its first URI, or DNS name, or common name.
fn subject(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten().map(|extension| &extension.value.general_names);
    let names = || names.into_iter().flatten();
    let uri = names().find_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let dns = || names().find_map(|name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None });
    let common = || parsed.subject().iter_common_name().next()?.as_str().ok();
    let subject = uri.or_else(dns).or_else(common)?;
    (!subject.is_empty()).then(|| subject.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common: &str, names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn a_client_is_whom_its_certificate_names_most_exactly() {
        for (names, expected) in [
            (vec![dns("d.test"), uri("spiffe://a/b"), uri("spiffe://c/d")], "spiffe://a/b"),
            (vec![dns("d.test"), dns("e.test")], "d.test"),
            (vec![], "the job"),
        ] {
            assert_eq!(subject(&certificate("the job", names)).as_deref(), Some(expected));
        }
        assert_eq!(subject(&certificate("", vec![])), None);
        assert_eq!(subject(&CertificateDer::from(vec![1, 2, 3])), None);
    }

    #[test]
    fn a_host_is_served_that_was_asked_for_or_that_the_shown_certificate_names() {
        let shown = crate::tls::by_name::tests::certificate(&["a.test", "*.b.test"]);
        let secured = Secured::new(Some("a.test"), Some(shown), None);
        for (host, serves) in [
            ("a.test", true),
            ("x.b.test", true),
            ("b.test", false),
            ("c.test", false),
            ("127.0.0.1", false),
            ("[::1]", false),
            ("", false),
        ] {
            assert_eq!(secured.serves(host), serves, "{host}");
        }
        assert!(Secured::new(None, None, None).serves("a.test"), "who asked for nobody gets whom it names");
        assert!(!Secured::new(Some("a.test"), None, None).serves("b.test"));
    }
}
