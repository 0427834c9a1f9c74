//! What a route asks for, compiled, and whether an identity has it.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use super::claims::claim;
use super::credential::{self, Credential, Malformed};
use super::ledger::Ledger;
use super::places;
use super::proven::Identity;
use super::provider::{Place, Provider};
use crate::config::settings::identity::{Auth, TokenPlace, WantedClaim};
use crate::request_fields::RequestFields;
use crate::store::Store;
use crate::telemetry::metrics::AuthResult;
use crate::tls::ClientCertificate;

/// `auth` of a route.
#[derive(Debug)]
pub struct RouteAuth {
    /// In order: the first whose credential is present decides.
    pub(super) providers: Box<[Arc<Provider>]>,
    /// As configured.
    pub(super) settings: Auth,
    /// There is one, which takes tokens in `Authorization`: as most routes have it.
    has_one_bearer: bool,
    /// More than one takes tokens, so that they are told apart by their look.
    pub(super) has_several_bearers: bool,
    /// One of them looks for tokens elsewhere than in `Authorization`.
    looks_elsewhere: bool,
    /// What a client that presents nothing is told to present.
    pub(super) challenge: HeaderValue,
    /// What stores are asked about the tokens of each provider; empty where they are asked nothing.
    ledgers: Box<[Option<Ledger>]>,
}

/// What a route asks for, and an identity has not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lack<'a> {
    /// This scope.
    Scope(&'a str),
    /// This claim.
    Claim(&'a WantedClaim),
}

impl Lack<'_> {
    /// As it is recorded and counted.
    pub(super) fn result(self) -> AuthResult {
        match self {
            Self::Scope(_) => AuthResult::Scope,
            Self::Claim(..) => AuthResult::ClaimRule,
        }
    }
}

/// In words of the configuration alone: nothing of what the credential says.
impl fmt::Display for Lack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => write!(f, "the scope {scope}"),
            Self::Claim(wanted) => write!(f, "the claim {}, which has to be {}", wanted.name, wanted.shown),
        }
    }
}

/// A provider, and the credential that is for it.
pub(super) type Presented<'p> = (&'p Arc<Provider>, Credential);

impl RouteAuth {
    /// Compiles it. A provider that is not there proves nobody; a store that is not there is down.
    pub fn new(
        settings: &Auth,
        provider: impl Fn(&str) -> Option<Arc<Provider>>,
        store: impl Fn(&str) -> Option<Arc<Store>>,
    ) -> Self {
        let providers: Box<[_]> = settings.providers.iter().filter_map(|name| provider(name)).collect();
        let bearers = providers.iter().filter(|provider| provider.takes_bearer()).count();
        let has_one_bearer = matches!(&*providers, [one] if matches!(one.place(), Place::Bearer));
        let looks_elsewhere = providers.iter().any(|provider| matches!(provider.place(), Place::Tokens(_)));
        let challenge = challenge(&providers);
        let ledger = |provider: &Arc<Provider>| Ledger::of(&provider.settings.kind, settings.single_use, &store);
        let ledgers: Box<[_]> = providers.iter().map(ledger).collect();
        Self {
            ledgers: if ledgers.iter().any(Option::is_some) { ledgers } else { Box::default() },
            providers,
            settings: settings.clone(),
            has_one_bearer,
            has_several_bearers: bearers > 1,
            looks_elsewhere,
            challenge,
        }
    }

    /// The first provider whose credential is there, and the credential, taken out; `certificate` is the client's own,
    /// where its handshake has verified one.
    ///
    /// # Errors
    /// What is there is not one credential.
    pub(super) fn present(
        &self,
        headers: &mut RequestFields,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> Result<Option<Presented<'_>>, Malformed> {
        if self.looks_elsewhere {
            self.present_anywhere(headers, certificate)
        } else {
            self.present_in_order(headers, certificate)
        }
    }

    /// The one provider there is, where it takes tokens in `Authorization`.
    #[inline]
    pub(super) fn one_bearer(&self) -> Option<&Arc<Provider>> {
        self.providers.first().filter(|_| self.has_one_bearer)
    }

