//! Certificates that clients show, and who has to have signed them.
//!
//! A handshake is over once, and who is believed changes: a connection's certificate is held against those who sign
//! now, once for each time that they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs as crypto;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

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
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientRoots {
    /// For these roots.
    ///
    /// # Errors
    /// There are none.
    pub fn new(roots: &Arc<RootCertStore>) -> Result<Self, String> {
        let provider = Arc::new(crypto::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider).build();
        Ok(Self { roots: Arc::clone(roots), verifier: verifier.map_err(|error| error.to_string())? })
    }

    /// Whether one of them has signed a certificate, itself or through others that were shown with it, and all of them
    /// hold at `now`, seconds since the Unix epoch.
    pub fn believe(&self, certificate: &ClientCertificate, now: i64) -> bool {
        let Some((own, beside)) = certificate.chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        self.verifier.verify_client_cert(own, beside, now).is_ok()
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
            (Some(before), Some(roots)) => before.roots.roots == roots.roots.roots,
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
    /// The number of those who were asked last, and in the last bit whether they refused it.
    judged: AtomicU64,
}

impl Shown {
    /// Of a handshake under those that this is the number of.
    pub(super) fn new(certificate: ClientCertificate, in_force: Arc<InForce>, number: u64) -> Self {
        Self { certificate: Arc::new(certificate), in_force, judged: AtomicU64::new(number << 1) }
    }

    /// Whether it is believed; `now` is seconds since the Unix epoch.
    #[inline]
    pub(super) fn is_believed(&self, now: impl FnOnce() -> i64) -> bool {
        let (judged, number) = (self.judged.load(Ordering::Relaxed), self.in_force.number());
        if judged >> 1 == number { !is_refusal(judged) } else { self.judge(number, now()) }
    }

    #[cold]
    fn judge(&self, number: u64, now: i64) -> bool {
        let roots = self.in_force.roots.load();
        // Where nobody is asked any more, nobody is sent away either; it only proves nothing.
        let believed = roots.as_ref().is_none_or(|roots| roots.believe(&self.certificate, now));
        self.judged.store(number << 1 | u64::from(!believed), Ordering::Relaxed);
        believed
    }

    /// Whether the listener was asked, and refused it.
    #[inline]
    pub(super) fn was_refused(&self) -> bool {
        is_refusal(self.judged.load(Ordering::Relaxed))
    }

    /// Whether clients of its listener are asked for one at all.
    pub(super) fn is_asked_for(&self) -> bool {
        self.in_force.roots.load().is_some()
    }
}

fn is_refusal(judged: u64) -> bool {
    judged & 1 == 1
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    /// 2030-01-01T00:00:00Z
    const ENDS: i64 = 1_893_456_000;

    fn issuer() -> Issuer {
        CertifiedIssuer::self_signed(of_issuer(), KeyPair::generate().unwrap()).unwrap()
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
