//! epoll as the driver needs it: waits of nanoseconds, each edge told once, and no news of a connection that is gone.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Events taken at once; more wait for the next turn.
const BATCH: usize = 256;

/// How long a turn may wait for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    Look,
    /// At most this many nanoseconds.
    For(u64),
}

/// Which connection, and in which of the lives of its slot: news of an earlier life are not for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) slot: u32,
    pub(super) life: u32,
}

/// News of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) token: Token,
    pub(super) writable: bool,
    /// The peer has closed, or the connection broke.
    pub(super) closing: bool,
}

/// An epoll and the events of the last wait.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(BATCH) })
    }

    /// Watches a socket until it is closed.
    pub(super) fn watch(&self, socket: impl AsFd, token: Token) -> std::io::Result<()> {
        let data = EventData::new_u64(u64::from(token.slot) | u64::from(token.life) << 32);
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, data, flags)?)
    }

    /// Waits for news; how many there are. A signal ends the wait without news.
    pub(super) fn wait(&mut self, wait: Wait) -> std::io::Result<usize> {
        let ns = match wait {
            Wait::Look => 0,
            Wait::For(ns) => ns,
        };
        let timeout = Timespec {
            tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (ns % 1_000_000_000) as _,
        };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The `index`-th news of the last wait.
    pub(super) fn news(&self, index: usize) -> News {
        let event = self.events[index];
        let (data, flags) = (event.data.u64(), event.flags);
        let closing = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let token = Token { slot: data as u32, life: (data >> 32) as u32 };
        News { token, writable: flags.intersects(EventFlags::OUT), closing }
    }
}
