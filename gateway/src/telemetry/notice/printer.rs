//! Lines on their way out, written by a thread of their own: who reads them slowly, or not at all, keeps nobody
//! waiting. Bounded; a line that finds no room is dropped and counted, and the next one that finds some tells how many
//! were.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::locked::lock;

/// Lines that may wait, beside the one that is being written.
const MOST_LINES: usize = 256;
/// Bytes beyond which no further line is taken.
const MOST_BYTES: usize = 1024 * 1024;
/// The thread formats nothing and recurses nowhere.
const STACK_BYTES: usize = 128 * 1024;

/// Takes lines and writes them in their order. Its thread ends with the process.
#[derive(Debug)]
pub(super) struct Printer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told whenever there is another line, or one less.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// Of all lines, the one that is being written among them.
    bytes: usize,
    is_writing: bool,
    /// Lines that are gone and that none has told of.
    lost: u64,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// So many lost ones it tells of.
    tells_of: u64,
}

impl Printer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("notices".into()).stack_size(STACK_BYTES).spawn(move || writer.write_to(out))?;
        Ok(Self(shared))
    }

    /// Takes a line, or drops it; never waits for who reads. `line` makes it, newline and all, and is told how many
    /// were lost before it.
    pub(super) fn say(&self, line: impl FnOnce(u64) -> String) {
        let mut queue = self.0.lock();
        if queue.lines.len() >= MOST_LINES || queue.bytes >= MOST_BYTES {
            queue.lost += 1;
            return;
        }
        let tells_of = std::mem::take(&mut queue.lost);
        let text = line(tells_of);
        queue.bytes += text.len();
        queue.lines.push_back(Line { text, tells_of });
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until every line that was taken is written, at most this long; `false` when the time was up. Blocks.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let waits = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), limit, waits);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            // In one piece, so that lines of other threads, or of a program around the gateway, do not come between.
            let is_written = out.write_all(line.text.as_bytes()).is_ok();
            let mut queue = self.lock();
            queue.is_writing = false;
            queue.bytes -= line.text.len();
            if !is_written {
                queue.lost += 1 + line.tells_of;
            }
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Waits for a line.
    fn next(&self) -> Line {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.is_writing = true;
                return line;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing can be half done under it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    /// Longer than anything here can take; nothing waits for it to pass.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn who_does_not_read_keeps_nobody_waiting_and_what_was_lost_is_told() {
        let (reader, writer) = io::pipe().unwrap();
        let printer = Printer::start(writer).unwrap();
        let long = "x".repeat(1000);
        let say = |number: u64| printer.say(|lost| format!("{lost} {number} {long}\n"));
        // Far more than the pipe and the queue hold.
        (0..2000).for_each(say);
        assert!(!printer.flush(Duration::from_millis(1)));
        // Now somebody does: all that was not dropped arrives.
        let reading = thread::spawn(move || {
            let mut told: Vec<(u64, u64)> = Vec::new();
            let mut lines = BufReader::new(reader).lines();
            while told.last().is_none_or(|(_, number)| *number < 2000) {
                let line = lines.next().unwrap().unwrap();
                let mut words = line.split(' ').map(|word| word.parse().unwrap_or_default());
                told.push((words.next().unwrap(), words.next().unwrap()));
            }
            told
        });
        assert!(printer.flush(PATIENCE));
        say(2000);
        let told = reading.join().unwrap();
        assert!(told.is_sorted_by_key(|(_, number)| *number), "in their order");
        let lost: u64 = told.iter().map(|(lost, _)| lost).sum();
        assert!(lost > 1000, "{lost}");
        assert_eq!(told.len() as u64 + lost, 2001);
    }

    /// Fails once.
    struct Sulking {
        has_failed: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Sulking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !std::mem::replace(&mut self.has_failed, true) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_told_of_by_the_next() {
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let printer = Printer::start(Sulking { has_failed: false, written: Arc::clone(&written) }).unwrap();
        for word in ["a", "b", "c"] {
            printer.say(|lost| format!("{lost} {word}\n"));
            assert!(printer.flush(PATIENCE));
        }
        assert_eq!(&written.lock().unwrap()[..], b"1 b\n0 c\n");
    }
}
