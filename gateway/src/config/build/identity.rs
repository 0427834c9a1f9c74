//! `[identity]` and `auth` of routes. Whatever could not be read is empty here, so that it proves nobody; that it could
//! not be read was reported.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use rustls::RootCertStore;
use serde_json::Value;

use crate::config::check::{Context, Reader};
use crate::config::schema::identity::{API_KEY, BASIC, CUSTOM, INTROSPECTION, JWT, MTLS};
use crate::config::settings::IdentityHeaders;
use crate::config::settings::identity::{
    ApiKeys, Auth, Basic, ClientCa, Custom, FetchedKeys, FixedKeys, HeaderPattern, Introspection, Jwt, KeySource, Keys,
    Mtls, Passport, Provider, ProviderKind, Revocation, Secret, SecretKeys, TokenPlace, WantedClaim,
};
use crate::config::settings::mirror::MARK;
use crate::config::tree::{Entry, Node, Value as Written};
use crate::config::value::text;
use crate::config::{certificates, key_files, users_file};
use crate::jws::{Algorithm, Key, KeySet};

/// `[identity]`: what is stripped holds every header that the gateway itself sets.
pub(crate) fn headers(table: &Reader<'_>) -> IdentityHeaders {
    let name = |key, fallback| text::header_name(&table.text(key)).unwrap_or(HeaderName::from_static(fallback));
    let subject_header = name("subject_header", "x-auth-subject");
    let scopes_header = name("scopes_header", "x-auth-scopes");
    let provider_header = name("provider_header", "x-auth-provider");
    let claim = |entry: &Entry| Some((text::header_name(&entry.key).ok()?, Box::from(entry.node.text()?)));
    let claims: Vec<(HeaderName, Box<str>)> = table.map("claims").iter().filter_map(claim).collect();
    let mut strip: Vec<HeaderPattern> = table.texts("strip_headers").iter().filter_map(|name| pattern(name)).collect();
    let mut own = vec![subject_header.clone(), scopes_header.clone(), provider_header.clone()];
    own.extend(claims.iter().map(|(header, _)| header.clone()));
    if table.get("passport").is_some() {
        own.extend(text::header_name(&table.table("passport").text("header")).ok());
    }
    for header in own {
        let covered = strip.iter().any(|pattern| match pattern {
            HeaderPattern::Exact(exact) => *exact == header,
            HeaderPattern::Prefix(prefix) => header.as_str().starts_with(prefix.as_str()),
        });
        if !covered {
            strip.push(HeaderPattern::Exact(header));
        }
    }
    IdentityHeaders { strip, subject_header, scopes_header, provider_header, claims }
}

/// What more no client may say: what services say of who asks (`told`), and, where there are mirrors, that a request is
/// a copy.
pub(crate) fn add_stripped<'a>(
    identity: &mut IdentityHeaders,
    told: impl Iterator<Item = &'a HeaderName>,
    has_mirrors: bool,
) {
    let more = told.chain(has_mirrors.then_some(&MARK));
    identity.strip.extend(more.cloned().map(HeaderPattern::Exact));
}

fn pattern(written: &str) -> Option<HeaderPattern> {
    match written.strip_suffix('*') {
        Some(prefix) => Some(HeaderPattern::Prefix(text::header_name(prefix).ok()?.as_str().to_owned())),
        None => text::header_name(written).ok().map(HeaderPattern::Exact),
    }
}

/// `[identity.providers.*]`
pub(crate) fn providers(context: &Context<'_>, identity: &Reader<'_>) -> Vec<Arc<Provider>> {
    identity.map("providers").iter().filter_map(|entry| provider(context, entry)).map(Arc::new).collect()
}

