//! What would become of a credential, for `explain`: operators are told what clients are not.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::access::{Lack, RouteAuth};
use super::claims::{claim, names_us};
use super::proven::Identity;
use crate::config::settings::identity::{ProviderKind, WantedClaim};
use crate::jws::{decode_base64url, parse_json};
use crate::request_fields::RequestFields;
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
    /// What a proven identity lacks, where it does; or a token that is signed as it has to be.
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

    /// The request shows none of what the route asks for.
    pub fn has_no_credential(&self) -> bool {
        self.result == AuthResult::Missing.as_str()
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
pub fn explain(
    auth: &RouteAuth,
    headers: &RequestFields,
    certificate: Option<&Arc<ClientCertificate>>,
    now: i64,
) -> Trial {
    let mut trial = Trial {
        providers: auth.providers.iter().map(|provider| provider.name().to_string()).collect(),
        scopes: auth.settings.scopes.iter().map(ToString::to_string).collect(),
        claims: auth.settings.claims.iter().map(|claim| format!("{} = {}", claim.name, claim.shown)).collect(),
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
            let tried = provider.try_out(&credential, now);
            if let Err(why) = &tried {
                trial.lacks = instead(*why, (&provider.settings.kind, &credential), now);
            }
            tried.and_then(|identity| {
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
    let Lack::Claim(WantedClaim { name, .. }) = lack else { return lack.to_string() };
    format!("{lack} and {}", there(&identity.claims, name))
}

/// What there is of a claim.
fn there(claims: &Map<String, Value>, name: &str) -> String {
    let shown = claim(claims, name).map(|value| value.to_string().chars().take(MOST_SHOWN).collect::<String>());
    shown.map_or_else(|| "is not there".to_owned(), |shown| format!("is {shown}"))
}

/// What a token says instead, that is signed as it has to be and does not hold for what it says.
fn instead(why: AuthResult, (kind, token): (&ProviderKind, &[u8]), now: i64) -> Option<String> {
    let ProviderKind::Jwt(rules) = kind else { return None };
    let payload = decode_base64url(token.split(|byte| *byte == b'.').nth(1)?)?;
    let Ok(Value::Object(claims)) = parse_json(&payload) else { return None };
    let claim_of = |name: &str| claim(&claims, name);
    let wanted =
        |name: &str, wanted: &str| format!("the claim {name}, which has to be {wanted} and {}", there(&claims, name));
    match why {
        AuthResult::Issuer => Some(wanted("iss", &format!("{:?}", rules.issuer))),
        AuthResult::Audience => {
            let fits = claim_of(&rules.audience_claim).is_some_and(|named| names_us(named, &rules.audiences));
            let name = if fits { "aud" } else { &*rules.audience_claim };
            let one_of = rules.audiences.iter().map(|ours| format!("{ours:?}")).collect::<Vec<_>>().join(" or ");
            let told = wanted(name, &one_of);
            let has_none = claim_of(name).is_none();
            Some(if has_none { format!("{told}; `audience_claim` of the provider may name another") } else { told })
        }
        AuthResult::Expired => Some(wanted("exp", &format!("later than now, {now},"))),
        AuthResult::NotYet => {
            let late = ["nbf", "iat"].into_iter().max_by_key(|name| claim_of(name).and_then(Value::as_i64))?;
            Some(wanted(late, &format!("no later than now, {now},")))
        }
        AuthResult::Claims => {
            let mut needed = std::iter::once("exp").chain(rules.required_claims.iter().map(|name| &**name));
            let missing = needed.find(|name| claim_of(name).is_none())?;
            Some(format!("the claim {missing}, which has to be there (`required_claims` of the provider)"))
        }
        _ => None,
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
