//! Samples lie where they belong, and the log reads back what was recorded.

use std::collections::BTreeMap;

use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;

fn sample(intended_ns: u64, end_ns: u64, status: u16, outcome: Outcome) -> Sample {
    Sample {
        template: 0,
        intended_ns,
        sent_ns: intended_ns + 10,
        head_ns: end_ns,
        end_ns,
        status,
        body_bytes: 5,
        outcome,
        failure: None,
        residence_ns: Some(20),
        endpoint: Some(9001),
        refusal: None,
    }
}

fn window(name: &str, from_ns: u64, until_ns: u64) -> Window {
    Window { name: name.to_owned(), from_ns, until_ns }
}

#[test]
fn samples_belong_to_the_phase_of_their_intended_time() {
    let mut recorder = Recorder::new("before", 1_000);
    recorder.begin_phase("fault_1", 2_000);
    recorder.sample(&sample(999, 5_000, 200, Outcome::Ok)); // warm-up
    recorder.sample(&sample(1_999, 9_000, 200, Outcome::Ok)); // ends in the fault, was meant before it
    recorder.sample(&sample(2_000, 2_100, 503, Outcome::Rejected));
    recorder.dropped(2_001);
    let [before, fault] = recorder.phases() else { panic!("two phases") };
    assert_eq!((before.ok, before.latency.len(), before.latency.max()), (1, 1, 7_003), "three digits: 7001");
    assert_eq!((fault.rejected, fault.dropped, fault.status[&503]), (1, 1, 1));
    assert_eq!((fault.added.max(), fault.first_byte.max()), (70, 90));
    assert_eq!(fault.success_ratio(), Some(0.0));
    assert_eq!(Recorder::new("steady", 0).phases()[0].success_ratio(), None, "of nothing there is no share");
    let all = recorder.merged("all");
    assert_eq!((all.requests(), all.latency.len(), all.endpoints[&(9001, 200)]), (2, 2, 1));
    assert_eq!(recorder.intended_span_ns(), 2_001 - 1_999, "the drop is the last, and the warm-up is left out");
    recorder.sample(&sample(1_500, 9_500, 200, Outcome::Ok));
    assert_eq!(recorder.intended_span_ns(), 2_001 - 1_500, "the first to be sent need not be the first to end");
}

#[test]
fn windows_are_phases_and_the_rest_is_one_too() {
    let windows = [window("fault", 2_000, 3_000), window("healed", 3_000, 4_000), window("fault", 6_000, 7_000)];
    let mut recorder = Recorder::with_windows(&windows, 1_000).unwrap();
    for intended_ns in [999, 1_000, 2_000, 2_999, 3_000, 4_000, 5_999, 6_000, 7_000, 9_000_000] {
        recorder.sample(&sample(intended_ns, intended_ns + 50, 200, Outcome::Ok));
    }
    let counts: Vec<_> = recorder.phases().iter().map(|phase| (phase.name.as_str(), phase.ok)).collect();
    assert_eq!(counts, [(REST, 5), ("fault", 3), ("healed", 1)]);
    // A window that begins in the warm-up begins with what is measured.
    let recorder = Recorder::with_windows(&[window("a", 0, 1_500), window("b", 1_500, 2_000)], 1_000).unwrap();
    assert_eq!(recorder.phases().iter().map(|phase| phase.from_ns).collect::<Vec<_>>(), [1_000, 1_500, 2_000]);
    // One that the warm-up leaves nothing of is no phase, and its successor has its own requests.
    let names = |windows: &[Window]| {
        let mut recorder = Recorder::with_windows(windows, 1_000).unwrap();
        recorder.sample(&sample(1_200, 1_250, 200, Outcome::Ok));
        recorder.phases().iter().map(|phase| (phase.name.clone(), phase.ok)).collect::<Vec<_>>()
    };
    let both = [window("a", 0, 500), window("b", 500, 2_000)];
    assert_eq!(names(&both), [("b".to_owned(), 1), (REST.to_owned(), 0)]);
    assert_eq!(names(&both[..1]), [(REST.to_owned(), 1)]);
    assert_eq!(names(&[window("a", 0, 1_000)]), [(REST.to_owned(), 1)], "it ends with the warm-up");
}

#[test]
fn windows_that_are_no_phases_are_refused() {
    let empty = Recorder::with_windows(&[window("a", 5, 5)], 0);
    assert_eq!(empty.err(), Some(WindowError::Empty("a".to_owned())));
    let both = Recorder::with_windows(&[window("b", 5, 9), window("a", 0, 6)], 0);
    assert_eq!(both.err(), Some(WindowError::Overlap("a".to_owned(), "b".to_owned())));
}

#[test]
fn the_hdr_log_reads_back_what_was_recorded() {
    let mut recorder = Recorder::new("before", 0);
    for millis in 1..=2_000 {
        recorder.sample(&sample(millis * 1_000_000, millis * 1_700_000, 200, Outcome::Ok));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hlog");
    recorder.write_hdr_log(&path).unwrap();
    let text = std::fs::read(&path).unwrap();
    let mut read: BTreeMap<String, Vec<Histogram<u64>>> = BTreeMap::new();
    for entry in IntervalLogIterator::new(&text) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = decode_base64(interval.encoded_histogram().as_bytes());
            let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            read.entry(interval.tag().unwrap().as_str().to_owned()).or_default().push(histogram);
        }
    }
    assert_eq!(read["before.latency"], [recorder.phases()[0].latency.clone()]);
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        ["before.added", "before.first_byte", "before.latency", "before.service", "second"]
    );
    // The seconds are all that there is, cut up.
    let mut seconds = read["second"][0].clone();
    assert_eq!((read["second"].len(), seconds.len()), (3, 999));
    seconds.add(&read["second"][1]).unwrap();
    seconds.add(&read["second"][2]).unwrap();
    assert_eq!(seconds, recorder.phases()[0].latency);
}

/// RFC 4648, section 4; only for what this test reads back.
fn decode_base64(text: &[u8]) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = text.iter().filter_map(|byte| alphabet.iter().position(|known| known == byte));
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for sextet in sextets {
        (bits, count) = (bits << 6 | sextet as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
