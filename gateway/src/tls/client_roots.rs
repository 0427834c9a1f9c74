//! Certificates that clients show, and who has to have signed them.
//!
//! A handshake is over once, and who is believed changes: a connection's certificate is held against those who sign
//! now, and what they have taken back, once for each time that this changes. Lists of revoked certificates (RFC 5280,
//! section 5) are asked about every certificate of a chain, as nginx and HAProxy do: where one is missing, not its
//! issuer's or past its `nextUpdate`, nobody knows whether the certificate was taken back, and it is not believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs as crypto;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};

/// A client's certificate, as it was shown in a handshake that proved its key.
#[derive(Debug)]
pub struct ClientCertificate {
    /// Its own first, then what it showed beside it.
    chain: Box<[CertificateDer<'static>]>,
    fingerprint: [u8; 32],
}

impl ClientCertificate {
    /// The first certificate of a chain, and the others; `None` where there is none.
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let own = digest(&SHA256, chain.first()?);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(own.as_ref());
        Some(Self { chain: chain.iter().map(|one| one.clone().into_owned()).collect(), fingerprint })
    }

    /// Its bytes (DER).
    #[inline]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[][..], |own| &own[..])
    }

    /// The SHA-256 of them.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// Who signs clients' certificates: at a listener, or for a provider of identities.
#[derive(Debug)]
pub struct ClientRoots {
    roots: Arc<RootCertStore>,
    lists: Lists,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Lists of revoked certificates; none where nothing is looked up.
pub(super) type Lists = Arc<[CertificateRevocationListDer<'static>]>;

/// Why a certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Whoever signed it has taken it back.
    Revoked,
    /// Nobody of them signed it, it does not hold any more, or nobody can say whether it was taken back.
    Other,
}

/// What looks certificates up in lists, where there are some.
pub(super) fn with_lists(builder: ClientCertVerifierBuilder, lists: &Lists) -> ClientCertVerifierBuilder {
    if lists.is_empty() {
        return builder;
    }
    builder.with_crls(lists.iter().cloned()).enforce_revocation_expiration()
}

impl ClientRoots {
    /// For these roots.
    ///
    /// # Errors
    /// There are none.
    pub fn new(roots: &Arc<RootCertStore>) -> Result<Self, String> {
        Self::with_lists(roots, &Lists::default())
    }

    /// The same, but for what these lists have.
    ///
    /// # Errors
    /// There are none; or a list cannot be read.
    pub(super) fn with_lists(roots: &Arc<RootCertStore>, lists: &Lists) -> Result<Self, String> {
        let provider = Arc::new(crypto::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider);
        let verifier = with_lists(builder, lists).build().map_err(|error| error.to_string())?;
        Ok(Self { roots: Arc::clone(roots), lists: Arc::clone(lists), verifier })
    }

    /// Whether one of them has signed a certificate, itself or through others that were shown with it, and all of them
    /// hold at `now`, seconds since the Unix epoch.
    pub fn believe(&self, certificate: &ClientCertificate, now: i64) -> bool {
        self.judge(certificate, now).is_ok()
    }

    /// The same, and why not.
    fn judge(&self, certificate: &ClientCertificate, now: i64) -> Result<(), Doubt> {
        let Some((own, beside)) = certificate.chain.split_first() else { return Err(Doubt::Other) };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        match self.verifier.verify_client_cert(own, beside, now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(CertificateError::Revoked)) => Err(Doubt::Revoked),
            Err(_) => Err(Doubt::Other),
        }
    }
}

/// Who signs for the clients of a listener now, over all configurations; nobody where none is asked for a certificate.
#[derive(Debug, Default)]
pub(super) struct InForce {
    roots: ArcSwapOption<ClientRoots>,
    /// Counts up whenever they become others.
    number: AtomicU64,
}

impl InForce {
    /// Which they are.
    fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Others, or the same, sign from now on; their number.
    pub(super) fn set(&self, roots: Option<ClientRoots>) -> u64 {
        let before = self.roots.load();
        let same = match (before.as_deref(), &roots) {
            (Some(before), Some(roots)) => before.roots.roots == roots.roots.roots && before.lists == roots.lists,
            (before, roots) => before.is_none() && roots.is_none(),
        };
        if !same {
            self.roots.store(roots.map(Arc::new));
            // After them: whoever sees the number sees them too.
            self.number.fetch_add(1, Ordering::Release);
        }
        self.number()
    }
}

/// A client's certificate, and whether its listener believes it still.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) certificate: Arc<ClientCertificate>,
    in_force: Arc<InForce>,
    /// The number of those who were asked last, and in the last bits what they said.
    judged: AtomicU64,
}

