//! `[identity]` and its providers.

use super::certificates;
use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::may_be_asked;
use crate::config::problem::quoted;
use crate::config::registered::Doors;
use crate::jws::{Algorithm, Key};

/// Subject, scopes, provider, claims and passports travel in headers of their own.
pub(crate) fn distinct_headers(context: &mut Context<'_>, identity: &Reader<'_>) {
    let subject = identity.text("subject_header").to_ascii_lowercase();
    let scopes = identity.text("scopes_header").to_ascii_lowercase();
    if subject == scopes {
        let key = if identity.get("scopes_header").is_some() { "scopes_header" } else { "subject_header" };
        context.report.error(identity.at(key), "subject_header and scopes_header are the same header");
    }
    let provider = identity.text("provider_header").to_ascii_lowercase();
    if provider == subject || provider == scopes {
        let key =
            ["provider_header", "subject_header", "scopes_header"].into_iter().find(|key| identity.get(key).is_some());
        let message = "provider_header is a header that carries the subject or the scopes already";
        context.report.error(identity.at(key.unwrap_or("provider_header")), message);
    }
    let mut taken = vec![subject, scopes, provider];
    for entry in identity.map("claims") {
        let name = entry.key.to_ascii_lowercase();
        if taken[..2].contains(&name) {
            context.report.error(entry.key_at, "this header carries the subject or the scopes already");
        } else if taken[2] == name {
            let help = "give the claim another one, or `provider_header`";
            context.report.error_with(entry.key_at, "this header carries the provider's name already", help);
        } else if taken.contains(&name) {
            context.report.error(entry.key_at, "this header carries another claim already");
        }
        taken.push(name);
    }
    if identity.get("passport").is_none() {
        return;
    }
    let passport = identity.table("passport");
    if taken.contains(&passport.text("header").to_ascii_lowercase()) {
        let message = "the passport's header carries the subject, the scopes or a claim already";
        context.report.error_with(passport.at("header"), message, "give the passport a header of its own");
    }
}

/// Dots are a part of a claim's name. Who writes them as a path asks for a claim that no token has.
pub(crate) fn claims_within_claims(context: &mut Context<'_>, table: &Reader<'_>) {
    for entry in table.map("claims") {
        // Of `auth` the names are the keys; of `[identity]` they are the values.
        let (name, at) = match entry.node.text().filter(|_| table.def().key("subject_header").is_some()) {
            Some(name) => (name, entry.node.at),
            None => (entry.key.as_str(), entry.key_at),
        };
        // A name with a namespace has its dots in a host: `https://shop.example/tenant`.
        if name.contains('.') && !name.contains(['/', ':']) {
            let message = format!("{} is one claim whose name has a dot", quoted(name));
            let help = format!("a claim within another is written \"/{}\"", name.replace('.', "/"));
            context.report.warning(at, message, help);
        }
    }
}

/// A star is an audience like another, and not any.
pub(crate) fn audiences(context: &mut Context<'_>, provider: &Reader<'_>) {
    for audience in provider.nodes("audiences").iter().filter(|node| node.text() == Some("*")) {
        let message = "an audience is compared letter by letter: \"*\" is no pattern";
        let help = "write what the issuer puts into `aud` for this API, or name the claim that has it: audience_claim = \"client_id\"";
        context.report.warning(audience.at, message, help);
    }
}

/// Each family of algorithms has its keys.
pub(crate) fn jwt_keys(context: &mut Context<'_>, provider: &Reader<'_>) {
    let algorithms = provider.texts("algorithms");
    let shared = algorithms.iter().any(|algorithm| algorithm.starts_with("HS"));
    let signed = algorithms.iter().any(|algorithm| !algorithm.starts_with("HS"));
    if shared && provider.get("secret_env").is_none() {
        context.report.error(provider.at("algorithms"), "HS algorithms need `secret_env`");
    }
    if signed && provider.get("jwks").is_none() {
        context.report.error(provider.at, "a jwt provider needs `jwks`");
    }
}

