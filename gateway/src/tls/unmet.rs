//! Why a client's handshake came to nothing.

use std::io;

use rustls::{CertificateError as Flaw, Error};

use super::unsecured::{brief, inner, told};
use crate::telemetry::metrics::HandshakeResult;

/// A handshake that failed. For operators: clients hear no more than their alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// In what way.
    pub result: HandshakeResult,
    /// What exactly; empty where the client said nothing at all, as who only looks whether a port is open.
    pub detail: String,
}

impl Unmet {
    /// The connection was closed before its first byte.
    pub(super) fn silent() -> Self {
        Self { result: HandshakeResult::Failed, detail: String::new() }
    }

    /// What came first is neither a handshake nor HTTP.
    pub(super) fn no_handshake() -> Self {
        Self { result: HandshakeResult::Failed, detail: "it does not begin with a handshake of TLS".to_owned() }
    }

    /// What an error says of the handshake in which it came.
    pub(super) fn new(error: &io::Error) -> Self {
        let result = inner(error).map_or(HandshakeResult::Failed, judged);
        let detail = inner(error).map_or_else(|| error.to_string(), told);
        Self { result, detail: brief(detail) }
    }
}

fn judged(error: &Error) -> HandshakeResult {
    match error {
        Error::NoCertificatesPresented => HandshakeResult::NoCertificate,
        Error::InvalidCertificate(Flaw::Expired | Flaw::ExpiredContext { .. }) => HandshakeResult::Expired,
        Error::InvalidCertificate(Flaw::UnknownIssuer | Flaw::BadSignature) => HandshakeResult::UnknownCa,
        Error::InvalidCertificate(Flaw::Revoked) => HandshakeResult::Revoked,
        Error::InvalidCertificate(
            Flaw::UnknownRevocationStatus | Flaw::ExpiredRevocationList | Flaw::ExpiredRevocationListContext { .. },
        )
        | Error::InvalidCertRevocationList(_) => HandshakeResult::RevocationUnknown,
        Error::AlertReceived(_) => HandshakeResult::ClientRefused,
        Error::PeerIncompatible(_) => HandshakeResult::Version,
        _ => HandshakeResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_and_for_what_is_told_apart() {
        for (error, result) in [
            (Error::NoCertificatesPresented, "no_certificate"),
            (Error::InvalidCertificate(Flaw::Expired), "expired"),
            (Error::InvalidCertificate(Flaw::UnknownIssuer), "unknown_ca"),
            (Error::InvalidCertificate(Flaw::BadEncoding), "failed"),
            (Error::InvalidCertificate(Flaw::Revoked), "revoked"),
            (Error::InvalidCertificate(Flaw::UnknownRevocationStatus), "revocation_unknown"),
            (Error::InvalidCertificate(Flaw::ExpiredRevocationList), "revocation_unknown"),
            (Error::InvalidCertRevocationList(rustls::CertRevocationListError::BadSignature), "revocation_unknown"),
            (Error::AlertReceived(rustls::AlertDescription::UnknownCA), "client_refused"),
            (Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled), "version"),
            (Error::DecryptError, "failed"),
        ] {
            let unmet = Unmet::new(&io::Error::new(io::ErrorKind::InvalidData, error.clone()));
            assert_eq!((unmet.result.as_str(), unmet.detail), (result, error.to_string()));
        }
        let cut = Unmet::new(&io::ErrorKind::UnexpectedEof.into());
        assert!(cut.result == HandshakeResult::Failed && !cut.detail.is_empty(), "{cut:?}");
    }
}
