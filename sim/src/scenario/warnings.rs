//! What holds, and is hardly meant: a scenario may be like that, and whoever runs it is told.

use super::model::{KEY_SERVER, Scenario};

/// Everything of that kind, in words.
pub(crate) fn warnings(scenario: &Scenario) -> Vec<String> {
    let mut warnings = Vec::new();
    if scenario.expectations.is_empty() {
        warnings.push("nothing is expected: write [[expect]], or a run passes whatever comes of it".to_owned());
    }
    let unreached = unreached(scenario);
    if !unreached.is_empty() {
        let names = unreached.join("`, `");
        warnings.push(format!("nothing reaches `{names}`: the gateway's configuration has no mock:// of that name"));
    }
    warnings.extend(scenario.unrouted.iter().cloned());
    warnings
}

/// Endpoints of mocks that are in no place of the gateway's configuration. The key server has a place of its own.
fn unreached(scenario: &Scenario) -> Vec<String> {
    let key_server = format!("{KEY_SERVER}/0");
    let is_named = |name: &String| scenario.gateway.template.names(name) || *name == key_server;
    scenario.endpoints().filter(|name| !is_named(name)).collect()
}
