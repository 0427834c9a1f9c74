//! One `[identity.providers.NAME]` at work.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::{HeaderName, HeaderValue};

use super::access::RouteAuth;
use super::cache::Measure;
use super::claims::Claims;
use super::credential::{self, Credential};
use super::introspection::Issuer;
use super::jwt::Signed;
use super::key_store::KeyStore;
use super::memory::Memories;
use super::passport::Passports;
use super::password::Passwords;
use super::proven::{Identity, Proof};
use super::{api_key, certificate, fields, password};
use crate::config::settings::identity::{ProviderKind, TokenPlace};
use crate::config::settings::{self, IdentityHeaders};
use crate::plugins::{AnyIdentityProvider, Plugins};
use crate::telemetry::metrics::{AuthResult, AuthSeries};

/// How long a token that was refused is remembered, seconds: it may hold soon, after a step of a clock. (One that does
/// not hold yet is remembered for a second.)
const REFUSED_FOR: i64 = 10;

/// Identities of API keys that are kept ready.
const API_KEYS: u64 = 20_000;

/// Identities of names and passwords that are kept ready.
const PASSWORDS: u64 = 20_000;

/// Bytes of clients' certificates that are kept ready, with whom they name: for the connections that come with them.
const CERTIFICATE_BYTES: u64 = 16 << 20;

/// A provider: its settings, and what it knows.
pub struct Provider {
    /// As configured.
    pub(super) settings: Arc<settings::Provider>,
    /// How its identities are told to upstreams.
    headers: Arc<IdentityHeaders>,
    /// Its metrics.
    pub(super) series: Arc<AuthSeries>,
    /// Another one for each configuration of it.
    number: u64,
    /// How it proves.
    pub(super) kind: Kind,
    /// What it remembers; of API keys by their hash.
    memories: Memories,
    /// Its credentials go on to the upstream, as they came.
    forwards_token: bool,
}

/// How a provider proves an identity.
pub(super) enum Kind {
    /// By a signature.
    Signed(Box<Signed>),
    /// By asking.
    Opaque(Arc<Issuer>),
    /// By a hash.
    ApiKey,
    /// By a hash that is dear.
    Password(Arc<Passwords>),
    /// By the handshake of the connection, and by who signed what was shown there.
    Certificate(certificate::Signers),
    /// By asking the program's own code; `None` where it is not there, and then nothing is proven.
    Custom(Option<Arc<dyn AnyIdentityProvider>>),
}

/// Where a provider's credentials are.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A bearer token in `Authorization`.
    Bearer,
    /// A token in one of these, in this order.
    Tokens(&'a [TokenPlace]),
    /// A name and a password in `Authorization`.
    Password,
    /// In a header of their own.
    Header(&'a HeaderName),
    /// In the connection's handshake.
    Handshake,
}

impl Place<'_> {
    /// The scheme of `WWW-Authenticate` that asks for them. For keys and certificates none is registered, and a 401 has
    /// to name one (RFC 9110, section 11.6.1).
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Bearer | Self::Tokens(_) => "Bearer",
            Self::Password => "Basic",
            Self::Header(_) => "ApiKey",
            Self::Handshake => "ClientCertificate",
        }
    }
}

/// What a provider is made in.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Its number.
    pub(super) number: u64,
    /// Workers.
    pub(super) workers: usize,
    /// Monotonic time.
    pub(super) now: Instant,
    /// What the program has registered.
    pub(super) plugins: &'a Plugins,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

/// What is known of a credential without proving it.
pub(super) enum Known {
    /// It was proven before, and still holds.
    Proven(Arc<Identity>),
    /// It was refused a moment ago.
    Refused(AuthResult),
    /// Nothing.
    Nothing,
}