/// How many bits say what was said.
const BITS: u32 = 2;
/// It was refused.
const REFUSED: u64 = 1;
/// It was refused since it was taken back.
const REVOKED: u64 = 2;

impl Shown {
    /// Of a handshake under those that this is the number of.
    pub(super) fn new(certificate: ClientCertificate, in_force: Arc<InForce>, number: u64) -> Self {
        Self { certificate: Arc::new(certificate), in_force, judged: AtomicU64::new(number << BITS) }
    }

    /// Of a session that was resumed: nobody looked at the certificate, and a list that was good when it began may have
    /// ended since. It is judged when it is first asked about.
    pub(super) fn resumed(certificate: ClientCertificate, in_force: Arc<InForce>) -> Self {
        Self::new(certificate, in_force, u64::MAX >> BITS)
    }

    /// Whether it is believed; `now` is seconds since the Unix epoch.
    #[inline]
    pub(super) fn is_believed(&self, now: impl FnOnce() -> i64) -> bool {
        let (judged, number) = (self.judged.load(Ordering::Relaxed), self.in_force.number());
        if judged >> BITS == number { judged & REFUSED == 0 } else { self.judge(number, now()) }
    }

    #[cold]
    fn judge(&self, number: u64, now: i64) -> bool {
        let roots = self.in_force.roots.load();
        // Where nobody is asked any more, nobody is sent away either; it only proves nothing.
        let judged = roots.as_ref().map_or(Ok(()), |roots| roots.judge(&self.certificate, now));
        let said = match judged {
            Ok(()) => 0,
            Err(Doubt::Other) => REFUSED,
            Err(Doubt::Revoked) => REFUSED | REVOKED,
        };
        self.judged.store(number << BITS | said, Ordering::Relaxed);
        judged.is_ok()
    }

    /// Whether the listener was asked, and refused it.
    #[inline]
    pub(super) fn was_refused(&self) -> bool {
        self.judged.load(Ordering::Relaxed) & REFUSED != 0
    }

    /// Whether that was since it was taken back.
    pub(super) fn was_revoked(&self) -> bool {
        self.judged.load(Ordering::Relaxed) & REVOKED != 0
    }

    /// Whether clients of its listener are asked for one at all.
    pub(super) fn is_asked_for(&self) -> bool {
        self.in_force.roots.load().is_some()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
        KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
    };

    use super::*;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    /// 2030-01-01T00:00:00Z
    const ENDS: i64 = 1_893_456_000;

    fn issuer() -> Issuer {
        CertifiedIssuer::self_signed(of_issuer(), KeyPair::generate().unwrap()).unwrap()
    }

