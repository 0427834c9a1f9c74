//! Samples of a gateway's own page of metrics (`GET /metrics`), as scenarios name them:
//! `gateway_shed_total{reason="h2_flood"}`. Pure.
//!
//! A sample that lacks the labels of others stands for the sum of all that have its own. One whose labels no sample can
//! ever have would be a zero for ever, and is refused.

mod labels;

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
    /// The gateway has no such family, its samples have no such label or value, or they are not written as on the page.
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
            Some("counter" | "gauge") => {
                labels.iter().try_for_each(|label| can_be(family, *label))?;
                Ok(Self { family, labels })
            }
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

/// Whether a sample of a family may have this label with this value; why not.
fn can_be(family: &str, (name, value): (&str, &str)) -> Result<(), String> {
    let base = COUNTS.into_iter().find_map(|end| family.strip_suffix(end).filter(|base| kind_of(base).is_some()));
    let base = base.unwrap_or(family);
    let known = labels::of(base).unwrap_or_default();
    if !known.contains(&name) {
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(format!("`{family}` has no label `{name}`: {has}"));
    }
    match labels::values(base, name) {
        Some(values) if !values.contains(&value) => {
            Err(format!("`{name}` of `{family}` is never `{value}`: it is one of {}", values.join(", ")))
        }
        _ => Ok(()),
    }
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
    let page = empty_page();
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.into_iter().find(|(name, _)| *name == family).map(|(_, kind)| kind.to_owned())
}

/// The page of a gateway to which nothing has come yet.
fn empty_page() -> String {
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
    String::from_utf8(page).unwrap_or_default()
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
    fn the_labels_of_every_family_are_known() {
        let page = empty_page();
        let families: Vec<&str> =
            page.lines().filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.0)).collect();
        assert!(families.len() > 40, "{families:?}");
        for family in &families {
            assert!(labels::of(family).is_some(), "{family}");
        }
        // What is shown from the start has them.
        let samples = page.lines().filter(|line| line.contains('{') && !line.contains("_bucket"));
        for (family, rest) in samples.filter_map(|line| line.split_once('{')) {
            let shown = split_labels(rest.rsplit_once("} ").unwrap().0).unwrap();
            for label in shown {
                assert_eq!(can_be(family, label), Ok(()));
            }
        }
        assert!(Wanted::parse("gateway_requests_total{route=\"a\",status_class=\"2xx\",code=\"ok\"}").is_ok());
    }

    #[test]
    fn what_the_gateway_does_not_have_is_told() {
        for (text, why) in [
            ("gateway_shed", "has no metric"),
            ("gateway_shed_total{reason=\"a\"", "is written as"),
            ("gateway_shed_total{reason=a}", "is written as"),
            ("gateway_request_duration_seconds", "is a histogram"),
            ("gateway_endpoint_in_flight{endpoint=\"127.0.0.1:1\"}", "with a dot"),
            ("gateway_shed_total{reazon=\"h2_flood\"}", "no label `reazon`: it has reason"),
            ("gateway_shed_total{reason=\"h2_floood\"}", "never `h2_floood`: it is one of "),
            ("gateway_panics_total{route=\"a\"}", "it has none"),
            ("gateway_batch_size_sum{route=\"a\"}", "it has batch"),
            ("gateway_requests_total{route=\"a\",code=\"okay\"}", "never `okay`"),
        ] {
            let message = Wanted::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
