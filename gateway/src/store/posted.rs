//! A call that is under way.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Down, Store, patience};
use crate::telemetry::tracing::{Opened, Value};

/// A call whose answer is waited for.
pub struct Posted {
    pub(super) store: Arc<Store>,
    pub(super) worker: usize,
    pub(super) began: Instant,
    pub(super) until: Instant,
    pub(super) answer: oneshot::Receiver<Result<Vec<i64>, Down>>,
    /// Lasts as long as it is waited for.
    pub(super) span: Option<Box<Opened>>,
}

impl Posted {
    /// Who asked waits no longer than until then.
    pub fn give_up_at(&mut self, until: Instant) {
        self.until = self.until.min(until);
    }

    /// The answer, or that there is none; `None`: it has not come in time, but may come yet.
    pub async fn in_time(&mut self) -> Option<Result<Vec<i64>, Down>> {
        // Whatever ends the wait ends the span.
        let mut span = self.span.take();
        // The courier judges the store by the time since the call left; before that it may wait behind others.
        let answer = patience::wait(&self.store, self.until, &mut self.answer).await;
        if let Some(span) = &mut span
            && !matches!(answer, Some(Ok(Ok(_))))
        {
            let why = if answer.is_none() { "timeout" } else { "unavailable" };
            span.came_to(true, ("error.type", Value::Fixed(why)));
        }
        // What was waited for in vain was waited for, too: else the slowest store would look fast.
        if !matches!(answer, Some(Err(_) | Ok(Err(_)))) {
            self.store.series.waited(self.worker, self.store.now().saturating_duration_since(self.began));
        }
        if answer.is_none() {
            self.store.series.waited_in_vain();
        }
        Some(answer?.unwrap_or(Err(Down)))
    }

    /// The answer, whenever it comes.
    ///
    /// # Errors
    /// It will not come; what the script did nobody knows.
    pub async fn whenever(mut self) -> Result<Vec<i64>, Down> {
        self.span = None;
        self.answer.await.unwrap_or(Err(Down))
    }
}
