//! The thread that writes. Asleep while nothing waits; woken by the first line, it lingers a moment so that a batch
//! gathers, then writes all of it with one call for each worker.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::shard::Shard;
use super::sink::Sink;

/// How long a batch gathers. Long enough that a busy gateway wakes the writer 50 times a second, short enough for
/// somebody who looks at the log.
const LINGER: Duration = Duration::from_millis(20);
/// Pauses after a failing write: doubled from the first to the last.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_LAST: Duration = Duration::from_secs(2);

/// What workers, the control runtime and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shards: Box<[Shard]>,
    /// The writer is about to sleep, or sleeps, until somebody wakes it.
    asleep: AtomicBool,
    /// Do not linger.
    hurry: AtomicBool,
    pub(super) write_failures: AtomicU64,
    last_failure: Mutex<Option<WriteFailure>>,
    control: Mutex<Control>,
    /// Told whenever the writer finished a round.
    round: Condvar,
}

/// A write, or a reopen, that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFailure {
    /// The file, or `stdout`.
    pub output: String,
    /// Why.
    pub detail: String,
}

/// What the control runtime asks of the writer.
#[derive(Debug, Default)]
struct Control {
    /// Another output; `Some(None)` = off.
    sink: Option<Option<Sink>>,
    reopen: bool,
    stop: bool,
    /// Rounds finished in which everything that waited at their beginning was written.
    rounds: u64,
}

impl Shared {
    pub(super) fn new(shards: Box<[Shard]>) -> Self {
        Self {
            shards,
            asleep: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            write_failures: AtomicU64::new(0),
            last_failure: Mutex::default(),
            control: Mutex::default(),
            round: Condvar::new(),
        }
    }

    /// Wakes the writer if it sleeps; one load where it does not.
    #[inline]
    pub(super) fn wake(&self, writer: &thread::Thread) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            writer.unpark();
        }
    }

    /// Wakes the writer from its lingering too.
    pub(super) fn hurry(&self, writer: &thread::Thread) {
        if !self.hurry.load(Ordering::SeqCst) && !self.hurry.swap(true, Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
            writer.unpark();
        }
    }

    pub(super) fn replace_sink(&self, sink: Option<Sink>) {
        self.control().sink = Some(sink);
    }

    pub(super) fn ask_to_reopen(&self) {
        self.control().reopen = true;
    }

    pub(super) fn ask_to_stop(&self) {
        self.control().stop = true;
    }

    /// Waits until everything that waits now is written, at most this long. `wake` is called before the wait begins.
    pub(super) fn wait_until_written(&self, limit: Duration, wake: impl FnOnce()) -> bool {
        let control = self.control();
        // A round that is under way may have passed a line by: the one after it has not.
        let target = control.rounds + 2;
        wake();
        let waiting = |control: &mut Control| control.rounds < target && !self.is_drained();
        let waited = self.round.wait_timeout_while(control, limit, waiting);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    pub(super) fn last_failure(&self) -> Option<WriteFailure> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.shards.iter().all(Shard::is_empty)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's own things.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Option<Sink>,
    /// The emptied buffer that goes back to a worker for its full one.
    pub(super) spare: Vec<u8>,
}

impl Writer {
    /// Runs until asked to stop, or until a write fails after that.
    pub(super) fn run(mut self) {
        loop {
            self.rest();
            self.shared.hurry.store(false, Ordering::SeqCst);
            let stop = self.obey();
            let whole = (0..self.shared.shards.len()).all(|worker| self.drain(worker));
            self.finish_round(whole);
            if stop {
                return;
            }
        }
    }

