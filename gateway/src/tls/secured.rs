//! What a handshake proved.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::client_roots::{ClientCertificate, Shown};

/// A connection's TLS, as its requests see it.
#[derive(Debug)]
pub struct Secured {
    /// Whom the client asked for, in small letters.
    server_name: Option<Box<str>>,
    /// The certificate that it was shown.
    shown: Option<Arc<CertifiedKey>>,
    /// The client's own certificate, where it has shown one that held.
    client: Option<Shown>,
}

impl Secured {
    pub(super) fn new(server_name: Option<&str>, shown: Option<Arc<CertifiedKey>>, client: Option<Shown>) -> Self {
        Self { server_name: server_name.map(Box::from), shown, client }
    }

    /// The client's own certificate, where it has shown one that held, and its listener asks for them still.
    #[inline]
    pub fn client(&self) -> Option<&Arc<ClientCertificate>> {
        self.client.as_ref().filter(|client| client.is_asked_for()).map(|client| &client.certificate)
    }

    /// Whether whoever signed the client's certificate may do so still; also where it has shown none. `now` is seconds
    /// since the Unix epoch.
    #[inline]
    pub fn is_believed(&self, now: impl FnOnce() -> i64) -> bool {
        self.client.as_ref().is_none_or(|client| client.is_believed(now))
    }

    /// Whether a request was refused since that is not so.
    #[inline]
    pub fn was_refused(&self) -> bool {
        self.client.as_ref().is_some_and(Shown::was_refused)
    }

    /// Whether that is since the certificate was taken back.
    pub fn was_revoked(&self) -> bool {
        self.client.as_ref().is_some_and(Shown::was_revoked)
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
