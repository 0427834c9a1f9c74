//! The families of the process, as Prometheus' clients name them.

use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::process::ProcessStats;

/// Names as in the Prometheus client libraries, so that existing dashboards show them.
pub(super) fn render(page: &mut Page, stats: &ProcessStats) {
    let mut float = |name, kind, help, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.float(&[], value);
        }
    };
    float("process_cpu_seconds_total", Kind::Counter, "User and system time of the process.", stats.cpu_seconds);
    float("process_start_time_seconds", Kind::Gauge, "When the process started, Unix time.", stats.start_time_seconds);
    let mut number = |name, help, value: Option<u64>| {
        if let Some(value) = value {
            page.family(name, Kind::Gauge, help);
            page.number(&[], value);
        }
    };
    number("process_resident_memory_bytes", "Resident memory.", stats.resident_bytes);
    number("process_virtual_memory_bytes", "Virtual memory.", stats.virtual_bytes);
    number("process_open_fds", "Open file descriptors.", stats.open_fds);
    number("process_max_fds", "The limit of open file descriptors.", stats.max_fds);
    number("process_threads", "Threads.", stats.threads);
}
