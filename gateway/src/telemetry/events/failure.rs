//! What an endpoint failed with last: a connection that is refused, an answer that does not come and a 503 are three
//! different calls to make.

use std::fmt;
use std::sync::Arc;

use crate::telemetry::metrics::AttemptOutcome;

/// Longer details are cut, characters: a line that mends a certificate has its place.
const DETAIL: usize = 400;

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When, nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The answer's status, where there was one.
    pub status: Option<u16>,
    /// What is known beyond that.
    pub detail: Option<Arc<str>>,
}

impl LastFailure {
    /// One that ended so; what an upstream or the system said of it is cut.
    pub fn new(at_ns: u64, (outcome, status): (AttemptOutcome, Option<u16>), detail: Option<&str>) -> Self {
        Self { at_ns, outcome, status, detail: detail.map(cut) }
    }
}

/// In one line, bounded; that it was cut can be seen.
fn cut(text: &str) -> Arc<str> {
    let mut left = text.chars().filter(|c| !c.is_control());
    let mut kept: String = left.by_ref().take(DETAIL).collect();
    if left.next().is_some() {
        kept.push('…');
    }
    kept.into()
}

/// `connect: Connection refused`, `timeout`, `503`.
impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str(self.outcome.as_str())?,
        }
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_was_is_said_in_few_words() {
        let said = |outcome, status, detail| LastFailure::new(1, (outcome, status), detail).to_string();
        let refused = said(AttemptOutcome::Connect, None, Some("Connection refused (os error 111)"));
        assert_eq!(refused, "connect: Connection refused (os error 111)");
        assert_eq!(said(AttemptOutcome::Timeout, None, None), "timeout");
        assert_eq!(said(AttemptOutcome::Status5xx, Some(503), None), "503");
        let (whole, too_long) = ("x".repeat(DETAIL), format!("\n{}", "x".repeat(1_000)));
        let long = said(AttemptOutcome::Invalid, None, Some(&too_long));
        assert_eq!(long, format!("invalid: {whole}…"), "cut, and it shows");
        assert_eq!(said(AttemptOutcome::Invalid, None, Some(&whole)), format!("invalid: {whole}"));
        assert_eq!(said(AttemptOutcome::Status5xx, Some(200), Some("grpc-status 13")), "200: grpc-status 13");
    }
}
