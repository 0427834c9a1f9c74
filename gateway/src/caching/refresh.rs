//! An answer that is asked for anew while its clients are given the stale one (`stale-while-revalidate`).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use super::answered::{answered, instead};
use super::conditions;
use super::state::{Asking, Caching, Told};
use super::store::Store;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::response_body::{Answer, Source};
use crate::telemetry::metrics::{AttemptOutcome, CacheUse};

/// So many are asked for at once in the whole gateway.
const MOST: usize = 256;
/// The longest that a body may take that nobody waits for.
const LONGEST: Duration = Duration::from_secs(60);

/// A question that nobody waits for.
#[derive(Debug)]
pub struct Refresh {
    /// What the upstream is sent.
    pub headers: RequestFields,
    /// For the exchange that asks.
    pub caching: Box<Caching>,
    place: InFlight,
}

#[derive(Debug)]
struct InFlight(Arc<Store>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.refreshing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Refresh {
    /// Of what is stale; `None` where so many are asked for that this one has to wait.
    pub(super) fn new(store: &Arc<Store>, mut asking: Asking) -> Option<Self> {
        if store.refreshing.fetch_add(1, Ordering::Relaxed) >= MOST {
            store.refreshing.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let place = InFlight(Arc::clone(store));
        let mut headers = asking.headers.clone();
        asking.confirms =
            asking.kept.as_ref().is_some_and(|kept| conditions::ask_whether_it_holds(&mut headers, &kept.fields));
        if !asking.confirms {
            // Nobody waits: it is the whole that is wanted.
            conditions::forget(&mut headers);
        }
        let told = Told { forward: Some("stale"), ..Told::default() };
        let caching =
            Caching { came_by: Some(CacheUse::Miss), told, asking: Some(Box::new(asking)), ..Caching::default() };
        Some(Self { headers, caching: Box::new(caching), place })
    }

    /// What is sent, for whom, and what is held until it is over.
    pub fn into_parts(self) -> (RequestFields, Box<Caching>, impl Send + 'static) {
        (self.headers, self.caching, self.place)
    }
}

/// Keeps what the upstream has answered, where that may be.
pub async fn refresh<N: Network>(mut exchange: Box<Exchange<N>>, answer: Option<Answer<N>>) {
    let Some(answer) = answer else {
        instead(&mut exchange, StatusCode::BAD_GATEWAY);
        return;
    };
    // Of one that says that what is kept still holds all is read, for its connection.
    let unkept = if answered(&mut exchange, &answer, 0).is_some() { usize::MAX } else { 0 };
    take_in(&mut exchange, answer.source, (unkept, LONGEST)).await;
}

/// Reads the rest of an answer that no client gets: all of it while a copy is kept, else so many bytes at most, for so
/// long. One that came whole is kept where it was to be, and its connection can be used again.
pub async fn take_in<N: Network>(exchange: &mut Exchange<N>, mut source: Source<N>, most: (usize, Duration)) {
    let (mut unkept, longest) = most;
    let read = async {
        while !source.leg.is_over() {
            match poll_fn(|cx| source.leg.poll_frame(cx)).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        exchange.keep_part(&data);
                        match unkept.checked_sub(data.len()) {
                            _ if exchange.is_kept() => {}
                            Some(rest) => unkept = rest,
                            None => return false,
                        }
                    }
                    // What is kept is kept without them.
                    Err(_trailers) => {}
                },
                Some(Err(error)) => {
                    let why = error.reason();
                    exchange.note_cut(&why);
                    exchange.blame(&source, AttemptOutcome::Reset, &why);
                    return false;
                }
                None => break,
            }
        }
        true
    };
    if tokio::time::timeout(longest, read).await == Ok(true) {
        exchange.keep_whole();
        source.finish(exchange, exchange.now());
    } else {
        exchange.keep_nothing();
    }
}
