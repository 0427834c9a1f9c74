//! Who may use a route, in OpenAPI's words.

use serde_json::{Map, Value, json};

use super::names::fitting;
use crate::config::settings::identity::{KeySource, Keys, Provider, ProviderKind, TokenPlace};
use crate::config::settings::{Config, Route};

/// Where another service says who may use a route: what it asks for, only it knows.
const AUTHORITY: &str = "forward_auth";
/// How the description of a token ends that is in `Authorization`.
const AS_BEARER: &str = ", as `Authorization: Bearer TOKEN`";

/// The schemes of all providers, under their names; and that of routes for which another service has the only word.
pub(super) fn schemes(config: &Config) -> Map<String, Value> {
    let mut schemes: Map<String, Value> = config.providers.iter().flat_map(|provider| of_provider(provider)).collect();
    if config.routes.iter().any(|route| is_judged_elsewhere(route)) {
        schemes.entry(AUTHORITY).or_insert_with(|| {
            json!({
                "type": "apiKey",
                "in": "header",
                "name": "authorization",
                "description": "Another service decides who may use it; what it asks for, it says itself.",
            })
        });
    }
    schemes
}

fn is_judged_elsewhere(route: &Route) -> bool {
    route.auth.is_none() && route.forward_auth.is_some()
}

/// The schemes of a provider: one under its name, and where its tokens may be in several places, one more for each
/// further one.
fn of_provider(provider: &Provider) -> Vec<(String, Value)> {
    let places = match &provider.kind {
        ProviderKind::Jwt(jwt) => &jwt.token_from[..],
        ProviderKind::Introspection(introspection) => &introspection.token_from,
        ProviderKind::ApiKey(_) | ProviderKind::Basic(_) | ProviderKind::Mtls(_) | ProviderKind::Custom(_) => &[],
    };
    if places.is_empty() {
        return vec![(fitting(&provider.name), scheme(provider))];
    }
    let place = |(at, place): (usize, &TokenPlace)| (name_of_place(&provider.name, at), in_place(provider, place));
    places.iter().enumerate().map(place).collect()
}

fn name_of_place(provider: &str, at: usize) -> String {
    if at == 0 { fitting(provider) } else { fitting(&format!("{provider}.{}", at + 1)) }
}

/// The scheme of a provider's tokens in this place.
fn in_place(provider: &Provider, place: &TokenPlace) -> Value {
    let (kind, name) = match place {
        TokenPlace::Bearer => return scheme(provider),
        TokenPlace::Header(name) => ("header", name.as_str()),
        TokenPlace::Cookie(name) => ("cookie", &**name),
    };
    let told = scheme(provider)["description"].as_str().map(|told| told.replace(AS_BEARER, "")).unwrap_or_default();
    let told = told.trim_end_matches('.');
    json!({ "type": "apiKey", "in": kind, "name": name, "description": format!("{told}, in the {kind} `{name}`.") })
}

fn scheme(provider: &Provider) -> Value {
    match &provider.kind {
        ProviderKind::Jwt(jwt) => {
            let algorithms: Vec<&str> = jwt.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
            let audiences =
                jwt.audiences.iter().map(|audience| format!("`{audience}`")).collect::<Vec<_>>().join(" or ");
            let description = format!(
                "A signed token (JWT, {}) of `{}` for {audiences}{AS_BEARER}.",
                algorithms.join(", "),
                jwt.issuer
            );
            let discovered = match &jwt.keys {
                Some(Keys::Fetched(fetched)) => match &fetched.from {
                    KeySource::Discovery(issuer) => Some(issuer),
                    KeySource::Url(_) => None,
                },
                Some(Keys::Fixed(_)) | None => None,
            };
            match discovered {
                Some(issuer) => {
                    let url = KeySource::configuration_url(issuer);
                    json!({ "type": "openIdConnect", "description": description, "openIdConnectUrl": url })
                }
                None => {
                    json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description })
                }
            }
        }
        // Where such tokens are given out, the configuration does not know; so it is no flow of OAuth here.
        ProviderKind::Introspection(_) => json!({
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "opaque",
            "description": format!("An access token whose issuer is asked about it (RFC 7662){AS_BEARER}."),
        }),
        ProviderKind::ApiKey(keys) => json!({
            "type": "apiKey",
            "in": "header",
            "name": keys.header.as_str(),
            "description": format!("A key, as `{}: KEY`.", keys.header),
        }),
        ProviderKind::Basic(basic) => json!({
            "type": "http",
            "scheme": "basic",
            "description": format!("A name and a password, for \"{}\".", basic.realm),
        }),
        ProviderKind::Custom(custom) => match &custom.header {
            Some(name) => json!({
                "type": "apiKey",
                "in": "header",
                "name": name.as_str(),
                "description": format!("A credential that the gateway's program knows, as `{name}: CREDENTIAL`."),
            }),
            None => json!({
                "type": "http",
                "scheme": "bearer",
                "description": "A credential that the gateway's program knows, as `Authorization: Bearer CREDENTIAL`.",
            }),
        },
        ProviderKind::Mtls(_) => json!({
            "type": "mutualTLS",
            "description": "A client's certificate, shown in the TLS handshake.",
        }),
    }
}

/// The alternatives of a route; `None` where it asks for no identity by itself.
///
/// Scopes are listed for every kind of scheme: OpenAPI 3.1 takes them for roles where the scheme has none.
pub(super) fn of_route(config: &Config, route: &Route) -> Option<Vec<Value>> {
    if is_judged_elsewhere(route) {
        return Some(vec![json!({ AUTHORITY: [] })]);
    }
    let auth = route.auth.as_ref()?;
    let scopes: Vec<&str> = auth.scopes.iter().map(|scope| &**scope).collect();
    let known = |name: &str| config.providers.iter().find(|provider| *provider.name == *name);
    let names = auth.providers.iter().flat_map(|name| match known(name) {
        Some(provider) => of_provider(provider).into_iter().map(|(name, _)| name).collect(),
        None => vec![fitting(name)],
    });
    let mut alternatives: Vec<Value> =
        names.map(|name| Value::Object(Map::from_iter([(name, json!(scopes))]))).collect();
    if auth.optional {
        alternatives.push(json!({}));
    }
    Some(alternatives)
}

/// What is asked for, in a sentence.
pub(super) fn in_words(route: &Route) -> Option<String> {
    let Some(auth) = &route.auth else {
        return route.forward_auth.as_ref().map(|_| "Another service decides who may use it.".to_owned());
    };
    let mut text =
        format!("Needs {}", auth.providers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "));
    if auth.optional {
        text = text.replacen("Needs", "Takes", 1);
        text.push_str(", or nobody's identity");
    }
    let quoted = |names: Vec<String>| names.join(", ");
    if !auth.scopes.is_empty() {
        text.push_str(&format!("; scopes {}", quoted(auth.scopes.iter().map(|scope| format!("`{scope}`")).collect())));
    }
    if !auth.claims.is_empty() {
        let claims = auth.claims.iter().map(|claim| format!("`{}` = `{}`", claim.name, claim.shown)).collect();
        text.push_str(&format!("; claims {}", quoted(claims)));
    }
    if auth.single_use {
        text.push_str("; a token holds for one request");
    }
    if route.forward_auth.is_some() {
        text.push_str("; another service decides too");
    }
    text.push('.');
    Some(text)
}