/// A key set comes from one place.
pub(crate) fn one_key_source(context: &mut Context<'_>, jwks: &Reader<'_>) {
    let sources = ["url", "file", "inline", "discovery"];
    let written = sources.iter().filter(|key| jwks.get(key).is_some()).count();
    if written != 1 {
        context.report.error(jwks.at, "jwks needs one of `url`, `file`, `inline` and `discovery`");
    }
}

/// Used tokens are kept in a store that exists.
pub(crate) fn replay_store(context: &mut Context<'_>, provider: &Reader<'_>) {
    if let Some(store) = provider.get("replay_store") {
        context.store_exists(store);
    }
}

/// Tokens that were taken back are in a store that exists; nobody else could put them there.
pub(crate) fn revocation_store(context: &mut Context<'_>, revocation: &Reader<'_>) {
    let Some(store) = revocation.get("store") else { return };
    if store.text() == Some("local") {
        let help = "name a table [stores.NAME]: whoever takes tokens back writes them there";
        context.report.error_with(store.at, "tokens that were taken back are in no gateway's own memory", help);
    } else {
        context.store_exists(store);
    }
}

/// A key set that is written down can be read, and has a key for the algorithms that are accepted.
pub(crate) fn key_set(context: &mut Context<'_>, provider: &Reader<'_>) {
    let jwks = provider.table("jwks");
    let at = ["file", "inline"].iter().find_map(|key| jwks.get(key)).map_or(provider.at, |node| node.at);
    let read = match key_files::key_set(context.sources, &jwks) {
        // That a file is not there has been said.
        Some(Err(_)) if jwks.get("file").is_some_and(|node| context.file(node).is_none()) => return,
        Some(Err(why)) => return context.report.error(at, why),
        Some(Ok(read)) => read,
        None => return,
    };
    for key in &read.left_out {
        let name = key.kid.as_deref().map_or_else(|| format!("number {}", key.index + 1), quoted);
        if key.error.is_for_others() {
            let help = "it is left out; the other keys of the set are used";
            context.report.warning(at, format!("the key {name} of the set verifies nothing: {}", key.error), help);
        } else {
            context.report.error(at, format!("the key {name} of the set cannot be used: {}", key.error));
        }
    }
    let accepted: Vec<Algorithm> =
        provider.texts("algorithms").iter().filter_map(|name| Algorithm::named(name)).collect();
    if read.set.keys().iter().any(Key::is_symmetric) {
        let help = "write the secret into an environment variable, and its name as `secret_env`";
        context.report.error_with(at, "a key set has public keys, and this one has secrets", help);
    } else if !accepted.iter().any(|algorithm| read.set.keys().iter().any(|key| key.takes(*algorithm))) {
        context.report.error(at, "no key of the set fits an algorithm of `algorithms`: no token would hold");
    }
}

/// A secret is at least as long as the hash (RFC 7518, section 3.2).
pub(crate) fn secret_length(context: &mut Context<'_>, provider: &Reader<'_>) {
    let Some(node) = provider.get("secret_env") else { return };
    let Some(secret) = node.text().and_then(|name| context.environment.get(name)).filter(|value| !value.is_empty())
    else {
        return;
    };
    let accepted: Vec<Algorithm> =
        provider.texts("algorithms").iter().filter_map(|name| Algorithm::named(name)).collect();
    if !accepted.iter().any(|algorithm| algorithm.is_symmetric()) {
        context.report.warning(
            node.at,
            "this secret is not used",
            "name an HS algorithm in `algorithms`, or remove it",
        );
    } else if Key::from_secret(secret.as_bytes(), &accepted).is_err() {
        let message = "the secret in this variable is shorter than the hash of an algorithm";
        let help = "32 bytes for HS256, 48 for HS384, 64 for HS512, and no fewer: `openssl rand -base64 64`";
        context.report.error_with(node.at, message, help);
    }
}

/// A file of API keys can be read.
pub(crate) fn api_keys(context: &mut Context<'_>, provider: &Reader<'_>) {
    let Some(node) = provider.get("file") else { return };
    if let Some(Err(why)) = context.file(node).map(|file| key_files::api_keys(&file)) {
        context.report.error(node.at, format!("{}: {why}", quoted(node.shown())));
    }
}

