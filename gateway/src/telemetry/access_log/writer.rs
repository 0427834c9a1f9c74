//! The thread that writes. Asleep while nothing waits; woken by the first line, it lingers a moment so that a batch
//! gathers, then writes all of it with one call for each worker. A file that could not be opened anew is tried again
//! until it can be: lines go on into the old one meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::shard::Shard;
use super::sink::Sink;
use crate::clock::Clock;
use crate::locked::lock;

/// How long a batch gathers. Long enough that a busy gateway wakes the writer 50 times a second, short enough for
/// somebody who looks at the log.
const LINGER: Duration = Duration::from_millis(20);
/// Pauses after a failing write, or reopen: doubled from the first to the last.
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
    /// The last write failed.
    is_stuck: AtomicBool,
    /// A file is still to be opened anew.
    owes_reopen: AtomicBool,
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
    /// To look whether the file is there still.
    look: bool,
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
            is_stuck: AtomicBool::new(false),
            owes_reopen: AtomicBool::new(false),
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

    pub(super) fn ask_to_look(&self) {
        self.control().look = true;
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
        lock(&self.last_failure).clone()
    }

    /// Whether the last write failed, or a file is still to be opened anew.
    pub(super) fn is_failing(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed) || self.owes_reopen.load(Ordering::Relaxed)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.shards.iter().all(Shard::is_empty)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        lock(&self.control)
    }
}

/// The thread's own things.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Option<Sink>,
    /// The emptied buffer that goes back to a worker for its full one.
    spare: Vec<u8>,
    /// A reopen that failed.
    owed: Option<Owed>,
    clock: Clock,
}

/// A file that is still to be opened anew.
#[derive(Debug, Clone, Copy)]
struct Owed {
    /// When that is tried again.
    due: Instant,
    /// After this pause.
    pause: Duration,
}

