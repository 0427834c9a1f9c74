//! The rules of the module above, one story each.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use super::*;
use crate::config::settings::telemetry::LogOutput;

/// Longer than anything here can take; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(output: LogOutput, queue: usize) -> settings::telemetry::AccessLog {
    settings::telemetry::AccessLog { output, sample: 1.0, queue }
}

fn submit(log: &AccessLog, worker: usize, number: usize) {
    let path = format!("/{worker}/{number}");
    log.submit(worker, &AccessRecord::new(0, b"id", "::1", "GET", &path, 200));
}

/// The paths of whole, well-formed lines.
fn paths(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'));
    let path =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
    text.lines().map(path).collect()
}

fn through_a_pipe(queue: usize, workers: usize) -> (AccessLog, io::PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let sink = Sink::of(File::from(OwnedFd::from(writer)));
    (AccessLog::with_sink(&settings(LogOutput::Stdout, queue), workers, Some(sink)).unwrap(), reader)
}

#[test]
fn every_line_of_every_worker_is_written_whole_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let log = AccessLog::start(&settings(LogOutput::File(file.clone()), 100_000), 3).unwrap();
    thread::scope(|scope| {
        for worker in 0..3 {
            let log = &log;
            scope.spawn(move || (0..5_000).for_each(|number| submit(log, worker, number)));
        }
    });
    assert!(log.flush(PATIENCE));
    let paths = paths(&fs::read_to_string(&file).unwrap());
    assert_eq!((paths.len(), log.dropped(), log.write_failures()), (15_000, 0, 0));
    for worker in 0..3 {
        let prefix = format!("/{worker}/");
        let numbers: Vec<usize> =
            paths.iter().filter_map(|path| path.strip_prefix(&prefix)).map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, (0..5_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_disk_stops_no_worker_and_loses_no_queued_line() {
    let directory = tempfile::tempdir().unwrap();
    let healed = directory.path().join("healed.log");
    let log = AccessLog::start(&settings(LogOutput::File("/dev/full".into()), 10), 1).unwrap();
    for number in 0..25 {
        submit(&log, 0, number);
    }
    assert_eq!(log.dropped(), 15);
    assert!(!log.flush(Duration::from_millis(1)));
    log.reconfigure(&settings(LogOutput::File(healed.clone()), 10)).unwrap();
    assert!(log.flush(PATIENCE));
    let expected: Vec<_> = (0..10).map(|number| format!("/0/{number}")).collect();
    assert_eq!(paths(&fs::read_to_string(healed).unwrap()), expected);
}

#[test]
fn a_blocked_pipe_stops_no_worker_and_drops_are_counted() {
    let (log, mut reader) = through_a_pipe(1_000, 2);
    // Far more than a pipe holds; nobody reads.
    for number in 0..20_000 {
        submit(&log, number % 2, number);
    }
    let dropped = log.dropped();
    assert!(dropped >= 10_000, "{dropped}");
    assert!(!log.flush(Duration::from_millis(1)));
    // Now somebody does: all that was not dropped arrives.
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(log.flush(PATIENCE));
    drop(log);
    let paths = paths(&reading.join().unwrap());
    assert_eq!(paths.len() as u64 + dropped, 20_000);
}

#[test]
fn a_reader_that_died_stops_no_worker() {
    let (log, reader) = through_a_pipe(5, 1);
    drop(reader);
    for number in 0..8 {
        submit(&log, 0, number);
    }
    assert_eq!(log.dropped(), 3);
    assert!(!log.flush(Duration::from_millis(1)));
}

#[test]
fn a_rotated_file_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, old) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let log = AccessLog::start(&settings(LogOutput::File(file.clone()), 100), 1).unwrap();
    submit(&log, 0, 1);
    assert!(log.flush(PATIENCE));
    fs::rename(&file, &old).unwrap();
    log.reopen();
    // The writer obeys before it writes what waits.
    submit(&log, 0, 2);
    assert!(log.flush(PATIENCE));
    assert_eq!(paths(&fs::read_to_string(&old).unwrap()), ["/0/1"]);
    assert_eq!(paths(&fs::read_to_string(&file).unwrap()), ["/0/2"]);
}

