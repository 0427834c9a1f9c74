//! One request as it is written down: its access record, then what that leaves out.

use std::time::Instant;

use super::notes::{AttemptNote, MissingPart, Notes};
use crate::telemetry::json::{write_number, write_string};
use crate::telemetry::record::AccessRecord;

/// A rate limit that was asked.
#[derive(Debug, Clone, Copy)]
pub struct Consulted<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// `let_through`, `refused`, `would_refuse` (it only watches), `given_back` (another rule refused), or where its
    /// store does not answer `open` (everybody is let through meanwhile) or `store_down` (nobody is).
    pub decision: &'static str,
    /// Tokens that its bucket had afterwards; absent where nobody knows, as its store does not answer.
    pub remaining: Option<u64>,
    /// Where the tokens came from: `gateway`, `lease`, `store`, `share`; absent where none were taken.
    pub taken_from: Option<&'static str>,
}

/// What a request is written down with, beside its access record. Borrowed, as that.
#[derive(Debug)]
pub struct Details<'a> {
    /// Names of what it is of note for.
    pub wanted: &'a [&'static str],
    /// The configuration that it was served under.
    pub config_version: u64,
    /// The worker that served it.
    pub worker: usize,
    /// When its head had come; times are counted from here.
    pub started: Instant,
    /// `proven`, `refused`, or `none` where nobody was proven.
    pub identity: &'static str,
    /// The provider that proved who asks.
    pub provider: Option<&'a str>,
    /// Scopes that are granted.
    pub scopes: &'a [Box<str>],
    /// Limits that were asked, in their order.
    pub limits: &'a [Consulted<'a>],
    /// The attempt that is known without a note, where there is one.
    pub attempt: Option<AttemptNote>,
    /// When the upstream was turned to, when its head had come, and when the answer's head was handed on.
    pub times: [(&'static str, Option<Instant>); 3],
    /// Parts of an aggregate that are not in the answer.
    pub missing_parts: &'a [MissingPart],
    /// What was noted on the way.
    pub notes: Option<&'a Notes>,
    /// What was noted of calls that were made for it, or that it shared.
    pub calls: Option<&'a Notes>,
    /// Whether it began the call that it shared, or joined another one's.
    pub shared_call: Option<&'static str>,
}

impl Details<'_> {
    /// Writes the request as one JSON object.
    pub fn write(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        record.write(out);
        // The object goes on.
        out.truncate(out.len() - b"}\n".len());
        out.extend_from_slice(b",\"kinds\":");
        list(out, self.wanted.iter(), |out, kind| write_string(out, kind));
        number(out, ",\"config_version\":", self.config_version);
        number(out, ",\"worker\":", self.worker as u64);
        if let Some(sharing) = self.shared_call {
            text(out, ",\"shared_call\":", sharing);
        }
        if let Some(cause) = self.notes.and_then(|notes| notes.cause.as_deref()) {
            text(out, ",\"cause\":", cause);
        }
        self.write_identity(out);
        out.extend_from_slice(b",\"limits\":");
        list(out, self.limits.iter(), write_limit);
        out.extend_from_slice(b",\"times_us\":{");
        let mut comma = "";
        for (name, at) in self.times {
            if let Some(at) = at {
                out.extend_from_slice(comma.as_bytes());
                comma = ",";
                write_string(out, name);
                number(out, ":", self.since_start(at));
            }
        }
        out.push(b'}');
        if !self.missing_parts.is_empty() {
            out.extend_from_slice(b",\"missing_parts\":");
            list(out, self.missing_parts.iter(), write_missing_part);
        }
        self.write_attempts(out);
        self.write_fields(out);
        out.push(b'}');
    }

    fn write_identity(&self, out: &mut Vec<u8>) {
        text(out, ",\"identity\":{\"result\":", self.identity);
        if let Some(provider) = self.provider {
            text(out, ",\"provider\":", provider);
            out.extend_from_slice(b",\"scopes\":");
            list(out, self.scopes.iter(), |out, scope| write_string(out, scope));
        }
        out.push(b'}');
    }

    fn write_attempts(&self, out: &mut Vec<u8>) {
        let [own, calls] = [self.notes, self.calls].map(|notes| notes.map_or(&[][..], |notes| &notes.attempts[..]));
        out.extend_from_slice(b",\"exchanges\":");
        list(out, own.iter().chain(calls).chain(&self.attempt), |out, attempt| {
            text(out, "{\"upstream\":", &attempt.upstream);
            if let Some(part) = &attempt.part {
                text(out, ",\"part\":", part);
            }
            text(out, ",\"endpoint\":", &attempt.endpoint);
            if attempt.backup {
                out.extend_from_slice(b",\"backup\":true");
            }
            text(out, ",\"breaker\":", attempt.breaker);
            number(out, ",\"start_us\":", self.since_start(attempt.began));
            number(out, ",\"end_us\":", self.since_start(attempt.ended));
            text(out, ",\"outcome\":", attempt.outcome.as_str());
            if let Some(status) = attempt.status {
                number(out, ",\"status\":", u64::from(status));
            }
            if let Some(status) = attempt.grpc_status {
                number(out, ",\"grpc_status\":", u64::from(status));
            }
            if attempt.replayed {
                out.extend_from_slice(b",\"replayed\":true");
            }
            out.push(b'}');
        });
        let left_out: u32 = [self.notes, self.calls].into_iter().flatten().map(|notes| notes.attempts_left_out).sum();
        if left_out > 0 {
            number(out, ",\"exchanges_left_out\":", u64::from(left_out));
        }
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        let fields = |name: &str, part: Option<&str>, fields: &[u8], out: &mut Vec<u8>| {
            if !fields.is_empty() {
                out.push(b',');
                write_string(out, name);
                out.extend_from_slice(b":{");
                if let Some(part) = part {
                    text(out, "\"part\":", part);
                    out.push(b',');
                }
                out.extend_from_slice(b"\"headers\":");
                out.extend_from_slice(fields);
                out.push(b'}');
            }
        };
        let noted = |of: fn(&Notes) -> &[u8]| self.notes.map_or(&[][..], of);
        fields("received", None, noted(|notes| &notes.received), out);
        match self.calls.filter(|calls| !calls.sent.is_empty()) {
            Some(calls) => fields("sent", calls.sent_for.as_deref(), &calls.sent, out),
            None => fields("sent", None, noted(|notes| &notes.sent), out),
        }
        fields("answered", None, noted(|notes| &notes.answered), out);
    }

    fn since_start(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }
}

fn write_limit(out: &mut Vec<u8>, limit: &Consulted<'_>) {
    text(out, "{\"rule\":", limit.rule);
    text(out, ",\"decision\":", limit.decision);
    if let Some(remaining) = limit.remaining {
        number(out, ",\"remaining\":", remaining);
    }
    if let Some(place) = limit.taken_from {
        text(out, ",\"taken_from\":", place);
    }
    out.push(b'}');
}

fn write_missing_part(out: &mut Vec<u8>, part: &MissingPart) {
    text(out, "{\"part\":", &part.part);
    text(out, ",\"result\":", part.result.as_str());
    if let Some(place) = part.in_its_place {
        text(out, ",\"in_its_place\":", place);
    }
    if let Some(why) = &part.why {
        text(out, ",\"why\":", why);
    }
    out.push(b'}');
}

fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    write_string(out, value);
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    write_number(out, value);
}
