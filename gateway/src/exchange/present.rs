//! What an exchange says of itself when a drain wants to know who is still there.

use std::sync::{Arc, Mutex, PoisonError};

use super::Exchange;
use crate::network::Network;
use crate::roll_call::Present;
use crate::upstream::Endpoint;

impl<N: Network> Exchange<N> {
    /// Says that it is still there, where a drain wants to know: asked where it waits, for this endpoint or for
    /// something else, and where its answer waits for its client.
    #[inline]
    pub fn answer_roll_call(&self, endpoint: Option<&Arc<Endpoint<N>>>) {
        if self.shard.shared.roll_call.is_on() {
            self.is_present(endpoint);
        }
    }

    #[cold]
    fn is_present(&self, endpoint: Option<&Arc<Endpoint<N>>>) {
        let present = self.aside.present.get_or_init(|| {
            self.shard.shared.roll_call.enter(Present {
                request_id: self.request_id.clone(),
                route: self.route().map(|route| Arc::clone(&route.settings.name)),
                method: self.method.clone(),
                path: self.path().into(),
                client: self.client.ip,
                began: self.started,
                // A call leaves no record of its own.
                is_part: self.delivery.is_recorded,
                asks: Mutex::default(),
            })
        });
        let Some(endpoint) = endpoint.or(self.endpoint.as_ref()) else { return };
        let mut asks = present.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if asks.as_ref().is_none_or(|(_, known)| !Arc::ptr_eq(known, &endpoint.address)) {
            let upstream = self.upstream().map(|upstream| Arc::clone(&upstream.name)).unwrap_or_default();
            *asks = Some((upstream, Arc::clone(&endpoint.address)));
        }
    }
}
