//! Who asks for what is not kept does so on behalf of all that want it at that moment: it holds a lease, and others
//! wait for what that comes to.

use std::sync::Arc;

use tokio::sync::watch;

use super::store::{Place, Store};

/// How far whoever holds a lease has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The upstream is asked.
    Asked,
    /// The answer's head has come, and it is to be kept.
    Coming,
    /// It is kept.
    Kept,
    /// It is not for others, or there is none.
    NotKept,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Leased {
    /// It was free.
    Taken(Lease),
    /// Somebody else holds it.
    ByAnother(watch::Receiver<Progress>),
}

/// The right to ask for all. Dropped without a word, it says that whoever had it gave up.
#[derive(Debug)]
pub struct Lease {
    store: Arc<Store>,
    key: Arc<[u8]>,
    place: Place,
    progress: watch::Sender<Progress>,
    /// Nobody was given what others waited for; the tick at which that was known.
    in_vain: Option<u64>,
}

impl Lease {
    pub(super) fn new(store: &Arc<Store>, key: &[u8], place: Place) -> (Self, watch::Receiver<Progress>) {
        let (progress, under_way) = watch::channel(Progress::Asked);
        (Self { store: Arc::clone(store), key: key.into(), place, progress, in_vain: None }, under_way)
    }

    pub(super) fn key(&self) -> &Arc<[u8]> {
        &self.key
    }

    /// The answer's head has come, and it is to be kept.
    pub fn comes(&self) {
        self.progress.send_replace(Progress::Coming);
    }

    /// It is over: kept, or not for others.
    pub fn ends(mut self, is_kept: bool, now_ms: u64) {
        // One looks on for those who come.
        let others_wait = self.progress.receiver_count() > 1;
        self.in_vain = (!is_kept && others_wait).then_some(now_ms);
        self.progress.send_replace(if is_kept { Progress::Kept } else { Progress::NotKept });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.release((&self.key, self.place), self.in_vain);
    }
}
