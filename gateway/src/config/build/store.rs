//! `[stores.NAME]`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::certificates;
use crate::config::check::{Context, Reader};
use crate::config::schema::rate_limit::STORE;
use crate::config::settings::Store;
use crate::config::settings::store::{Access, StoreCa};
use crate::config::value::store_url::{self, StoreUrl};

/// All of them that are understood.
pub(crate) fn all(context: &Context<'_>, root: &Reader<'_>) -> Vec<Arc<Store>> {
    let tables = root.map("stores").iter().filter_map(|entry| {
        let reader = Reader::new(Some(entry.node.table()?), None, &STORE, entry.node.at);
        build(&entry.key, &reader, context).map(Arc::new)
    });
    tables.collect()
}

fn build(name: &str, table: &Reader<'_>, context: &Context<'_>) -> Option<Store> {
    let StoreUrl { servers, tls, user } = store_url::parse(&table.text("url")).ok()?;
    let secret = |key| {
        let secret = table.get(key).and_then(|node| context.environment.get(node.text()?));
        secret.filter(|secret| !secret.is_empty())
    };
    // What has gone since it was checked leaves nobody who is believed.
    let ca = |file: PathBuf| StoreCa { pem: certificates::pem(&file).unwrap_or_default(), file };
    let breaker = table.table("breaker");
    Some(Store {
        name: Arc::from(name),
        servers,
        tls,
        ca: table.get("ca").and_then(|node| context.path(node)).map(ca),
        access: Access { user, password: secret("password_env"), sentinel_password: secret("sentinel_password_env") },
        connect_timeout: table.duration("connect_timeout"),
        command_timeout: table.duration("command_timeout"),
        consecutive_failures: breaker.integer("consecutive_failures"),
        open_for: breaker.duration("open_for"),
    })
}
