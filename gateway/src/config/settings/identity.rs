//! `[identity]`: the headers that only the gateway may set, and who proves identities.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::RootCertStore;
use serde_json::Value;

pub use super::basic::Basic;
pub use super::token_place::TokenPlace;
use crate::jws::{Algorithm, KeySet, Signer};

/// `[identity]`, as far as headers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Removed from every client request on every route. The subject, scopes, provider, claim and passport headers are
    /// always among them.
    pub strip: Vec<HeaderPattern>,
    /// Carries the proven subject to the upstream.
    pub subject_header: HeaderName,
    /// Carries the granted scopes to the upstream.
    pub scopes_header: HeaderName,
    /// Carries the name of the provider to the upstream.
    pub provider_header: HeaderName,
    /// Carry claims: header and claim.
    pub claims: Vec<(HeaderName, Box<str>)>,
}

#[cfg(test)]
impl IdentityHeaders {
    /// The headers that are usual, none of which is stripped for its name alone; no claims.
    pub(crate) fn usual() -> Self {
        Self {
            strip: Vec::new(),
            subject_header: HeaderName::from_static("x-auth-subject"),
            scopes_header: HeaderName::from_static("x-auth-scopes"),
            provider_header: HeaderName::from_static("x-auth-provider"),
            claims: Vec::new(),
        }
    }
}

/// A header's name, or every name that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderPattern {
    /// `x-user`
    Exact(HeaderName),
    /// `x-auth-*`; held without the star, in lower case.
    Prefix(String),
}

impl HeaderPattern {
    /// Whether it names this header, which is in lower case.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// One `[identity.providers.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name; what it knows (fetched keys, verified tokens) is kept by it over reloads.
    pub name: Arc<str>,
    /// How it proves an identity.
    pub kind: ProviderKind,
}

/// `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKind {
    /// Signed tokens.
    Jwt(Box<Jwt>),
    /// Tokens that their issuer is asked about.
    Introspection(Introspection),
    /// Keys, of which only hashes are known.
    ApiKey(ApiKeys),
    /// Names and passwords.
    Basic(Basic),
    /// Clients' certificates, which a listener's handshake verifies.
    Mtls(Mtls),
    /// What the program has registered.
    Custom(Custom),
}

/// `kind = "jwt"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// The `iss` of its tokens.
    pub issuer: Box<str>,
    /// One of them is in the claim that says for whom a token is.
    pub audiences: Vec<Box<str>>,
    /// Which claim that is: `aud`, or another of an issuer that leaves it out.
    pub audience_claim: Box<str>,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Where public keys come from; `None` where only secrets verify.
    pub keys: Option<Keys>,
    /// The secret of HS algorithms.
    pub secret: Option<SecretKeys>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The longest token.
    pub max_token_bytes: usize,
    /// Claims that a token must have, beside `exp`.
    pub required_claims: Vec<Box<str>>,
    /// The size of the cache of verified tokens; `None` = no cache.
    pub cache_bytes: Option<u64>,
    /// Accepted `typ` headers; empty = any.
    pub typ: Vec<Box<str>>,
    /// The client's token is passed on, where it was.
    pub forward_token: bool,
    /// Where its tokens may be, the first before the others; empty = `Authorization` alone.
    pub token_from: Box<[TokenPlace]>,
    /// The store that remembers used tokens of `single_use` routes; `None` = this process.
    pub replay_store: Option<Arc<str>>,
    /// Where it is asked whether a token was taken back.
    pub revocation: Option<Revocation>,
    /// `bound_tokens = "ignore"`: whoever has a token may present it, whatever it is bound to.
    pub ignores_binding: bool,
}

/// `revocation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The store's name.
    pub store: Arc<str>,
    /// `on_store_failure = "open"`: while the store is down, tokens hold that may have been taken back.
    pub is_open_without_store: bool,
}

/// `jwks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// `file` or `inline`: as read when the configuration was.
    Fixed(FixedKeys),
    /// `url` or `discovery`.
    Fetched(FetchedKeys),
}

/// Keys that are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedKeys {
    /// Where from.
    pub from: KeySource,
    /// How often.
    pub refresh: Duration,
    /// The shortest time between two fetches for unknown keys.
    pub cooldown: Duration,
}

/// Where keys are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A key set.
    Url(Box<str>),
    /// The issuer whose configuration names a key set.
    Discovery(Box<str>),
}

impl KeySource {
    /// Where an issuer's configuration is (OpenID Connect Discovery 1.0, section 4).
    pub(crate) fn configuration_url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }
}

/// `kind = "mtls"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mtls {
    /// Who has signed the certificates of its clients; `None` = whoever listeners believe.
    pub ca: Option<ClientCa>,
}