#[test]
fn a_file_that_was_removed_is_made_anew_at_the_next_look_and_where_it_cannot_be_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("logs");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("access.log");
    let log = AccessLog::start(&settings(LogOutput::File(file.clone()), 100), 1).unwrap();
    submit(&log, 0, 1);
    assert!(log.flush(PATIENCE));
    log.look();
    submit(&log, 0, 2);
    assert!(log.flush(PATIENCE));
    assert_eq!(paths(&fs::read_to_string(&file).unwrap()), ["/0/1", "/0/2"], "it is there");
    fs::remove_file(&file).unwrap();
    log.look();
    while !file.exists() {
        thread::yield_now();
    }
    submit(&log, 0, 3);
    assert!(log.flush(PATIENCE));
    assert_eq!((paths(&fs::read_to_string(&file).unwrap()), log.is_failing()), (vec!["/0/3".to_owned()], false));
    fs::remove_dir_all(&folder).unwrap();
    log.look();
    while !log.is_failing() {
        thread::yield_now();
    }
    submit(&log, 0, 4);
    assert!(log.flush(PATIENCE), "into the file that has no name");
    assert!(log.is_failing() && log.last_failure().unwrap().detail.contains("its folder has to be there"));
    fs::create_dir(&folder).unwrap();
    while log.is_failing() {
        thread::yield_now();
    }
    submit(&log, 0, 5);
    assert!(log.flush(PATIENCE));
    assert_eq!(paths(&fs::read_to_string(&file).unwrap()), ["/0/5"]);
}

#[test]
fn a_reload_changes_the_output_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    assert!(AccessLog::start(&settings(LogOutput::File(directory.path().join("no/such")), 100), 1).is_err());
    let log = AccessLog::start(&settings(LogOutput::File(first.clone()), 100), 1).unwrap();
    submit(&log, 0, 1);
    assert!(log.flush(PATIENCE));
    assert!(log.reconfigure(&settings(LogOutput::File(directory.path().join("no/such")), 100)).is_err());
    submit(&log, 0, 2);
    assert!(log.flush(PATIENCE));
    log.reconfigure(&settings(LogOutput::File(second.clone()), 1)).unwrap();
    submit(&log, 0, 3);
    assert!(log.flush(PATIENCE));
    assert_eq!(paths(&fs::read_to_string(first).unwrap()), ["/0/1", "/0/2"]);
    assert_eq!(paths(&fs::read_to_string(second).unwrap()), ["/0/3"]);
}

#[test]
fn a_log_that_is_off_can_be_turned_on_and_off_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let log = AccessLog::start(&settings(LogOutput::Off, 100), 1).unwrap();
    assert!(!log.is_on() && !log.wants(500, 0));
    log.reconfigure(&settings(LogOutput::File(file.clone()), 100)).unwrap();
    assert!(log.is_on() && log.wants(200, u64::MAX));
    submit(&log, 0, 1);
    assert!(log.flush(PATIENCE));
    log.reconfigure(&settings(LogOutput::Off, 100)).unwrap();
    assert!(!log.wants(200, 0));
    // A line that a request had already decided to write is dropped and counted.
    submit(&log, 0, 2);
    assert!(log.flush(PATIENCE));
    assert_eq!(log.dropped(), 1);
    assert_eq!(paths(&fs::read_to_string(file).unwrap()), ["/0/1"]);
}

#[test]
fn what_waits_is_written_when_the_log_is_let_go() {
    let (log, mut reader) = through_a_pipe(100, 1);
    submit(&log, 0, 1);
    drop(log);
    // The writer ends, and with it its end of the pipe.
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(paths(&text), ["/0/1"]);
}

#[test]
fn a_kept_log_holds_its_lines_until_they_are_taken() {
    let log = AccessLog::kept(&settings(LogOutput::Stdout, 4), 2);
    for number in 0..3 {
        submit(&log, number % 2, number);
    }
    assert_eq!(paths(&String::from_utf8(log.take()).unwrap()), ["/0/0", "/0/2", "/1/1"]);
    assert!(log.take().is_empty());
    log.reconfigure(&settings(LogOutput::File("/nowhere/access.log".into()), 2)).unwrap();
    for number in 0..3 {
        submit(&log, 0, number);
    }
    assert_eq!((paths(&String::from_utf8(log.take()).unwrap()).len(), log.dropped()), (1, 2));
}

#[test]
fn a_program_takes_records_whatever_the_settings_say_of_an_output() {
    let (taken, takes) = std::sync::mpsc::sync_channel(10);
    let program = TakesRecords::new(move |record| {
        taken.send(record.json().to_owned()).unwrap();
        assert!(!record.json().contains("/0/1"), "a bug in the program");
    });
    let log = AccessLog::start_for(Some(&program), &settings(LogOutput::Off, 100), 1).unwrap();
    let nowhere = settings(LogOutput::File("/no/such/folder/log".into()), 100);
    for (number, settings) in [settings(LogOutput::Off, 100), nowhere].iter().enumerate() {
        assert!(log.is_on());
        submit(&log, 0, number);
        assert_eq!(paths(&format!("{}\n", takes.recv_timeout(PATIENCE).unwrap())), [format!("/0/{number}")]);
        log.reconfigure(settings).unwrap();
    }
    log.reopen();
    submit(&log, 0, 2);
    assert_eq!(paths(&format!("{}\n", takes.recv_timeout(PATIENCE).unwrap())), ["/0/2"], "after a panic too");
    assert_eq!((log.dropped(), log.write_failures()), (0, 0));
}