    /// The same of several providers, each of which has one place.
    fn present_in_order(
        &self,
        headers: &mut RequestFields,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> Result<Option<Presented<'_>>, Malformed> {
        // The token, once it has been looked for, and that it is none of the providers' so far.
        let mut bearer: Option<Option<Credential>> = None;
        for provider in &self.providers {
            let own = match provider.place() {
                Place::Bearer | Place::Tokens(_) => None,
                Place::Header(name) => Some(credential::api_key(headers, name)?),
                Place::Password => Some(credential::basic(headers)?),
                Place::Handshake => Some(certificate.cloned().map(Credential::Certificate)),
            };
            match own {
                Some(Some(credential)) => return Ok(Some((provider, credential))),
                Some(None) => continue,
                None => {}
            }
            let token = match bearer.take() {
                Some(known) => known,
                None => credential::bearer(headers)?,
            };
            match token {
                Some(token) if !self.has_several_bearers || provider.may_have_issued(&token, self) => {
                    return Ok(Some((provider, token)));
                }
                token => bearer = Some(token),
            }
        }
        // A token that none of several looks to have issued is the first one's to refuse.
        let Some(token) = bearer.flatten() else { return Ok(None) };
        Ok(self.providers.iter().find(|provider| provider.takes_bearer()).map(|first| (first, token)))
    }

    /// What stores are asked about a provider's tokens.
    #[inline]
    pub(super) fn ledger(&self, provider: &Arc<Provider>) -> Option<&Ledger> {
        if self.ledgers.is_empty() {
            return None;
        }
        let at = self.providers.iter().position(|other| Arc::ptr_eq(other, provider))?;
        self.ledgers[at].as_ref()
    }

    /// Whether an identity has what the route asks for.
    ///
    /// # Errors
    /// It lacks something.
    #[inline]
    pub(super) fn check(&self, identity: &Identity) -> Result<(), AuthResult> {
        self.lacks(identity).map_or(Ok(()), |lack| Err(lack.result()))
    }

    /// The first thing that the route asks for and an identity has not.
    #[inline]
    pub(super) fn lacks(&self, identity: &Identity) -> Option<Lack<'_>> {
        if let Some(scope) = self.settings.scopes.iter().find(|scope| !identity.scopes.contains(scope)) {
            return Some(Lack::Scope(scope));
        }
        let fails = |wanted: &&WantedClaim| match claim(&identity.claims, &wanted.name) {
            Some(Value::Array(list)) => !list.contains(&wanted.value),
            Some(value) => *value != wanted.value,
            None => true,
        };
        self.settings.claims.iter().find(fails).map(Lack::Claim)
    }

    /// Takes credentials away that other providers would have looked at.
    #[inline]
    pub(super) fn strip(&self, headers: &mut RequestFields, proven_by: &Arc<Provider>) {
        // A single provider's has been taken out; `Authorization` of another scheme was for none of them.
        if self.providers.len() == 1 {
            return;
        }
        for provider in self.providers.iter().filter(|provider| !Arc::ptr_eq(provider, proven_by)) {
            match provider.place() {
                Place::Header(name) => drop(headers.remove(name)),
                Place::Bearer | Place::Password if !proven_by.forwards_token() => {
                    headers.remove(&header::AUTHORIZATION);
                }
                Place::Bearer | Place::Password => places::strip(headers, places::BEARER, proven_by),
                Place::Tokens(places) => places::strip(headers, places, proven_by),
                Place::Handshake => {}
            }
        }
    }

    /// Whether this provider looks for its credential in this header, and lets the upstream see it too.
    pub fn passes_on(&self, provider: &str, name: &HeaderName) -> bool {
        let proved = self.providers.iter().find(|one| **one.name() == *provider);
        proved.is_some_and(|one| {
            one.forwards_token()
                && match one.place() {
                    Place::Bearer | Place::Password => *name == header::AUTHORIZATION,
                    Place::Header(own) => own == name,
                    Place::Tokens(places) => places.iter().any(|place| match place {
                        TokenPlace::Bearer => *name == header::AUTHORIZATION,
                        TokenPlace::Header(own) => own == name,
                        TokenPlace::Cookie(_) => false,
                    }),
                    Place::Handshake => false,
                }
        })
    }

    /// Headers, and cookies, that carry credentials here.
    pub(super) fn credential_places(&self) -> impl Iterator<Item = String> {
        self.providers.iter().flat_map(|provider| match provider.place() {
            Place::Bearer | Place::Password => vec![header::AUTHORIZATION.to_string()],
            Place::Header(name) => vec![name.to_string()],
            Place::Tokens(places) => places.iter().map(places::shown).collect(),
            Place::Handshake => Vec::new(),
        })
    }
}

