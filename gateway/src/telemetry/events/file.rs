//! Events in a file, one JSON object a line, for who starts the process and cannot be there to listen.

use std::fs::File;
use std::future::Future;
use std::io;
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
use crate::threads;

/// The wall clock was set where it goes off the clock of events by more, microseconds.
const SET_US: u64 = 10_000;

/// A file that takes events.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: Arc<File>,
    /// Why it is told to fail.
    fails: Option<String>,
    /// It could not be opened anew when it should; that is tried again before what is written next.
    owes_renewal: bool,
    /// Events that are not in it since it was last written.
    lost: u64,
    /// It ends within a line: it took a part of one.
    is_torn: bool,
}

impl EventFile {
    /// Opens a file to be written to at its end.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(appended::open(path)?);
        Ok(Self { path: path.to_owned(), file, fails: None, owes_renewal: false, lost: 0, is_torn: false })
    }

    /// Writes lines behind how many events were lost before. What cannot be written is given up; that is said once.
    /// Whether all of it is written.
    async fn write(&mut self, lines: Lines) -> bool {
        if lines.text.is_empty() {
            return true;
        }
        let mut all = Lines::default();
        if self.is_torn {
            all.push("\n", 0);
        }
        all.push(&missed(self.lost), self.lost);
        all.append(lines);
        let (file, most) = (Arc::clone(&self.file), all.events_behind(0));
        let written = off_the_loop(move || {
            let (at, failed) = take(&*file, all.text.as_bytes());
            Ok((all.events_behind(at), all.is_torn_at(at), failed))
        });
        let (lost, is_torn, failed) = written.await.unwrap_or_else(|error| (most, None, Some(error)));
        self.lost = lost;
        self.is_torn = is_torn.unwrap_or(self.is_torn);
        let is_written = failed.is_none();
        // What was said of a renewal holds until there is one.
        if !is_written || !self.owes_renewal {
            self.tell(failed);
        }
        is_written
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
                // It may be the same one.
                self.is_torn &= !is_empty;
                is_empty
            }
            Err(error) => {
                self.tell(Some(error));
                false
            }
        }
    }

    fn tell(&mut self, failed: Option<io::Error>) {
        let why = failed.map(|error| error.to_string());
        if self.fails.is_some() != why.is_some() {
            notice::event_file(&Voice::StandardError, &self.path, why.as_deref());
        }
        self.fails = why;
    }
}

/// Writes to a file as far as it takes; how far that is, and why no further.
fn take(mut file: impl io::Write, text: &[u8]) -> (usize, Option<io::Error>) {
    let mut at = 0;
    while at < text.len() {
        match file.write(&text[at..]) {
            Ok(0) => return (at, Some(io::ErrorKind::WriteZero.into())),
            Ok(taken) => at += taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (at, Some(error)),
        }
    }
    (at, None)
}

async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    threads::off_the_loop(work).await?
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

/// Lines, and how many events are told by each, or said to be missed.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    events: Vec<u64>,
}

impl Lines {
    /// Adds a line with its end, if it is one.
    fn push(&mut self, line: &str, events: u64) {
        if !line.is_empty() {
            self.text.push_str(line);
            self.events.push(events);
        }
    }

    fn append(&mut self, others: Self) {
        self.text.push_str(&others.text);
        self.events.extend(others.events);
    }

    /// The events of the lines that are not whole within so many bytes.
    fn events_behind(&self, at: usize) -> u64 {
        let whole = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        self.events.iter().skip(whole).sum()
    }

