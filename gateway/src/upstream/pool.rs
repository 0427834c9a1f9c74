//! Idle connections to one endpoint: a shelf for each worker.
//!
//! A worker takes from its own shelf, the most recently used first, so that surplus connections grow old and close.
//! Only when its shelf is empty does it look at its siblings', so that reuse stays high with many workers and little
//! traffic.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::connection::Connection;
use crate::config::settings;
use crate::network::ByteStream;

/// Shelves of idle connections, by worker.
pub struct Pool<S: ByteStream> {
    shelves: Box<[Shelf<S>]>,
    /// The number of the way in force: what was made in another is closed, not used.
    way: AtomicU32,
}

/// Aligned so that two workers never share a cache line.
#[repr(align(128))]
struct Shelf<S: ByteStream>(Mutex<Vec<Connection<S>>>);

/// A connection out of the pool.
pub enum Taken<S: ByteStream> {
    /// From the worker's own shelf.
    Own(Connection<S>),
    /// From a sibling's: its events still wake the sibling, until it is adopted.
    Borrowed(Connection<S>),
}

impl<S: ByteStream> Pool<S> {
    /// Empty shelves for this many workers.
    pub fn new(workers: usize) -> Self {
        let shelves = (0..workers.max(1)).map(|_| Shelf(Mutex::new(Vec::new()))).collect();
        Self { shelves, way: AtomicU32::new(0) }
    }

    /// Connections are made in another way from now on.
    pub(super) fn change_way(&self, number: u32) {
        self.way.store(number, Ordering::Release);
    }

    /// A live idle connection, if there is one.
    pub fn take(&self, worker: usize, now: Instant, limits: &settings::upstream::Pool) -> Option<Taken<S>> {
        if let Some(connection) = self.take_from(worker, now, limits) {
            return Some(Taken::Own(connection));
        }
        let workers = self.shelves.len();
        (1..workers).find_map(|step| self.take_from((worker + step) % workers, now, limits)).map(Taken::Borrowed)
    }

    fn take_from(&self, worker: usize, now: Instant, limits: &settings::upstream::Pool) -> Option<Connection<S>> {
        let mut shelf = self.shelf(worker);
        while let Some(mut connection) = shelf.pop() {
            if self.is_usable(&mut connection, now, limits) {
                connection.open.take();
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later, unless the shelf is full or the connection has had its time.
    pub fn put(&self, worker: usize, mut connection: Connection<S>, now: Instant, limits: &settings::upstream::Pool) {
        let outlived = connection.opened().checked_add(limits.max_lifetime).is_some_and(|until| now >= until);
        if outlived || !connection.rest() {
            return;
        }
        connection.idle_since = now;
        let mut shelf = self.shelf(worker);
        if shelf.len() < limits.max_idle_per_worker {
            connection.open.park();
            shelf.push(connection);
        }
    }

    /// Drops what is closed, idle for too long or too old on one worker's shelf.
    pub fn sweep(&self, worker: usize, now: Instant, limits: &settings::upstream::Pool) {
        self.shelf(worker).retain_mut(|connection| self.is_usable(connection, now, limits));
    }

    /// Idle connections on all shelves.
    pub fn idle(&self) -> usize {
        (0..self.shelves.len()).map(|worker| self.shelf(worker).len()).sum()
    }

    fn is_usable(&self, connection: &mut Connection<S>, now: Instant, limits: &settings::upstream::Pool) -> bool {
        connection.way == self.way.load(Ordering::Acquire) && is_fresh(connection, now, limits) && connection.is_ready()
    }

    fn shelf(&self, worker: usize) -> MutexGuard<'_, Vec<Connection<S>>> {
        self.shelves[worker % self.shelves.len()].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh<S: ByteStream>(connection: &Connection<S>, now: Instant, limits: &settings::upstream::Pool) -> bool {
    // A time that cannot be added up never comes.
    connection.idle_since.checked_add(limits.idle_timeout).is_none_or(|until| now < until)
        && connection.opened().checked_add(limits.max_lifetime).is_none_or(|until| now < until)
}
