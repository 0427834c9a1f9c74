//! One `[identity.providers.NAME]` at work.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use super::access::RouteAuth;
use super::claims::Claims;
use super::jwt::Tokens;
use super::proven::{Identity, Proof};
use super::{api_key, credential, fields};
use crate::config::settings::identity::ProviderKind;
use crate::config::settings::{self, IdentityHeaders};
use crate::telemetry::metrics::{AuthResult, AuthSeries};

/// A provider: its settings, and what it knows.
pub struct Provider {
    /// As configured.
    pub(super) settings: Arc<settings::Provider>,
    /// How its identities are told to upstreams.
    pub(super) headers: Arc<IdentityHeaders>,
    /// Its metrics.
    pub(super) series: Arc<AuthSeries>,
    /// Another one for each configuration of it.
    number: u64,
    /// What it knows beside its settings; `None` where these are all.
    pub(super) tokens: Option<Tokens>,
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
        (series, number, workers): (Arc<AuthSeries>, u64, usize),
    ) -> Self {
        let tokens = match &settings.kind {
            ProviderKind::Jwt(jwt) => Some(Tokens::new((**jwt).clone(), workers)),
            ProviderKind::ApiKey(_) => None,
        };
        Self { settings: Arc::clone(settings), headers: Arc::clone(headers), series, number, tokens }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Whether this is what is configured.
    pub(super) fn is(&self, settings: &settings::Provider, headers: &IdentityHeaders) -> bool {
        *self.settings == *settings && *self.headers == *headers
    }

    /// Whether its credentials are bearer tokens.
    pub(super) fn takes_bearer(&self) -> bool {
        self.own_header().is_none()
    }

    /// The header of its credentials, where that is not `Authorization`.
    #[inline]
    pub(super) fn own_header(&self) -> Option<&HeaderName> {
        match &self.settings.kind {
            ProviderKind::ApiKey(keys) => Some(&keys.header),
            ProviderKind::Jwt(_) => None,
        }
    }

    /// Whether the credential goes on to the upstream.
    #[inline]
    pub(super) fn forwards_token(&self) -> bool {
        match &self.settings.kind {
            ProviderKind::Jwt(jwt) => jwt.forward_token,
            ProviderKind::ApiKey(_) => false,
        }
    }

    /// Whether a token looks like one of this provider's, among several: this only chooses who is asked, and whoever is
    /// asked believes nothing before the signature holds.
    pub(super) fn may_have_issued(&self, token: &[u8], route: &RouteAuth) -> bool {
        let ProviderKind::Jwt(jwt) = &self.settings.kind else { return true };
        if !credential::looks_signed(token) {
            return false;
        }
        let signers = route.providers.iter().filter(|provider| provider.tokens.is_some()).count();
        signers == 1 || token.len() <= jwt.max_token_bytes && credential::names_issuer(token, &jwt.issuer)
    }

    /// Which provider, with which keys.
    #[inline]
    pub(super) fn proof(&self) -> Proof {
        Proof { provider: self.number, keys: self.tokens.as_ref().map_or(0, Tokens::keys_number) }
    }

    /// What is known of a credential at `now`.
    #[inline]
    pub(super) fn recall(&self, worker: usize, credential: &[u8], now: i64) -> Known {
        let Some(tokens) = &self.tokens else { return Known::Nothing };
        let proof = self.proof();
        let mut memory = tokens.memory(worker);
        if let Some(identity) = memory.proven.find(credential, |identity| identity.holds(proof, now)) {
            return Known::Proven(identity);
        }
        memory.refused.find(credential, proof, now).map_or(Known::Nothing, Known::Refused)
    }

    /// Proves a credential at `now`, and remembers what came of it.
    ///
    /// # Errors
    /// Why it does not hold.
    pub(super) fn prove(&self, worker: usize, credential: &[u8], now: i64) -> Result<Arc<Identity>, AuthResult> {
        let proof = self.proof();
        let proven = self.judge(credential, now).map(|claims| Arc::new(self.identity(claims, credential, proof)));
        if let Some(tokens) = &self.tokens {
            let mut memory = tokens.memory(worker);
            match &proven {
                Ok(identity) => memory.proven.keep(Arc::clone(identity)),
                // What is refused before any signature is computed is as cheap to refuse again.
                Err(why) if why.is_dear() => memory.refused.keep(credential, proof, now, *why),
                Err(_) => {}
            }
        }
        proven
    }

    /// Judges a credential at `now`, and remembers nothing.
    ///
    /// # Errors
    /// Why it does not hold.
    pub(super) fn try_out(&self, credential: &[u8], now: i64) -> Result<Identity, AuthResult> {
        self.judge(credential, now).map(|claims| self.identity(claims, credential, self.proof()))
    }

    fn judge(&self, credential: &[u8], now: i64) -> Result<Claims, AuthResult> {
        match (&self.tokens, &self.settings.kind) {
            (Some(tokens), _) => tokens.verify(credential, now),
            (None, ProviderKind::ApiKey(keys)) => api_key::find(&keys.keys, credential),
            (None, ProviderKind::Jwt(_)) => Err(AuthResult::UnknownKey),
        }
    }

    fn identity(&self, claims: Claims, credential: &[u8], proof: Proof) -> Identity {
        Identity {
            provider: Arc::clone(self.name()),
            fields: fields::write(&self.headers, &claims),
            subject: claims.subject,
            scopes: claims.scopes,
            claims: claims.all,
            until: claims.until,
            credential: credential.into(),
            proof,
        }
    }
}
