//! Tells the parent what happens: from any task, without waiting, over a copy of standard output that goose does not
//! know of.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use loadgen::clock::process_cpu_ns;
use loadgen::journey::wire::Message;

/// Messages on their way at most: some seconds of a fast run.
const MOST_WAITING: usize = 1 << 16;

/// Who tells.
#[derive(Debug)]
pub(crate) struct Teller {
    /// `None` is the end.
    messages: SyncSender<Option<Message>>,
    lost: AtomicU64,
    in_flight: AtomicI64,
}

impl Teller {
    /// Takes standard output over: what others print there goes to standard error from now on.
    pub(crate) fn take_over() -> io::Result<(Self, JoinHandle<()>)> {
        let own = rustix::io::dup(rustix::stdio::stdout())?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        let (messages, received) = sync_channel(MOST_WAITING);
        let thread = std::thread::spawn(move || write_all(&received, File::from(own)));
        Ok((Self { messages, lost: AtomicU64::new(0), in_flight: AtomicI64::new(0) }, thread))
    }

    /// Tells one thing; counts it as lost when too much waits.
    pub(crate) fn tell(&self, message: Message) {
        if self.messages.try_send(Some(message)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request began.
    pub(crate) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// A request ended, and was told.
    pub(crate) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        u64::try_from(self.in_flight.load(Ordering::Acquire)).unwrap_or(0)
    }

    /// How it goes.
    pub(crate) fn tick(&self, cpu_before_ns: u64) -> Message {
        Message::Tick {
            cpu_ns: process_cpu_ns().saturating_sub(cpu_before_ns),
            in_flight: self.in_flight(),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Waits until all is written. `last` is the last thing that is told.
    pub(crate) fn finish(&self, last: Message, thread: JoinHandle<()>) {
        // A writer that has ended takes nothing more.
        let _ = self.messages.send(Some(last));
        let _ = self.messages.send(None);
        // A writer that panicked has nothing more to say.
        let _ = thread.join();
    }
}

/// Writes what comes, until the end; flushes when there is nothing more for now.
fn write_all(messages: &Receiver<Option<Message>>, output: File) {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    loop {
        let next = match messages.try_recv() {
            Err(TryRecvError::Empty) if output.flush().is_ok() => messages.recv().ok(),
            next => next.ok(),
        };
        let Some(Some(message)) = next else { break };
        // A parent that has gone away needs to be told nothing.
        if output.write_all(&message.to_bytes()).is_err() {
            return;
        }
    }
    let _ = output.flush();
}
