//! `[identity]` and its providers.

use crate::config::check::{Context, Reader};

/// Subject, scopes and claims travel in headers of their own.
pub(crate) fn distinct_headers(context: &mut Context<'_>, identity: &Reader<'_>) {
    let subject = identity.text("subject_header").to_ascii_lowercase();
    let scopes = identity.text("scopes_header").to_ascii_lowercase();
    if subject == scopes {
        let key = if identity.get("scopes_header").is_some() { "scopes_header" } else { "subject_header" };
        context.report.error(identity.at(key), "subject_header and scopes_header are the same header");
    }
    for entry in identity.map("claims") {
        if [&subject, &scopes].contains(&&entry.key.to_ascii_lowercase()) {
            context.report.error(entry.key_at, "this header carries the subject or the scopes already");
        }
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
