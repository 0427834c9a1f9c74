//! Samples of a gateway's own page of metrics (`GET /metrics`), as scenarios name them:
//! `gateway_shed_total{reason="h2_flood"}`. Pure.
//!
//! A sample that lacks the labels of others stands for the sum of all that have its own.

use gateway::telemetry::exposition::{Format, ScrapeInputs, render};
use gateway::telemetry::metrics::Registry;
use gateway::telemetry::process::ProcessStats;

/// What of a histogram counts up, and can be expected.
const COUNTS: [&str; 2] = ["_sum", "_count"];

/// A family and labels that samples have to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    family: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Wanted<'a> {
    /// Reads a sample's name.
    ///
    /// # Errors
    /// The gateway has no such family, or the labels are not written as on the page.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let (family, labels) = match text.split_once('{') {
            None => (text, Some("")),
            Some((family, labels)) => (family, labels.strip_suffix('}')),
        };
        let form = || format!("`{text}` is written as on the page of metrics: family{{label=\"value\"}}");
        if text.contains('.') {
            return Err(format!("{}; a value with a dot cannot be named", form()));
        }
        let labels = split_labels(labels.ok_or_else(form)?).ok_or_else(form)?;
        match kind(family).as_deref() {
            Some("counter" | "gauge") => Ok(Self { family, labels }),
            Some(kind) => Err(format!("`{family}` is a {kind}; counters and gauges can be expected")),
            None => Err(format!("the gateway has no metric `{family}`")),
        }
    }

    /// The sum of the samples that are meant.
    pub(crate) fn sum(&self, page: &str) -> f64 {
        page.lines().filter_map(|line| self.value(line)).sum()
    }

    /// Whether it only ever grows, so that what counts is by how much.
    pub(crate) fn is_counter(&self) -> bool {
        kind(self.family).as_deref() == Some("counter")
    }

    fn value(&self, line: &str) -> Option<f64> {
        let rest = line.strip_prefix(self.family)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let labels = split_labels(labels)?;
        self.labels.iter().all(|label| labels.contains(label)).then(|| value.trim().parse().ok()).flatten()
    }
}

/// `a="1",b="2"`; values of the gateway's own labels hold no quotes.
fn split_labels(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut labels = Vec::new();
    let mut rest = text.trim_end_matches(',');
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"")?;
        let (value, after) = value.split_once('"')?;
        labels.push((name.trim_start_matches(','), value));
        rest = after;
    }
    Some(labels)
}

/// The kind of a family of the gateway's; the sum and the count of a histogram are counters.
fn kind(family: &str) -> Option<String> {
    let of_histogram = |end: &str| family.strip_suffix(end).and_then(kind_of).is_some_and(|it| it == "histogram");
    if COUNTS.into_iter().any(of_histogram) {
        return Some("counter".to_owned());
    }
    kind_of(family)
}

fn kind_of(family: &str) -> Option<String> {
    let one = Some(1);
    let process = ProcessStats {
        cpu_seconds: Some(1.0),
        resident_bytes: one,
        virtual_bytes: one,
        open_fds: one,
        max_fds: one,
        threads: one,
        start_time_seconds: Some(1.0),
    };
    let page = render(Format::Prometheus, &Registry::new(1), &ScrapeInputs { process, ..ScrapeInputs::default() });
    let page = String::from_utf8(page).ok()?;
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.into_iter().find(|(name, _)| *name == family).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE gateway_shed_total counter\ngateway_shed_total{reason=\"memory\"} 2\n\
        gateway_shed_total{reason=\"h2_flood\"} 3\ngateway_shed_totals 7\nprocess_open_fds 12\n";

    #[test]
    fn samples_are_summed_over_the_labels_that_are_not_named() {
        let sum = |text| Wanted::parse(text).unwrap().sum(PAGE);
        assert!((sum("gateway_shed_total") - 5.0).abs() < 1e-9);
        assert!((sum("gateway_shed_total{reason=\"h2_flood\"}") - 3.0).abs() < 1e-9);
        assert!((sum("gateway_shed_total{reason=\"draining\"}")).abs() < 1e-9, "what is not there was never counted");
        assert!((sum("process_open_fds") - 12.0).abs() < 1e-9);
        assert!(Wanted::parse("gateway_shed_total").unwrap().is_counter());
        assert!(!Wanted::parse("process_open_fds").unwrap().is_counter());
        assert!(Wanted::parse("gateway_batch_size_sum{batch=\"a\"}").unwrap().is_counter());
        assert!(Wanted::parse("gateway_shed_total_sum").is_err(), "only a histogram has a sum");
    }

    #[test]
    fn what_the_gateway_does_not_have_is_told() {
        for (text, why) in [
            ("gateway_shed", "has no metric"),
            ("gateway_shed_total{reason=\"a\"", "is written as"),
            ("gateway_shed_total{reason=a}", "is written as"),
            ("gateway_request_duration_seconds", "is a histogram"),
            ("gateway_endpoint_in_flight{endpoint=\"127.0.0.1:1\"}", "with a dot"),
        ] {
            let message = Wanted::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
