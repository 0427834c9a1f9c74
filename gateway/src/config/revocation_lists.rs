//! Lists of revoked certificates (CRL; RFC 5280, section 5), which a configuration names: read when it is, and checked
//! with it. Who has signed a list is known here where that is one of those who are believed; of others it is found out
//! with each chain that leads to them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::certificates::{no_pem, span};
use super::key_files::read;

/// The largest file; a million revoked certificates take about forty mebibytes.
const MAX_BYTES: u64 = 64 << 20;

/// The lists of a file, which is PEM, or one list in DER.
///
/// # Errors
/// It cannot be read, or holds none.
pub(crate) fn of_file(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(file, MAX_BYTES)?;
    // A SEQUENCE; PEM begins with a dash, or with words.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.into()]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|error| no_pem(&error))?;
    if lists.is_empty() { Err("it holds no revocation list (X509 CRL)".into()) } else { Ok(lists) }
}

/// From so long before its end a list is told of, seconds, however long it lives.
const SOON: i64 = 6 * 3_600;

/// When a list ends, seconds since the Unix epoch, and from how long before that it is told of: six hours; where it
/// lives more shortly than thirty-six, from when a sixth of its time is left. By custom the next one is there before:
/// half a day before the end of one that lives for days, at two thirds of one that lives for a day.
pub(crate) fn end_and_soon(list: &CertificateRevocationList<'_>) -> Option<(i64, i64)> {
    let end = list.tbs_cert_list.next_update?.timestamp();
    let lives = end.saturating_sub(list.tbs_cert_list.this_update.timestamp());
    Some((end, (lives.max(0) / 6).min(SOON)))
}

/// What is to be said of a list that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It has ended, then.
    Ended(String),
    /// It ends soon: in how long, and when.
    Ending(String, String),
    /// None of those who are believed has signed it.
    Unknown(String),
}

/// Whether a list can be used beside those who sign clients' certificates, and what is to be said of it.
///
/// # Errors
/// It cannot be read, or somebody else has signed it in the name of one of them.
pub(crate) fn judge(
    list: &CertificateRevocationListDer<'static>,
    roots: &Arc<RootCertStore>,
    signers: &[CertificateDer<'_>],
    now_unix: i64,
) -> Result<Vec<Doubt>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider);
    builder.with_crls([list.clone()]).build().map_err(|error| error.to_string())?;
    let no_list = || "it is no revocation list".to_owned();
    let (_, parsed) = CertificateRevocationList::from_der(list).map_err(|_| no_list())?;
    let issuer = &parsed.tbs_cert_list.issuer;
    let mut doubts = Vec::new();
    let named: Vec<X509Certificate<'_>> =
        signers.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let named: Vec<_> = named.iter().filter(|signer| signer.subject().as_raw() == issuer.as_raw()).collect();
    if named.is_empty() {
        doubts.push(Doubt::Unknown(issuer.to_string()));
    } else if !named.iter().any(|signer| has_signed(signer, &parsed)) {
        return Err(format!("somebody else has signed it in the name of {issuer}"));
    }
    if let (Some((end, soon)), Some(next)) = (end_and_soon(&parsed), parsed.tbs_cert_list.next_update) {
        match end.saturating_sub(now_unix) {
            ..=0 => doubts.push(Doubt::Ended(next.to_string())),
            left if left <= soon => doubts.push(Doubt::Ending(span(left), next.to_string())),
            _ => {}
        }
    }
    Ok(doubts)
}

