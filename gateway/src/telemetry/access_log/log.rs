//! The access log as the rest of the gateway sees it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::sampling::Sampling;
use super::shard::{Shard, Submitted, quotas};
use super::sink::Sink;
use super::writer::{Shared, Writer};

pub use super::writer::WriteFailure;
use crate::config::settings;
use crate::config::settings::telemetry::LogOutput;
use crate::telemetry::record::AccessRecord;
use crate::telemetry::told::TakesRecords;

/// The writer formats nothing and recurses nowhere.
const STACK_BYTES: usize = 128 * 1024;

/// The access log of one gateway: shared by all workers, changed by reloads. Dropping it lets the writer end by itself;
/// call [`AccessLog::flush`] before, so that the last lines are written.
#[derive(Debug)]
pub struct AccessLog {
    sampling: Sampling,
    shared: Arc<Shared>,
    /// `None` where nothing is written: lines wait to be taken.
    writer: Option<thread::Thread>,
    /// Who takes lines, whatever the settings say of an output.
    program: Option<TakesRecords>,
    /// Tells that files are to be opened anew.
    renewals: watch::Sender<()>,
}

impl AccessLog {
    /// Opens the output and starts the writer.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread can be started.
    pub fn start(settings: &settings::telemetry::AccessLog, workers: usize) -> io::Result<Self> {
        Self::with_sink(settings, workers, Sink::open(&settings.output)?)
    }

    /// The same for a program that takes records itself, if it does: no output is opened for it.
    ///
    /// # Errors
    ///
    /// As [`AccessLog::start`].
    pub fn start_for(
        program: Option<&TakesRecords>,
        settings: &settings::telemetry::AccessLog,
        workers: usize,
    ) -> io::Result<Self> {
        let Some(takes) = program else { return Self::start(settings, workers) };
        let mut log = Self::with_sink(&taken_anyway(settings), workers, Some(Sink::program(takes.clone())))?;
        log.program = Some(takes.clone());
        Ok(log)
    }

    fn with_sink(settings: &settings::telemetry::AccessLog, workers: usize, sink: Option<Sink>) -> io::Result<Self> {
        let shards = quotas(settings.queue, workers).map(Shard::new).collect();
        let shared = Arc::new(Shared::new(shards));
        let writer = Writer::new(shared.clone(), sink);
        let thread =
            thread::Builder::new().name("access-log".into()).stack_size(STACK_BYTES).spawn(move || writer.run())?;
        let (sampling, writer) = (Sampling::new(settings), Some(thread.thread().clone()));
        Ok(Self { sampling, shared, writer, program: None, renewals: watch::Sender::default() })
    }

    /// A log without an output and without a thread: its lines wait for [`AccessLog::take`], as many as the queue
    /// holds. For simulations, where a thread of its own would bring its own order of things.
    pub fn kept(settings: &settings::telemetry::AccessLog, workers: usize) -> Self {
        let shards = quotas(settings.queue, workers).map(Shard::new).collect();
        let (sampling, shared) = (Sampling::new(settings), Arc::new(Shared::new(shards)));
        Self { sampling, shared, writer: None, program: None, renewals: watch::Sender::default() }
    }

    /// The lines of a kept log since the last call, those of one worker after those of another. Nothing where a thread
    /// writes them.
    pub fn take(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        if self.writer.is_none() {
            for shard in &self.shared.shards {
                let mut of_shard = Vec::new();
                shard.take(&mut of_shard);
                shard.written();
                lines.append(&mut of_shard);
            }
        }
        lines
    }