impl Provider {
    pub(super) fn new(
        settings: &Arc<settings::Provider>,
        headers: &Arc<IdentityHeaders>,
        (series, around): (Arc<AuthSeries>, Surroundings<'_>),
        before: Option<&Self>,
    ) -> Self {
        let (kind, memories) = match &settings.kind {
            ProviderKind::Jwt(jwt) => {
                let store = before.and_then(|before| before.store().cloned());
                let bytes = (jwt.cache_bytes.unwrap_or(0), Measure::Bytes);
                let memories = Memories::new(bytes, REFUSED_FOR, around.workers);
                (Kind::Signed(Box::new(Signed::new((**jwt).clone(), store))), memories)
            }
            ProviderKind::Introspection(introspection) => {
                let issuer = Issuer::new(&settings.name, introspection.clone(), around.workers, around.now);
                let entries = (introspection.capacity, Measure::Entries);
                let memories = Memories::new(entries, issuer.negative(), around.workers);
                (Kind::Opaque(Arc::new(issuer)), memories)
            }
            ProviderKind::ApiKey(_) => {
                let memories = Memories::new((API_KEYS, Measure::Entries), 0, around.workers);
                (Kind::ApiKey, memories)
            }
            ProviderKind::Basic(basic) => {
                // For all workers: one that holds is not to be hashed by each of them.
                let memories = Memories::new((PASSWORDS, Measure::Entries), REFUSED_FOR, 1);
                (Kind::Password(Arc::new(Passwords::new(basic))), memories)
            }
            ProviderKind::Mtls(mtls) => {
                let memories = Memories::new((CERTIFICATE_BYTES, Measure::Bytes), REFUSED_FOR, around.workers);
                (Kind::Certificate(certificate::Signers::new(mtls)), memories)
            }
            ProviderKind::Custom(custom) => {
                let entries = (custom.capacity, Measure::Entries);
                let refused_for = i64::try_from(custom.negative.as_secs()).unwrap_or(0);
                let memories = Memories::new(entries, refused_for, around.workers);
                (Kind::Custom(around.plugins.identity(&custom.name)), memories)
            }
        };
        let forwards_token = match &settings.kind {
            ProviderKind::Jwt(jwt) => jwt.forward_token,
            ProviderKind::Basic(basic) => basic.forward_credentials,
            ProviderKind::ApiKey(_)
            | ProviderKind::Introspection(_)
            | ProviderKind::Mtls(_)
            | ProviderKind::Custom(_) => false,
        };
        let (settings, headers) = (Arc::clone(settings), Arc::clone(headers));
        Self { settings, headers, series, number: around.number, kind, memories, forwards_token }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Whether this is what is configured.
    pub(super) fn is(&self, settings: &settings::Provider, headers: &IdentityHeaders) -> bool {
        *self.settings == *settings && *self.headers == *headers
    }

    /// Its keys, where they are fetched.
    pub(super) fn store(&self) -> Option<&Arc<KeyStore>> {
        match &self.kind {
            Kind::Signed(signed) => signed.store.as_ref(),
            Kind::Opaque(_) | Kind::ApiKey | Kind::Password(_) | Kind::Certificate(_) | Kind::Custom(_) => None,
        }
    }

    /// Whom it asks about tokens, where it does.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        match &self.kind {
            Kind::Opaque(issuer) => Some(issuer),
            Kind::Signed(_) | Kind::ApiKey | Kind::Password(_) | Kind::Certificate(_) | Kind::Custom(_) => None,
        }
    }

    /// For operators: why it cannot say whether a credential holds, where that is what came of it.
    #[cold]
    pub(super) fn why_silent(&self, result: AuthResult) -> Option<String> {
        if !matches!(result, AuthResult::NoKeys | AuthResult::Unavailable) {
            return None;
        }
        let name = self.name();
        Some(match &self.kind {
            Kind::Signed(signed) => {
                let store = signed.store.as_ref()?;
                match store.failure() {
                    Some(why) => format!("the keys of provider {name} cannot be fetched: {why}"),
                    None if store.keys().is_none() => format!("provider {name} has no keys yet"),
                    None => return None,
                }
            }
            Kind::Opaque(issuer) => match issuer.health.why() {
                Some(why) => format!("the issuer of provider {name} does not say whether tokens hold: {why}"),
                None => format!("the issuer of provider {name} is not asked"),
            },
            Kind::Password(_) => format!("too many passwords wait to be verified for provider {name}"),
            Kind::Custom(_) => format!("provider {name} cannot say"),
            Kind::ApiKey | Kind::Certificate(_) => return None,
        })
    }

    /// Whether its credentials are bearer tokens, wherever they are.
    pub(super) fn takes_bearer(&self) -> bool {
        matches!(self.place(), Place::Bearer | Place::Tokens(_))
    }

    /// Whether the worker itself verifies its credentials, which takes it time.
    pub(super) fn verifies_here(&self) -> bool {
        matches!(self.kind, Kind::Signed(_))
    }

    /// Whether threads of the gateway's own verify its credentials, for which they wait in line.
    pub(super) fn hashes(&self) -> bool {
        matches!(self.kind, Kind::Password(_))
    }

    /// Whether it remembers credentials as they are presented.
    #[inline]
    pub(super) fn remembers(&self) -> bool {
        !matches!(self.kind, Kind::ApiKey | Kind::Password(_))
    }

