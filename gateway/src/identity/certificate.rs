//! Clients' certificates. The handshake has verified that somebody believed has signed them, and that the client has
//! their key; here is read whom they name.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::claims::{Claims, MAX_SUBJECT_BYTES};
use super::ledger::hex;
use crate::config::certificates::alternative_names;
use crate::config::settings::identity::Mtls;
use crate::telemetry::metrics::AuthResult;
use crate::tls::{ClientCertificate, ClientRoots};

/// Whose signature a provider believes, of those that listeners do.
pub(super) enum Signers {
    /// All of them.
    Any,
    /// These; `None` where they could not be read, and then nobody's.
    Own(Option<ClientRoots>),
}

impl Signers {
    pub(super) fn new(settings: &Mtls) -> Self {
        settings.ca.as_ref().map_or(Self::Any, |ca| Self::Own(ClientRoots::new(&ca.roots).ok()))
    }

    /// Whether one of them has signed this at `now`, seconds since the Unix epoch.
    fn believe(&self, certificate: &ClientCertificate, now: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Own(roots) => roots.as_ref().is_some_and(|roots| roots.believe(certificate, now)),
        }
    }
}

/// What a certificate says, where one of these has signed it.
///
/// # Errors
/// As [`claims`]; or somebody else has signed it.
pub(super) fn judge(certificate: &ClientCertificate, signers: &Signers, now: i64) -> Result<Claims, AuthResult> {
    let claims = claims(certificate.der(), now)?;
    if signers.believe(certificate, now) { Ok(claims) } else { Err(AuthResult::Issuer) }
}

/// What a certificate says at `now`, seconds since the Unix epoch. A connection may outlive it, an identity may not.
///
/// Its claims: `sub`, which is its first URI, or DNS name, or common name; `uri` and `dns`, all of them; `cn`; and
/// `fingerprint`, the SHA-256 of it in small hexadecimal digits. A DNS name or common name in the form of a URI is no
/// subject: it would be the same one as that URI, which the certificate does not have.
///
/// # Errors
/// It names nobody, or by a name that is too long; or it does not hold any more.
fn claims(certificate: &[u8], now: i64) -> Result<Claims, AuthResult> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| AuthResult::Claims)?;
    let (uris, dns) = alternative_names(&parsed);
    let common = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    // Whoever signs these two may not have the say over URIs: neither is taken for one.
    let plain = |name: &&str| !is_like_uri(name);
    let subject = uris.first().copied().or_else(|| dns.iter().copied().find(plain)).or(common.filter(plain));
    let subject = subject.filter(|subject| !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES);
    let subject: Box<str> = subject.ok_or(AuthResult::Claims)?.into();
    // It holds in its last second too (RFC 5280, section 4.1.2.5).
    let until = parsed.validity().not_after.timestamp().saturating_add(1);
    if now >= until {
        return Err(AuthResult::Expired);
    }
    let mut all = Map::new();
    all.insert("sub".into(), Value::from(&*subject));
    all.insert("uri".into(), uris.into());
    all.insert("dns".into(), dns.into());
    all.extend(common.map(|common| ("cn".into(), Value::from(common))));
    all.insert("fingerprint".into(), hex(digest(&SHA256, certificate).as_ref()).into());
    Ok(Claims { all, subject: Some(subject), scopes: Box::default(), until, ends: until, bound: None })
}

/// Whether a name could be a URI that a certificate names: one with an authority (RFC 3986, section 3), or a URN. A
/// colon alone is in many a common name (`system:node:one`).
fn is_like_uri(name: &str) -> bool {
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let is_one = |scheme: &str, rest: &str| rest.starts_with("//") || scheme.eq_ignore_ascii_case("urn");
    name.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && is_one(scheme, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};
    use serde_json::json;

    use super::*;

    /// 2030-01-01T00:00:00Z
    const LAST: i64 = 1_893_456_000;

    fn certificate(common: &str, names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(2030, 1, 1);
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn a_client_is_whom_its_certificate_names_most_exactly() {
        let names = || vec![dns("d.test"), uri("spiffe://a/b"), uri("spiffe://c/d")];
        for (common, names, expected) in [
            ("the job", names(), Ok("spiffe://a/b")),
            ("the job", vec![dns("d.test"), dns("e.test")], Ok("d.test")),
            ("the job", vec![], Ok("the job")),
            ("", vec![], Err(AuthResult::Claims)),
            // Two names that are no URIs, and may not pass for one.
            ("spiffe://a/b", vec![], Err(AuthResult::Claims)),
            ("urn:a", vec![dns("spiffe://a/b")], Err(AuthResult::Claims)),
            ("system:node:worker-1", vec![], Ok("system:node:worker-1")),
            ("spiffe://a/b", vec![dns("SPIFFE://a/b"), dns("d.test")], Ok("d.test")),
            ("the job: 1", vec![], Ok("the job: 1")),
            ("::1", vec![], Ok("::1")),
        ] {
            let claims = claims(&certificate(common, names), 0);
            assert_eq!(claims.as_ref().map(|claims| claims.subject.as_deref().unwrap()).map_err(|why| *why), expected);
        }
        for (length, expected) in [(MAX_SUBJECT_BYTES, Ok(())), (MAX_SUBJECT_BYTES + 1, Err(AuthResult::Claims))] {
            let long = "u".repeat(length);
            assert_eq!(claims(&certificate("the job", vec![uri(&long)]), 0).map(drop), expected, "{length} bytes");
        }
        let whole = certificate("the job", names());
        let mut said = claims(&whole, 0).unwrap().all;
        let fingerprint = said.remove("fingerprint").unwrap();
        assert_eq!(fingerprint.as_str().unwrap().len(), 64);
        let expected =
            json!({"sub": "spiffe://a/b", "uri": ["spiffe://a/b", "spiffe://c/d"], "dns": ["d.test"], "cn": "the job"});
        assert_eq!(Value::from(said), expected);
    }

    #[test]
    fn an_identity_ends_with_its_certificate() {
        let certificate = certificate("job", vec![]);
        assert_eq!(claims(&certificate, LAST).unwrap().until, LAST + 1);
        assert_eq!(claims(&certificate, LAST + 1), Err(AuthResult::Expired));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_certificate_name_nobody(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(claims(&bytes, 0), Err(AuthResult::Claims));
        }

        #[test]
        fn a_damaged_certificate_harms_nobody(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut damaged = certificate("job", vec![dns("d.test"), uri("spiffe://a/b")]);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = claims(&damaged, 0);
        }
    }
}