/// What a client that presents nothing is told to present. Of a bearer token more has to be said than its scheme
/// (RFC 6750, section 3), and of a password what it is for (RFC 7617, section 2): where both are taken, both are said.
fn challenge(providers: &[Arc<Provider>]) -> HeaderValue {
    let bearer = providers.iter().any(|provider| provider.takes_bearer()).then_some("Bearer realm=\"gateway\"");
    let basic = providers.iter().find(|provider| matches!(provider.place(), Place::Password));
    let basic = basic.map(|provider| provider.challenge());
    match (bearer, basic) {
        (Some(bearer), None) => HeaderValue::from_static(bearer),
        (None, Some(basic)) => basic,
        (Some(bearer), Some(basic)) => {
            let both = [bearer.as_bytes(), b", ", basic.as_bytes()].concat();
            HeaderValue::from_bytes(&both).unwrap_or(basic)
        }
        (None, None) => {
            let is_key = providers.iter().any(|provider| matches!(provider.place(), Place::Header(_)));
            HeaderValue::from_static(if is_key { "ApiKey" } else { "ClientCertificate" })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(scopes: &[&str], claims: &Value) -> Identity {
        Identity {
            scopes: scopes.iter().map(|scope| Box::from(*scope)).collect(),
            claims: claims.as_object().unwrap().clone(),
            ..Identity::unnamed()
        }
    }

    fn check(scopes: &[&str], claims: &[(&str, Value)], identity: &Identity) -> Result<(), AuthResult> {
        let settings = Auth {
            providers: Vec::new(),
            scopes: scopes.iter().map(|scope| Box::from(*scope)).collect(),
            claims: claims
                .iter()
                .map(|(name, value)| WantedClaim {
                    name: Box::from(*name),
                    value: value.clone(),
                    shown: value.to_string().into(),
                })
                .collect(),
            optional: false,
            single_use: false,
        };
        RouteAuth::new(&settings, |_| None, |_| None).check(identity)
    }

    #[test]
    fn all_scopes_are_needed_and_each_is_whole() {
        let ada = identity(&["orders:read", "b"], &json!({}));
        assert_eq!(check(&[], &[], &ada), Ok(()));
        assert_eq!(check(&["orders:read"], &[], &ada), Ok(()));
        assert_eq!(check(&["b", "orders:read"], &[], &ada), Ok(()));
        for missing in [&["orders"][..], &["orders:read", "c"], &["Orders:read"], &["orders:read b"], &[""]] {
            assert_eq!(check(missing, &[], &ada), Err(AuthResult::Scope), "{missing:?}");
        }
    }

    #[test]
    fn a_claim_equals_or_holds_what_is_asked_for() {
        let ada = identity(
            &[],
            &json!({ "tenant": "acme", "roles": ["a", "b"], "level": 3, "mfa": true, "deep": { "x": "y" } }),
        );
        for (name, value) in [
            ("tenant", json!("acme")),
            ("roles", json!("b")),
            ("level", json!(3)),
            ("mfa", json!(true)),
            ("/deep/x", json!("y")),
        ] {
            assert_eq!(check(&[], &[(name, value.clone())], &ada), Ok(()), "{name}");
        }
        for (name, value) in [
            ("tenant", json!("acm")),
            ("tenant", json!("ACME")),
            ("roles", json!("c")),
            ("level", json!("3")),
            ("mfa", json!("true")),
            ("none", json!("x")),
            ("deep", json!("y")),
        ] {
            assert_eq!(check(&[], &[(name, value.clone())], &ada), Err(AuthResult::ClaimRule), "{name} {value}");
        }
    }
}
