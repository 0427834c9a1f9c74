//! Durations, sizes and byte rates as people write them: `"250ms"`, `"64KiB"`, `"10KiB/s"`.
//!
//! The forms are those of the gateway's configuration. Each parser says in one sentence what it expected.

use std::time::Duration;

/// The longest duration that is accepted: a day.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(86_400);

/// A duration: a number and one of `ns us ms s m h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a duration; write it as \"50ms\", \"5s\" or \"10m\"");
    let (number, unit) = split(text);
    let scale = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expected()),
    };
    let seconds = number.parse::<f64>().map_err(|_| expected())? * scale;
    if !(0.0..=MAX_DURATION.as_secs_f64()).contains(&seconds) {
        return Err(format!("`{text}` is longer than a day"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A number of bytes, with or without one of `B KiB MiB GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is not a size; write it as 512, \"64KiB\" or \"10MiB\"");
    let (number, unit) = split(text);
    let scale: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale)).ok_or_else(expected)
}

/// Bytes a second: a size, with or without `/s`.
pub(crate) fn byte_rate(text: &str) -> Result<u64, String> {
    match size(text.strip_suffix("/s").unwrap_or(text)) {
        Ok(0) => Err("a rate of 0 never ends; use `hang` for an answer that never comes".into()),
        Ok(rate) => Ok(rate),
        Err(_) => Err(format!("`{text}` is not a byte rate; write it as 1024 or \"10KiB/s\"")),
    }
}

/// A duration in the shortest exact form that `duration` reads.
pub(crate) fn show(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, scale) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos.is_multiple_of(scale) {
            return format!("{}{unit}", nanos / scale);
        }
    }
    format!("{nanos}ns")
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("512"), Ok(512));
        assert_eq!(byte_rate("2KiB/s"), Ok(2048));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", "ms", "50", "5 parsecs", "-1s", "1e9s", "25h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "64KB", "-1", "1.5", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(byte_rate("0").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(nanos in 0u64..86_400_000_000) {
            let millis = Duration::from_micros(nanos / 1000);
            prop_assert_eq!(duration(&show(millis)), Ok(millis));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = (duration(&text), size(&text), byte_rate(&text));
        }
    }
}