/// Somewhere clients are asked for certificates.
pub(crate) fn mtls(context: &mut Context<'_>, provider: &Reader<'_>) {
    if context.doors() == Doors::Own && !context.asks_for_certificates() {
        let help = "give a listener `tls = { cert, key, client_ca, client_auth = \"optional\" }`, or \"required\"";
        let message = "no listener asks clients for certificates, so nobody can prove anything by one";
        context.report.warning(provider.at("kind"), message, help);
    }
    certificates::roots(context, provider, "ca");
    if context.doors() == Doors::Own && provider.get("ca").is_none() && context.believes_several() {
        let message = "listeners differ in `client_ca`, and whoever signs at one of them names clients at all of them";
        let help = "name with `ca` who signs for the clients of this provider";
        context.report.warning(provider.at("kind"), message, help);
    }
}

/// What decides who is believed is asked with TLS, or on this machine.
pub(crate) fn safe_source(context: &mut Context<'_>, jwks: &Reader<'_>) {
    safe_url(context, jwks, "url");
    safe_url(context, jwks, "discovery");
}

/// The same of who is asked about tokens.
pub(crate) fn introspection(context: &mut Context<'_>, provider: &Reader<'_>) {
    safe_url(context, provider, "url");
}

/// Each worker has its share of what is remembered, in two halves, and each of them has room for one.
pub(crate) fn capacity(context: &mut Context<'_>, cache: &Reader<'_>) {
    let (capacity, workers): (usize, usize) = (cache.integer("capacity"), context.workers());
    if (1..2 * workers).contains(&capacity) {
        let message = format!("{capacity} between {workers} workers is nothing: no answer would be remembered");
        let help = format!("write {} or more, or 0 where that is meant", 2 * workers);
        context.report.warning(cache.at("capacity"), message, help);
    }
}

fn safe_url(context: &mut Context<'_>, table: &Reader<'_>, key: &str) {
    let Some(node) = table.get(key) else { return };
    if node.text().is_some_and(|url| !may_be_asked(url)) {
        let message = format!("{} is neither https nor on this machine", quoted(node.shown()));
        context.report.error_with(node.at, message, "whoever is on the way could decide who is believed: use https");
    }
}

/// The keys of passports can be read, and are nobody else's to read.
pub(crate) fn passport(context: &mut Context<'_>, passport: &Reader<'_>) {
    let Some(node) = passport.get("key") else { return };
    let Some(file) = context.file(node) else { return };
    if let Err(why) = key_files::signers(&file) {
        let help = "`openssl genpkey -algorithm ed25519` makes one";
        context.report.error_with(node.at, format!("{}: {why}", quoted(node.shown())), help);
    } else if key_files::is_open_to_all(&file) {
        let help = "`chmod 600` it: whoever reads it can sign";
        context.report.warning(node.at, format!("{} can be read by everybody", quoted(node.shown())), help);
    }
}

/// Of opaque tokens somebody says for whom they are: their issuer has others, for other services.
pub(crate) fn opaque_audience(context: &mut Context<'_>, auth: &Reader<'_>) {
    if auth.map("claims").iter().any(|entry| entry.key == "aud") {
        return;
    }
    for node in auth.nodes("providers") {
        let Some(name) = node.text() else { continue };
        let says_nothing = context.provider(name).is_some_and(|provider| provider.get("audiences").is_none());
        if says_nothing && context.provider_kind(name) == Some("introspection") {
            let message = format!("{} lets every active token in, for whichever service it was made", quoted(name));
            let help = "name the gateway's `audiences` there (`[]` where any will do), or have a rule on `aud` here";
            context.report.warning(node.at, message, help);
        }
    }
}

/// What holds once is told apart by its `jti`, which only signed tokens have.
pub(crate) fn single_use(context: &mut Context<'_>, auth: &Reader<'_>) {
    if !auth.flag("single_use") {
        return;
    }
    for node in auth.nodes("providers") {
        let kind = node.text().and_then(|name| context.provider_kind(name));
        if kind.is_some_and(|kind| kind != "jwt") {
            let message = format!("{} has no tokens with a `jti`, which `single_use` needs", quoted(node.shown()));
            context.report.error(node.at, message);
        }
    }
}
