//! Idle connections to one endpoint: a shelf for each worker.
//!
//! A worker takes from its own shelf, the most recently used first, so that surplus connections grow old and close.
//! Only when its shelf is empty does it look at its siblings', so that reuse stays high with many workers and little
//! traffic.
//!
//! Where more than `max_idle_per_worker` are busy at a time, those beyond it fall idle and are wanted again within
//! milliseconds: closed at once, each would be opened anew. So a shelf may be longer for a while. The sweep closes of
//! what is beyond the limit those that nobody has needed since the sweep before.

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
struct Shelf<S: ByteStream>(Mutex<Kept<S>>);

/// What stands on a shelf.
struct Kept<S: ByteStream> {
    /// Those that have been idle for longest come first.
    connections: Vec<Connection<S>>,
    /// So many of the first have not been needed since the last sweep.
    spare: usize,
}

impl<S: ByteStream> Kept<S> {
    /// The one that fell idle last.
    fn pop(&mut self) -> Option<Connection<S>> {
        let last = self.connections.pop();
        self.spare = self.spare.min(self.connections.len());
        last
    }

    /// The one that has been idle for longest.
    fn pop_oldest(&mut self) -> Option<Connection<S>> {
        if self.connections.is_empty() {
            return None;
        }
        self.spare = self.spare.saturating_sub(1);
        Some(self.connections.remove(0))
    }
}

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
        let shelves =
            (0..workers.max(1)).map(|_| Shelf(Mutex::new(Kept { connections: Vec::new(), spare: 0 }))).collect();
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

    /// Keeps a connection for later, unless none are kept at all or it has had its time.
    pub fn put(&self, worker: usize, mut connection: Connection<S>, now: Instant, limits: &settings::upstream::Pool) {
        let outlived = connection.opened().checked_add(limits.max_lifetime).is_some_and(|until| now >= until);
        if outlived || limits.max_idle_per_worker == 0 || !connection.rest() {
            return;
        }
        connection.idle_since = now;
        connection.open.park();
        self.shelf(worker).connections.push(connection);
    }

    /// Drops what is closed, idle for too long or too old on one worker's shelf, and what is too many and has not been
    /// needed since the last time.
    pub fn sweep(&self, worker: usize, now: Instant, limits: &settings::upstream::Pool) {
        let mut shelf = self.shelf(worker);
        let Kept { connections, spare } = &mut *shelf;
        let before = connections.len();
        connections.retain_mut(|connection| self.is_usable(connection, now, limits));
        // Those that went were idle for longest, as a rule.
        let unneeded = spare.saturating_sub(before - connections.len());
        let beyond = connections.len().saturating_sub(limits.max_idle_per_worker);
        let surplus: Vec<_> = connections.drain(..beyond.min(unneeded)).collect();
        *spare = connections.len();
        // Closing takes a while, and others want the shelf.
        drop(shelf);
        drop(surplus);
    }

    /// Closes an idle connection, so that another may be opened in its place; whether there was one.
    #[cold]
    pub fn make_room(&self) -> bool {
        (0..self.shelves.len()).any(|worker| {
            let oldest = self.shelf(worker).pop_oldest();
            oldest.is_some()
        })
    }

    /// Idle connections on all shelves.
    pub fn idle(&self) -> usize {
        (0..self.shelves.len()).map(|worker| self.shelf(worker).connections.len()).sum()
    }

    fn is_usable(&self, connection: &mut Connection<S>, now: Instant, limits: &settings::upstream::Pool) -> bool {
        connection.way == self.way.load(Ordering::Acquire) && is_fresh(connection, now, limits) && connection.is_ready()
    }

    fn shelf(&self, worker: usize) -> MutexGuard<'_, Kept<S>> {
        self.shelves[worker % self.shelves.len()].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh<S: ByteStream>(connection: &Connection<S>, now: Instant, limits: &settings::upstream::Pool) -> bool {
    // A time that cannot be added up never comes.
    connection.idle_since.checked_add(limits.idle_timeout).is_none_or(|until| now < until)
        && connection.opened().checked_add(limits.max_lifetime).is_none_or(|until| now < until)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::DuplexStream;

    use super::*;
    use crate::clock::Clock;
    use crate::network::Network;
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::connection::OpenConnection;
    use crate::upstream::dial::Dialled;
    use crate::upstream::in_flight::InFlight;
    use crate::upstream::transport::Transport;

    #[derive(Clone)]
    struct Pipes;

    impl Network for Pipes {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(Vec::new())
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    /// A pool of one worker, and what opens connections.
    struct World {
        pool: Pool<DuplexStream>,
        limits: settings::upstream::Pool,
        open: Arc<InFlight>,
        now: Instant,
        far: Vec<DuplexStream>,
    }

    impl World {
        fn new(max_idle_per_worker: usize) -> Self {
            let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
            let limits = settings::upstream::Pool {
                connect_timeout: second,
                idle_timeout: hour,
                max_idle_per_worker,
                max_lifetime: hour,
                max_connections: None,
            };
            let now = Clock::starting_at(Duration::ZERO).at_tick(0);
            Self { pool: Pool::new(1), limits, open: Arc::default(), now, far: Vec::new() }
        }

        /// So many requests at once: each takes an idle connection or opens one, and gives it back.
        fn busy(&mut self, count: usize) {
            let taken: Vec<_> = (0..count).map(|_| self.take()).collect();
            taken.into_iter().for_each(|connection| self.pool.put(0, connection, self.now, &self.limits));
        }

        fn take(&mut self) -> Connection<DuplexStream> {
            match self.pool.take(0, self.now, &self.limits) {
                Some(Taken::Own(connection) | Taken::Borrowed(connection)) => connection,
                None => {
                    let (near, far) = tokio::io::duplex(64);
                    self.far.push(far);
                    let dialled = Dialled { stream: Transport::Plain(near), way: 0 };
                    let open = OpenConnection::new(self.open.enter(), Metrics::new(1).upstream("up"), 0);
                    Connection::new::<Pipes>(dialled, self.now, open)
                }
            }
        }

        /// Connections that are there after a second and a sweep.
        fn swept(&mut self) -> u32 {
            self.now += Duration::from_secs(1);
            self.pool.sweep(0, self.now, &self.limits);
            self.open.count()
        }
    }

    #[test]
    fn what_is_needed_again_is_kept_beyond_the_limit_and_closed_when_it_no_longer_is() {
        let mut world = World::new(4);
        for _ in 0..5 {
            (0..20).for_each(|_| world.busy(10));
            assert_eq!(world.swept(), 10);
        }
        assert_eq!(world.far.len(), 10, "none was opened twice");
        // Seven are needed from now on: of the other three nobody has heard since the last sweep.
        world.busy(7);
        assert_eq!(world.swept(), 7);
        world.busy(7);
        assert_eq!(world.swept(), 7);
        assert_eq!(world.swept(), 4, "those within the limit stay");
        assert_eq!(world.swept(), 4);
    }

    #[test]
    fn a_burst_is_kept_until_the_second_sweep_behind_it_at_most() {
        let mut world = World::new(2);
        world.busy(100);
        assert_eq!(world.swept(), 100, "they came after the last sweep");
        assert_eq!(world.swept(), 2);
        world.busy(100);
        world.far.truncate(150);
        world.swept();
        assert!(world.swept() <= 2, "also where some were closed by their peers");
    }

    #[test]
    fn where_none_are_to_be_kept_none_are() {
        let mut world = World::new(0);
        world.busy(3);
        assert_eq!((world.open.count(), world.pool.idle()), (0, 0));
    }

    #[test]
    fn the_one_that_is_idle_for_longest_makes_room() {
        let mut world = World::new(4);
        world.busy(3);
        assert!(world.pool.make_room() && world.pool.make_room() && world.pool.make_room());
        assert_eq!((world.open.count(), world.pool.make_room()), (0, false));
        world.busy(2);
        world.swept();
        assert!(world.pool.make_room());
        world.busy(1);
        assert_eq!((world.swept(), world.far.len()), (1, 5));
    }
}