    /// Whether so many bytes end within a line; `None` of none, which end nothing.
    fn is_torn_at(&self, at: usize) -> Option<bool> {
        Some(self.text.as_bytes()[at.checked_sub(1)?] != b'\n')
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
    say(&mut file, &mut time, &Batch::default()).await;
    follower.tell_of_file(&file.path, file.fails.as_deref());
    loop {
        let (batch, renews) = tokio::select! {
            batch = follower.next() => (Some(batch), file.owes_renewal || appended::is_gone(&file.file)),
            Ok(()) = renewals.changed() => (None, true),
            _ = &mut end => break,
        };
        if renews && file.renew().await {
            time.ahead_us = None;
        }
        say(&mut file, &mut time, &batch.unwrap_or_default()).await;
        follower.tell_of_file(&file.path, file.fails.as_deref());
    }
    loop {
        let rest = follower.take();
        if rest.missed > 0 || !rest.events.is_empty() {
            say(&mut file, &mut time, &rest).await;
        } else if follower.is_at_end() {
            break;
        }
    }
}

/// Writes a batch behind the time of day where that is due, which it is until it is written.
async fn say(file: &mut EventFile, time: &mut TimeOfDay, batch: &Batch) {
    let mut told = Lines::default();
    told.push(&time.line(), 0);
    told.append(lines(batch));
    if !file.write(told).await {
        time.ahead_us = None;
    }
}

/// The line that says how many events are not there; none where all are.
fn missed(events: u64) -> String {
    if events > 0 { format!("{{\"kind\":\"missed\",\"events\":{events}}}\n") } else { String::new() }
}

fn lines(batch: &Batch) -> Lines {
    let mut lines = Lines::default();
    lines.push(&missed(batch.missed), batch.missed);
    for event in &batch.events {
        lines.push(&(event.to_json() + "\n"), 1);
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::events::{Event, Events, Kinds};

    /// Lines of an event each.
    fn of(text: &str) -> Lines {
        Lines { text: text.to_owned(), events: vec![1; text.lines().count()] }
    }

    #[test]
    fn a_line_is_an_event_and_what_was_missed_is_said() {
        let event = Arc::new(super::super::Stamped { seq: 1, ts_ns: 5, event: Event::Drain });
        let batch = Batch { missed: 2, events: vec![event] };
        let told = lines(&batch);
        assert_eq!(told.text, "{\"kind\":\"missed\",\"events\":2}\n{\"ts_ns\":5,\"kind\":\"drain\"}\n");
        assert_eq!(told.events, [2, 1]);
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
        while !text().ends_with("{\"ts_ns\":8,\"kind\":\"drain\"}\n") {
            tokio::task::yield_now().await;
        }
        let before = text();
        let lines: Vec<&str> = before.lines().collect();
        assert_eq!(lines[1..], ["{\"ts_ns\":7,\"kind\":\"drain\"}", "{\"ts_ns\":8,\"kind\":\"drain\"}"]);
        assert!(lines[0].contains("\"kind\":\"clock\",\"ts\":\"2"), "{before}");
        // One that somebody has removed is made anew for what comes next.
        std::fs::remove_file(&path).unwrap();
        events.report(9, Event::Drain);
        let text = || std::fs::read_to_string(&path).unwrap_or_default();
        while !text().ends_with("{\"ts_ns\":9,\"kind\":\"drain\"}\n") {
            tokio::task::yield_now().await;
        }
        assert_eq!(text().lines().count(), 2, "behind the time of day: {}", text());
        end.send(()).unwrap();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn the_last_event_of_a_kind_is_written_that_stands_behind_many_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let events = Arc::new(Events::default());
        let kinds = Kinds::parse("drain").unwrap();
        let mut follower = events.follow(kinds, None);
        for _ in 0..600 {
            events.report(1, Event::ClockStep { stepped_ms: 1 });
        }
        events.report(7, Event::Drain);
        let (_renew, renewals) = watch::channel(());
        let file = EventFile::open(&path).unwrap();
        // The end comes before the first look.
        assert!(follower.take().events.is_empty() && !follower.is_at_end(), "others stand before it");
        write_to(file, (follower, Clock::system()), renewals, std::future::ready(())).await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("{\"ts_ns\":7,\"kind\":\"drain\"}\n"), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_is_put_aside_is_made_anew_and_begins_with_the_time_of_day() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let mut file = EventFile::open(&path).unwrap();
        file.write(of("{\"a\":1}\n")).await;
        std::fs::rename(&path, &aside).unwrap();
        assert!(file.renew().await, "an empty one");
        assert!(file.write(of("{\"a\":2}\n")).await);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((&*read(&aside), &*read(&path)), ("{\"a\":1}\n", "{\"a\":2}\n"));
        assert!(!file.renew().await, "the same one");
        // One that cannot be had leaves the old one in use.
        std::fs::rename(&path, folder.path().join("events.jsonl.2")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(!file.renew().await);
        file.write(of("{\"a\":3}\n")).await;
        assert!(file.fails.is_some() && file.owes_renewal, "it is not well by what the old one takes");
        assert_eq!(read(&folder.path().join("events.jsonl.2")), "{\"a\":2}\n{\"a\":3}\n");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_counted_in_front_of_what_can_be_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut file = EventFile::open(Path::new("/dev/full")).unwrap();
        assert!(!file.write(of("{}\n{}\n")).await);
        file.write(of("")).await;
        // What this follower missed is not there either; the time of day is no event.
        let missed = Lines { text: missed(500) + "{}\n{}\n", events: vec![500, 0, 1] };
        assert!(!file.write(missed).await);
        assert!(file.fails.is_some() && file.lost == 503 && !file.is_torn, "{}", file.lost);
        file.path.clone_from(&path);
        assert!(file.renew().await);
        file.write(of("{\"a\":1}\n")).await;
        assert!(file.fails.is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"kind\":\"missed\",\"events\":503}\n{\"a\":1}\n");
    }

    /// As a disk that becomes full takes it; here it is a socket whose buffer does.
    #[tokio::test]
    async fn a_line_that_was_torn_is_ended_and_counts_as_lost_and_those_before_it_do_not() {
        let (takes, mut seen) = UnixStream::pair().unwrap();
        for end in [&takes, &seen] {
            end.set_nonblocking(true).unwrap();
        }
        let mut file = EventFile::open(Path::new("/dev/null")).unwrap();
        file.file = Arc::new(File::from(OwnedFd::from(takes)));
        let long = format!("\"{}\"\n", "x".repeat(1 << 24));
        assert!(!file.write(of(&format!("{{}}\n{long}{{}}\n"))).await);
        assert!(file.is_torn && file.lost == 2, "{}", file.lost);
        let mut text = Vec::new();
        assert!(seen.read_to_end(&mut text).is_err(), "there may be more to come");
        assert!(file.write(of("{\"a\":1}\n")).await);
        assert!(!file.is_torn && file.lost == 0);
        assert!(seen.read_to_end(&mut text).is_err());
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0] == "{}" && lines[1].len() < long.len());
        assert_eq!(lines[2..], ["{\"kind\":\"missed\",\"events\":2}", "{\"a\":1}"]);
    }

    #[tokio::test]
    async fn a_time_of_day_that_could_not_be_written_is_said_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::open(Path::new("/dev/full")).unwrap();
        let mut time = TimeOfDay { clock: Clock::system(), ahead_us: None };
        say(&mut file, &mut time, &Batch::default()).await;
        file.path = folder.path().join("events.jsonl");
        file.renew().await;
        say(&mut file, &mut time, &Batch::default()).await;
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert!(text.contains("\"kind\":\"clock\""), "{text}");
        assert_eq!(text.lines().count(), 1, "and nothing is missed: {text}");
    }
}
