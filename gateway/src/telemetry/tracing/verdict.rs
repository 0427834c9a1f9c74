//! What a collector's answer means (OpenTelemetry Protocol specification, "OTLP/HTTP Response" and "OTLP/gRPC
//! Response"). Pure.

use std::time::Duration;

use prost::Message as _;

use super::message::{Any, RetryInfo, Status, TracesAnswer};

/// The longest reason that is told, bytes.
const MOST_REASON: usize = 200;
/// What a collector may ask to be left alone for, at most.
const LONGEST: Duration = Duration::from_secs(300);

/// What became of spans that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They were taken, but for so many, for this reason.
    Taken {
        /// Spans that were not.
        rejected: u64,
        /// Why.
        why: String,
    },
    /// They will never be.
    Refused(String),
    /// They may be when they are sent again.
    Later {
        /// Not before.
        after: Option<Duration>,
        /// Why not now.
        why: String,
    },
}

impl Verdict {
    /// All were taken.
    pub(super) const WHOLE: Self = Self::Taken { rejected: 0, why: String::new() };

    /// Nobody answered.
    pub(super) fn unanswered(why: impl Into<String>) -> Self {
        Self::Later { after: None, why: told(&why.into()) }
    }

    /// What an answer over HTTP means: status, `Retry-After`, body.
    pub(super) fn of_http(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let why = || {
            let detail = Status::decode(body).map(|status| status.message).unwrap_or_default();
            let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
            told(&format!("it answered {status}{detail}"))
        };
        match status {
            200..300 => Self::taken(body),
            429 | 502 | 503 | 504 => Self::Later { after: retry_after.map(bounded), why: why() },
            _ => Self::Refused(why()),
        }
    }

    /// It answered as if all were well, with what no collector answers with.
    pub(super) fn strange(status: u16, kind: &str) -> Self {
        Self::Refused(told(&format!("it answered {status} with {kind}: is that a collector?")))
    }

    /// What a call of gRPC came to: its status, message and details, and the message that was answered.
    pub(super) fn of_grpc(status: u32, message: &str, details: &[u8], body: &[u8]) -> Self {
        let message = if message.is_empty() { String::new() } else { format!(": {message}") };
        let why = told(&format!("it answered with the status {status}{message}"));
        let after = retry_info(details);
        match status {
            0 => Self::taken(body),
            // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
            1 | 4 | 10 | 11 | 14 | 15 => Self::Later { after, why },
            // Resource exhausted: only where it says when there will be some again.
            8 if after.is_some() => Self::Later { after, why },
            _ => Self::Refused(why),
        }
    }

    /// The same, told with where that was.
    pub(super) fn at(self, place: &str) -> Self {
        let there = |why: String| format!("{place}: {why}");
        match self {
            Self::Taken { rejected, why } if rejected > 0 => Self::Taken { rejected, why: there(why) },
            taken @ Self::Taken { .. } => taken,
            Self::Refused(why) => Self::Refused(there(why)),
            Self::Later { after, why } => Self::Later { after, why: there(why) },
        }
    }

    fn taken(body: &[u8]) -> Self {
        // What cannot be read says nothing against the spans.
        let Some(partial) = TracesAnswer::decode(body).ok().and_then(|answer| answer.partial_success) else {
            return Self::WHOLE;
        };
        match u64::try_from(partial.rejected_spans) {
            Ok(rejected) if rejected > 0 => {
                let why = told(&format!("it rejected {rejected} spans: {}", partial.error_message));
                Self::Taken { rejected, why }
            }
            // A message alone is a hint, and all spans were taken.
            _ => Self::WHOLE,
        }
    }
}

/// How long a collector wants to be left alone, as it says in the details of a status (google.rpc.RetryInfo).
fn retry_info(details: &[u8]) -> Option<Duration> {
    let is_it = |any: &Any| any.type_url.ends_with("/google.rpc.RetryInfo");
    let any = Status::decode(details).ok()?.details.into_iter().find(is_it)?;
    let delay = RetryInfo::decode(&*any.value).ok()?.retry_delay?;
    let seconds = Duration::from_secs(u64::try_from(delay.seconds).ok()?);
    Some(bounded(seconds + Duration::from_nanos(u64::try_from(delay.nanos).ok()?)))
}

fn bounded(wait: Duration) -> Duration {
    wait.min(LONGEST)
}

/// A reason as it may be shown: in one line, and bounded.
fn told(why: &str) -> String {
    why.chars().filter(|c| !c.is_control()).take(MOST_REASON).collect()
}

#[cfg(test)]
mod tests;
