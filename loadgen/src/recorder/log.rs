//! HDR V2 interval logs: what a run measured, to be merged and drawn again without loss.

use std::io;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Recorder;
use super::intervals::INTERVAL_NS;

impl Recorder {
    /// Writes one HDR V2 interval log, in nanoseconds: the histograms of every phase, tagged `PHASE.latency` and so on,
    /// and then the latencies of each second, tagged `second`. Times count from the start of what is measured.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_hdr_log(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("values are nanoseconds; tags are PHASE.HISTOGRAM, or `second` for all latencies of one");
        let mut log = builder.begin_log_with(&mut file, &mut serializer)?;
        let mut write = |histogram: &Histogram<u64>, from_ns: u64, length_ns: u64, tag: &str| {
            let start = Duration::from_nanos(from_ns.saturating_sub(self.from_ns));
            log.write_histogram(histogram, start, Duration::from_nanos(length_ns), Tag::new(tag))
                .map_err(|error| io::Error::other(format!("{error:?}")))
        };
        for phase in &self.phases {
            let length_ns = self.last_ns.saturating_sub(phase.from_ns);
            for (kind, histogram) in phase.histograms() {
                let tag = format!("{}.{kind}", phase.name.replace([',', ' ', '\n', '\r'], "_"));
                write(histogram, phase.from_ns, length_ns, &tag)?;
            }
        }
        for interval in self.intervals() {
            write(&interval.latency(), interval.from_ns, INTERVAL_NS, "second")?;
        }
        drop(log);
        io::Write::flush(&mut file)
    }
}
