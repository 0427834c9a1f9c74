//! Events in a file, one JSON object a line, for who starts the process and cannot be there to listen.

use std::fs::File;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use super::bus::{Batch, Follower};
use crate::clock::Clock;
use crate::telemetry::timestamp::rfc3339;
use crate::telemetry::told::Voice;
use crate::telemetry::{appended, notice};

/// The wall clock was set where it goes off the clock of events by more, microseconds.
const SET_US: u64 = 10_000;

/// A file that takes events.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: Arc<File>,
    /// It is told to fail.
    is_failing: bool,
    /// It could not be opened anew when it should; that is tried again before what is written next.
    owes_renewal: bool,
    /// Lines that are not in it since it was last written.
    lost: u64,
}

impl EventFile {
    /// Opens a file to be written to at its end.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(appended::open(path)?);
        Ok(Self { path: path.to_owned(), file, is_failing: false, owes_renewal: false, lost: 0 })
    }

    /// Writes lines behind how many were lost before. What cannot be written is given up; that is said once.
    async fn write(&mut self, lines: String) {
        if lines.is_empty() {
            return;
        }
        let (file, count) = (Arc::clone(&self.file), lines.lines().count() as u64);
        let text = missed(self.lost) + &lines;
        let written = off_the_loop(move || (&*file).write_all(text.as_bytes())).await;
        self.lost = if written.is_ok() { 0 } else { self.lost + count };
        match written {
            Err(error) => self.tell(Some(error)),
            // What was said of a renewal holds until there is one.
            Ok(()) if self.owes_renewal => {}
            Ok(()) => self.tell(None),
        }
    }

    /// Opens it anew, as somebody may have put it aside: what comes next is in the file of its name. Where that cannot
    /// be, the old one takes it. Whether it is an empty one.
    async fn renew(&mut self) -> bool {
        let path = self.path.clone();
        let opened = off_the_loop(move || {
            let file = appended::open(&path)?;
            let is_empty = file.metadata().is_ok_and(|found| found.is_file() && found.len() == 0);
            Ok((file, is_empty))
        });
        let opened = opened.await;
        self.owes_renewal = opened.is_err();
        match opened {
            Ok((file, is_empty)) => {
                self.file = Arc::new(file);
                is_empty
            }
            Err(error) => {
                self.tell(Some(error));
                false
            }
        }
    }

    fn tell(&mut self, failed: Option<io::Error>) {
        if std::mem::replace(&mut self.is_failing, failed.is_some()) != failed.is_some() {
            let detail = failed.map(|error| error.to_string());
            notice::event_file(&Voice::StandardError, &self.path, detail.as_deref());
        }
    }
}

async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What time of day it is by the clock of events, so that a file can be laid beside others when its process is gone.
struct TimeOfDay {
    clock: Clock,
    /// By how much the wall clock was ahead when that was last written, microseconds.
    ahead_us: Option<i64>,
}

impl TimeOfDay {
    /// The line that says it, where none did or it is another since.
    fn line(&mut self) -> String {
        let now = self.clock.now();
        let (ts_ns, unix_us) = (self.clock.monotonic_ns(now), self.clock.unix_us(now));
        let ahead_us = unix_us.saturating_sub(i64::try_from(ts_ns / 1000).unwrap_or(i64::MAX));
        if self.ahead_us.is_some_and(|said| said.abs_diff(ahead_us) <= SET_US) {
            return String::new();
        }
        self.ahead_us = Some(ahead_us);
        format!("{}\n", json!({ "ts_ns": ts_ns, "kind": "clock", "ts": rfc3339(unix_us) }))
    }
}

/// Writes what the follower sees until `end`, and what is there then. The disk is waited for on a thread of its own;
/// events that cannot be written are given up, those after them are tried anew. With each renewal the file is opened
/// anew, for log rotation.
pub async fn write_to(
    mut file: EventFile,
    (mut follower, clock): (Follower, Clock),
    mut renewals: watch::Receiver<()>,
    end: impl Future,
) {
    let mut end = pin!(end);
    let mut time = TimeOfDay { clock, ahead_us: None };
    file.write(time.line()).await;
    loop {
        let (batch, renews) = tokio::select! {
            batch = follower.next() => (Some(batch), file.owes_renewal),
            Ok(()) = renewals.changed() => (None, true),
            _ = &mut end => break,
        };
        if renews && file.renew().await {
            time.ahead_us = None;
        }
        let told = batch.map(|batch| lines(&batch)).unwrap_or_default();
        file.write(time.line() + &told).await;
    }
    let mut rest = follower.take();
    while rest.missed > 0 || !rest.events.is_empty() {
        file.write(lines(&rest)).await;
        rest = follower.take();
    }
}

