//! Events in a file, one JSON object a line, for who starts the process and cannot be there to listen.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use super::bus::{Batch, Follower};

/// A file that takes events.
#[derive(Debug)]
pub struct EventFile(Arc<File>);

impl EventFile {
    /// Opens a file to be written to at its end.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(file)))
    }

    async fn write(&self, batch: &Batch) {
        let (text, file) = (lines(batch), Arc::clone(&self.0));
        let _ = tokio::task::spawn_blocking(move || (&*file).write_all(text.as_bytes())).await;
    }
}

/// Writes what the follower sees until `end`, and what is there then. The disk is waited for on a thread of its own;
/// events that cannot be written are given up, those after them are tried anew.
pub async fn write_to(file: EventFile, mut follower: Follower, end: impl Future) {
    let mut end = pin!(end);
    loop {
        let batch = tokio::select! {
            batch = follower.next() => batch,
            _ = &mut end => break,
        };
        file.write(&batch).await;
    }
    let mut rest = follower.take();
    while rest.missed > 0 || !rest.events.is_empty() {
        file.write(&rest).await;
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
    use super::*;
    use crate::telemetry::events::{Event, Events, Kinds};

    #[test]
    fn a_line_is_an_event_and_what_was_missed_is_said() {
        let event = Arc::new(super::super::Stamped { seq: 1, ts_ns: 5, event: Event::Drain });
        let batch = Batch { missed: 2, events: vec![event] };
        assert_eq!(lines(&batch), "{\"kind\":\"missed\",\"events\":2}\n{\"ts_ns\":5,\"kind\":\"drain\"}\n");
    }

    #[tokio::test]
    async fn events_come_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let events = Arc::new(Events::default());
        let follower = events.follow(Kinds::rare(), None);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let writer = tokio::spawn(write_to(EventFile::open(&path).unwrap(), follower, ended));
        events.report(7, Event::Drain);
        while std::fs::read_to_string(&path).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        events.report(8, Event::Drain);
        end.send(()).unwrap();
        writer.await.unwrap();
        let (first, last) = ("{\"ts_ns\":7,\"kind\":\"drain\"}\n", "{\"ts_ns\":8,\"kind\":\"drain\"}\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{first}{last}"));
    }
}
