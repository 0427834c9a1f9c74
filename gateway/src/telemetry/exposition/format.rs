//! The two text formats, line by line.

use std::borrow::Cow;

use crate::telemetry::json::write_number;
use crate::telemetry::metrics::{Exemplar, HistogramTotals};

/// A bucket: its bound, `None` without one, and how many are in it.
type Bucket = (Option<u64>, u64);

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// What the scraper's `Accept` asks for: OpenMetrics where it is named and not refused (`q=0`) and no plain text is
    /// liked better; else the older format, which everybody reads.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
            if name.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(quality);
            } else if name.eq_ignore_ascii_case("text/plain") {
                plain = plain.max(quality);
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The answer's `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A metric family's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Writes families one after the other. Label values are escaped here, and names come from our own constants.
pub(super) struct Page {
    format: Format,
    out: Vec<u8>,
    family: &'static str,
}

/// Label names and values, in order.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self { format, out: Vec::with_capacity(16 * 1024), family: "" }
    }

    /// Begins a family. A counter's name ends in `_total`, which OpenMetrics writes at its samples only.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        debug_assert_eq!(name.ends_with("_total"), kind == Kind::Counter);
        self.family = name;
        let shown = match self.format {
            Format::Prometheus => name,
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.text(&["# HELP ", shown, " ", help, "\n# TYPE ", shown, " ", kind, "\n"]);
    }

    /// A sample with a whole number.
    pub(super) fn number(&mut self, labels: Labels<'_>, value: u64) {
        self.sample("", labels, None);
        write_number(&mut self.out, value);
        self.out.push(b'\n');
    }

    /// A sample with a fraction.
    pub(super) fn float(&mut self, labels: Labels<'_>, value: f64) {
        self.sample("", labels, None);
        self.text(&[&value.to_string(), "\n"]);
    }

    /// The samples of one histogram: cumulated buckets, sum and count, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, totals: &HistogramTotals) {
        self.buckets(labels, (&totals.buckets, &totals.exemplars), (totals.sum_ns, seconds));
    }

    /// The same of plain numbers.
    pub(super) fn counts(&mut self, labels: Labels<'_>, buckets: &[Bucket], sum: u64) {
        self.buckets(labels, (buckets, &[]), (sum, |number| number.to_string()));
    }

    fn buckets(
        &mut self,
        labels: Labels<'_>,
        (buckets, exemplars): (&[Bucket], &[Option<Exemplar>]),
        (sum, shown): (u64, impl Fn(u64) -> String),
    ) {
        let mut count = 0;
        for (slot, (bound, in_bucket)) in buckets.iter().enumerate() {
            count += in_bucket;
            let bound = bound.map_or(Cow::Borrowed("+Inf"), |bound| Cow::Owned(shown(bound)));
            self.sample("_bucket", labels, Some(&bound));
            write_number(&mut self.out, count);
            if let Some(exemplar) = exemplars.get(slot).and_then(Option::as_ref) {
                self.exemplar(exemplar);
            }
            self.out.push(b'\n');
        }
        self.sample("_sum", labels, None);
        self.text(&[&shown(sum), "\n"]);
        self.sample("_count", labels, None);
        write_number(&mut self.out, count);
        self.out.push(b'\n');
    }

    /// An example behind a bucket's count. The older format has none.
    fn exemplar(&mut self, exemplar: &Exemplar) {
        if self.format == Format::Prometheus {
            return;
        }
        self.out.extend_from_slice(b" # {trace_id=\"");
        self.out.extend_from_slice(&exemplar.trace_id);
        self.out.extend_from_slice(b"\",span_id=\"");
        self.out.extend_from_slice(&exemplar.span_id);
        let ended_ns = u64::try_from(exemplar.ended_us).unwrap_or(0).saturating_mul(1000);
        self.text(&["\"} ", &seconds(exemplar.took_ns), " ", &seconds(ended_ns)]);
    }

    /// The finished text.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.text(&["# EOF\n"]);
        }
        self.out
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>) {
        self.text(&[self.family, suffix]);
        let mut before = "{";
        for (name, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            self.text(&[before, name, "=\""]);
            self.label_value(value);
            self.out.push(b'"');
            before = ",";
        }
        self.text(&[if before == "," { "} " } else { " " }]);
    }

    fn label_value(&mut self, value: &str) {
        for byte in value.bytes() {
            match byte {
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                byte => self.out.push(byte),
            }
        }
    }

    fn text(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Nanoseconds as decimal seconds, exactly; always with a fraction, as OpenMetrics writes bounds.
fn seconds(ns: u64) -> String {
    let fraction = format!("{:09}", ns % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{}", ns / 1_000_000_000, if fraction.is_empty() { "0" } else { fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scraper_gets_the_format_it_asks_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/plain"), Format::Prometheus),
            (Some(prometheus), Format::OpenMetrics),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text; q=0"), Format::Prometheus),
            (Some("application/openmetrics-text; q=x"), Format::Prometheus),
            (Some("text/plain;q=0.9, application/openmetrics-text;q=0.1"), Format::Prometheus),
            (Some(",;,"), Format::Prometheus),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn seconds_are_exact() {
        for (ns, expected) in
            [(0, "0.0"), (50_000, "0.00005"), (1_000_000_000, "1.0"), (26_214_400_000, "26.2144"), (1, "0.000000001")]
        {
            assert_eq!(seconds(ns), expected);
        }
    }
}