    /// Sleeps until there is something to do, then lets a batch gather.
    fn rest(&self) {
        let shared = &*self.shared;
        loop {
            // First the flag, then the look: a line that comes after the look finds the flag. (Both sides pass the
            // shard's lock in between.)
            shared.asleep.store(true, Ordering::SeqCst);
            if !shared.is_drained() || self.is_asked() || shared.hurry.load(Ordering::SeqCst) {
                break;
            }
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        if !shared.hurry.load(Ordering::SeqCst) && !self.is_asked() {
            thread::park_timeout(LINGER);
        }
    }

    fn is_asked(&self) -> bool {
        let control = self.shared.control();
        control.sink.is_some() || control.reopen || control.stop
    }

    /// Does what the control runtime asked for; `true` when that is to stop.
    fn obey(&mut self) -> bool {
        let (sink, reopen, stop) = {
            let mut control = self.shared.control();
            (control.sink.take(), std::mem::take(&mut control.reopen), control.stop)
        };
        if let Some(sink) = sink {
            self.sink = sink;
        } else if reopen && let Some(open) = &self.sink {
            match open.reopened() {
                Ok(sink) => self.sink = sink,
                // The old file is better than none.
                Err(error) => self.count_failure(&error),
            }
        }
        stop
    }

    /// Writes one worker's lines, however long it takes. `false` when it gave up because of a stop.
    fn drain(&mut self, worker: usize) -> bool {
        let mut lines = std::mem::take(&mut self.spare);
        self.shared.shards[worker].take(&mut lines);
        let whole = self.write_all(&lines);
        lines.clear();
        self.spare = lines;
        let shard = &self.shared.shards[worker];
        match (&self.sink, whole) {
            (Some(_), true) => shard.written(),
            // The log was turned off with lines still waiting.
            (None, _) => shard.discarded(),
            (Some(_), false) => {}
        }
        whole
    }

    fn write_all(&mut self, lines: &[u8]) -> bool {
        let (mut at, mut pause) = (0, BACKOFF_FIRST);
        while at < lines.len() {
            let Some(sink) = &mut self.sink else { return true };
            match sink.write(lines, &mut at) {
                Ok(()) => pause = BACKOFF_FIRST,
                Err(error) => {
                    self.count_failure(&error);
                    if self.shared.control().stop {
                        return false;
                    }
                    // A reader that is merely slow is asked again soon.
                    let slow = error.kind() == io::ErrorKind::WouldBlock;
                    thread::park_timeout(if slow { BACKOFF_FIRST } else { pause });
                    pause = (pause * 2).min(BACKOFF_LAST);
                    if self.is_asked() {
                        // Another file begins with a whole line.
                        at = start_of_line(lines, at);
                        self.obey();
                    }
                }
            }
        }
        true
    }

    fn count_failure(&self, error: &io::Error) {
        let output = self.sink.as_ref().map(Sink::name).unwrap_or_default();
        let failure = WriteFailure { output, detail: error.to_string() };
        *self.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        self.shared.write_failures.fetch_add(1, Ordering::Relaxed);
    }

    fn finish_round(&self, whole: bool) {
        if whole {
            self.shared.control().rounds += 1;
        }
        self.shared.round.notify_all();
    }
}

fn start_of_line(lines: &[u8], at: usize) -> usize {
    lines[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::telemetry::LogOutput;
    use crate::telemetry::record::AccessRecord;

    #[test]
    fn a_failing_write_keeps_its_lines_and_is_counted() {
        let shared = Arc::new(Shared::new([Shard::new(10)].into()));
        shared.shards[0].submit(&AccessRecord::new(0, b"id", "::1", "GET", "/", 200));
        let sink = Sink::open(&LogOutput::File("/dev/full".into())).unwrap();
        let mut writer = Writer { shared: shared.clone(), sink, spare: Vec::new() };
        // Otherwise it would try for ever.
        shared.ask_to_stop();
        assert!(!writer.drain(0));
        assert_eq!(shared.write_failures.load(Ordering::Relaxed), 1);
        let failure = shared.last_failure().unwrap();
        assert_eq!(failure.output, "/dev/full");
        assert!(failure.detail.contains("No space left"), "{failure:?}");
        assert!(!shared.is_drained());
    }

    #[test]
    fn another_file_begins_with_a_whole_line() {
        for (at, expected) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (6, 6)] {
            assert_eq!(start_of_line(b"ab\ncd\n", at), expected, "{at}");
        }
    }
}
