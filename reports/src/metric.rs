//! A gate's metrics as people name them, and their values with units: one table for the gate's own words and the page.

use crate::quantity::{digits, duration, mebibytes};

/// Names of results, and what people call them.
const TITLES: [(&str, &str); 6] = [
    ("cpu_us_per_request", "CPU a request"),
    ("requests_per_second_at_objective", "requests/s at the objective"),
    ("requests_per_second", "requests/s"),
    ("latency_p50_us", "p50"),
    ("latency_p99_us", "p99"),
    ("rss_bytes", "RSS"),
];

/// A metric's name for people; its own where it has no other, such as an exact count.
#[must_use]
pub fn title(name: &str) -> &str {
    TITLES.iter().find(|(known, _)| *known == name).map_or(name, |(_, title)| *title)
}

/// A metric's value with its unit; a plain number where no unit is known.
#[must_use]
pub(crate) fn value(name: &str, value: f64) -> String {
    match name {
        // Two builds are told apart by less than three digits show.
        "cpu_us_per_request" => format!("{value:.2} µs"),
        "latency_p50_us" | "latency_p99_us" => duration(value),
        "requests_per_second_at_objective" | "requests_per_second" => format!("{}/s", digits(value)),
        "rss_bytes" => mebibytes(value as u64),
        _ => digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_for_people_keeps_its_own() {
        assert_eq!([title("rss_bytes"), title("codec::head")], ["RSS", "codec::head"]);
        assert_eq!(value("rss_bytes", 49_498_112.0), "47.2 MiB");
        assert_eq!(
            (value("cpu_us_per_request", 167.266), value("codec::head", 1_234.0)),
            ("167.27 µs".into(), "1234".into())
        );
    }
}
