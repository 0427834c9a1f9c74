//! `[stores.*]` and `[rate_limits.*]`.

use crate::algorithms::gcra::Quota;
use crate::config::build;
use crate::config::check::{Context, Reader};

/// A limit has a rate, with its burst, or a number of requests at once.
pub(crate) fn has_something_to_limit(context: &mut Context<'_>, limit: &Reader<'_>) {
    let has = |key| limit.get(key).is_some();
    // A number below zero has been told of.
    let has_in_flight = limit.integer::<i64>("in_flight") != 0;
    if !has("rate") && !has("burst") && has_in_flight {
        for key in ["cost", "anonymous", "store"] {
            if limit.get(key).is_some_and(|node| node.text() != Some("local")) {
                let message = format!("{key} says nothing of a limit without a rate");
                let help = "leave it out, or write rate and burst; in_flight is counted by each gateway for itself";
                context.report.warning(limit.at(key), message, help);
            }
        }
        return;
    }
    let help = "write rate = \"50/s\" and burst = 100, or in_flight = 10 for requests at once, or all of them";
    match (has("rate"), has("burst")) {
        (true, true) => {}
        (true, false) => context.report.error_with(limit.at("rate"), "\"burst\" is missing beside this rate", help),
        (false, true) => context.report.error_with(limit.at("burst"), "\"rate\" is missing beside this burst", help),
        (false, false) => context.report.error_with(limit.at, "this limit limits nothing", help),
    }
}

/// A request that costs more than can ever be there would always be refused.
pub(crate) fn cost_within_burst(context: &mut Context<'_>, limit: &Reader<'_>) {
    let (cost, burst): (i64, i64) = (limit.integer("cost"), limit.integer("burst"));
    if limit.get("burst").is_some() && cost > burst {
        context.report.error(limit.at("cost"), format!("a cost of {cost} is above the burst of {burst}"));
    }
    let anonymous = limit.table("anonymous");
    let burst: i64 = anonymous.integer("burst");
    if anonymous.get("burst").is_some() && limit.get("anonymous").is_some() && cost > burst {
        context.report.error(anonymous.at("burst"), format!("a cost of {cost} is above the burst of {burst}"));
    }
}

/// Time is counted in 64 bits; nobody waits for longer.
pub(crate) fn burst_comes_back(context: &mut Context<'_>, limit: &Reader<'_>) {
    let anonymous = limit.get("anonymous").map(|_| limit.table("anonymous"));
    for table in [Some(*limit), anonymous].into_iter().flatten() {
        let Some(rate) = build::rate_limit::rate(&table) else { continue };
        if !Quota::is_countable(rate.tokens, rate.period, rate.burst) {
            let message = format!("a burst of {} takes more than 70 years to come back at this rate", rate.burst);
            context.report.error(table.at("burst"), message);
        }
    }
}

/// Tokens are kept in a store that exists.
pub(crate) fn store_exists(context: &mut Context<'_>, limit: &Reader<'_>) {
    if let Some(store) = limit.get("store") {
        context.store_exists(store);
    }
}

/// What is said about a store needs one.
pub(crate) fn store_is_meant(context: &mut Context<'_>, limit: &Reader<'_>) {
    if limit.text("store") != "local" {
        return;
    }
    for key in ["mode", "max_lease", "on_store_failure"] {
        if limit.get(key).is_some() {
            let message = format!("{key} says nothing without a store");
            context.report.warning(limit.at(key), message, "write store = \"NAME\", or leave it out");
        }
    }
}

/// `local` means this process.
pub(crate) fn local_is_reserved(context: &mut Context<'_>, root: &Reader<'_>) {
    for entry in root.map("stores").iter().filter(|entry| entry.key == "local") {
        context.report.error(entry.key_at, "\"local\" means this process and can be no store's name");
    }
}
