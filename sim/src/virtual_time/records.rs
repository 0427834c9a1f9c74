//! The gateway's access records, read back from its own lines.

use serde::Deserialize;

use crate::history::{AccessRecord, Ended, Name};

/// The fields that oracles look at; a line has more.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    ts: &'a str,
    request_id: &'a str,
    #[serde(default, borrow)]
    route: Option<std::borrow::Cow<'a, str>>,
    status: u16,
    code: &'a str,
    #[serde(default)]
    upstream: Option<&'a str>,
    #[serde(default)]
    endpoint: Option<&'a str>,
    attempts: u32,
    #[serde(default)]
    limit: Option<&'a str>,
    total_us: u64,
    ended: &'a str,
}

/// Reads a line. `zero_unix_us` is the wall clock at t = 0; `None` for what is no record.
pub(crate) fn parse(line: &str, gateway: usize, zero_unix_us: i64) -> Option<AccessRecord> {
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    let ended_us = unix_us(line.ts)? - zero_unix_us + i64::try_from(line.total_us).ok()?;
    Some(AccessRecord {
        ended_ns: u64::try_from(ended_us).unwrap_or(0) * 1_000,
        gateway,
        request_id: line.request_id.into(),
        route: line.route.as_deref().map(Name::from),
        status: line.status,
        code: line.code.into(),
        upstream: line.upstream.map(Name::from),
        endpoint: line.endpoint.map(Name::from),
        attempts: line.attempts,
        limit: line.limit.map(Name::from),
        ended: Ended::parse(line.ended)?,
    })
}

/// Microseconds since the Unix epoch of `2023-11-14T22:13:20.000001Z`; days by Howard Hinnant's `days_from_civil`.
fn unix_us(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let micros = number(20..26)?;
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
    Some((days * 86_400 + seconds) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(unix_us("2023-11-14T22:13:20.000001Z"), Some(1_700_000_000_000_001));
        assert_eq!(unix_us("1970-01-01T00:00:00.000000Z"), Some(0));
        assert_eq!(unix_us("2024-02-29T23:59:59.999999Z"), Some(1_709_251_199_999_999));
        assert_eq!(unix_us("yesterday"), None);
    }

    #[test]
    fn what_the_gateway_writes_is_read() {
        let mut written = gateway::telemetry::record::AccessRecord::new(1_500, b"r-1", "::1", "GET", "/a\"b", 503);
        (written.route, written.total_us, written.attempts) = (Some("a\"b"), 250, 2);
        let mut line = Vec::new();
        written.write(&mut line);
        let record = parse(std::str::from_utf8(&line).unwrap(), 1, 1_000).unwrap();
        assert_eq!((record.ended_ns, record.status, record.attempts, record.gateway), (750_000, 503, 2, 1));
        assert_eq!((&*record.request_id, record.route.as_deref(), &*record.code), ("r-1", Some("a\"b"), "ok"));
        assert_eq!(parse("{}", 0, 0), None);
    }
}
