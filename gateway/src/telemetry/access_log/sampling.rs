//! Which lines are written: everything but 2xx and 3xx always, those by a share. One atomic word, so that a reload
//! changes it under running requests.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::settings::telemetry::{AccessLog, LogOutput};

/// Bits beyond this one decide: 63 of them, so that "all" has a number too.
const ALL: u64 = 1 << 63;
/// The log is off.
const OFF: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Sampling(AtomicU64);

impl Sampling {
    pub(super) fn new(settings: &AccessLog) -> Self {
        Self(AtomicU64::new(threshold(settings)))
    }

    pub(super) fn set(&self, settings: &AccessLog) {
        self.0.store(threshold(settings), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) != OFF
    }

    #[inline]
    pub(super) fn wants(&self, status: u16, bits: u64) -> bool {
        match self.0.load(Ordering::Relaxed) {
            OFF => false,
            threshold => !(200..400).contains(&status) || (bits >> 1) < threshold,
        }
    }
}

fn threshold(settings: &AccessLog) -> u64 {
    match settings.output {
        LogOutput::Off => OFF,
        // A product of a share and a power of two is exact; the conversion saturates.
        LogOutput::Stdout | LogOutput::File(_) => ((settings.sample.clamp(0.0, 1.0) * ALL as f64) as u64).min(ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(output: LogOutput, sample: f64) -> Sampling {
        Sampling::new(&AccessLog { output, sample, queue: 1 })
    }

    #[test]
    fn errors_are_always_wanted_and_the_rest_by_share() {
        for (sample, bits, expected) in [
            (1.0, u64::MAX, true),
            (1.0, 0, true),
            (0.0, 0, false),
            (0.5, (1 << 63) - 1, true),
            (0.5, 1 << 63, false),
            (0.01, u64::MAX / 101, true),
            (0.01, u64::MAX / 99, false),
        ] {
            let log = sampling(LogOutput::Stdout, sample);
            for status in [200, 204, 301, 399] {
                assert_eq!(log.wants(status, bits), expected, "{sample} {bits} {status}");
            }
            for status in [101, 400, 404, 429, 499, 500, 503] {
                assert!(log.wants(status, bits), "{sample} {bits} {status}");
            }
        }
    }

    #[test]
    fn an_off_log_wants_nothing_until_it_is_on() {
        let log = sampling(LogOutput::Off, 1.0);
        assert!(!log.is_on() && !log.wants(500, 0) && !log.wants(200, 0));
        log.set(&AccessLog { output: LogOutput::Stdout, sample: 1.0, queue: 1 });
        assert!(log.is_on() && log.wants(500, 0) && log.wants(200, 0));
    }
}
