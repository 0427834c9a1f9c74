//! Why there is no TLS connection to an endpoint.

use std::fmt;
use std::io;

use rustls::{AlertDescription as Alert, CertificateError as Flaw, Error};

use crate::telemetry::metrics::UpstreamHandshake as Kind;

/// Bytes of detail that are kept: a certificate may hold hundreds of names.
const MAX_DETAIL: usize = 300;

/// A handshake that failed. For operators: clients never see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsecured {
    /// In what way.
    pub kind: Kind,
    /// What exactly; may be empty.
    pub detail: String,
}

impl Unsecured {
    /// A failure without more to say.
    pub(crate) fn plain(kind: Kind) -> Self {
        Self { kind, detail: String::new() }
    }

    /// What an error says of the handshake in which it came.
    pub(super) fn new(error: &io::Error) -> Self {
        let (kind, detail) = match inner(error) {
            Some(error) => (judged(error), told(error)),
            None => (Kind::Broken, error.to_string()),
        };
        Self { kind, detail: brief(detail) }
    }

    /// The same for an error on a connection that has carried nothing yet: in TLS 1.3 the client is done before it
    /// hears whether it was believed (RFC 8446, section 4.4.2.4). `None` where it says nothing of a handshake.
    pub fn late(error: &io::Error) -> Option<Self> {
        matches!(inner(error), Some(Error::AlertReceived(_))).then(|| Self::new(error))
    }
}

/// rustls' own error, where it is one.
pub(super) fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// As much of a detail as is kept.
pub(super) fn brief(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().find(|(at, _)| *at >= MAX_DETAIL) {
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

/// What to do about the certificate of a CA in the place of a server's or a client's (RFC 5280, section 4.2.1.9).
pub(super) const CA_ITSELF: &str = "it is the certificate of a CA; let that CA issue one: \
    openssl req -x509 -CA ca.pem -CAkey ca.key -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.pem -subj /CN=NAME \
    -addext subjectAltName=DNS:NAME -addext basicConstraints=critical,CA:FALSE";

/// rustls' words, and ours where those say nothing to whom made the certificate.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(Flaw::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            CA_ITSELF.to_owned()
        }
        error => error.to_string(),
    }
}

fn judged(error: &Error) -> Kind {
    match error {
        Error::InvalidCertificate(Flaw::UnknownIssuer | Flaw::BadSignature) => Kind::UnknownCa,
        Error::InvalidCertificate(Flaw::Expired | Flaw::ExpiredContext { .. }) => Kind::Expired,
        Error::InvalidCertificate(Flaw::NotValidYet | Flaw::NotValidYetContext { .. }) => Kind::NotYetValid,
        Error::InvalidCertificate(Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) => Kind::WrongName,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Kind::Certificate,
        Error::PeerIncompatible(_) => Kind::Version,
        Error::InvalidMessage(_) => Kind::NotTls,
        Error::AlertReceived(alert) => match alert {
            Alert::ProtocolVersion | Alert::InsufficientSecurity => Kind::Version,
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            // Of what a client sends, its certificate and the proof of its key can fail so.
            | Alert::DecryptError => Kind::ClientCertificate,
            _ => Kind::Refused,
        },
        _ => Kind::Broken,
    }
}

impl fmt::Display for Unsecured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS: {}", self.kind.explained())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl std::error::Error for Unsecured {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: Error) -> Unsecured {
        Unsecured::new(&io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn failures_are_told_apart_and_say_so_in_words() {
        let told = of(Error::InvalidCertificate(Flaw::UnknownIssuer));
        assert_eq!(
            told.to_string(),
            "TLS: nobody that is trusted here signed its certificate (invalid peer certificate: UnknownIssuer)"
        );
        for (error, kind) in [
            (Error::InvalidCertificate(Flaw::Revoked), Kind::Certificate),
            (Error::AlertReceived(Alert::ProtocolVersion), Kind::Version),
            (Error::AlertReceived(Alert::CertificateRequired), Kind::ClientCertificate),
            (Error::AlertReceived(Alert::HandshakeFailure), Kind::Refused),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), Kind::NotTls),
            (Error::DecryptError, Kind::Broken),
        ] {
            assert_eq!(of(error.clone()).kind, kind, "{error}");
        }
        assert_eq!(Unsecured::new(&io::ErrorKind::UnexpectedEof.into()).kind, Kind::Broken);
        assert_eq!(
            Unsecured::plain(Kind::Unfinished).to_string(),
            "TLS: the handshake did not come to its end in time"
        );
    }

    #[test]
    fn the_certificate_of_a_ca_comes_with_what_to_do_about_it() {
        #[derive(Debug)]
        struct Said;
        impl fmt::Display for Said {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("CaUsedAsEndEntity")
            }
        }
        impl std::error::Error for Said {}
        let told = of(Error::InvalidCertificate(Flaw::Other(rustls::OtherError(std::sync::Arc::new(Said)))));
        assert_eq!(told.kind, Kind::Certificate);
        assert_eq!(told.detail, CA_ITSELF, "none of it is cut off");
    }

    #[test]
    fn only_an_alert_says_late_that_there_was_no_handshake() {
        let error = |inner| io::Error::new(io::ErrorKind::InvalidData, inner);
        let late = Unsecured::late(&error(Error::AlertReceived(Alert::UnknownCA)));
        assert_eq!(late.map(|late| late.kind), Some(Kind::ClientCertificate));
        assert_eq!(Unsecured::late(&error(Error::DecryptError)), None);
        assert_eq!(Unsecured::late(&io::ErrorKind::ConnectionReset.into()), None);
    }

    #[test]
    fn a_certificate_with_hundreds_of_names_is_told_briefly() {
        let presented = (0..500).map(|n| format!("é{n}.test")).collect();
        let expected = rustls::pki_types::ServerName::try_from("a.test").unwrap();
        let told = of(Error::InvalidCertificate(Flaw::NotValidForNameContext { expected, presented }));
        assert_eq!(told.kind, Kind::WrongName);
        assert!(told.detail.len() < MAX_DETAIL + 8 && told.detail.contains("a.test"), "{told}");
    }
}
