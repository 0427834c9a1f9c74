//! `[stores.*]`: what lets the gateway in, and whom it believes.

use super::certificates;
use crate::config::check::{Context, Reader};
use crate::config::settings::store::Servers;
use crate::config::value::store_url::{self, StoreUrl};

/// A user without a password would not be told to the server at all.
pub(crate) fn user_has_a_password(context: &mut Context<'_>, store: &Reader<'_>) {
    let Some(StoreUrl { user: Some(user), .. }) = url(store) else { return };
    if store.get("password_env").is_none() {
        let message = format!("the user {user:?} has no password here");
        let help = "name the environment variable that has it: password_env; of a user with `nopass` any text will do";
        context.report.error_with(store.at("url"), message, help);
    }
}

/// Only sentinels are told the sentinels' password.
pub(crate) fn sentinels_are_meant(context: &mut Context<'_>, store: &Reader<'_>) {
    let Some(node) = store.get("sentinel_password_env") else { return };
    if url(store).is_some_and(|url| !matches!(url.servers, Servers::Sentinels(..))) {
        let message = "this store has no sentinels, so this decides nothing";
        context.report.warning(node.at, message, "write a url with redis+sentinel://, or take it away");
    }
}

/// Who signs the servers' certificates can be read, and there is one to be signed.
pub(crate) fn ca(context: &mut Context<'_>, store: &Reader<'_>) {
    let Some(node) = store.get("ca") else { return };
    if certificates::roots(context, store, "ca") && url(store).is_some_and(|url| !url.tls) {
        let message = "this store is spoken to in the clear, so this decides nothing";
        context.report.warning(node.at, message, "write a url with rediss://, or take `ca` away");
    }
}

/// What is wrong with it has been told.
fn url(store: &Reader<'_>) -> Option<StoreUrl> {
    store_url::parse(&store.text("url")).ok()
}