    fn issuer_of(name: &str) -> Issuer {
        let mut params = of_issuer();
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn of_issuer() -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn roots(issuers: &[&Issuer]) -> ClientRoots {
        let mut roots = RootCertStore::empty();
        issuers.iter().for_each(|issuer| roots.add(issuer.der().clone()).unwrap());
        ClientRoots::new(&Arc::new(roots)).unwrap()
    }

    fn signed_by(issuer: &Issuer) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["job.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 1, 1);
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    fn shown(chain: &[CertificateDer<'static>]) -> ClientCertificate {
        ClientCertificate::of(chain).unwrap()
    }

    #[test]
    fn a_certificate_is_believed_that_one_of_them_signed_for_as_long_as_it_holds() {
        let (one, other) = (issuer(), issuer());
        let between = CertifiedIssuer::signed_by(of_issuer(), KeyPair::generate().unwrap(), &one).unwrap();
        let leaf = signed_by(&between);
        for (chain, issuers, believed) in [
            (vec![signed_by(&one)], vec![&one], true),
            (vec![signed_by(&one)], vec![&other, &one], true),
            (vec![signed_by(&one)], vec![&other], false),
            (vec![leaf.clone(), between.der().clone()], vec![&one], true),
            (vec![leaf], vec![&one], false),
        ] {
            assert_eq!(roots(&issuers).believe(&shown(&chain), ENDS - 60), believed);
        }
        assert!(!roots(&[&one]).believe(&shown(&[signed_by(&one)]), ENDS + 60));
        assert!(ClientRoots::new(&Arc::new(RootCertStore::empty())).is_err());
        assert!(ClientCertificate::of(&[]).is_none());
    }

    /// What an issuer has taken back, as it says for some years.
    fn list(issuer: &Issuer, serials: &[u64], years: std::ops::Range<i32>) -> CertificateRevocationListDer<'static> {
        let at = |year| date_time_ymd(year, 1, 1);
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: at(years.start),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at(years.start),
            next_update: at(years.end),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).unwrap().der().clone()
    }

    fn numbered(issuer: &Issuer, serial: u64) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["job.test".to_owned()]).unwrap();
        (params.not_after, params.serial_number) = (date_time_ymd(2031, 1, 1), Some(SerialNumber::from(serial)));
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    #[test]
    fn g_what_was_taken_back_is_not_believed_nor_what_nobody_can_say_of() {
        let (one, other) = (issuer_of("one"), issuer_of("other"));
        let of = |lists: Vec<CertificateRevocationListDer<'static>>| {
            let mut roots = RootCertStore::empty();
            [&one, &other].iter().for_each(|issuer| roots.add(issuer.der().clone()).unwrap());
            ClientRoots::with_lists(&Arc::new(roots), &lists.into()).unwrap()
        };
        let good = || list(&one, &[7], 2020..2030);
        let (seventh, eighth) = (shown(&[numbered(&one, 7)]), shown(&[numbered(&one, 8)]));
        let now = ENDS - 60;
        assert_eq!(of(vec![good()]).judge(&seventh, now), Err(Doubt::Revoked));
        assert_eq!(of(vec![good()]).judge(&eighth, now), Ok(()));
        assert_eq!(of(vec![]).judge(&seventh, now), Ok(()), "nobody looks it up");
        assert_eq!(of(vec![good()]).judge(&eighth, ENDS + 60), Err(Doubt::Other), "the list has ended");
        let elses = shown(&[numbered(&other, 8)]);
        assert_eq!(of(vec![good()]).judge(&elses, now), Err(Doubt::Other), "nobody knows what the other took back");
        assert_eq!(of(vec![good(), list(&other, &[], 2020..2030)]).judge(&elses, now), Ok(()));
        let forged = list(&issuer_of("one"), &[], 2020..2030);
        assert_eq!(of(vec![forged]).judge(&seventh, now), Err(Doubt::Other), "a list that its issuer has not signed");
    }

    #[test]
    fn g_a_list_that_changes_counts_for_who_is_connected_and_for_sessions_that_go_on() {
        let one = issuer_of("one");
        let of = |serials: &[u64]| {
            let mut roots = RootCertStore::empty();
            roots.add(one.der().clone()).unwrap();
            ClientRoots::with_lists(&Arc::new(roots), &Arc::from([list(&one, serials, 2020..2030)])).unwrap()
        };
        let in_force = Arc::new(InForce::default());
        let number = in_force.set(Some(of(&[])));
        let seventh = || shown(&[numbered(&one, 7)]);
        let client = Shown::new(seventh(), Arc::clone(&in_force), number);
        assert!(client.is_believed(|| -> i64 { panic!("nothing has changed") }));
        in_force.set(Some(of(&[7])));
        assert!(!client.is_believed(|| ENDS - 60) && client.was_refused() && client.was_revoked());
        in_force.set(Some(of(&[])));
        assert!(client.is_believed(|| ENDS - 60) && !client.was_revoked());
        let resumed = || Shown::resumed(seventh(), Arc::clone(&in_force));
        assert!(resumed().is_believed(|| ENDS - 60));
        let late = resumed();
        assert!(!late.is_believed(|| ENDS + 60) && !late.was_revoked(), "its list has ended meanwhile");
    }

    #[test]
    fn who_signs_no_more_is_asked_about_once() {
        let (one, other) = (issuer(), issuer());
        let in_force = Arc::new(InForce::default());
        let number = in_force.set(Some(roots(&[&one, &other])));
        let client = Shown::new(shown(&[signed_by(&one)]), Arc::clone(&in_force), number);
        let unasked = || -> i64 { panic!("nothing has changed") };
        assert!(client.is_believed(unasked));
        in_force.set(Some(roots(&[&one, &other])));
        assert!(client.is_believed(unasked), "a reload that changes nothing here");
        in_force.set(Some(roots(&[&one])));
        assert!(client.is_believed(|| ENDS - 60));
        assert!(client.is_believed(unasked), "it was asked about");
        in_force.set(Some(roots(&[&other])));
        assert!(!client.is_believed(|| ENDS - 60) && client.was_refused());
        assert!(!client.is_believed(unasked));
        in_force.set(None);
        assert!(client.is_believed(|| ENDS - 60) && !client.is_asked_for(), "nobody is asked for one any more");
        in_force.set(Some(roots(&[&one])));
        assert!(client.is_believed(|| ENDS - 60) && client.is_asked_for());
    }
}
