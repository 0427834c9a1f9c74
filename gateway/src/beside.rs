//! What happens beside requests, for as long as the gateway lives. A panic there costs no request, and would end it
//! without a word: so it is counted and told, and what panicked begins again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::network::Network;
use crate::panic_words::panic_words;
use crate::shard::Shared;
use crate::telemetry::notice;

/// After so long what panicked begins again.
const AGAIN: Duration = Duration::from_secs(1);

/// Does this to its end, and again from its beginning where it panics. `what` names it for operators.
pub(crate) async fn keep<N: Network, F: Future<Output = ()>>(
    shared: Arc<Shared<N>>,
    what: &'static str,
    mut begin: impl FnMut() -> F,
) {
    loop {
        let work = AssertUnwindSafe(async { begin().await }).catch_unwind().await;
        let Err(panic) = work else { return };
        shared.metrics.gateway().panicked();
        notice::panicked(shared.events.voice(), what, panic_words(&*panic));
        drop(panic);
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Purpose, load_text};
    use crate::gateway::{Gateway, World};
    use crate::network::Sockets;

    #[tokio::test(start_paused = true)]
    async fn what_panics_is_counted_and_begins_again_a_moment_later_until_it_ends() {
        let text = "[admin]\naddress = ''\n[telemetry.access_log]\noutput = 'off'\n";
        let config = load_text(text, Path::new("-"), Purpose::Run).unwrap().config;
        let clock = Clock::starting_at(Duration::ZERO);
        let world = World { network: Sockets, clock: clock.clone(), seed: 1, shards: 1 };
        let gateway = Gateway::new(config, world).unwrap();
        let (shared, times) = (gateway.shared(), AtomicU32::new(0));
        let began = clock.now();
        keep(Arc::clone(shared), "a test", || async {
            assert!(times.fetch_add(1, Ordering::Relaxed) >= 2, "no thread");
        })
        .await;
        let took = clock.now() - began;
        assert_eq!((times.load(Ordering::Relaxed), shared.metrics.gateway().panics_total()), (3, 2));
        assert!((2 * AGAIN..3 * AGAIN).contains(&took), "{took:?}");
    }
}
