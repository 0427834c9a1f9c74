//! The breakers that a gateway's configuration has, in the words of the oracles.

use gateway::config::settings::upstream::Endpoints;

use crate::history::Endpoint;
use crate::oracle::policy::{Policies, UpstreamPolicy};
use crate::scenario::gateway::Checked;
use crate::scenario::policy::{breaker, limits};
use crate::virtual_time;

/// Reads them off a configuration. Upstreams are called by their mocks.
pub(super) fn of(checked: &Checked) -> Policies {
    let upstreams = checked.config.upstreams.iter().filter_map(|upstream| {
        let Endpoints::Static(endpoints) = &upstream.endpoints else { return None };
        let name = Endpoint::parse(checked.names.get(&*endpoints.first()?.address)?)?.upstream;
        let weights = endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let backups = endpoints.iter().map(|endpoint| endpoint.backup).collect();
        let (breaker, bounds) = (Some(virtual_time::in_a_world(breaker(&upstream.breaker))), upstream.ejection);
        let (max_percent, panic_below, checked) = (bounds.max_percent, bounds.panic_below, upstream.health.is_some());
        Some((name, UpstreamPolicy { weights, backups, panic_below, breaker, max_percent, checked }))
    });
    Policies { upstreams: upstreams.collect(), limits: limits(&checked.config) }
}
