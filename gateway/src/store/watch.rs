//! The task that watches a store: it says that this gateway is alive, counts the others, and finds out when a store
//! that was dead answers again. It also says so on standard error, which no worker waits for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::census::Census;
use super::link::Link;
use super::script::{Call, Script};
use super::{Store, Stores};
use crate::telemetry::notice;

/// How often a gateway says that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// One that was not heard of for so long is gone.
const GONE: Duration = Duration::from_secs(5);
/// The key under which gateways are.
const GATEWAYS: &str = "portcullis:gateways";

/// Starts a task for each store that has none. It ends with its store.
pub fn start(stores: &Stores, id: &Arc<str>) {
    for store in stores.all() {
        if !store.watched.swap(true, Ordering::Relaxed) {
            let census = Census::new(store.gateways(), GONE);
            tokio::spawn(watch(Arc::downgrade(&store), Arc::clone(id), census));
        }
    }
}

/// Why a store that is alive counts as dead.
const LATE: &str = "no answer in time";

async fn watch(store: Weak<Store>, id: Arc<str>, mut census: Census) {
    let (mut link, mut was) = (None, (false, None));
    loop {
        let Some(strong) = store.upgrade() else { return };
        if let Some(ticket) = strong.health.probe() {
            let limit = strong.settings.connect_timeout + 2 * strong.settings.command_timeout;
            let beat = tokio::time::timeout(limit, beat(&strong, &mut link, &id)).await;
            let outcome = match beat {
                Ok(Ok((gateways, in_time))) => {
                    strong.heard_of(census.heard(gateways, strong.now()));
                    if in_time { Ok(()) } else { Err(LATE.to_owned()) }
                }
                Ok(Err(reason)) => Err(reason),
                Err(_) => Err(LATE.to_owned()),
            };
            if outcome.is_err() {
                census.lost();
                link = None;
            }
            strong.health.probed(ticket, outcome.as_ref().copied().map_err(String::as_str));
        }
        let told = strong.health.told();
        if (told.0 || was.0) && told != was && !strong.health.is_retired() {
            notice::store(&strong.voice, &strong.settings.name, told.0, told.1.as_deref());
        }
        was = told;
        let next = match strong.health.next_probe() {
            Some(at) => at.min(strong.now() + BEAT),
            None => strong.now() + BEAT,
        };
        let hint = Arc::clone(&strong.health.hint);
        drop(strong);
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = hint.notified() => {}
        }
    }
}

/// Says that this gateway is alive; how many are, and whether the store took no longer for it than requests wait.
async fn beat(store: &Store, link: &mut Option<Link>, id: &str) -> Result<(u64, bool), String> {
    let link = match link {
        Some(link) => link,
        None => {
            // One that is too slow by that much has died: nobody waits longer to find out.
            let patience = 2 * store.settings.command_timeout;
            link.insert(Link::connect(&store.settings, patience).await.map_err(|error| error.to_string())?)
        }
    };
    let mut call = Call::new(Script::Alive);
    call.keys.push(GATEWAYS.to_owned());
    call.text = Some(id.to_owned());
    call.numbers.push(GONE.as_secs().cast_signed());
    let began = store.now();
    let answers = super::courier::call(link, &[call], u64::MAX).await.map_err(|error| error.to_string())?;
    let in_time = store.now().saturating_duration_since(began) <= store.settings.command_timeout;
    let answer = answers.into_iter().next().unwrap_or_else(|| Err("no answer".to_owned()))?;
    let count = answer.first().and_then(|count| u64::try_from(*count).ok());
    Ok((count.ok_or_else(|| "no number of gateways".to_owned())?, in_time))
}
