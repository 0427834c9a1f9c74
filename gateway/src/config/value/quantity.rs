//! Durations ("250ms"), sizes ("64KiB") and rates ("100/s"): a whole number and a unit.

use std::time::Duration;

/// `"250ms"`, `"5s"`, `"10m"`, `"1h"`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text).ok_or_else(|| "a duration is a whole number and a unit".to_owned())?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number == 0 => return Err("no time at all is written \"0s\"".to_owned()),
        "" => return Err("the unit is missing".to_owned()),
        _ => return Err(no_unit(text, (unit, "time"), &[("h", "m", 60.0), ("m", "s", 60.0), ("s", "ms", 1_000.0)])),
    };
    let total = number.checked_mul(milliseconds).ok_or_else(|| "the number is too large".to_owned())?;
    Ok(Duration::from_millis(total))
}

/// `"64KiB"`, `"10MiB"`, `"0"`; bytes. Only 0 needs no unit.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text).ok_or_else(|| "a size is a whole number and a unit".to_owned())?;
    let bytes: u64 = match unit {
        "" if number == 0 => 1,
        "" => return Err("the unit is missing".to_owned()),
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            let smaller = [("GiB", "MiB", 1_024.0), ("MiB", "KiB", 1_024.0), ("KiB", "B", 1_024.0)];
            return Err(no_unit(text, (unit, "size"), &smaller));
        }
    };
    number.checked_mul(bytes).ok_or_else(|| "the number is too large".to_owned())
}

/// `"100/s"`, `"600/m"`, `"36000/h"`; how many in how long.
pub(crate) fn rate(text: &str) -> Result<(u64, Duration), String> {
    let (number, unit) = split(text).ok_or_else(|| "a rate is a whole number and a unit".to_owned())?;
    let period = match unit {
        "/s" => Duration::from_secs(1),
        "/m" => Duration::from_secs(60),
        "/h" => Duration::from_secs(3600),
        "" => return Err("the unit is missing".to_owned()),
        _ => return Err(no_unit(text, (unit, "rate"), &[("/s", "/m", 60.0), ("/m", "/h", 60.0)])),
    };
    if number == 0 {
        return Err("a rate of zero would refuse everything".to_owned());
    }
    // Above one a nanosecond the interval between two requests cannot be told from zero.
    if number > 1_000_000_000 {
        return Err("the number is too large".to_owned());
    }
    Ok((number, period))
}

/// What is wrong with what follows the digits: it is no unit, or the rest of a number that is not whole. `smaller` says
/// of each unit which one is smaller, and how many of it make one.
fn no_unit(text: &str, (unit, of): (&str, &str), smaller: &[(&str, &str, f64)]) -> String {
    if !unit.starts_with('.') {
        return format!("{unit:?} is no unit of {of}");
    }
    let advice = in_whole(text, smaller).map(|whole| format!(": write {whole}")).unwrap_or_default();
    format!("it is a whole number and a unit{advice}")
}

/// What a number with a fraction comes to in the first smaller unit in which it is whole.
fn in_whole(text: &str, smaller: &[(&str, &str, f64)]) -> Option<String> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, mut unit) = text.split_at(end);
    let mut number: f64 = number.parse().ok()?;
    for (from, to, times) in smaller {
        if unit == *from {
            (number, unit) = (number * times, *to);
            let whole = number.round();
            if (number - whole).abs() < 1e-6 && (1.0..1e9).contains(&whole) {
                return Some(format!("{whole}{unit}"));
            }
        }
    }
    None
}

/// Digits, then what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((number, &text[digits..]))
}

/// A duration as it would be written, in its largest whole unit.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// A size as it would be written, in its largest whole unit.
pub(crate) fn show_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_that_read() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("7B"), Ok(7));
        assert_eq!(rate("600/m"), Ok((600, Duration::from_secs(60))));
    }

    #[test]
    fn quantities_that_do_not() {
        for text in ["", "s", "5", "5 s", "1.5s", "-1s", "5S", "5sec", "٣s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "64", "64KB", "64kib", "KiB", "99999999999GiB", "-1B"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "100", "0/s", "100/d", "100 /s", "/s", "2000000000/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_is_told_in_a_smaller_unit() {
        let whole = "it is a whole number and a unit";
        assert_eq!(rate("0.5/s"), Err(format!("{whole}: write 30/m")));
        assert_eq!(rate("0.01/s"), Err(format!("{whole}: write 36/h")));
        assert_eq!(rate("0.1/h"), Err(whole.to_owned()));
        assert_eq!(rate("0.00001/s"), Err(whole.to_owned()));
        assert_eq!(duration("1.5s"), Err(format!("{whole}: write 1500ms")));
        assert_eq!(duration("0.25h"), Err(format!("{whole}: write 15m")));
        assert_eq!(size("1.5MiB"), Err(format!("{whole}: write 1536KiB")));
        assert_eq!(rate("1.5.2/s"), Err(whole.to_owned()));
        assert_eq!(rate("5/d"), Err("\"/d\" is no unit of rate".to_owned()));
    }

    proptest! {
        #[test]
        fn a_shown_quantity_reads_as_itself(ms in 0u64..1 << 40, bytes in 0u64..1 << 50) {
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))), Ok(Duration::from_millis(ms)));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
    }
}
