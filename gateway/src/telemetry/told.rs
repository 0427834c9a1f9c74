//! What the program around the gateway is told, in place of standard error and standard output: events and access
//! records, each with the JSON text that operators know.
//!
//! The program's code is called beside requests, never on a request's way. A panic of it costs that one call.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Value, json};

use super::events::{Batch, Follower};
use crate::clock::Clock;

/// Something that happened: what `GET /events` of the admin API tells, and what `gateway run` says on standard error
/// beside.
///
/// Its text is one JSON object, which begins with `ts_ns` (nanoseconds of the machine's monotonic clock) and `kind`;
/// what else a kind has is in docs/operating.md. Its [`Display`](fmt::Display) is that text.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    kind: &'a str,
    json: &'a str,
}

impl<'a> Event<'a> {
    /// What it is about, as `breaker`, `health`, `reload`, `drain`, `keys`; `warning` of the configuration; `missed`
    /// where events came faster than they were taken.
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// All of it, as one line of JSON.
    pub fn json(&self) -> &'a str {
        self.json
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json)
    }
}

/// A request's access record, as the access log has it: one JSON object without a line end. Fields are added to it, and
/// keep their names and meanings; docs/operating.md lists them. Its [`Display`](fmt::Display) is that text.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    json: &'a str,
}

impl<'a> Record<'a> {
    /// All of it, as one line of JSON.
    pub fn json(&self) -> &'a str {
        self.json
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json)
    }
}

/// The program's code that takes events.
#[derive(Clone)]
pub struct TakesEvents(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl TakesEvents {
    pub(crate) fn new(take: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    fn tell(&self, kind: &str, json: &str) {
        // The process's own hook says where it was; nobody here waits for what it came to.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(&Event { kind, json })));
    }

    /// Tells what no event of the gateway's own tells: its fields, behind time and kind.
    pub(super) fn tell_of(&self, kind: &str, fields: Value) {
        let clock = Clock::system();
        let mut told = json!({ "ts_ns": clock.monotonic_ns(clock.now()), "kind": kind });
        if let (Value::Object(told), Value::Object(fields)) = (&mut told, fields) {
            told.extend(fields.into_iter().filter(|(name, _)| name != "kind" && name != "ts_ns"));
        }
        self.tell(kind, &told.to_string());
    }

    fn tell_batch(&self, batch: &Batch) {
        if batch.missed > 0 {
            self.tell_of("missed", json!({ "events": batch.missed }));
        }
        for event in &batch.events {
            self.tell(event.event.kind().as_str(), &event.to_json());
        }
    }
}

impl fmt::Debug for TakesEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakesEvents")
    }
}

/// The program's code that takes access records.
#[derive(Clone)]
pub struct TakesRecords(Arc<dyn Fn(&Record<'_>) + Send + Sync>);

impl TakesRecords {
    pub(crate) fn new(take: impl Fn(&Record<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands over lines, each with its end.
    pub(super) fn take(&self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let json = String::from_utf8_lossy(line);
            let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(&Record { json: &json })));
        }
    }
}

impl fmt::Debug for TakesRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakesRecords")
    }
}

/// Where goes what the gateway says of itself.
#[derive(Debug, Clone, Default)]
pub enum Voice {
    /// To standard error, as that of `gateway run`.
    #[default]
    StandardError,
    /// To the program around the gateway, if that takes it.
    Program(Option<TakesEvents>),
}

/// Tells a program what the follower sees, for as long as the gateway is there.
pub(crate) async fn tell(mut follower: Follower, to: TakesEvents) {
    loop {
        to.tell_batch(&follower.next().await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::telemetry::events::{self, Stamped};

    #[test]
    fn an_event_is_told_with_its_kind_and_text_and_a_panic_costs_one_call() {
        let heard = Arc::new(Mutex::new(Vec::<(String, String)>::new()));
        let into = Arc::clone(&heard);
        let takes = TakesEvents::new(move |event| {
            into.lock().unwrap().push((event.kind().to_owned(), event.to_string()));
            assert_ne!(event.kind(), "missed", "a bug in the program");
        });
        let event = Arc::new(Stamped { seq: 1, ts_ns: 5, event: events::Event::Drain });
        takes.tell_batch(&Batch { missed: 2, events: vec![event] });
        let heard = heard.lock().unwrap();
        assert_eq!(heard[1], ("drain".to_owned(), r#"{"ts_ns":5,"kind":"drain"}"#.to_owned()));
        assert!(heard[0].1.starts_with("{\"ts_ns\":") && heard[0].1.ends_with(",\"kind\":\"missed\",\"events\":2}"));
    }

    #[test]
    fn records_come_one_by_one_without_their_line_ends() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&taken);
        let takes = TakesRecords::new(move |record| into.lock().unwrap().push(record.json().to_owned()));
        takes.take(b"{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(*taken.lock().unwrap(), ["{\"a\":1}", "{\"a\":2}"]);
    }
}
