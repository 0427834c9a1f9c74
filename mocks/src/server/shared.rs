//! A worker on somebody else's thread: it has its turn when it is given one, and says whether it used it.
//!
//! For a load generator that may not sleep and has no core to spare: two threads on one core wait for each other's
//! slices, and one thread does not.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;

use tokio::runtime::{Builder, Runtime};

/// Tasks that have their go in one turn at most, so that whoever shares the thread is not kept waiting.
const MOST_TASKS: u32 = 16;

thread_local! {
    /// How often a task of this thread has had its go.
    static GOES: Cell<u64> = const { Cell::new(0) };
}

/// Starts a task of a worker on its runtime.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(counted(work)));
}

/// The same work, each of whose goes is counted.
async fn counted(work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    poll_fn(|cx| {
        GOES.set(GOES.get() + 1);
        work.as_mut().poll(cx)
    })
    .await;
}

/// Services that are served on the thread of whoever holds this, while he gives them turns. Connections are taken in by
/// the kernel meanwhile, and wait. Dropping it closes the services' ports and their connections.
pub struct Shared {
    runtime: Runtime,
}

impl Shared {
    /// Work that begins with the first turn.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().event_interval(MOST_TASKS).build()?;
        runtime.spawn(counted(work));
        Ok(Self { runtime })
    }

    /// One turn: what is ready has its go, and news are looked for, without waiting. Whether anything was ready. What
    /// the news are about has its go in the next turn.
    pub fn turn(&mut self) -> bool {
        let before = GOES.get();
        self.runtime.block_on(tokio::task::yield_now());
        GOES.get() != before
    }

    /// Serves until this future ends, and sleeps while there is nothing to do.
    pub fn serve_until<T>(&mut self, end: impl Future<Output = T>) -> T {
        self.runtime.block_on(end)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shared")
    }
}