/// Who signs certificates.
#[derive(Debug, Clone)]
pub struct ClientCa {
    /// The file.
    pub file: PathBuf,
    /// Its certificates; empty where they could not be read, and then nobody's hold.
    pub roots: Arc<RootCertStore>,
}

impl PartialEq for ClientCa {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.roots.roots == other.roots.roots
    }
}

impl Eq for ClientCa {}

/// `kind = "custom"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// The name under which it is registered.
    pub name: Arc<str>,
    /// The header that carries its credentials; `None` = they are bearer tokens.
    pub header: Option<HeaderName>,
    /// The longest wait for its word.
    pub timeout: Duration,
    /// Answers that are kept.
    pub capacity: u64,
    /// How long a yes is believed, at most.
    pub positive: Duration,
    /// How long a no is believed.
    pub negative: Duration,
}

/// `kind = "introspection"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Who is asked.
    pub url: Box<str>,
    /// The gateway's name there.
    pub client_id: Box<str>,
    /// The gateway's secret there.
    pub client_secret: Secret,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// Answers that are kept.
    pub capacity: u64,
    /// How long "active" is believed.
    pub positive: Duration,
    /// How long "not active" is believed.
    pub negative: Duration,
    /// One of them is in a token's `aud`; empty = it may be for anybody.
    pub audiences: Vec<Box<str>>,
    /// `bound_tokens = "ignore"`: whoever has a token may present it, whatever it is bound to.
    pub ignores_binding: bool,
    /// Where its tokens may be, the first before the others; empty = `Authorization` alone.
    pub token_from: Box<[TokenPlace]>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Keys that are a part of the configuration.
#[derive(Clone)]
pub struct FixedKeys {
    /// The keys; empty where they could not be read, and then no token holds.
    pub set: Arc<KeySet>,
    /// As read, to tell whether they have changed.
    pub text: Arc<[u8]>,
    /// The file that they were read from.
    pub file: Option<PathBuf>,
}

/// A secret as a key.
#[derive(Clone)]
pub struct SecretKeys {
    /// A set of the one key.
    pub set: Arc<KeySet>,
    /// The secret, to tell whether it has changed.
    pub secret: Arc<[u8]>,
}

impl PartialEq for FixedKeys {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.file == other.file
    }
}

impl Eq for FixedKeys {}

impl fmt::Debug for FixedKeys {
    /// An inline set may be anything: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedKeys").field("set", &self.set).field("file", &self.file).finish_non_exhaustive()
    }
}

impl PartialEq for SecretKeys {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for SecretKeys {}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKeys")
    }
}

/// `kind = "api_key"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeys {
    /// The header that carries the key.
    pub header: HeaderName,
    /// The file, as read when the configuration was.
    pub file: PathBuf,
    /// Who has which key, by the SHA-256 of it.
    pub keys: Arc<BTreeMap<[u8; 32], ApiKey>>,
}

/// One `[[keys]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who has it.
    pub subject: Box<str>,
    /// What is granted.
    pub scopes: Vec<Box<str>>,
}

/// `[identity] passport`.
#[derive(Clone)]
pub struct Passport {
    /// Carries it.
    pub header: HeaderName,
    /// The keys: the first one signs. Empty where they could not be read, and then there are no passports.
    pub keys: Vec<Arc<Signer>>,
    /// The file that they were read from.
    pub file: PathBuf,
    /// How long a passport holds.
    pub lifetime: Duration,
    /// Its `iss`.
    pub issuer: Box<str>,
}

impl PartialEq for Passport {
    fn eq(&self, other: &Self) -> bool {
        let kids = |passport: &Self| passport.keys.iter().map(|key| key.kid().to_owned()).collect::<Vec<_>>();
        let rest = |passport: &Self| (passport.header.clone(), passport.lifetime, passport.issuer.clone());
        kids(self) == kids(other) && rest(self) == rest(other)
    }
}

impl Eq for Passport {}

impl fmt::Debug for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Passport");
        shown.field("header", &self.header).field("keys", &self.keys).field("lifetime", &self.lifetime);
        shown.finish_non_exhaustive()
    }
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedClaim {
    /// Its name.
    pub name: Box<str>,
    /// The value that it equals or holds.
    pub value: Value,
    /// The same as people are shown it: variables stand by their names.
    pub shown: Box<str>,
}

/// `auth` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Names of providers, in order: the first whose credential is present decides. Never empty.
    pub providers: Vec<Arc<str>>,
    /// All are needed.
    pub scopes: Vec<Box<str>>,
    /// All are needed.
    pub claims: Vec<WantedClaim>,
    /// A request without a credential passes.
    pub optional: bool,
    /// A token holds for one request.
    pub single_use: bool,
}
