//! What a handshake proved.

use std::sync::Arc;

use bytes::Bytes;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

/// A connection's TLS, as its requests see it.
#[derive(Debug)]
pub struct Secured {
    /// Whom the client asked for, in small letters.
    server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    shown: Option<Arc<CertifiedKey>>,
    /// The client's own certificate (DER), where it has shown one that holds.
    pub client: Option<Bytes>,
}

impl Secured {
    pub(super) fn new(
        server_name: Option<&str>,
        shown: Option<Arc<CertifiedKey>>,
        client: Option<&CertificateDer<'_>>,
    ) -> Self {
        Self { server_name: server_name.map(Box::from), shown, client: client.map(|own| Bytes::copy_from_slice(own)) }
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

#[cfg(test)]
mod tests {
    use super::*;

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
