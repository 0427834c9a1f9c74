//! Certificates and their keys, which are a part of the configuration: read when it is, and checked with it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, Validity, X509Certificate};

use super::key_files::read;

/// The largest file of certificates; the whole of Mozilla's roots takes a quarter of a mebibyte.
const MAX_BYTES: u64 = 4 << 20;

/// Characters of a line that is shown.
const MOST_SHOWN: usize = 60;

/// A day, seconds.
pub(crate) const DAY: i64 = 86_400;
/// From so long before its end a certificate is told of, seconds, however long it lives.
const SOON: i64 = 14 * DAY;

/// From how long before its end a certificate is told of, seconds: two weeks; where it lives more shortly than six,
/// from when a third of its time is left. Who renews does so before that, by custom at a third or at half of its time.
pub(crate) fn soon(validity: &Validity) -> i64 {
    let lives = validity.not_after.timestamp().saturating_sub(validity.not_before.timestamp());
    (lives.max(0) / 3).min(SOON)
}

/// Days that are left of so many seconds, the one that has begun counted; 0 where there is none.
pub(crate) fn days_left(seconds: i64) -> i64 {
    seconds.max(0).saturating_add(DAY - 1) / DAY
}

/// So many seconds, for people.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    // Rounded: of one of three days a minute is gone when it is looked at.
    match ((seconds + 43_200) / 86_400, (seconds + 1_800) / 3_600, (seconds + 30) / 60) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes @ 2..) => format!("{minutes} minutes"),
        _ => format!("{seconds} seconds"),
    }
}

/// Which of two files is at fault, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The certificates' file.
    Certificate(String),
    /// The key's.
    Key(String),
}

/// A chain and the key of its first certificate.
///
/// # Errors
/// A file that cannot be read or holds something else; a key that is another certificate's.
pub(crate) fn with_key(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Fault> {
    let chain = chain(certificate).map_err(Fault::Certificate)?;
    let bytes = read(key, MAX_BYTES).map_err(Fault::Key)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| Fault::Key(no_key(&bytes)))?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    certified.map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Fault::Key("it is not the key of the certificate".into())
        }
        rustls::Error::InvalidCertificate(_) => Fault::Certificate("its first certificate cannot be used".into()),
        error => Fault::Key(format!("it cannot be used: {error}")),
    })
}

/// The certificates of a file, the server's own first; one at least.
///
/// # Errors
/// The file cannot be read, or holds none.
pub(crate) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file, MAX_BYTES)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| no_pem(&error))?;
    if chain.is_empty() { Err(no_certificate(&bytes)) } else { Ok(chain) }
}

/// What a file holds in place of certificates, where it shows.
fn no_certificate(bytes: &[u8]) -> String {
    let found = match bytes {
        _ if holds(bytes, "PRIVATE KEY-----") => ", but a private key",
        [0x30, ..] => ": it is DER; openssl x509 -inform der -in FILE -out PEM makes one of it",
        _ => "",
    };
    format!("it holds no certificate in PEM{found}")
}

/// The same in place of a key.
fn no_key(bytes: &[u8]) -> String {
    let found = match bytes {
        _ if holds(bytes, "-----BEGIN ENCRYPTED PRIVATE KEY") || holds(bytes, "Proc-Type: 4,ENCRYPTED") => {
            " that can be read: it is encrypted; openssl pkey -in FILE -out PEM writes it without its password"
        }
        _ if holds(bytes, "-----BEGIN CERTIFICATE") => ", but a certificate",
        [0x30, ..] => ": it is DER; openssl pkey -inform der -in FILE -out PEM makes one of it",
        _ => "",
    };
    format!("it holds no private key in PEM{found}")
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// Why a file is no PEM, in words: the parser's own have bytes in them.
pub(super) fn no_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("it ends in the middle of a {}", String::from_utf8_lossy(end_marker).escape_debug())
        }
        pem::Error::IllegalSectionStart { line } => {
            let line: String = String::from_utf8_lossy(line).trim_end().chars().take(MOST_SHOWN).collect();
            format!("it is not PEM: the line \"{}\" begins nothing", line.escape_debug())
        }
        error => format!("it is not PEM: {error}"),
    }
}

/// What a file of certificates holds, for who reads them itself.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn pem(file: &Path) -> Result<Vec<u8>, String> {
    read(file, MAX_BYTES)
}

