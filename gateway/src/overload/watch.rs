//! What watches over overload beside the requests: the size of the process, and the ends of episodes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::memory::{self, Floor};
use crate::gateway::Gateway;
use crate::network::Network;
use crate::telemetry::events::Event;
use crate::telemetry::process;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// Watches for as long as the gateway is there.
pub async fn keep_watch<N: Network>(gateway: Weak<Gateway<N>>) {
    let mut floor = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(gateway) = gateway.upgrade() else { return };
        guard_memory(&gateway, &mut floor);
        end_episodes(&gateway);
    }
}

/// Moves the gates of all workers by the size of the process.
fn guard_memory<N: Network>(gateway: &Gateway<N>, floor: &mut Option<Floor>) {
    let snapshot = gateway.snapshot();
    let next = snapshot.config.server.shed_above_rss.and_then(|limit| {
        let resident = process::resident_bytes()?;
        memory::floor(limit, resident, snapshot.highest, *floor)
    });
    if next != *floor {
        *floor = next;
        for shard in gateway.shards() {
            shard.gate.set_memory_floor(next);
        }
    }
}

fn end_episodes<N: Network>(gateway: &Gateway<N>) {
    let shared = gateway.shared();
    let now = shared.clock.now();
    let now_ms = shared.clock.ticks_ms(now);
    for (reason, refused) in shared.episodes.end(now_ms) {
        shared.report(now, Event::Shed { reason, upstream: None, active: false, refused });
    }
    for upstream in gateway.upstreams() {
        for (reason, refused) in upstream.episodes.end(now_ms) {
            let upstream = Some(Arc::clone(&upstream.name));
            shared.report(now, Event::Shed { reason, upstream, active: false, refused });
        }
    }
}
