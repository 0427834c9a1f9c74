//! The bounds of a run that counts, for every program that judges one (`docs/benchmarking.md`).

/// Achieved requests may differ from offered ones by this share.
pub const MOST_MISSED: f64 = 0.01;
/// The pacer's p99 lag may be this, microseconds, or a tenth of the median service time if that is more.
pub const MOST_LAG_US: f64 = 200.0;
/// The driver's thread may work for this share of the time.
pub const MOST_BUSY: f64 = 0.7;
/// The host may take this share of the machine's time.
pub const MOST_STOLEN: f64 = 0.01;