fn provider(context: &Context<'_>, entry: &Entry) -> Option<Provider> {
    let table = entry.node.table()?;
    let reader = |def| Reader::new(Some(table), None, def, entry.node.at);
    let kind = match table.get("kind")?.text()? {
        "jwt" => ProviderKind::Jwt(Box::new(jwt(context, &reader(&JWT)))),
        "introspection" => ProviderKind::Introspection(introspection(context, &reader(&INTROSPECTION))),
        "api_key" => ProviderKind::ApiKey(api_keys(context, &reader(&API_KEY))?),
        "basic" => ProviderKind::Basic(basic(context, &reader(&BASIC))?),
        "mtls" => ProviderKind::Mtls(mtls(context, &reader(&MTLS))),
        "custom" => ProviderKind::Custom(custom(&reader(&CUSTOM))),
        _ => return None,
    };
    Some(Provider { name: Arc::from(&*entry.key), kind })
}

fn boxed(texts: Vec<String>) -> Vec<Box<str>> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

fn jwt(context: &Context<'_>, table: &Reader<'_>) -> Jwt {
    let algorithms: Vec<Algorithm> =
        table.texts("algorithms").iter().filter_map(|name| Algorithm::named(name)).collect();
    Jwt {
        issuer: table.text("issuer").into(),
        audiences: boxed(table.texts("audiences")),
        audience_claim: table.text("audience_claim").into(),
        keys: table.get("jwks").map(|_| keys(context, &table.table("jwks"))),
        secret: secret(context, table, &algorithms),
        algorithms,
        leeway: table.duration("leeway"),
        max_token_bytes: table.bytes("max_token_bytes"),
        required_claims: boxed(table.texts("required_claims")),
        cache_bytes: table.table("cache").bound("max_bytes"),
        typ: boxed(table.texts("typ")),
        forward_token: table.flag("forward_token"),
        token_from: token_from(table),
        replay_store: Some(table.text("replay_store")).filter(|name| name != "local").map(Arc::from),
        revocation: table.get("revocation").map(|_| revocation(&table.table("revocation"))),
        ignores_binding: table.text("bound_tokens") == "ignore",
    }
}

fn revocation(table: &Reader<'_>) -> Revocation {
    Revocation {
        store: Arc::from(table.text("store")),
        is_open_without_store: table.text("on_store_failure") == "open",
    }
}

fn keys(context: &Context<'_>, table: &Reader<'_>) -> Keys {
    let from = match (table.get("url"), table.get("discovery")) {
        (Some(url), _) => url.text().map(|url| KeySource::Url(url.into())),
        (_, Some(issuer)) => issuer.text().map(|issuer| KeySource::Discovery(issuer.into())),
        (None, None) => None,
    };
    if let Some(from) = from {
        let (refresh, cooldown) = (table.duration("refresh"), table.duration("cooldown"));
        return Keys::Fetched(FetchedKeys { from, refresh, cooldown });
    }
    let read = key_files::key_set(context.sources, table);
    let file = table.get("file").and_then(|node| context.path(node));
    let (text, set) = match read {
        Some(Ok(read)) => (read.text, read.set),
        _ => (Arc::from(&b""[..]), KeySet::default()),
    };
    Keys::Fixed(FixedKeys { set: Arc::new(set), text, file })
}

fn secret(context: &Context<'_>, table: &Reader<'_>, algorithms: &[Algorithm]) -> Option<SecretKeys> {
    let secret = context.environment.get(table.get("secret_env")?.text()?)?;
    let key = Key::from_secret(secret.as_bytes(), algorithms).ok()?;
    Some(SecretKeys { set: Arc::new(KeySet::single(key)), secret: Arc::from(secret.as_bytes()) })
}

fn introspection(context: &Context<'_>, table: &Reader<'_>) -> Introspection {
    let secret = table.get("client_secret_env").and_then(|node| context.environment.get(node.text()?));
    let cache = table.table("cache");
    Introspection {
        url: table.text("url").into(),
        client_id: table.text("client_id").into(),
        client_secret: Secret::new(&secret.unwrap_or_default()),
        timeout: table.duration("timeout"),
        capacity: cache.integer("capacity"),
        positive: cache.duration("positive"),
        negative: cache.duration("negative"),
        audiences: boxed(table.texts("audiences")),
        ignores_binding: table.text("bound_tokens") == "ignore",
        token_from: token_from(table),
    }
}