/// Who signs certificates.
///
/// # Errors
/// The file cannot be read, or holds none that can be used.
pub(crate) fn roots(file: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file)? {
        roots.add(certificate).map_err(|_| "one of its certificates cannot be used".to_owned())?;
    }
    Ok(Arc::new(roots))
}

/// Those whom the system trusts to sign certificates; `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are, if set.
///
/// # Errors
/// There are none, or they cannot be read.
pub(crate) fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has hundreds, and here and there an odd one.
    roots.add_parsable_certificates(loaded.certs);
    if !roots.is_empty() {
        return Ok(Arc::new(roots));
    }
    let why = loaded.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
    Err(format!("the system's certificates cannot be used: {why}"))
}

/// What is odd about a certificate that can be used, in words.
pub(crate) fn doubts(certificate: &CertifiedKey, names: &[&str], now_unix: i64) -> Vec<String> {
    let Some((_, parsed)) = certificate.cert.first().and_then(|der| X509Certificate::from_der(der).ok()) else {
        return Vec::new();
    };
    let validity = parsed.validity();
    let mut doubts = Vec::new();
    let left = validity.not_after.timestamp().saturating_sub(now_unix);
    if left < 0 {
        doubts.push(format!("the certificate has expired: it was valid until {}", validity.not_after));
    } else if left <= soon(validity) {
        doubts.push(format!("the certificate ends in {}: it is valid until {}", span(left), validity.not_after));
    }
    if validity.not_before.timestamp() > now_unix {
        doubts.push(format!("the certificate is not valid yet: it begins at {}", validity.not_before));
    }
    let (_, held) = alternative_names(&parsed);
    let is_named = |name: &str| match name.parse() {
        Ok(address) => is_for(&parsed, address),
        Err(_) => held.iter().any(|held| covers(held, name)),
    };
    for name in names.iter().filter(|name| !is_named(name)) {
        doubts.push(format!("the certificate does not name {name:?}: clients will refuse it"));
    }
    doubts
}

/// The URIs and the DNS names of a certificate, in their order.
pub(crate) fn alternative_names<'a>(certificate: &X509Certificate<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut uris, mut dns) = (Vec::new(), Vec::new());
    let names = certificate.subject_alternative_name().ok().flatten().map(|extension| &extension.value.general_names);
    for name in names.into_iter().flatten() {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(name) => dns.push(*name),
            _ => {}
        }
    }
    (uris, dns)
}

/// Whether a certificate is for an address, as those are of servers without a name.
fn is_for(certificate: &X509Certificate<'_>, address: IpAddr) -> bool {
    let names = certificate.subject_alternative_name().ok().flatten().map(|extension| &extension.value.general_names);
    names.into_iter().flatten().any(|name| match (name, address) {
        (GeneralName::IPAddress(bytes), IpAddr::V4(address)) => **bytes == address.octets(),
        (GeneralName::IPAddress(bytes), IpAddr::V6(address)) => **bytes == address.octets(),
        _ => false,
    })
}