/// An issuer of whom there are two lists for the same certificates. Of these the first alone would be looked at
/// (rustls-webpki): what the newer one takes back would be let in.
pub(crate) fn listed_twice(lists: &[CertificateRevocationListDer<'static>]) -> Option<String> {
    let mut seen = HashSet::new();
    lists.iter().filter_map(|list| CertificateRevocationList::from_der(list).ok()).find_map(|(_, list)| {
        let issuer = &list.tbs_cert_list.issuer;
        let mut extensions = list.extensions().iter();
        // Of which of its certificates it speaks, where it is not all (RFC 5280, section 5.2.5).
        let part = extensions.find(|it| it.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT).map(|it| it.value.to_vec());
        (!seen.insert((issuer.as_raw().to_vec(), part))).then(|| issuer.to_string())
    })
}

/// Those who sign and are in none of these lists' names.
pub(crate) fn without_list(
    lists: &[CertificateRevocationListDer<'static>],
    signers: &[CertificateDer<'_>],
) -> Vec<String> {
    let parsed: Vec<_> = lists.iter().filter_map(|list| CertificateRevocationList::from_der(list).ok()).collect();
    let lacks = |der: &CertificateDer<'_>| {
        let (_, signer) = X509Certificate::from_der(der).ok()?;
        let has = parsed.iter().any(|(_, list)| list.tbs_cert_list.issuer.as_raw() == signer.subject().as_raw());
        (!has).then(|| signer.subject().to_string())
    };
    signers.iter().filter_map(lacks).collect()
}

/// Whether a certificate's key has signed a list, by any algorithm that the gateway knows.
fn has_signed(signer: &X509Certificate<'_>, list: &CertificateRevocationList<'_>) -> bool {
    let key = &signer.public_key().subject_public_key.data;
    let (said, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| algorithm.verify_signature(key, said, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
        KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
    };

    use super::*;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    fn issuer(name: &str) -> Issuer {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn params() -> CertificateRevocationListParams {
        CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
    }

    fn list(issuer: &Issuer) -> rcgen::CertificateRevocationList {
        params().signed_by(issuer).unwrap()
    }

    /// 2030-01-01T00:00:00Z
    const ENDS: i64 = 1_893_456_000;

    #[test]
    fn a_list_is_its_signers_and_what_is_odd_about_it_is_told() {
        let (one, other) = (issuer("one"), issuer("other"));
        let mut roots = RootCertStore::empty();
        roots.add(one.der().clone()).unwrap();
        let (roots, signers) = (Arc::new(roots), [one.der().clone()]);
        let judged = |list: &CertificateRevocationListDer<'static>, now| judge(list, &roots, &signers, now);
        let own = list(&one).der().clone();
        assert_eq!(judged(&own, ENDS - 6 * 3_600 - 1), Ok(vec![]));
        assert!(matches!(&judged(&own, ENDS - 6 * 3_600).unwrap()[..], [Doubt::Ending(left, _)] if left == "6 hours"));
        assert!(matches!(&judged(&own, ENDS).unwrap()[..], [Doubt::Ended(_)]));
        let now = ENDS - 86_400;
        assert_eq!(judged(list(&other).der(), now), Ok(vec![Doubt::Unknown("CN=other".into())]));
        let forged = judged(list(&issuer("one")).der(), now).unwrap_err();
        assert_eq!(forged, "somebody else has signed it in the name of CN=one");
        let broken = CertificateRevocationListDer::from(own[..own.len() - 4].to_vec());
        assert!(judged(&broken, ENDS - 1).is_err());
        assert_eq!(without_list(&[own], &[one.der().clone(), other.der().clone()]), ["CN=other"]);
    }

    #[test]
    fn a_list_that_lives_shortly_ends_soon_when_a_sixth_of_its_time_is_left() {
        let issuer = issuer("one");
        let soon = |hours: u64| {
            let mut params = params();
            params.next_update = params.this_update + std::time::Duration::from_secs(hours * 3_600);
            let list = params.signed_by(&issuer).unwrap();
            let (_, list) = CertificateRevocationList::from_der(list.der()).unwrap();
            end_and_soon(&list).unwrap().1
        };
        assert_eq!([1, 24, 36, 72, 30 * 24].map(soon), [600, 4 * 3_600, SOON, SOON, SOON]);
    }

    #[test]
    fn of_two_lists_of_one_issuer_only_the_first_would_be_looked_at() {
        let (one, other) = (issuer("one"), issuer("other"));
        let of = |issuers: &[&Issuer]| {
            let lists: Vec<_> = issuers.iter().map(|issuer| list(issuer).der().clone()).collect();
            listed_twice(&lists)
        };
        assert_eq!(of(&[&one, &other]), None);
        assert_eq!(of(&[&one, &other, &one]).as_deref(), Some("CN=one"));
    }

    #[test]
    fn a_file_is_pem_or_der() {
        let folder = tempfile::tempdir().unwrap();
        let (file, made) = (folder.path().join("crl"), list(&issuer("one")));
        let of = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            of_file(&file)
        };
        let pem = made.pem().unwrap();
        assert_eq!(of(pem.as_bytes()).unwrap(), [made.der().clone()]);
        assert_eq!(of(format!("{pem}{pem}").as_bytes()).unwrap().len(), 2);
        assert_eq!(of(made.der()).unwrap(), [made.der().clone()]);
        assert_eq!(of(b"").unwrap_err(), "it holds no revocation list (X509 CRL)");
        assert_eq!(of(issuer("one").pem().as_bytes()).unwrap_err(), "it holds no revocation list (X509 CRL)");
    }
}
