//! Rates and durations as people write them on a command line: `5000/s`, `600/m`, `30s`, `250ms`.

use std::time::Duration;

/// Why a rate or a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not `NUMBER/s`, `NUMBER/m` or `NUMBER/h`, or not above zero.
    #[error("`{0}` is no rate: write a number above zero and a unit, as in 5000/s, 600/m or 36000/h")]
    Rate(String),
    /// Not `NUMBER` with a unit.
    #[error("`{0}` is no duration: write a number and a unit, as in 250ms, 30s or 2m")]
    Duration(String),
}

/// Requests a second, above zero, from `5000/s`, `600/m` or `36000/h`.
///
/// # Errors
/// [`UnitError::Rate`] with the text when it is anything else.
pub fn parse_rate(text: &str) -> Result<f64, UnitError> {
    let bad = || UnitError::Rate(text.to_owned());
    let (number, unit) = text.split_once('/').ok_or_else(bad)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    if number.is_finite() && number > 0.0 { Ok(number / seconds) } else { Err(bad()) }
}

/// A duration from `250us`, `250ms`, `30s`, `2m` or `1h`; fractions are allowed.
///
/// # Errors
/// [`UnitError::Duration`] with the text when it is anything else, or more than 30 days.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let bad = || UnitError::Duration(text.to_owned());
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    let total = number * seconds;
    if (0.0..=30.0 * 86_400.0).contains(&total) { Ok(Duration::from_secs_f64(total)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_in_every_unit() {
        for (text, expected) in [("5000/s", 5000.0), ("600/m", 10.0), ("36000/h", 10.0), ("0.5/s", 0.5)] {
            assert_eq!(parse_rate(text), Ok(expected), "{text}");
        }
        for text in ["", "5000", "0/s", "-1/s", "inf/s", "nan/s", "5/d", "x/s"] {
            assert_eq!(parse_rate(text), Err(UnitError::Rate(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn durations_read_in_every_unit() {
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("1.5s", 1_500)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "nans", "31d", "1000h"] {
            assert_eq!(parse_duration(text), Err(UnitError::Duration(text.to_owned())), "{text}");
        }
    }
}
