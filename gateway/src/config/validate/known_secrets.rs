//! Secrets that everybody knows (security.md, J2): they stand in standards, tutorials and tools, and are the first that
//! an attacker tries.

use std::net::SocketAddr;

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;

/// Secrets of pages from which people copy, letter by letter.
const PRINTED: &[&str] = &[
    // jwt.io, today and before.
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    // RFC 7515, appendix A.1; RFC 7520, section 3.5.
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
    // The tutorial of FastAPI, and one of Spring Security that hundreds of services were begun with.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
];
/// Words that stand for a secret until somebody writes one; also one after the other, until they are long enough.
const WORDS: &[&str] = &[
    "admin",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "default",
    "password",
    "root",
    "secret",
    "0123456789",
    "1234567890",
];

/// A shorter token can be tried out by who has the time.
const LEAST_BYTES: usize = 16;

/// `token_env` of admin, where others than this machine's own can try it; those need none without it.
pub(crate) fn of_admin(context: &mut Context<'_>, admin: &Reader<'_>) {
    let address = admin.get("address").and_then(|address| address.text()?.parse::<SocketAddr>().ok());
    if address.is_none_or(|address| address.ip().is_loopback()) {
        return;
    }
    refuse(context, admin, "token_env", "whoever tries it may drain this gateway");
    let Some(node) = admin.get("token_env") else { return };
    let held = node.text().and_then(|name| context.environment.get(name)).filter(|secret| !secret.is_empty());
    if held.is_some_and(|secret| secret.len() < LEAST_BYTES) {
        let message =
            format!("`token_env`: what {} holds is so short that somebody may guess it", quoted(node.shown()));
        context.report.warning(node.at, message, "others can try it: `openssl rand -base64 48` makes a long one");
    }
}

/// `secret_env` of a provider.
pub(crate) fn of_provider(context: &mut Context<'_>, provider: &Reader<'_>) {
    refuse(context, provider, "secret_env", "anybody signs tokens with it");
}

/// `key_env` of a cookie that leads back to an endpoint.
pub(crate) fn of_affinity(context: &mut Context<'_>, affinity: &Reader<'_>) {
    refuse(context, affinity, "key_env", "anybody chooses their endpoint by it");
}

fn refuse(context: &mut Context<'_>, table: &Reader<'_>, key: &str, danger: &str) {
    let Some(node) = table.get(key) else { return };
    let Some(secret) = node.text().and_then(|name| context.environment.get(name)) else { return };
    if is_known(&secret) {
        let message =
            format!("`{key}`: what {} holds is a secret that everybody knows: {danger}", quoted(node.shown()));
        context.report.error_with(node.at, message, "make one of your own: `openssl rand -base64 48`");
    }
}

/// Whether anybody would guess it. One that is empty is none, which is said where it is looked for.
fn is_known(secret: &str) -> bool {
    let secret = secret.trim();
    let repeats = |word: &str| {
        let is_part = |part: &[u8]| word.as_bytes()[..part.len()].eq_ignore_ascii_case(part);
        secret.len() >= word.len() && secret.as_bytes().chunks(word.len()).all(is_part)
    };
    let is_one_byte = secret.bytes().all(|byte| Some(byte) == secret.bytes().next());
    is_one_byte && !secret.is_empty() || PRINTED.contains(&secret) || WORDS.iter().any(|word| repeats(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j2_secrets_that_stand_in_books_are_known() {
        let repeated = ["changeme".repeat(4), "Secret".repeat(8), "0".repeat(32), "1234567890".repeat(4) + "12"];
        let words = ["a", "...", "admin", "Admin", " changeme ", "CHANGE-ME", "password", "passwordpass"];
        for known in PRINTED.iter().chain(&words).copied().chain(repeated.iter().map(String::as_str)) {
            assert!(is_known(known), "{known}");
        }
    }

    #[test]
    fn j2_others_are_not() {
        for own in
            ["", " ", "s3cret", "ab", "adminx", "passw", "secret-admin", "correct horse battery staple", "top-secret"]
        {
            assert!(!is_known(own), "{own}");
        }
        assert!(!is_known("x7Gq0v1c9nq2bT5wY8rZ4kLmPdFhJsUa"));
    }
}
