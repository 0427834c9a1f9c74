//! What a handshake proved.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::client_roots::{ClientCertificate, Shown};

/// A connection's TLS, as its requests see it.
#[derive(Debug)]
pub struct Secured {
    /// Whom the client asked for, in small letters.
    server_name: Option<Arc<str>>,
    /// The certificate that it was shown.
    shown: Option<Own>,
    /// The client's own certificate, where it has shown one that held.
    client: Option<Client>,
}

/// The certificate that a client was shown.
#[derive(Debug)]
enum Own {
    /// By a listener.
    Held(Arc<CertifiedKey>),
    /// By the program around the gateway.
    Told(Arc<CertificateDer<'static>>),
}

/// The certificate that a client has shown.
#[derive(Debug)]
enum Client {
    /// To a listener, which is asked about it whenever who signs for its clients changes.
    Ours(Shown),
    /// To the program around the gateway, which believes it.
    Told(Arc<ClientCertificate>),
}

impl Secured {
    pub(super) fn new(server_name: Option<&str>, shown: Option<Arc<CertifiedKey>>, client: Option<Shown>) -> Self {
        let (shown, client) = (shown.map(Own::Held), client.map(Client::Ours));
        Self { server_name: server_name.map(Arc::from), shown, client }
    }

    /// Of a handshake that the program around the gateway took: whom the client asked for, in small letters, what it
    /// was shown, and what it has shown.
    pub(crate) fn told(
        server_name: Option<Arc<str>>,
        shown: Option<Arc<CertificateDer<'static>>>,
        client: Option<Arc<ClientCertificate>>,
    ) -> Self {
        Self { server_name, shown: shown.map(Own::Told), client: client.map(Client::Told) }
    }

    /// The client's own certificate, where it has shown one that held, and its listener asks for them still.
    #[inline]
    pub fn client(&self) -> Option<&Arc<ClientCertificate>> {
        match self.client.as_ref()? {
            Client::Ours(client) => client.is_asked_for().then_some(&client.certificate),
            Client::Told(certificate) => Some(certificate),
        }
    }

    /// Whether whoever signed the client's certificate may do so still; also where it has shown none, or none to a
    /// listener. `now` is seconds since the Unix epoch.
    #[inline]
    pub fn is_believed(&self, now: impl FnOnce() -> i64) -> bool {
        self.ours().is_none_or(|client| client.is_believed(now))
    }

    /// Whether a request was refused since that is not so.
    #[inline]
    pub fn was_refused(&self) -> bool {
        self.ours().is_some_and(Shown::was_refused)
    }

    /// Whether that is since the certificate was taken back.
    pub fn was_revoked(&self) -> bool {
        self.ours().is_some_and(Shown::was_revoked)
    }

    #[inline]
    fn ours(&self) -> Option<&Shown> {
        match &self.client {
            Some(Client::Ours(client)) => Some(client),
            Some(Client::Told(_)) | None => None,
        }
    }

    /// Whether a request for this host may come on this connection (RFC 9110, section 7.4): the client has asked for
    /// it, or, where connections are shared by hosts as those of HTTP/2 are (RFC 9113, section 9.1.1), was shown a
    /// certificate that holds for it too. Nobody has a reason to do so over HTTP/1.1 but to be let in by another name.
    pub fn serves(&self, host: &str, is_shared: bool) -> bool {
        let Some(asked) = &self.server_name else { return true };
        if **asked == *host || !is_shared {
            return **asked == *host;
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok();
        let shown = match &self.shown {
            Some(Own::Held(held)) => held.cert.first(),
            Some(Own::Told(told)) => Some(&**told),
            None => None,
        };
        let shown = shown.and_then(|shown| ParsedCertificate::try_from(shown).ok());
        name.zip(shown).is_some_and(|(name, shown)| verify_server_name(&shown, &name).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_a_host_is_served_that_was_asked_for_or_over_http2_that_the_shown_certificate_names() {
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
            assert_eq!(secured.serves(host, true), serves, "{host}");
            assert_eq!(secured.serves(host, false), host == "a.test", "{host}: over HTTP/1.1 names alone count");
        }
        for is_shared in [true, false] {
            let who_asked_for_nobody = Secured::new(None, None, None);
            assert!(who_asked_for_nobody.serves("a.test", is_shared), "and gets whom it names");
            assert!(!Secured::new(Some("a.test"), None, None).serves("b.test", is_shared));
        }
    }

    #[test]
    fn what_a_program_tells_counts_as_what_a_listener_has_seen() {
        let shown = crate::tls::by_name::tests::certificate(&["a.test", "*.b.test"]);
        let client = ClientCertificate::of(&shown.cert).map(Arc::new);
        let told = shown.cert.first().cloned().map(Arc::new);
        let secured = Secured::told(Some("a.test".into()), told, client);
        assert!(secured.serves("x.b.test", true) && !secured.serves("c.test", true));
        assert!(secured.client().is_some_and(|client| client.der() == &shown.cert[0][..]));
        let unasked = || -> i64 { panic!("the program believes it") };
        assert!(secured.is_believed(unasked) && !secured.was_refused() && !secured.was_revoked());
    }
}
