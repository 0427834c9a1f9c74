//! What becomes of TLS handshakes with endpoints.

use crate::labelled::labelled;

labelled! {
    /// What became of a TLS handshake with an endpoint.
    pub enum UpstreamHandshake, "As written in metrics and by the admin API.";
    /// It was checked whom the endpoint is.
    Full = "full";
    /// A session was resumed that had been checked before.
    Resumed = "resumed";
    /// Nobody that is trusted signed the endpoint's certificate.
    UnknownCa = "unknown_ca";
    /// Its certificate has expired.
    Expired = "expired";
    /// Its certificate is not valid yet.
    NotYetValid = "not_yet_valid";
    /// Its certificate is somebody else's.
    WrongName = "wrong_name";
    /// Something else is wrong with its certificate.
    Certificate = "certificate";
    /// No version or cipher suite is spoken by both.
    Version = "version";
    /// What came was no TLS.
    NotTls = "not_tls";
    /// The endpoint wants a certificate of ours that it believes.
    ClientCertificate = "client_certificate";
    /// The endpoint refused for another reason.
    Refused = "refused";
    /// The connection broke, or a rule of the protocol was broken.
    Broken = "broken";
    /// Its time was up, or nobody waited for it any more.
    Unfinished = "unfinished";
}

impl UpstreamHandshake {
    /// What went wrong with the endpoint, as a sentence says it.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Full | Self::Resumed => "nothing",
            Self::UnknownCa => "nobody that is trusted here signed its certificate",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::WrongName => "its certificate is for another name",
            Self::Certificate => "its certificate cannot be used",
            Self::Version => "it speaks no version or cipher suite that is spoken here",
            Self::NotTls => "it does not speak TLS",
            Self::ClientCertificate => "it wants a certificate of the gateway's that it believes",
            Self::Refused => "it refused the handshake",
            Self::Broken => "the handshake broke off",
            Self::Unfinished => "the handshake did not come to its end in time",
        }
    }
}
