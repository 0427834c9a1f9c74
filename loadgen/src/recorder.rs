//! Histograms and counts of a run, by phase.
//!
//! A sample belongs to the phase in which it was *intended*, so that a stall counts where it began. Histograms hold
//! nanoseconds with three significant digits, up to an hour; they are merged, never averaged.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::sample::{Failure, Observer, Outcome, Sample, Totals};

/// One hour: longer than any request that a run waits for.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Three significant digits: at most 0.1 % off.
const DIGITS: u8 = 3;

/// What was seen in one phase.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Intended times from here on belong to it, nanoseconds of the run's clock.
    pub from_ns: u64,
    /// From the intended time to the end.
    pub latency: Histogram<u64>,
    /// From the first byte sent to the end.
    pub service: Histogram<u64>,
    /// Service less the mock's residence; only answers that say their residence.
    pub added: Histogram<u64>,
    /// Answers by status; 0 stands for none.
    pub status: BTreeMap<u16, u64>,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Answers by the mock endpoint's port and status.
    pub endpoints: BTreeMap<(u16, u16), u64>,
    /// Requests that ended as expected.
    pub ok: u64,
    /// Requests that someone refused (429, 503).
    pub rejected: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were wrong themselves (other 4xx).
    pub client_error: u64,
    /// Arrivals dropped at the in-flight bound.
    pub dropped: u64,
    /// Body bytes read.
    pub body_bytes: u64,
}

impl Phase {
    fn new(name: &str, from_ns: u64) -> Self {
        Self {
            name: name.to_owned(),
            from_ns,
            latency: histogram(),
            service: histogram(),
            added: histogram(),
            status: BTreeMap::new(),
            failures: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            ok: 0,
            rejected: 0,
            failed: 0,
            client_error: 0,
            dropped: 0,
            body_bytes: 0,
        }
    }

    /// Requests that ended in this phase, in any way; drops are apart.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ok + self.rejected + self.failed + self.client_error
    }

    /// Share of all arrivals, dropped ones too, that ended as expected; 1 when there were none.
    #[must_use]
    pub fn success_ratio(&self) -> f64 {
        let all = self.requests() + self.dropped;
        if all == 0 { 1.0 } else { self.ok as f64 / all as f64 }
    }

    fn record(&mut self, sample: &Sample) {
        saturating_record(&mut self.latency, sample.latency_ns());
        saturating_record(&mut self.service, sample.service_ns());
        if let Some(added_ns) = sample.added_ns() {
            saturating_record(&mut self.added, added_ns);
        }
        *self.status.entry(sample.status).or_default() += 1;
        if let Some(failure) = sample.failure {
            self.count_failure(failure);
        }
        if let Some(endpoint) = sample.endpoint {
            *self.endpoints.entry((endpoint, sample.status)).or_default() += 1;
        }
        self.body_bytes += sample.body_bytes;
        match sample.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::ClientError => self.client_error += 1,
        }
    }

    fn count_failure(&mut self, failure: Failure) {
        *self.failures.entry(failure.to_string()).or_default() += 1;
    }
}

/// Records a run by phase.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// In order of time; never empty.
    phases: Vec<Phase>,
    lag: Histogram<u64>,
    /// Samples intended before this are left out.
    from_ns: u64,
    first_ns: Option<u64>,
    last_ns: u64,
}

impl Recorder {
    /// A recorder whose first phase begins at `from_ns` of the run's clock; what was intended earlier is warm-up and is
    /// left out.
    #[must_use]
    pub fn new(first_phase: &str, from_ns: u64) -> Self {
        let phases = vec![Phase::new(first_phase, from_ns)];
        Self { phases, lag: histogram(), from_ns, first_ns: None, last_ns: from_ns }
    }

    /// Begins another phase, later than those before it.
    pub fn begin_phase(&mut self, name: &str, from_ns: u64) {
        debug_assert!(self.phases.last().is_some_and(|last| last.from_ns <= from_ns), "phases are in order");
        self.phases.push(Phase::new(name, from_ns));
    }

    /// All phases, in order.
    #[must_use]
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// How late the pacer was, nanoseconds.
    #[must_use]
    pub fn pacer_lag(&self) -> &Histogram<u64> {
        &self.lag
    }

