//! The mocks of a run: a process of their own, or a part of the driver's thread.
//!
//! With a core to spare they are a process on it. On two or three cores they would share the driver's core, and two
//! that share a core wait for each other's slices: a request that is due waits while a mock computes, and a mock that
//! has an answer waits while the driver looks for news. So they are one thread there, in which each has its turns.
//!
//! Invariant: somebody serves all the time. Between the stretches of a run a thread of their own does, the keeper, and
//! sleeps while there is nothing to do; it hands the services to the driver and gets them back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mocks::{Builder, Mock, Shared};
use tokio::sync::Notify;

use super::error::RunError;
use crate::children::{Child, ChildError};
use crate::process::{Usage, pin_thread, thread_cpu_ns};

/// The mocks, wherever they run.
#[derive(Debug)]
pub(super) enum Mocks {
    /// A process.
    Apart(Child),
    /// The driver's thread, and until it takes them the keeper.
    Here(Arc<Here>),
}

impl Mocks {
    /// Starts them in this process, on these cores.
    pub(super) fn here(topology: &str, seed: u64, journal: u64, cores: &[usize]) -> Result<Self, RunError> {
        let cannot = |why: String| RunError::Control { what: "the mocks".to_owned(), why };
        let builder = Builder::from_toml(topology).map_err(|problems| cannot(problems.to_string()))?;
        let control = SocketAddr::from(([127, 0, 0, 1], 0));
        let builder = builder.seed(seed).journal(usize::try_from(journal).unwrap_or(usize::MAX)).control(control);
        let (mock, shared) = builder.launch_shared().map_err(|error| cannot(error.to_string()))?;
        let keeper = Keeper::start(shared, cores).map_err(|error| cannot(error.to_string()))?;
        Ok(Self::Here(Arc::new(Here { keeper, mock, lent_ns: AtomicU64::new(0) })))
    }

    /// The endpoints' addresses and the control port's.
    pub(super) fn addresses(&self) -> Result<(Vec<SocketAddr>, SocketAddr), ChildError> {
        let (listeners, control) = match self {
            Self::Apart(child) => (child.ready.listeners.clone(), child.ready.control),
            Self::Here(here) => (here.mock.addrs(), here.mock.control_addr()),
        };
        let not_ready = || ChildError::Ready { name: "the mocks".to_owned(), line: format!("{listeners:?}") };
        let control = control.ok_or_else(not_ready)?;
        Ok((listeners, control))
    }

    /// What they have used so far.
    pub(super) fn usage(&self) -> Usage {
        match self {
            Self::Apart(child) => child.process.usage(),
            Self::Here(here) => {
                let ns = here.lent_ns.load(Ordering::Relaxed) + thread_cpu_ns(here.keeper.number);
                // The memory is this process's, and says nothing of theirs.
                Usage { cpu_us: ns / 1_000, rss_bytes: 0 }
            }
        }
    }
}

/// Mocks in this process. The keeper goes first: it closes all connections.
#[derive(Debug)]
pub(super) struct Here {
    keeper: Keeper,
    mock: Mock,
    /// What they used of the driver's thread.
    lent_ns: AtomicU64,
}

impl Here {
    /// Lends them to the calling thread, which serves from now on; given back when `work` ends. What they used of the
    /// thread is the second of what it returns.
    pub(super) fn lend<R>(&self, work: impl FnOnce(&mut Shared) -> (R, u64)) -> Result<R, RunError> {
        let mut shared = self.keeper.take().ok_or_else(|| RunError::Control {
            what: "the mocks".to_owned(),
            why: "their thread has ended, though nobody told it to".to_owned(),
        })?;
        let (result, used_ns) = work(&mut shared);
        self.lent_ns.fetch_add(used_ns, Ordering::Relaxed);
        self.keeper.give_back(shared);
        Ok(result)
    }
}

/// The thread that serves while nobody else does.
#[derive(Debug)]
struct Keeper {
    /// Asks for them.
    asked: Arc<Notify>,
    /// The way of the services from the keeper and back to it; `None` at the end.
    ways: Mutex<Option<(Receiver<Shared>, SyncSender<Shared>)>>,
    /// The thread's number in the system.
    number: i32,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(shared: Shared, cores: &[usize]) -> std::io::Result<Self> {
        let (give, taken) = sync_channel(1);
        let (give_back, back) = sync_channel(1);
        let (tell, told) = sync_channel(1);
        let asked = Arc::new(Notify::new());
        let (asks, cores) = (Arc::clone(&asked), cores.to_vec());
        let keep = move || {
            let _ = tell.send(rustix::thread::gettid().as_raw_nonzero().get());
            // Where the core is not to be had, they are served wherever they may.
            let _ = if cores.is_empty() { Ok(()) } else { pin_thread(&cores) };
            let mut shared = shared;
            loop {
                shared.serve_until(asks.notified());
                // Nobody takes them any more, or gives them back: the run is over.
                if give.send(shared).is_err() {
                    return;
                }
                let Ok(returned) = back.recv() else { return };
                shared = returned;
            }
        };
        let thread = std::thread::Builder::new().name("mocks".to_owned()).spawn(keep)?;
        let number = told.recv().unwrap_or_default();
        Ok(Self { asked, ways: Mutex::new(Some((taken, give_back))), number, thread: Some(thread) })
    }

    fn take(&self) -> Option<Shared> {
        self.asked.notify_one();
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.as_ref()?.0.recv().ok()
    }

    fn give_back(&self, shared: Shared) {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        // A keeper that has ended needs them no more.
        let _ = ways.as_ref().map(|(_, back)| back.send(shared));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.ways.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        self.asked.notify_one();
        // One that panicked has said so already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use loadgen::control::call;
    use loadgen::target::Target;

    use super::*;

    fn here() -> Arc<Here> {
        match Mocks::here("[services.orders]\nendpoints = 2\n", 1, 100, &[]).unwrap() {
            Mocks::Here(here) => here,
            Mocks::Apart(_) => unreachable!("they were started here"),
        }
    }

    fn ask(address: SocketAddr) -> u16 {
        let target = Target::plain(address, "/x");
        call(&target, "GET", &[]).unwrap().status
    }

    #[test]
    fn somebody_serves_before_while_and_after_they_are_lent() {
        let here = here();
        let address = here.mock.addr();
        for lent in 1..=3 {
            assert_eq!(ask(address), 200, "the keeper serves");
            let asked = std::thread::spawn(move || ask(address));
            let status = here.lend(|shared| {
                while !asked.is_finished() {
                    shared.turn();
                }
                (asked.join().unwrap(), 7_000)
            });
            assert_eq!(status.unwrap(), 200, "the borrower serves");
            assert_eq!(here.lent_ns.load(Ordering::Relaxed), lent * 7_000);
        }
        assert_eq!(here.mock.counters().requests, 6);
        assert!(Mocks::Here(here).usage().cpu_us >= 21);
    }

    #[test]
    fn their_end_closes_every_port_and_connection() {
        let here = here();
        let address = here.mock.addr();
        let mut open = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(ask(address), 200);
        drop(here);
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
        assert_eq!(std::io::Read::read(&mut open, &mut [0; 1]).unwrap_or(0), 0, "the connection has ended");
    }

    #[test]
    fn a_topology_that_is_wrong_is_an_error() {
        let error = Mocks::here("[services.orders]\nendpoints = \"three\"\n", 1, 100, &[]).unwrap_err();
        assert!(error.to_string().contains("orders"), "{error}");
    }
}
