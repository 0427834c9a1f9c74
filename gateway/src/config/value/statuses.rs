//! Statuses of answers: `"204"`, a class, `"5xx"`, or from one to another, `"200-399"`.

use std::ops::RangeInclusive;

/// Reads one of them.
pub(crate) fn parse(text: &str) -> Result<RangeInclusive<u16>, String> {
    if let Some(class) = text.strip_suffix("xx").filter(|_| text.len() == 3) {
        let hundred = status(&format!("{class}00"))?;
        return Ok(hundred..=hundred + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    if first > last { Err("the first status is above the last".to_owned()) } else { Ok(first..=last) }
}

fn status(text: &str) -> Result<u16, String> {
    let is_number = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let status = Some(text).filter(|_| is_number).and_then(|text| text.parse().ok());
    status.filter(|status| (200..600).contains(status)).ok_or_else(|| "a status is 200 to 599".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_status_or_from_one_to_another() {
        for (text, statuses) in [
            ("204", 204..=204),
            ("200-399", 200..=399),
            ("404-404", 404..=404),
            ("599", 599..=599),
            ("5xx", 500..=599),
            ("2xx", 200..=299),
        ] {
            assert_eq!(parse(text), Ok(statuses), "{text}");
        }
        for text in [
            "",
            "xx",
            "1xx",
            "6xx",
            "2xX",
            "25xx",
            "2xx-3xx",
            "200-",
            "-200",
            "399-200",
            "100",
            "600",
            "+20",
            "0200",
            "200-300-400",
            "200 - 399",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
