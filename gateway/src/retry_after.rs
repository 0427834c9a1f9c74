//! When somebody who answered with `Retry-After` wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Longer than anybody waits, and short enough to be counted with.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// In how long, by the field's value: whole seconds, or a date, which may be past. `None` where it is neither.
pub(crate) fn retry_after(value: &[u8], clock: &Clock, now: Instant) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return clock.until_http_date(text, now);
    }
    // More digits than a number holds are a time all the same.
    Some(text.parse().map_or(FOR_EVER, Duration::from_secs).min(FOR_EVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_number_of_seconds_or_a_date() {
        let clock = Clock::starting_at(Duration::from_secs(784_111_777));
        let of = |text: &str| retry_after(text.as_bytes(), &clock, clock.at_tick(0)).map(|wait| wait.as_secs());
        assert_eq!([of("0"), of(" 120 ")], [Some(0), Some(120)]);
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0), "now");
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0), "long past");
        let longest = Some(FOR_EVER.as_secs());
        assert_eq!([of("18446744073709551615"), of("999999999999999999999")], [longest; 2]);
        for neither in ["", " ", "-1", "+1", "1.5", "soon", "99 Nov 1994", "\u{e9}"] {
            assert_eq!(of(neither), None, "{neither:?}");
        }
        assert_eq!(retry_after(b"\xff", &clock, clock.at_tick(0)), None);
    }
}
