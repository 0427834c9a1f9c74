//! A trace file: when requests came, to be replayed.
//!
//! One arrival a line: the time from the start, in seconds (`0.0125`) or with a unit (`12.5ms`). What follows the first
//! blank or comma of a line is ignored, so that many logs can be used as they are. Empty lines and lines that begin
//! with `#` are passed over.

use crate::clock::duration_ns;
use crate::units::parse_duration;

/// As many arrivals as a plan keeps in memory: eight bytes each.
const MAX_ARRIVALS: usize = 50_000_000;

/// Why a trace could not be read. Lines count from one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A line without a time.
    #[error("line {line}: `{text}` is no time: begin the line with seconds from the start, as in 0.0125, or 12.5ms")]
    Time {
        /// The line.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A time before the one above it.
    #[error("line {line}: its time is before that of the line above; sort the file by time")]
    Order {
        /// The line.
        line: usize,
    },
    /// No arrivals.
    #[error("it holds no arrivals: write a time a line")]
    Empty,
    /// More than fit.
    #[error("it holds more than {MAX_ARRIVALS} arrivals; replay it in parts")]
    Long,
}

/// Reads a trace; times in nanoseconds, in order.
///
/// # Errors
/// The first line that is no arrival, with its number.
pub fn parse_trace(text: &str) -> Result<Vec<u64>, TraceError> {
    let mut times_ns = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let word = trimmed.split([' ', '\t', ',']).next().unwrap_or_default();
        let line = index + 1;
        let at_ns = parse_time(word).ok_or_else(|| TraceError::Time { line, text: word.to_owned() })?;
        if times_ns.last().is_some_and(|last| *last > at_ns) {
            return Err(TraceError::Order { line });
        }
        if times_ns.len() == MAX_ARRIVALS {
            return Err(TraceError::Long);
        }
        times_ns.push(at_ns);
    }
    if times_ns.is_empty() { Err(TraceError::Empty) } else { Ok(times_ns) }
}

fn parse_time(word: &str) -> Option<u64> {
    if word.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return parse_duration(word).ok().map(duration_ns);
    }
    parse_duration(&format!("{word}s")).ok().map(duration_ns)
}