/// The line that says how many events are not there; none where all are.
fn missed(events: u64) -> String {
    if events > 0 { format!("{{\"kind\":\"missed\",\"events\":{events}}}\n") } else { String::new() }
}

fn lines(batch: &Batch) -> String {
    let mut text = missed(batch.missed);
    for event in &batch.events {
        text.push_str(&event.to_json());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::events::{Event, Events, Kinds};

    #[test]
    fn a_line_is_an_event_and_what_was_missed_is_said() {
        let event = Arc::new(super::super::Stamped { seq: 1, ts_ns: 5, event: Event::Drain });
        let batch = Batch { missed: 2, events: vec![event] };
        assert_eq!(lines(&batch), "{\"kind\":\"missed\",\"events\":2}\n{\"ts_ns\":5,\"kind\":\"drain\"}\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_time_of_day_it_is_is_said_once_and_again_when_the_clock_was_set() {
        let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
        let mut time = TimeOfDay { clock: clock.clone(), ahead_us: None };
        assert_eq!(time.line(), "{\"ts_ns\":0,\"kind\":\"clock\",\"ts\":\"2023-11-14T22:13:20.000000Z\"}\n");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(time.line(), "");
        // The machine's own wall clock is another one.
        clock.resync();
        assert!(time.line().starts_with("{\"ts_ns\":3000000000,\"kind\":\"clock\",\"ts\":\"2"));
        assert_eq!(time.line(), "");
    }

    #[tokio::test]
    async fn events_come_to_the_file_behind_the_time_of_day() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let events = Arc::new(Events::default());
        let follower = events.follow(Kinds::rare(), None);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let file = EventFile::open(&path).unwrap();
        let (renew, renewals) = watch::channel(());
        let writer = tokio::spawn(write_to(file, (follower, Clock::system()), renewals, ended));
        events.report(7, Event::Drain);
        let text = || std::fs::read_to_string(&path).unwrap();
        while !text().ends_with("{\"ts_ns\":7,\"kind\":\"drain\"}\n") {
            tokio::task::yield_now().await;
        }
        // Nothing was put aside: it goes on where it was.
        renew.send_replace(());
        events.report(8, Event::Drain);
        end.send(()).unwrap();
        writer.await.unwrap();
        let text = text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1..], ["{\"ts_ns\":7,\"kind\":\"drain\"}", "{\"ts_ns\":8,\"kind\":\"drain\"}"]);
        assert!(lines[0].contains("\"kind\":\"clock\",\"ts\":\"2"), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_is_put_aside_is_made_anew_and_begins_with_the_time_of_day() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let mut file = EventFile::open(&path).unwrap();
        file.write("{\"a\":1}\n".to_owned()).await;
        std::fs::rename(&path, &aside).unwrap();
        assert!(file.renew().await, "an empty one");
        file.write("{\"a\":2}\n".to_owned()).await;
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((&*read(&aside), &*read(&path)), ("{\"a\":1}\n", "{\"a\":2}\n"));
        assert!(!file.renew().await, "the same one");
        // One that cannot be had leaves the old one in use.
        std::fs::rename(&path, folder.path().join("events.jsonl.2")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(!file.renew().await);
        file.write("{\"a\":3}\n".to_owned()).await;
        assert!(file.is_failing && file.owes_renewal, "it is not well by what the old one takes");
        assert_eq!(read(&folder.path().join("events.jsonl.2")), "{\"a\":2}\n{\"a\":3}\n");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_counted_in_front_of_what_can_be_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut file = EventFile::open(Path::new("/dev/full")).unwrap();
        file.write("{}\n{}\n".to_owned()).await;
        file.write(String::new()).await;
        file.write("{}\n".to_owned()).await;
        assert!(file.is_failing && file.lost == 3, "{}", file.lost);
        file.path.clone_from(&path);
        assert!(file.renew().await);
        file.write("{\"a\":1}\n".to_owned()).await;
        assert!(!file.is_failing);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"kind\":\"missed\",\"events\":3}\n{\"a\":1}\n");
    }
}
