//! What would become of a credential, for `explain`: operators are told what clients are not.

use std::sync::Arc;

use http::HeaderMap;
use serde::Serialize;

use super::access::{Lack, RouteAuth};
use super::claims::claim;
use super::proven::Identity;
use crate::config::settings::identity::ProviderKind;
use crate::telemetry::metrics::AuthResult;
use crate::tls::ClientCertificate;

/// The longest value of a claim that is shown, characters.
const MOST_SHOWN: usize = 200;

/// What a route asks for, and what a request presents.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// Names of providers, in order.
    pub providers: Vec<String>,
    /// Scopes that are needed.
    pub scopes: Vec<String>,
    /// Claims that are needed, as `name = value`.
    pub claims: Vec<String>,
    /// Whether a request without a credential passes.
    pub optional: bool,
    /// The provider that decides about this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// `granted`, `anonymous`, or why not.
    pub result: &'static str,
    /// The status that a client would get, where it is not granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What a proven identity lacks, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// The proven subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What the credential grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted: Option<Vec<String>>,
    /// The fields that the upstream would be told.
    pub fields: Vec<String>,
    /// Headers that would not go on.
    pub removed: Vec<String>,
    /// What is not tried, since it would use the token up or ask others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_tried: Vec<String>,
}

impl Trial {
    /// The client is not let in; not where others would have to be asked.
    pub fn refuses(&self) -> bool {
        self.status.is_some() && self.result != AuthResult::Unavailable.as_str()
    }

    /// The same where nothing is fetched: that there are no keys then says nothing of a gateway that runs.
    #[must_use]
    pub fn where_nothing_is_fetched(mut self) -> Self {
        if self.result == AuthResult::NoKeys.as_str() {
            self.result = "not_known_here";
            self.status = None;
            let why = "its signature: keys are fetched by a running gateway; ask /explain at its admin address";
            self.not_tried.push(why.to_owned());
        }
        self
    }
}

/// Tries the credential of these headers, or a client's certificate, at `now`, seconds since the Unix epoch. Nothing is
/// remembered.
pub fn explain(auth: &RouteAuth, headers: &HeaderMap, certificate: Option<&Arc<ClientCertificate>>, now: i64) -> Trial {
    let mut trial = Trial {
        providers: auth.providers.iter().map(|provider| provider.name().to_string()).collect(),
        scopes: auth.settings.scopes.iter().map(ToString::to_string).collect(),
        claims: auth.settings.claims.iter().map(|(name, value)| format!("{name} = {value}")).collect(),
        optional: auth.settings.optional,
        decided_by: None,
        result: AuthResult::Granted.as_str(),
        status: None,
        lacks: None,
        subject: None,
        granted: None,
        fields: Vec::new(),
        removed: Vec::new(),
        not_tried: Vec::new(),
    };
    let mut headers = headers.clone();
    let result = match auth.present(&mut headers, certificate) {
        Err(_) => Err(AuthResult::Malformed),
        Ok(None) if auth.settings.optional => {
            trial.result = "anonymous";
            return trial;
        }
        Ok(None) => Err(AuthResult::Missing),
        Ok(Some((provider, credential))) => {
            trial.decided_by = Some(provider.name().to_string());
            trial.not_tried = not_tried(auth, &provider.settings.kind);
            provider.try_out(&credential, now).and_then(|identity| {
                if !identity.is_held_with(|| certificate) {
                    return Err(AuthResult::NotHolder);
                }
                trial.subject = identity.subject.as_ref().map(ToString::to_string);
                trial.granted = Some(identity.scopes.iter().map(ToString::to_string).collect());
                if let Some(lack) = auth.lacks(&identity) {
                    trial.lacks = Some(beside_what_is_there(lack, &identity));
                    return Err(lack.result());
                }
                let fields = String::from_utf8_lossy(&identity.fields);
                trial.fields = fields.split_terminator("\r\n").map(str::to_owned).collect();
                if !provider.forwards_token() {
                    for name in auth.credential_places() {
                        // Several providers may look at one place.
                        if !trial.removed.contains(&name) {
                            trial.removed.push(name);
                        }
                    }
                }
                Ok(())
            })
        }
    };
    if let Err(why) = result {
        // What is refused here is asked of nobody.
        if why != AuthResult::Unavailable {
            trial.not_tried.clear();
        }
        trial.result = why.as_str();
        trial.status = Some(why.code().status().as_u16());
    }
    trial
}

/// What is lacking, and what the credential has in its place.
fn beside_what_is_there(lack: Lack<'_>, identity: &Identity) -> String {
    let Lack::Claim(name, _) = lack else { return lack.to_string() };
    match claim(&identity.claims, name) {
        Some(value) => {
            let shown: String = value.to_string().chars().take(MOST_SHOWN).collect();
            format!("{lack} and is {shown}")
        }
        None => format!("{lack} and is not there"),
    }
}

fn not_tried(auth: &RouteAuth, kind: &ProviderKind) -> Vec<String> {
    let mut list = Vec::new();
    match kind {
        ProviderKind::Jwt(jwt) => {
            if let Some(revocation) = &jwt.revocation {
                list.push(format!("whether it was taken back: the store {} is asked", revocation.store));
            }
            if auth.settings.single_use {
                let place = match &jwt.replay_store {
                    Some(store) => format!("the store {store} remembers"),
                    None => "this gateway alone remembers".to_owned(),
                };
                list.push(format!("whether it was used before: {place}"));
            }
        }
        ProviderKind::Introspection(_) => list.push("what its issuer says of it".to_owned()),
        ProviderKind::Mtls(_) => {
            list.push("whether the listener believes who signed the certificate: the handshake does".to_owned());
        }
        ProviderKind::Custom(custom) => list.push(format!("what the program says of it ({})", custom.name)),
        ProviderKind::ApiKey(_) | ProviderKind::Basic(_) => {}
    }
    list
}
