//! Looks at what passes each endpoint, so that operators are told rates: at counters that requests keep anyway.

use std::sync::Weak;
use std::time::Duration;

use super::State;
use crate::network::Network;

/// How often endpoints are looked at: how long requests stay there is told from how many were there at each look.
const LOOK: Duration = Duration::from_millis(100);

/// Looks again and again, for as long as the admin API is there.
pub async fn keep_counting<N: Network>(state: Weak<State<N>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(state) = state.upgrade() else { return };
        let clock = &state.gateway.shared().clock;
        let now = clock.monotonic_ns(clock.now());
        for upstream in state.gateway.upstreams() {
            for endpoint in &upstream.active().endpoints {
                endpoint.passed(now);
            }
        }
    }
}
