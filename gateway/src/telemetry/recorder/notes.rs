//! What is noted of a request while it is under way, since it would be gone at its end.

use std::sync::Arc;
use std::time::Instant;

use crate::telemetry::json::write_escaped;
use crate::telemetry::metrics::{AttemptOutcome, PartResult};

/// Attempts of one request that are noted; more are counted.
const MOST_ATTEMPTS: usize = 32;
/// Fields of one head that are noted, and the bytes that they may take.
const MOST_FIELDS: usize = 64;
const MOST_FIELD_BYTES: usize = 4096;
/// The longest piece of a name or a value that is noted.
const MOST_TEXT: usize = 128;

/// Fields whose values say nothing of who somebody is or what they may do. Of all others only the name is kept.
const HARMLESS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "retry-after",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A part that an answer is without.
#[derive(Debug, Clone)]
pub struct MissingPart {
    /// Its name.
    pub part: Arc<str>,
    /// What became of it.
    pub result: PartResult,
    /// Why, as operators may know it; absent while too much is going on to say it.
    pub why: Option<Box<str>>,
    /// `fallback` or `null`; absent where there is no answer, or none that is whole.
    pub in_its_place: Option<&'static str>,
}

/// One exchange with an endpoint.
#[derive(Debug, Clone)]
pub struct AttemptNote {
    /// The part of the answer that it was made for, where that has several.
    pub part: Option<Arc<str>>,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    /// It is a backup.
    pub backup: bool,
    /// What its breaker was.
    pub breaker: &'static str,
    /// When it began.
    pub began: Instant,
    /// When it came to its outcome: the answer's head, or none.
    pub ended: Instant,
    /// What it came to.
    pub outcome: AttemptOutcome,
    /// The answer's status, where there was one.
    pub status: Option<u16>,
    /// The status of gRPC in the head of the answer.
    pub grpc_status: Option<u8>,
    /// A pooled connection had been closed, and the request went out again on a new one.
    pub replayed: bool,
}

/// What was noted of one request.
#[derive(Debug, Default)]
pub struct Notes {
    /// Exchanges with endpoints that have ended, in that order.
    pub attempts: Vec<AttemptNote>,
    /// Of a call that several wait for, whom it asked last, from the beginning of that attempt on.
    pub asked: Option<Asked>,
    /// Attempts beyond those.
    pub attempts_left_out: u32,
    /// Fields as the client sent them, where the request went no further; a JSON list, as the next two.
    pub received: Vec<u8>,
    /// Fields that the upstream was sent last.
    pub sent: Vec<u8>,
    /// The part that these were sent for.
    pub sent_for: Option<Arc<str>>,
    /// Fields that the client was answered.
    pub answered: Vec<u8>,
    /// Why there was a problem, as operators may know it.
    pub cause: Option<Box<str>>,
}

impl Notes {
    /// One more attempt. Where there are too many, those that failed push out those that were good.
    pub fn attempt(&mut self, attempt: AttemptNote) {
        if self.attempts.len() >= MOST_ATTEMPTS {
            self.attempts_left_out += 1;
            let is_good = |it: &AttemptNote| it.outcome == AttemptOutcome::Ok;
            match self.attempts.iter().position(is_good).filter(|_| !is_good(&attempt)) {
                Some(good) => drop(self.attempts.remove(good)),
                None => return,
            }
        }
        self.attempts.push(attempt);
    }
}

/// Who a call asks whose answer several wait for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Another upstream is asked in place of the route's own.
    pub stands_in: bool,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    /// What its breaker was.
    pub breaker: Option<&'static str>,
}

/// Fields of a head as a JSON list: their names, and the values of those that are harmless.
pub fn fields<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (count, (name, value)) in fields.enumerate() {
        if out.len() > 1 {
            out.push(b',');
        }
        if count == MOST_FIELDS || out.len() > MOST_FIELD_BYTES {
            out.extend_from_slice(b"{\"more\":true}");
            break;
        }
        out.extend_from_slice(b"{\"name\":\"");
        write_escaped(&mut out, cut(name));
        if HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless.as_bytes())) {
            out.extend_from_slice(b"\",\"value\":\"");
            write_escaped(&mut out, cut(value));
        }
        out.extend_from_slice(b"\"}");
    }
    out.push(b']');
    out
}

fn cut(text: &[u8]) -> &[u8] {
    &text[..text.len().min(MOST_TEXT)]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;

    fn read(given: &[(&str, &str)]) -> Value {
        let bytes = fields(given.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn values_are_kept_of_harmless_fields_alone() {
        let given = [
            ("Content-Type", "text/\"plain\""),
            ("authorization", "Bearer secret"),
            ("cookie", "session=secret"),
            ("set-cookie", "session=secret"),
            ("x-api-key", "secret"),
            ("location", "/?token=secret"),
            ("referer", "http://a/?token=secret"),
            ("x-forwarded-uri", "/?token=secret"),
            ("user-agent", "secret"),
        ];
        let shown = read(&given);
        assert_eq!(shown[0], json!({ "name": "Content-Type", "value": "text/\"plain\"" }));
        assert_eq!(shown[1], json!({ "name": "authorization" }));
        assert_eq!(shown.as_array().unwrap().len(), given.len());
        assert!(!shown.to_string().contains("secret"), "{shown}");
    }

    #[test]
    fn whatever_comes_the_list_is_bounded_and_says_that_it_is_cut() {
        let many: Vec<(String, &str)> = (0..500).map(|number| (format!("x-{number}"), "v")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
        let shown = read(&many);
        assert_eq!(shown.as_array().unwrap().len(), MOST_FIELDS + 1);
        assert_eq!(shown[MOST_FIELDS], json!({ "more": true }));
        let long = "\u{1}".repeat(60_000);
        let shown = read(&[("accept", &*long); 60]);
        assert!(shown.to_string().len() < 2 * MOST_FIELD_BYTES, "{}", shown.to_string().len());
        assert_eq!(read(&[]), json!([]));
    }

    #[test]
    fn attempts_are_bounded_and_the_rest_is_counted() {
        let (mut notes, now) = (Notes::default(), Clock::system().now());
        let attempt = |outcome| AttemptNote {
            part: None,
            upstream: "u".into(),
            endpoint: "e".into(),
            backup: false,
            breaker: "closed",
            began: now,
            ended: now,
            outcome,
            status: None,
            grpc_status: None,
            replayed: false,
        };
        for _ in 0..MOST_ATTEMPTS + 3 {
            notes.attempt(attempt(AttemptOutcome::Ok));
        }
        assert_eq!((notes.attempts.len(), notes.attempts_left_out), (MOST_ATTEMPTS, 3));
        notes.attempt(attempt(AttemptOutcome::Connect));
        assert_eq!((notes.attempts.len(), notes.attempts_left_out), (MOST_ATTEMPTS, 4));
        assert_eq!(notes.attempts.last().map(|it| it.outcome), Some(AttemptOutcome::Connect), "it is the one of note");
        for _ in 0..MOST_ATTEMPTS {
            notes.attempt(attempt(AttemptOutcome::Reset));
        }
        assert_eq!(notes.attempts[0].outcome, AttemptOutcome::Connect, "the first that failed stay");
    }
}
