//! What a world calls the endpoints that its gateway tells of by their addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway::config::settings::upstream::Endpoints;

use crate::history::{Endpoint, Name};
use crate::scenario::gateway::Checked;

/// Endpoints by the address that the configuration has for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// As the mocks are called.
    by_address: BTreeMap<String, Endpoint>,
    /// As the gateway's upstreams have them; these come first.
    by_upstream: BTreeMap<(String, String), Endpoint>,
}

impl Names {
    /// Mocks by their addresses.
    pub(super) fn of_mocks(mocks: impl Iterator<Item = (SocketAddr, Endpoint)>) -> Self {
        let by_address = mocks.map(|(address, endpoint)| (address.to_string(), endpoint)).collect();
        Self { by_address, by_upstream: BTreeMap::new() }
    }

    /// The same endpoints by their places in the upstreams of this configuration.
    pub(super) fn of_upstreams(self, checked: &Checked) -> Self {
        let addresses: BTreeMap<String, &String> =
            self.by_address.iter().map(|(address, endpoint)| (endpoint.to_string(), address)).collect();
        let mut by_upstream = BTreeMap::new();
        for upstream in &checked.config.upstreams {
            let Endpoints::Static(endpoints) = &upstream.endpoints else { continue };
            for (index, endpoint) in endpoints.iter().enumerate() {
                let address = checked.names.get(&*endpoint.address).and_then(|mock| addresses.get(mock));
                let Some(address) = address else { continue };
                let place = Endpoint::new(Name::from(&*upstream.name), index);
                by_upstream.insert((upstream.name.to_string(), (*address).clone()), place);
            }
        }
        Self { by_upstream, ..self }
    }

    /// Whether upstreams are known, of which then more is told than of mocks: all of their breakers together.
    pub(super) fn are_of_upstreams(&self) -> bool {
        !self.by_upstream.is_empty()
    }

    /// The endpoint of an upstream at an address; `None` of what is no mock.
    pub(super) fn get(&self, upstream: &str, address: &str) -> Option<&Endpoint> {
        let place = self.by_upstream.get(&(upstream.to_owned(), address.to_owned()));
        place.or_else(|| self.by_address.get(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_called_by_its_upstream_where_that_is_known_and_else_by_its_mock() {
        let address = SocketAddr::from(([192, 168, 0, 2], 9000));
        let mock = Endpoint::new("orders", 0);
        let mut names = Names::of_mocks([(address, mock.clone())].into_iter());
        assert_eq!((names.get("shop", "192.168.0.2:9000"), names.are_of_upstreams()), (Some(&mock), false));
        let place = Endpoint::new("shop", 1);
        names.by_upstream.insert(("shop".to_owned(), address.to_string()), place.clone());
        assert_eq!(names.get("shop", "192.168.0.2:9000"), Some(&place));
        assert_eq!(names.get("other", "192.168.0.2:9000"), Some(&mock));
        assert_eq!(names.get("shop", "192.168.0.2:9001"), None);
    }
}
