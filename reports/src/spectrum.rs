//! Percentile spectra: latency at each 1/(1-p), read from the HDR V2 interval logs beside a result, or from the
//! percentiles in it.
//!
//! A log holds nanoseconds under tags `PHASE.latency`, `PHASE.service` and `PHASE.added`. Entries of one tag are
//! merged.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::result::{Load, Quantiles};

/// A log that is larger is not read: 64 MiB hold more histograms than anyone looks at.
const LARGEST_LOG: u64 = 64 << 20;
/// Points for each decade of 1/(1-p).
const STEPS_A_DECADE: i32 = 12;

/// One curve: pairs of 1/(1-p) and microseconds, rising in both.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spectrum {
    /// The phase.
    pub(crate) phase: String,
    /// From the intended time (`latency`) or from the first byte sent (`service`).
    pub(crate) kind: Kind,
    /// Whether it comes from a histogram, in which every request counts.
    pub(crate) is_whole: bool,
    /// The curve.
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a curve is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From the intended time.
    Latency,
    /// From the first byte sent.
    Service,
}

/// Histograms of one load, by tag.
#[derive(Debug, Default)]
pub(crate) struct Log(BTreeMap<String, Histogram<u64>>);

impl Log {
    /// Reads the log of a load beside its result.
    ///
    /// `None` when there is none or it cannot be read: then the percentiles of the result stand in, which are never
    /// wrong, only fewer.
    pub(crate) fn read(folder: &Path, load: &str) -> Option<Self> {
        // A load's name comes from a file and must not lead out of the folder.
        if load.is_empty() || load.contains(['/', '\\']) || load.starts_with('.') {
            return None;
        }
        let path = folder.join(format!("{load}.hlog"));
        let size = std::fs::metadata(&path).ok()?.len();
        if size > LARGEST_LOG {
            return None;
        }
        Self::parse(&std::fs::read(&path).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut histograms = BTreeMap::<String, Histogram<u64>>::new();
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(bytes) {
            let LogEntry::Interval(interval) = entry.ok()? else { continue };
            let tag = interval.tag()?.as_str().to_owned();
            let encoded = STANDARD.decode(interval.encoded_histogram()).ok()?;
            let histogram: Histogram<u64> = deserializer.deserialize(&mut encoded.as_slice()).ok()?;
            match histograms.get_mut(&tag) {
                Some(merged) => merged.add(&histogram).ok()?,
                None => drop(histograms.insert(tag, histogram)),
            }
        }
        Some(Self(histograms))
    }
}

/// The curves of a load, phases in the order of time.
pub(crate) fn of_load(load: &Load, log: Option<&Log>) -> Vec<Spectrum> {
    let mut spectra = Vec::new();
    for (name, phase) in load.phases_in_order() {
        for (kind, word, quantiles) in
            [(Kind::Latency, "latency", phase.latency()), (Kind::Service, "service", phase.service())]
        {
            let tag = format!("{}.{word}", name.replace([',', ' ', '\n'], "_"));
            let histogram = log.and_then(|log| log.0.get(&tag)).filter(|histogram| !histogram.is_empty());
            let whole = histogram.map(from_histogram);
            let points = whole.or_else(|| Some(from_quantiles(quantiles?, phase.arrivals()))).unwrap_or_default();
            if points.len() > 1 {
                spectra.push(Spectrum { phase: name.to_owned(), kind, is_whole: histogram.is_some(), points });
            }
        }
    }
    spectra
}

fn from_histogram(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let last = histogram.len() as f64;
    let mut points: Vec<(f64, f64)> = (0..)
        .map(|step| 10_f64.powf(f64::from(step) / f64::from(STEPS_A_DECADE)))
        .take_while(|inverse| *inverse < last)
        .map(|inverse| (inverse, histogram.value_at_quantile(1.0 - 1.0 / inverse) as f64 / 1e3))
        .collect();
    points.push((last, histogram.max() as f64 / 1e3));
    points
}

fn from_quantiles(quantiles: &Quantiles, requests: u64) -> Vec<(f64, f64)> {
    let Quantiles { p50, p90, p99, p999, max } = *quantiles;
    let last = requests as f64;
    let known = [(2.0, p50), (10.0, p90), (100.0, p99), (1_000.0, p999)];
    let mut points: Vec<(f64, f64)> = known.into_iter().filter(|(inverse, us)| *inverse < last && *us > 0.0).collect();
    if max > 0.0 && last > 0.0 {
        points.push((last, max));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Phase;

    fn load() -> Load {
        let quantiles = Quantiles { p50: 100.0, p90: 200.0, p99: 300.0, p999: 400.0, max: 500.0 };
        let outcome = [("ok".to_owned(), 500)].into();
        let phase = Phase { latency_us: Some(quantiles), service_us: Some(quantiles), outcome, ..Phase::default() };
        Load { phases: [("before".to_owned(), phase)].into(), ..Load::default() }
    }

    #[test]
    fn percentiles_stand_in_for_a_log_as_far_as_the_requests_carry_them() {
        let spectra = of_load(&load(), None);
        assert_eq!(spectra.len(), 2);
        assert_eq!(spectra[0].points, [(2.0, 100.0), (10.0, 200.0), (100.0, 300.0), (500.0, 500.0)]);
    }

    #[test]
    fn a_histogram_gives_a_curve_that_rises_to_its_maximum() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        (1..=10_000_u64).for_each(|value| histogram.record(value * 1_000).unwrap());
        let points = from_histogram(&histogram);
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        let at = |inverse: f64| points.iter().find(|point| (point.0 - inverse).abs() < 1e-6).unwrap().1;
        assert!((at(10.0) - 9_000.0).abs() < 10.0 && (at(100.0) - 9_900.0).abs() < 10.0);
        assert!((points.last().unwrap().1 - 10_000.0).abs() < 11.0);
    }

    #[test]
    fn what_is_no_log_is_passed_over_and_no_name_leads_out_of_the_folder() {
        assert!(Log::parse(b"\xff\xfe nonsense").is_none());
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join("x.hlog"), "").unwrap();
        assert!(Log::read(folder.path(), "x").is_some());
        for name in ["../x", "", ".", "a/b", "nothing"] {
            assert!(Log::read(&inner, name).is_none(), "{name}");
        }
    }
}
