//! Events in a file, one JSON object a line, for who starts the process and cannot be there to listen.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use serde_json::json;

use super::bus::{Batch, Follower};
use crate::clock::Clock;
use crate::telemetry::appended;
use crate::telemetry::timestamp::rfc3339;

/// The wall clock was set where it goes off the clock of events by more, microseconds.
const SET_US: u64 = 10_000;

/// A file that takes events.
#[derive(Debug)]
pub struct EventFile(Arc<File>);

impl EventFile {
    /// Opens a file to be written to at its end.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        appended::open(path).map(|file| Self(Arc::new(file)))
    }

    async fn write(&self, text: String) {
        let file = Arc::clone(&self.0);
        let _ = tokio::task::spawn_blocking(move || (&*file).write_all(text.as_bytes())).await;
    }
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
/// events that cannot be written are given up, those after them are tried anew.
pub async fn write_to(file: EventFile, (mut follower, clock): (Follower, Clock), end: impl Future) {
    let mut end = pin!(end);
    let mut time = TimeOfDay { clock, ahead_us: None };
    file.write(time.line()).await;
    loop {
        let batch = tokio::select! {
            batch = follower.next() => batch,
            _ = &mut end => break,
        };
        file.write(time.line() + &lines(&batch)).await;
    }
    let mut rest = follower.take();
    while rest.missed > 0 || !rest.events.is_empty() {
        file.write(lines(&rest)).await;
        rest = follower.take();
    }
}

fn lines(batch: &Batch) -> String {
    let mut text = String::new();
    if batch.missed > 0 {
        text.push_str(&format!("{{\"kind\":\"missed\",\"events\":{}}}\n", batch.missed));
    }
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
        let writer = tokio::spawn(write_to(file, (follower, Clock::system()), ended));
        events.report(7, Event::Drain);
        let text = || std::fs::read_to_string(&path).unwrap();
        while !text().ends_with("{\"ts_ns\":7,\"kind\":\"drain\"}\n") {
            tokio::task::yield_now().await;
        }
        events.report(8, Event::Drain);
        end.send(()).unwrap();
        writer.await.unwrap();
        let text = text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1..], ["{\"ts_ns\":7,\"kind\":\"drain\"}", "{\"ts_ns\":8,\"kind\":\"drain\"}"]);
        assert!(lines[0].contains("\"kind\":\"clock\",\"ts\":\"2"), "{text}");
    }
}
