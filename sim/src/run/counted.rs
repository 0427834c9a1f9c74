//! What the mocks have counted, read from their control port's `/counters`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Counts of all endpoints together but the key server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) accepts: u64,
    /// Requests by the endpoint's port, without the gateways' own health checks.
    pub(super) requests: BTreeMap<u16, u64>,
    pub(super) journal_dropped: u64,
    /// Entries made so far.
    pub(super) recorded: u64,
}

impl Counted {
    /// Reads the mocks' counters; no load is for the key server, which is left out.
    pub(super) fn read(counters: &Value, key_server: Option<u16>) -> Self {
        let endpoints = counters["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_loaded = |endpoint: &&Value| endpoint["endpoint"].as_u64() != key_server.map(u64::from);
        let endpoints: Vec<&Value> = endpoints.iter().filter(is_loaded).collect();
        let requests = endpoints.iter().filter_map(|endpoint| {
            let port = u16::try_from(endpoint["endpoint"].as_u64()?).ok()?;
            // Mocks of another version may not tell.
            let checks = endpoint["health_checks"].as_u64().unwrap_or(0);
            Some((port, endpoint["requests"].as_u64()?.saturating_sub(checks)))
        });
        let journal = |key: &str| counters["journal"][key].as_u64().unwrap_or(0);
        Self {
            accepts: endpoints.iter().filter_map(|endpoint| endpoint["accepts"].as_u64()).sum(),
            requests: requests.collect(),
            journal_dropped: journal("dropped"),
            recorded: journal("recorded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_checks_and_the_key_server_are_nobodys_requests() {
        let endpoint = |port: u16, requests: u64, checks: u64| {
            let (requests, checks) = (json!(requests), json!(checks));
            json!({ "endpoint": port, "requests": requests, "health_checks": checks, "accepts": 2 })
        };
        let counters = json!({
            "endpoints": [endpoint(9_001, 100, 10), endpoint(9_002, 50, 0), endpoint(9_009, 7, 0)],
            "journal": { "recorded": 157, "dropped": 1 },
        });
        let counted = Counted::read(&counters, Some(9_009));
        assert_eq!(counted.requests, BTreeMap::from([(9_001, 90), (9_002, 50)]));
        assert_eq!((counted.accepts, counted.recorded, counted.journal_dropped), (4, 157, 1));
    }
}