/// Whether a name of a certificate stands for this one, which may be a wildcard too.
fn covers(held: &str, name: &str) -> bool {
    held.eq_ignore_ascii_case(name)
        || held.strip_prefix("*.").is_some_and(|parent| {
            name.split_once('.').is_some_and(|(label, rest)| label != "*" && rest.eq_ignore_ascii_case(parent))
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_chain_comes_with_its_key_and_each_fault_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let one = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.test".to_owned()]).unwrap();
        let certificate = written(folder.path(), "a.pem", &one.cert.pem());
        let key = written(folder.path(), "a.key", &one.signing_key.serialize_pem());
        let others = written(folder.path(), "b.key", &other.signing_key.serialize_pem());
        let nothing = written(folder.path(), "empty.pem", "");
        assert_eq!(with_key(&certificate, &key).unwrap().cert.len(), 1);
        let fault = |certificate: &Path, key: &Path| with_key(certificate, key).unwrap_err();
        assert_eq!(fault(&certificate, &others), Fault::Key("it is not the key of the certificate".into()));
        let no_key = "it holds no private key in PEM";
        assert_eq!(fault(&certificate, &certificate), Fault::Key(format!("{no_key}, but a certificate")));
        assert_eq!(fault(&key, &key), Fault::Certificate("it holds no certificate in PEM, but a private key".into()));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let locked = fault(&certificate, &written(folder.path(), "locked.key", locked));
        assert!(matches!(&locked, Fault::Key(why) if why.contains("it is encrypted; openssl pkey")), "{locked:?}");
        let der = folder.path().join("a.der");
        std::fs::write(&der, one.cert.der()).unwrap();
        assert!(chain(&der).unwrap_err().contains("it is DER; openssl x509"));
        assert_eq!(roots(&nothing).unwrap_err(), "it holds no certificate in PEM");
        assert_eq!(roots(&certificate).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_torn_is_told_in_words_and_not_in_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let whole = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert.pem();
        for half in [200, whole.len() - 10] {
            let torn = written(folder.path(), "torn.pem", &whole[..half]);
            assert_eq!(chain(&torn).unwrap_err(), "it ends in the middle of a CERTIFICATE", "{half}");
        }
        let odd = written(folder.path(), "odd.pem", "-----BEGIN CERTIFICATE\nAAAA\n");
        assert_eq!(chain(&odd).unwrap_err(), "it is not PEM: the line \"-----BEGIN CERTIFICATE\" begins nothing");
    }

    fn certified_end(certified: &CertifiedKey) -> i64 {
        X509Certificate::from_der(&certified.cert[0]).unwrap().1.validity().not_after.timestamp()
    }

    #[test]
    fn a_certificate_that_lives_shortly_is_doubted_when_a_third_of_its_time_is_left() {
        const HOUR: i64 = 3_600;
        let key = rcgen::KeyPair::generate().unwrap();
        let begin = rcgen::date_time_ymd(2020, 1, 1);
        // A certificate of SPIFFE, two of ACME, and one of two months.
        for (lives, told) in [(HOUR, 20 * 60), (160 * HOUR, 192_000), (42 * DAY, 14 * DAY), (90 * DAY, 14 * DAY)] {
            let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
            params.not_before = begin;
            params.not_after = begin + Duration::from_secs(lives.unsigned_abs());
            let folder = tempfile::tempdir().unwrap();
            let file = written(folder.path(), "a.pem", &params.self_signed(&key).unwrap().pem());
            let secret = written(folder.path(), "a.key", &key.serialize_pem());
            let certified = with_key(&file, &secret).unwrap();
            let left = |seconds: i64| doubts(&certified, &[], begin.unix_timestamp() + lives - seconds).len();
            assert_eq!([left(lives), left(told + 1), left(told), left(1), left(-1)], [0, 0, 1, 1, 1], "{lives}");
        }
    }

    #[test]
    fn a_certificate_that_clients_will_refuse_is_doubted() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a.test".to_owned(), "*.b.test".to_owned(), "192.0.2.1".to_owned(), "::1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&signing_key).unwrap();
        let file = written(folder.path(), "a.pem", &certificate.pem());
        let key = written(folder.path(), "a.key", &signing_key.serialize_pem());
        let certified = with_key(&file, &key).unwrap();
        let at = |days: i64| days * 86_400;
        assert_eq!(doubts(&certified, &["A.test", "x.b.test", "*.b.test", "192.0.2.1", "0:0::1"], at(18_400)), [""; 0]);
        assert!(doubts(&certified, &[], at(20_000))[0].starts_with("the certificate has expired: it was valid until"));
        let end = certified_end(&certified);
        let left = |seconds: i64| doubts(&certified, &[], end - seconds);
        assert_eq!(left(14 * DAY + 1), [""; 0]);
        assert!(left(14 * DAY)[0].starts_with("the certificate ends in 14 days: it is valid until"));
        assert!(left(3 * DAY - 60)[0].starts_with("the certificate ends in 3 days: it is valid until"));
        assert!(left(38)[0].starts_with("the certificate ends in 38 seconds: it is valid until"));
        assert!(doubts(&certified, &[], at(10_000))[0].starts_with("the certificate is not valid yet"));
        for unnamed in ["c.test", "x.y.b.test", "b.test", "*.test", "192.0.2.2", "::2"] {
            let told = doubts(&certified, &[unnamed], at(18_400));
            assert_eq!(told, [format!("the certificate does not name {unnamed:?}: clients will refuse it")]);
        }
    }
}
