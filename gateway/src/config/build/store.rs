//! `[stores.NAME]`.

use std::sync::Arc;

use crate::config::check::Reader;
use crate::config::parse::environment::Environment;
use crate::config::schema::rate_limit::STORE;
use crate::config::settings::Store;
use crate::config::value::store_url;

/// All of them that are understood.
pub(crate) fn all(root: &Reader<'_>, environment: &dyn Environment) -> Vec<Arc<Store>> {
    let tables = root.map("stores").iter().filter_map(|entry| {
        let reader = Reader::new(Some(entry.node.table()?), None, &STORE, entry.node.at);
        build(&entry.key, &reader, environment).map(Arc::new)
    });
    tables.collect()
}

fn build(name: &str, table: &Reader<'_>, environment: &dyn Environment) -> Option<Store> {
    let (servers, tls) = store_url::parse(&table.text("url")).ok()?;
    let password = table.get("password_env").and_then(|node| environment.get(node.text()?));
    let breaker = table.table("breaker");
    Some(Store {
        name: Arc::from(name),
        servers,
        tls,
        password: password.filter(|password| !password.is_empty()),
        connect_timeout: table.duration("connect_timeout"),
        command_timeout: table.duration("command_timeout"),
        consecutive_failures: breaker.integer("consecutive_failures"),
        open_for: breaker.duration("open_for"),
    })
}