    /// From the first intended time to the last end, nanoseconds; at least 1.
    #[must_use]
    pub fn span_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.first_ns.unwrap_or(self.from_ns)).max(1)
    }

    /// All phases as one.
    #[must_use]
    pub fn merged(&self, name: &str) -> Phase {
        let mut all = Phase::new(name, self.from_ns);
        for phase in &self.phases {
            for (into, from) in
                [(&mut all.latency, &phase.latency), (&mut all.service, &phase.service), (&mut all.added, &phase.added)]
            {
                into.add(from).unwrap_or_else(|error| unreachable!("histograms of one shape merge: {error}"));
            }
            merge(&mut all.status, &phase.status);
            merge(&mut all.failures, &phase.failures);
            merge(&mut all.endpoints, &phase.endpoints);
            all.ok += phase.ok;
            all.rejected += phase.rejected;
            all.failed += phase.failed;
            all.client_error += phase.client_error;
            all.dropped += phase.dropped;
            all.body_bytes += phase.body_bytes;
        }
        all
    }

    /// Writes the histograms of every phase as one HDR V2 interval log, in nanoseconds, tagged `PHASE.latency` and so
    /// on. Results merge from these without loss.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_hdr_log(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("values are nanoseconds; tags are PHASE.HISTOGRAM");
        let mut log = builder.begin_log_with(&mut file, &mut serializer)?;
        for phase in &self.phases {
            let start = Duration::from_nanos(phase.from_ns);
            let length = Duration::from_nanos(self.last_ns.saturating_sub(phase.from_ns));
            for (kind, histogram) in [("latency", &phase.latency), ("service", &phase.service), ("added", &phase.added)]
            {
                let text = format!("{}.{kind}", phase.name.replace([',', ' ', '\n'], "_"));
                log.write_histogram(histogram, start, length, Tag::new(&text))
                    .map_err(|error| io::Error::other(format!("{error:?}")))?;
            }
        }
        drop(log);
        io::Write::flush(&mut file)
    }

    fn phase_of(&mut self, intended_ns: u64) -> Option<&mut Phase> {
        self.phases.iter_mut().rev().find(|phase| phase.from_ns <= intended_ns)
    }
}

impl Observer for Recorder {
    fn sample(&mut self, sample: &Sample) {
        let Some(phase) = self.phase_of(sample.intended_ns) else { return };
        phase.record(sample);
        self.first_ns.get_or_insert(sample.intended_ns);
        self.last_ns = self.last_ns.max(sample.end_ns);
    }

    fn dropped(&mut self, intended_ns: u64) {
        if let Some(phase) = self.phase_of(intended_ns) {
            phase.dropped += 1;
        }
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        if intended_ns >= self.from_ns {
            saturating_record(&mut self.lag, lag_ns);
        }
    }

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS)
        .unwrap_or_else(|error| unreachable!("the bounds are constants that hold: {error}"))
}

/// Records, with what is beyond the histogram's range at its end.
fn saturating_record(histogram: &mut Histogram<u64>, value_ns: u64) {
    histogram.saturating_record(value_ns.max(1));
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    fn sample(intended_ns: u64, end_ns: u64, status: u16, outcome: Outcome) -> Sample {
        Sample {
            template: 0,
            intended_ns,
            sent_ns: intended_ns + 10,
            head_ns: end_ns,
            end_ns,
            status,
            body_bytes: 5,
            outcome,
            failure: None,
            residence_ns: Some(20),
            endpoint: Some(9001),
        }
    }

    #[test]
    fn samples_belong_to_the_phase_of_their_intended_time() {
        let mut recorder = Recorder::new("before", 1_000);
        recorder.begin_phase("fault_1", 2_000);
        recorder.sample(&sample(999, 5_000, 200, Outcome::Ok)); // warm-up
        recorder.sample(&sample(1_999, 9_000, 200, Outcome::Ok)); // ends in the fault, was meant before it
        recorder.sample(&sample(2_000, 2_100, 503, Outcome::Rejected));
        recorder.dropped(2_001);
        let [before, fault] = recorder.phases() else { panic!("two phases") };
        assert_eq!((before.ok, before.latency.len(), before.latency.max()), (1, 1, 7_003), "three digits: 7001");
        assert_eq!((fault.rejected, fault.dropped, fault.status[&503]), (1, 1, 1));
        assert_eq!(fault.added.max(), 70);
        assert!((fault.success_ratio() - 0.0).abs() < f64::EPSILON);
        let all = recorder.merged("all");
        assert_eq!((all.requests(), all.latency.len(), all.endpoints[&(9001, 200)]), (2, 2, 1));
        assert_eq!(recorder.span_ns(), 9_000 - 1_999);
    }

    #[test]
    fn the_hdr_log_reads_back_what_was_recorded() {
        let mut recorder = Recorder::new("before", 0);
        for millis in 1..=100 {
            recorder.sample(&sample(0, millis * 1_000_000, 200, Outcome::Ok));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.hlog");
        recorder.write_hdr_log(&path).unwrap();
        let text = std::fs::read(&path).unwrap();
        let mut read = BTreeMap::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                use std::io::Read;
                let encoded = interval.encoded_histogram().as_bytes();
                let mut bytes = Vec::new();
                decode_base64(encoded).as_slice().read_to_end(&mut bytes).unwrap();
                let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                read.insert(interval.tag().unwrap().as_str().to_owned(), histogram);
            }
        }
        assert_eq!(read["before.latency"], recorder.phases()[0].latency);
        assert_eq!(read.len(), 3);
    }

    /// RFC 4648, section 4; only for what this test reads back.
    fn decode_base64(text: &[u8]) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let sextets = text.iter().filter_map(|byte| alphabet.iter().position(|known| known == byte));
        let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
        for sextet in sextets {
            (bits, count) = (bits << 6 | sextet as u32, count + 6);
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        bytes
    }
}
