//! Waits that end when they should: a worker's alarm clock.
//!
//! The runtime's own timer counts whole milliseconds, which is coarse beside a service time of two. This one is a
//! timer of the kernel's, set to the nearest deadline in nanoseconds of the machine's monotonic clock, and a list of
//! who waits. Its number of entries is that of the requests that wait. Where the kernel has no such timer, waits are
//! the runtime's.

use std::io;
use std::sync::Arc;

#[cfg(target_os = "linux")]
pub(crate) use kernel::Alarm;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Alarm;

/// An alarm clock for a worker; its `run` must run on that worker.
pub(crate) fn new() -> io::Result<Arc<Alarm>> {
    Alarm::new().map(Arc::new)
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::collections::BTreeMap;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::task::{Context, Poll, Waker};

    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    use tokio::net::unix::pipe::Receiver;

    use crate::clock::now_ns;

    /// An alarm clock.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        timer: OwnedFd,
        waiting: Mutex<Waiting>,
    }

    #[derive(Debug, Default)]
    struct Waiting {
        /// By deadline, then by who came first.
        wakers: BTreeMap<(u64, u64), Waker>,
        tickets: u64,
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self { timer, waiting: Mutex::default() })
        }

        /// Waits until this time of the machine's monotonic clock.
        pub(crate) fn until(self: &Arc<Self>, deadline_ns: u64) -> Sleep {
            Sleep { alarm: self.clone(), deadline_ns, ticket: None }
        }

        /// Wakes who is due, for ever.
        pub(crate) async fn run(self: Arc<Self>) {
            // A timer is read as a pipe is, so the runtime may watch it as one. Without a reactor there would be no
            // sockets either.
            let watched = self.timer.try_clone().and_then(Receiver::from_owned_fd_unchecked);
            let Ok(watched) = watched else { return };
            while watched.readable().await.is_ok() {
                // How often it rang is of no interest, but what is not read stays readable.
                let _ = watched.try_read(&mut [0; 8]);
                self.ring();
            }
        }

        fn ring(&self) {
            let mut waiting = self.lock();
            let later = waiting.wakers.split_off(&(now_ns() + 1, 0));
            let due = std::mem::replace(&mut waiting.wakers, later);
            self.set(&waiting);
            drop(waiting);
            due.into_values().for_each(Waker::wake);
        }

        /// Sets the timer to the nearest deadline.
        fn set(&self, waiting: &Waiting) {
            let Some(((deadline_ns, _), _)) = waiting.wakers.first_key_value() else { return };
            let at = |ns: u64| Timespec {
                tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
                // Less than a second, so it fits whatever the type is.
                tv_nsec: (ns % 1_000_000_000) as _,
            };
            let value = Itimerspec { it_interval: at(0), it_value: at((*deadline_ns).max(1)) };
            // A valid timer and a valid time: this cannot fail.
            let _ = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value);
        }

        /// A poisoned list is used all the same: it is whole between two calls.
        fn lock(&self) -> MutexGuard<'_, Waiting> {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// A wait.
    #[derive(Debug)]
    pub(crate) struct Sleep {
        alarm: Arc<Alarm>,
        deadline_ns: u64,
        ticket: Option<u64>,
    }

    impl Future for Sleep {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let this = self.get_mut();
            if now_ns() >= this.deadline_ns {
                return Poll::Ready(());
            }
            let mut waiting = this.alarm.lock();
            let ticket = *this.ticket.get_or_insert_with(|| {
                waiting.tickets += 1;
                waiting.tickets
            });
            let key = (this.deadline_ns, ticket);
            let is_new = waiting.wakers.insert(key, cx.waker().clone()).is_none();
            if is_new && waiting.wakers.first_key_value().is_some_and(|(first, _)| *first == key) {
                this.alarm.set(&waiting);
            }
            Poll::Pending
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            if let Some(ticket) = self.ticket {
                self.alarm.lock().wakers.remove(&(self.deadline_ns, ticket));
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::sync::Arc;

    use crate::clock::{between, now_ns};

    /// The runtime's timer.
    #[derive(Debug)]
    pub(crate) struct Alarm;

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until this time of the machine's monotonic clock, to the millisecond.
        pub(crate) fn until(self: &Arc<Self>, deadline_ns: u64) -> impl Future<Output = ()> + use<> {
            tokio::time::sleep(between(now_ns(), deadline_ns))
        }

        /// Nothing needs to run.
        pub(crate) async fn run(self: Arc<Self>) {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_ns;

    #[tokio::test]
    async fn all_waits_end_and_none_early() {
        let alarm = new().unwrap();
        tokio::spawn(alarm.clone().run());
        let start = now_ns();
        let waits = [300_000, 100_000, 200_000, 0, 100_000].map(|after| {
            let wait = alarm.until(start + after);
            async move {
                wait.await;
                assert!(now_ns() >= start + after);
                after
            }
        });
        let all: futures_util::stream::FuturesUnordered<_> = waits.into_iter().collect();
        let ended: Vec<u64> = futures_util::StreamExt::collect(all).await;
        assert_eq!(ended.iter().sum::<u64>(), 700_000);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_keeps_no_one_else_waiting() {
        let alarm = new().unwrap();
        tokio::spawn(alarm.clone().run());
        let start = now_ns();
        let mut first = Box::pin(alarm.until(start + 50_000_000));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(first);
        alarm.until(start + 100_000).await;
        assert!(now_ns() < start + 50_000_000, "the second did not wait for the first");
    }
}