    /// Where its credentials are.
    #[inline]
    pub(super) fn place(&self) -> Place<'_> {
        let tokens = match &self.settings.kind {
            ProviderKind::Jwt(jwt) => &jwt.token_from,
            ProviderKind::Introspection(introspection) => &introspection.token_from,
            ProviderKind::ApiKey(keys) => return Place::Header(&keys.header),
            ProviderKind::Basic(_) => return Place::Password,
            ProviderKind::Mtls(_) => return Place::Handshake,
            ProviderKind::Custom(custom) => return custom.header.as_ref().map_or(Place::Bearer, Place::Header),
        };
        if tokens.is_empty() { Place::Bearer } else { Place::Tokens(tokens) }
    }

    /// What asks for its credentials, where nothing is to be said of what came.
    #[cold]
    pub(super) fn challenge(&self) -> HeaderValue {
        match &self.kind {
            Kind::Password(passwords) => passwords.challenge.clone(),
            _ => HeaderValue::from_static(self.place().scheme()),
        }
    }

    /// Whether the credential goes on to the upstream.
    #[inline]
    pub(super) fn forwards_token(&self) -> bool {
        self.forwards_token
    }

    /// Whether a token looks like one of this provider's, among several: this only chooses who is asked, and whoever is
    /// asked believes nothing before the signature holds.
    pub(super) fn may_have_issued(&self, token: &[u8], route: &RouteAuth) -> bool {
        let ProviderKind::Jwt(jwt) = &self.settings.kind else { return true };
        if !credential::looks_signed(token) {
            return false;
        }
        let signers = route.providers.iter().filter(|provider| matches!(provider.kind, Kind::Signed(_))).count();
        signers == 1 || token.len() <= jwt.max_token_bytes && credential::names_issuer(token, &jwt.issuer)
    }

    /// Which provider, with which keys.
    #[inline]
    pub(super) fn proof(&self) -> Proof {
        let keys = match &self.kind {
            Kind::Signed(signed) => signed.keys_number(),
            Kind::Opaque(_) | Kind::ApiKey | Kind::Password(_) | Kind::Certificate(_) | Kind::Custom(_) => 0,
        };
        Proof { provider: self.number, keys }
    }

    /// What is known of a credential at `now`.
    #[inline]
    pub(super) fn recall(&self, worker: usize, credential: &[u8], now: i64) -> Known {
        if self.remembers() { self.known(worker, credential, now) } else { Known::Nothing }
    }

    /// What is known under this mark of a credential, or the credential itself where it is remembered by that.
    #[inline]
    pub(super) fn known(&self, worker: usize, mark: &[u8], now: i64) -> Known {
        let proof = self.proof();
        let mut memory = self.memories.of(worker);
        if let Some(identity) = memory.proven.find(mark, |identity| identity.holds(proof, now)) {
            return Known::Proven(identity);
        }
        memory.refused.find(mark, proof, now).map_or(Known::Nothing, Known::Refused)
    }

    /// Proves a credential at `now`, where that needs nobody else.
    ///
    /// # Errors
    /// Why it does not hold.
    pub(super) fn prove(&self, worker: usize, credential: &Credential, now: i64) -> Result<Arc<Identity>, AuthResult> {
        // Before the keys are looked at: what is verified with older ones is not taken for verified with newer.
        let proof = self.proof();
        let ProviderKind::ApiKey(keys) = &self.settings.kind else {
            return self.remember(worker, credential, (proof, now), self.judge(credential, now));
        };
        let hash = api_key::hash(credential);
        let known = self.memories.of(worker).proven.find(&hash, |identity| identity.holds(proof, now));
        known.map_or_else(|| self.remember(worker, &hash, (proof, now), api_key::find(&keys.keys, &hash)), Ok)
    }

    /// Remembers what came of a credential.
    ///
    /// # Errors
    /// What came of it.
    pub(super) fn remember(
        &self,
        worker: usize,
        credential: &[u8],
        (proof, now): (Proof, i64),
        judged: Result<Claims, AuthResult>,
    ) -> Result<Arc<Identity>, AuthResult> {
        let proven = judged.map(|claims| Arc::new(self.identity(claims, credential, (proof, now))));
        match &proven {
            Ok(identity) => self.memories.of(worker).proven.keep(Arc::clone(identity)),
            // What is refused before any signature is computed is as cheap to refuse again.
            Err(why) if why.is_dear() => self.memories.of(worker).refused.keep(credential, proof, now, *why),
            Err(_) => {}
        }
        proven
    }

    /// Judges a credential at `now`, and remembers nothing.
    ///
    /// # Errors
    /// Why it does not hold, or that somebody else would have to be asked.
    pub(super) fn try_out(&self, credential: &Credential, now: i64) -> Result<Identity, AuthResult> {
        self.judge(credential, now).map(|claims| self.identity(claims, credential, (self.proof(), now)))
    }

    fn judge(&self, credential: &Credential, now: i64) -> Result<Claims, AuthResult> {
        match (&self.kind, &self.settings.kind) {
            (Kind::Signed(signed), _) => signed.verify(credential, now),
            (Kind::Certificate(signers), _) => match credential {
                Credential::Certificate(shown) => certificate::judge(shown, signers, now),
                Credential::Bearer(..) | Credential::Within(..) | Credential::Key(_) => Err(AuthResult::Malformed),
            },
            (Kind::Password(passwords), _) => password::pair(credential).and_then(|pair| passwords.judge(&pair)),
            (Kind::ApiKey, ProviderKind::ApiKey(keys)) => api_key::find(&keys.keys, &api_key::hash(credential)),
            _ => Err(AuthResult::Unavailable),
        }
    }

    fn identity(&self, claims: Claims, credential: &[u8], (proof, since): (Proof, i64)) -> Identity {
        Identity {
            provider: Arc::clone(self.name()),
            fields: fields::write(&self.headers, self.name(), &claims),
            passports: Passports::default(),
            subject: claims.subject,
            scopes: claims.scopes,
            claims: claims.all,
            since,
            until: claims.until,
            ends: claims.ends,
            credential: credential.into(),
            proof,
            digest: OnceLock::new(),
            likeness: OnceLock::new(),
            bound: claims.bound,
        }
    }
}