    /// Whether there is a log at all.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.sampling.is_on()
    }

    /// Whether a request with this status is to be written; `bits` are random. One load and a branch: ask before
    /// anything is put together. A 2xx that broke off is an error too: ask [`AccessLog::is_on`] for it.
    #[inline]
    pub fn wants(&self, status: u16, bits: u64) -> bool {
        self.sampling.wants(status, bits)
    }

    /// Hands in a line. Never waits for the output; drops the line where there is no room.
    #[inline]
    pub fn submit(&self, worker: usize, record: &AccessRecord<'_>) {
        let shards = &self.shared.shards;
        let shard = shards.get(worker).unwrap_or_else(|| &shards[worker % shards.len()]);
        match (shard.submit(record), &self.writer) {
            (Submitted::Queued, Some(writer)) => self.shared.wake(writer),
            (Submitted::Full, Some(writer)) => self.shared.hurry(writer),
            (Submitted::Dropped, _) | (_, None) => {}
        }
    }

    /// Lines dropped since the start (`gateway_log_dropped_total`).
    pub fn dropped(&self) -> u64 {
        self.shared.shards.iter().map(Shard::dropped).sum()
    }

    /// Writes and reopens that failed since the start. Each is tried again, and no line is lost by it.
    pub fn write_failures(&self) -> u64 {
        self.shared.write_failures.load(Ordering::Relaxed)
    }

    /// Whether the last write failed, or the file could not be opened anew yet.
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing()
    }

    /// The last write, or reopen, that failed.
    pub fn last_failure(&self) -> Option<WriteFailure> {
        self.shared.last_failure()
    }

    /// Records that were handed in and are not written: those that wait, and those that were dropped.
    pub fn not_written(&self) -> u64 {
        let waiting: usize = self.shared.shards.iter().map(Shard::waiting).sum();
        self.dropped() + waiting as u64
    }

    /// Takes over new settings under running requests. Lines that wait go to the new output, or are dropped and counted
    /// where that is off; a file is opened anew even if its path is the same, so that a reload serves log rotation.
    ///
    /// # Errors
    ///
    /// When the new file cannot be opened; then nothing has changed.
    pub fn reconfigure(&self, settings: &settings::telemetry::AccessLog) -> io::Result<()> {
        let settings = match self.program {
            Some(_) => Cow::Owned(taken_anyway(settings)),
            None => Cow::Borrowed(settings),
        };
        let sink = match (&self.program, &self.writer) {
            (Some(takes), _) => Some(Sink::program(takes.clone())),
            (None, Some(_)) => Sink::open(&settings.output)?,
            (None, None) => None,
        };
        for (shard, quota) in self.shared.shards.iter().zip(quotas(settings.queue, self.shared.shards.len())) {
            shard.set_quota(quota);
        }
        self.shared.replace_sink(sink);
        self.sampling.set(&settings);
        self.wake_for_control();
        self.renewals.send_replace(());
        Ok(())
    }

    /// Opens the file anew, for log rotation. If that fails, the old one goes on, the failure is counted, and it is
    /// tried again until it is done.
    pub fn reopen(&self) {
        self.shared.ask_to_reopen();
        self.wake_for_control();
        self.renewals.send_replace(());
    }

    /// Looks whether the file is there still: one that was removed is opened anew, as if somebody had asked for it.
    pub fn look(&self) {
        self.shared.ask_to_look();
        self.wake_for_control();
    }

    /// Changes whenever the log's file is opened anew: for who has another file that is rotated with it.
    pub fn renewals(&self) -> watch::Receiver<()> {
        self.renewals.subscribe()
    }

    /// Waits until every line handed in so far is written, at most this long; `false` when the time was up. Blocks:
    /// call it from the control side.
    pub fn flush(&self, limit: Duration) -> bool {
        self.shared.wait_until_written(limit, || self.wake_for_control())
    }

    /// Unlike a worker's call, this one also ends a pause after a failed write.
    fn wake_for_control(&self) {
        if let Some(writer) = &self.writer {
            self.shared.hurry(writer);
            writer.unpark();
        }
    }
}

/// Settings of a log that a program takes: `sample` and `queue` hold, and what they say of an output does not.
fn taken_anyway(settings: &settings::telemetry::AccessLog) -> settings::telemetry::AccessLog {
    settings::telemetry::AccessLog { output: LogOutput::Stdout, ..settings.clone() }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.ask_to_stop();
        self.wake_for_control();
    }
}

#[cfg(test)]
mod tests;