/// `token_from`; nothing where that is what every provider looks at.
fn token_from(table: &Reader<'_>) -> Box<[TokenPlace]> {
    let places: Box<[_]> = table.texts("token_from").iter().filter_map(|text| text::token_place(text).ok()).collect();
    if *places == [TokenPlace::Bearer] { Box::default() } else { places }
}

fn mtls(context: &Context<'_>, table: &Reader<'_>) -> Mtls {
    let ca = |file: PathBuf| ClientCa {
        roots: certificates::roots(&file).unwrap_or_else(|_| Arc::new(RootCertStore::empty())),
        file,
    };
    Mtls { ca: table.get("ca").and_then(|node| context.path(node)).map(ca) }
}

fn custom(table: &Reader<'_>) -> Custom {
    let cache = table.table("cache");
    Custom {
        name: Arc::from(&*table.text("name")),
        header: table.get("header").and_then(|node| text::header_name(node.text()?).ok()),
        timeout: table.duration("timeout"),
        capacity: cache.integer("capacity"),
        positive: cache.duration("positive"),
        negative: cache.duration("negative"),
    }
}

fn api_keys(context: &Context<'_>, table: &Reader<'_>) -> Option<ApiKeys> {
    let file = context.path(table.get("file")?)?;
    let keys = key_files::api_keys(&file).unwrap_or_default();
    Some(ApiKeys { header: text::header_name(&table.text("header")).ok()?, file, keys: Arc::new(keys) })
}

fn basic(context: &Context<'_>, table: &Reader<'_>) -> Option<Basic> {
    let file = context.path(table.get("users_file")?)?;
    let users = users_file::users(&file).map(|read| read.users).unwrap_or_default();
    let (realm, forward_credentials) = (table.text("realm").into(), table.flag("forward_credentials"));
    Some(Basic { realm, file, users: users.into(), forward_credentials })
}

/// `[identity] passport`; `None` where it is not written.
pub(crate) fn passport(context: &Context<'_>, identity: &Reader<'_>) -> Option<Arc<Passport>> {
    identity.get("passport")?;
    let table = identity.table("passport");
    let file = context.path(table.get("key")?)?;
    let keys = key_files::signers(&file).unwrap_or_default();
    Some(Arc::new(Passport {
        header: text::header_name(&table.text("header")).ok()?,
        keys: keys.into_iter().map(Arc::new).collect(),
        file,
        lifetime: table.duration("lifetime"),
        issuer: table.text("issuer").into(),
    }))
}

/// `auth`; `None` where it is not written.
pub(crate) fn auth(route: &Reader<'_>) -> Option<Auth> {
    route.get("auth")?;
    let table = route.table("auth");
    let claim = |entry: &Entry| {
        let value = scalar(&entry.node)?;
        let shown = if entry.node.is_filled_in() { entry.node.shown().into() } else { value.to_string().into() };
        Some(WantedClaim { name: Box::from(&*entry.key), value, shown })
    };
    Some(Auth {
        providers: table.texts("providers").iter().map(|name| Arc::from(&**name)).collect(),
        scopes: boxed(table.texts("scopes")),
        claims: table.map("claims").iter().filter_map(claim).collect(),
        optional: table.flag("optional"),
        single_use: table.flag("single_use"),
    })
}

/// A string, number or boolean as JSON has it.
pub(super) fn scalar(node: &Node) -> Option<Value> {
    match &node.value {
        Written::Text(text) => Some(text.content.as_str().into()),
        Written::Integer(integer) => Some((*integer).into()),
        Written::Number(number) => Some((*number).into()),
        Written::Bool(flag) => Some((*flag).into()),
        _ => None,
    }
}