/// What came of what was asked for.
struct Obeyed {
    /// To stop.
    stop: bool,
    /// Lines go elsewhere from now on.
    elsewhere: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sink: Option<Sink>) -> Self {
        Self { shared, sink, spare: Vec::new(), owed: None, clock: Clock::system() }
    }

    /// Runs until asked to stop, or until a write fails after that.
    pub(super) fn run(mut self) {
        loop {
            self.rest();
            self.shared.hurry.store(false, Ordering::SeqCst);
            let stop = self.obey().stop;
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
            if !shared.is_drained() || self.is_asked() || self.is_due() || shared.hurry.load(Ordering::SeqCst) {
                break;
            }
            match self.owed {
                None => thread::park(),
                Some(owed) => thread::park_timeout(owed.due.saturating_duration_since(self.clock.now())),
            }
        }
        shared.asleep.store(false, Ordering::SeqCst);
        if !shared.hurry.load(Ordering::SeqCst) && !self.is_asked() {
            thread::park_timeout(LINGER);
        }
    }

    fn is_asked(&self) -> bool {
        let control = self.shared.control();
        control.sink.is_some() || control.reopen || control.look || control.stop
    }

    /// Whether it is time to try again to open the file anew.
    fn is_due(&self) -> bool {
        self.owed.is_some_and(|owed| owed.due <= self.clock.now())
    }

    /// Does what the control runtime asked for, and what is owed of it.
    fn obey(&mut self) -> Obeyed {
        let (sink, reopen, look, stop) = {
            let mut control = self.shared.control();
            let (reopen, look) = (std::mem::take(&mut control.reopen), std::mem::take(&mut control.look));
            (control.sink.take(), reopen, look, control.stop)
        };
        let is_gone = || look && self.owed.is_none() && self.sink.as_ref().is_some_and(Sink::is_gone);
        let opened = match sink {
            Some(sink) => Some(sink),
            None if reopen || self.is_due() || is_gone() => self.opened_anew(),
            None => None,
        };
        let elsewhere = opened.is_some();
        if let Some(sink) = opened {
            self.sink = sink;
            self.owed = None;
            self.shared.is_stuck.store(false, Ordering::Relaxed);
        }
        self.shared.owes_reopen.store(self.owed.is_some(), Ordering::Relaxed);
        Obeyed { stop, elsewhere }
    }

    /// The same output, opened anew. Where it cannot be, the old file is better than none, and it is tried again after
    /// a while.
    fn opened_anew(&mut self) -> Option<Option<Sink>> {
        match self.sink.as_ref()?.reopened() {
            Ok(sink) => Some(sink),
            Err(error) => {
                self.count_failure(format!("it cannot be opened anew: {error}"));
                let pause = self.owed.map_or(BACKOFF_FIRST, |owed| (owed.pause * 2).min(BACKOFF_LAST));
                self.owed = Some(Owed { due: self.clock.now() + pause, pause });
                None
            }
        }
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
                Ok(()) => {
                    pause = BACKOFF_FIRST;
                    self.shared.is_stuck.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    self.shared.is_stuck.store(true, Ordering::Relaxed);
                    self.count_failure(error.to_string());
                    if self.shared.control().stop {
                        return false;
                    }
                    // A reader that is merely slow is asked again soon.
                    let slow = error.kind() == io::ErrorKind::WouldBlock;
                    thread::park_timeout(if slow { BACKOFF_FIRST } else { pause });
                    pause = (pause * 2).min(BACKOFF_LAST);
                    if (self.is_asked() || self.is_due()) && self.obey().elsewhere {
                        // Another file begins with a whole line.
                        at = start_of_line(lines, at);
                    }
                }
            }
        }
        true
    }

    fn count_failure(&self, detail: String) {
        let output = self.sink.as_ref().map(Sink::name).unwrap_or_default();
        let failure = WriteFailure { output, detail };
        *lock(&self.shared.last_failure) = Some(failure);
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
        let mut writer = Writer::new(shared.clone(), sink);
        // Otherwise it would try for ever.
        shared.ask_to_stop();
        assert!(!writer.drain(0));
        assert_eq!((shared.write_failures.load(Ordering::Relaxed), shared.is_failing()), (1, true));
        let failure = shared.last_failure().unwrap();
        assert_eq!(failure.output, "/dev/full");
        assert!(failure.detail.contains("No space left"), "{failure:?}");
        assert!(!shared.is_drained());
    }

    #[test]
    fn a_file_that_could_not_be_opened_anew_is_owed_until_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        std::fs::create_dir(&logs).unwrap();
        let shared = Arc::new(Shared::new([Shard::new(10)].into()));
        let sink = Sink::open(&LogOutput::File(logs.join("access.log"))).unwrap();
        let mut writer = Writer::new(shared.clone(), sink);
        std::fs::rename(&logs, &moved).unwrap();
        shared.ask_to_reopen();
        assert!(!writer.obey().elsewhere && shared.is_failing());
        let first = writer.owed.unwrap();
        assert!(shared.last_failure().unwrap().detail.starts_with("it cannot be opened anew: "));
        // The old file takes lines meanwhile, which mends nothing.
        shared.shards[0].submit(&AccessRecord::new(0, b"id", "::1", "GET", "/old", 200));
        assert!(writer.drain(0) && shared.is_failing());
        writer.owed = Some(Owed { due: writer.clock.now(), ..first });
        assert!(!writer.obey().elsewhere, "it is tried again when it is time");
        assert_eq!((shared.write_failures.load(Ordering::Relaxed), writer.owed.unwrap().pause), (2, 2 * BACKOFF_FIRST));
        std::fs::create_dir(&logs).unwrap();
        writer.owed = Some(Owed { due: writer.clock.now(), ..first });
        assert!(writer.obey().elsewhere && !shared.is_failing() && writer.owed.is_none());
        shared.shards[0].submit(&AccessRecord::new(0, b"id", "::1", "GET", "/new", 200));
        assert!(writer.drain(0));
        let lines = |folder: &std::path::Path| std::fs::read_to_string(folder.join("access.log")).unwrap();
        assert!(lines(&moved).contains("/old") && lines(&logs).contains("/new"));
        assert!(!lines(&moved).contains("/new"));
    }

    #[test]
    fn another_file_begins_with_a_whole_line() {
        for (at, expected) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (6, 6)] {
            assert_eq!(start_of_line(b"ab\ncd\n", at), expected, "{at}");
        }
    }
}
