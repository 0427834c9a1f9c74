//! Waiting for what another request asks the upstream for: as long as that may take, and no longer.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::lease::Progress;
use crate::exchange::Exchange;
use crate::network::Network;

/// The longest that another one's answer is waited for, until its head.
const LONGEST: Duration = Duration::from_secs(5);
/// A body that is not whole so long after its head may have a slow client before it, which is nobody else's matter.
const AFTER_HEAD: Duration = Duration::from_millis(250);

/// How long a request still waits for others.
#[derive(Debug)]
pub(super) struct Patience(Duration);

/// What waiting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// There is something to find, or nobody asks any more.
    LookAgain,
    /// Whoever asked was given nothing for others, or takes too long.
    InVain,
}

impl Patience {
    /// Of a request that has come here.
    pub(super) fn of<N: Network>(exchange: &Exchange<N>) -> Self {
        let route = exchange.route().and_then(|route| route.settings.timeout);
        let passed = exchange.now().saturating_duration_since(exchange.started);
        let own = exchange.timeout.or(route).map_or(LONGEST, |time| time.saturating_sub(passed) / 2);
        Self(own.min(LONGEST))
    }

    /// Waits. What that takes is no time of the gateway's own.
    pub(super) async fn wait<N: Network>(
        &mut self,
        exchange: &mut Exchange<N>,
        mut under_way: watch::Receiver<Progress>,
    ) -> Waited {
        let began = exchange.now();
        let waited = self.look_on(&mut under_way).await;
        let took = exchange.now().saturating_duration_since(began);
        exchange.awaited += took;
        self.0 = self.0.saturating_sub(took);
        if self.0.is_zero() { Waited::InVain } else { waited }
    }

    async fn look_on(&self, under_way: &mut watch::Receiver<Progress>) -> Waited {
        match timeout(self.0, under_way.wait_for(|progress| *progress != Progress::Asked)).await {
            Err(_) => return Waited::InVain,
            Ok(Err(_)) => return Waited::LookAgain,
            Ok(Ok(progress)) => match *progress {
                Progress::Kept => return Waited::LookAgain,
                Progress::NotKept => return Waited::InVain,
                Progress::Asked | Progress::Coming => {}
            },
        }
        match timeout(AFTER_HEAD, under_way.wait_for(|progress| *progress != Progress::Coming)).await {
            Ok(Ok(progress)) if *progress == Progress::Kept => Waited::LookAgain,
            Ok(Err(_)) => Waited::LookAgain,
            Ok(Ok(_)) | Err(_) => Waited::InVain,
        }
    }
}
