//! What the operating system says of this process, read from `/proc` when somebody scrapes.
//!
//! Elsewhere than on Linux there is nothing to read, and nothing is shown.

use std::fs;

/// Clock ticks a second in `/proc/*/stat`: the kernel's `USER_HZ`, 100 on every architecture that we build for
/// (proc_pid_stat(5); it is not the kernel's own HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// One look at the process. What could not be read is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessStats {
    /// User and system time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Virtual memory, bytes.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The soft limit of open file descriptors; absent when there is none.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When the process started, seconds since the Unix epoch.
    pub start_time_seconds: Option<f64>,
}

impl ProcessStats {
    /// Reads `/proc/self`. Takes some tens of microseconds; for the control side.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let mut stats = Self::parse(&text("/proc/self/stat"), &text("/proc/self/status"), &text("/proc/stat"));
        stats.max_fds = parse_max_fds(&text("/proc/self/limits"));
        // The directory being read is open itself.
        stats.open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1));
        stats
    }

    fn parse(stat: &str, status: &str, system: &str) -> Self {
        // The second field is the program's name in brackets; it may hold spaces and brackets itself.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
        let in_status = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let boot = system
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|time| time.trim().parse::<f64>().ok());
        Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            resident_bytes: in_status("VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: in_status("VmSize:").map(|kib| kib * 1024),
            threads: in_status("Threads:"),
            start_time_seconds: boot.zip(ticks(22)).map(|(boot, since)| boot + since),
            ..Self::default()
        }
    }
}

/// Resident memory of this process, bytes: for who looks at it often.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    ProcessStats::parse("", &status, "").resident_bytes
}

fn parse_max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "42 (odd) name (x) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 7 0 12345 999 88 1 2 3";
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        let stats = ProcessStats::parse(stat, status, "cpu 1 2\nbtime 1700000000\n");
        assert_eq!(
            stats,
            ProcessStats {
                cpu_seconds: Some(3.0),
                resident_bytes: Some(1024 * 1024),
                virtual_bytes: Some(2048 * 1024),
                threads: Some(7),
                start_time_seconds: Some(1_700_000_123.45),
                ..ProcessStats::default()
            }
        );
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096 files\n";
        assert_eq!(parse_max_fds(limits), Some(1024));
        assert_eq!(parse_max_fds("Max open files unlimited unlimited files"), None);
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        for garbage in ["", ")", "1 (a) S 1", "1 (a) S x x x x x x x x x x x x"] {
            assert_eq!(ProcessStats::parse(garbage, garbage, garbage), ProcessStats::default(), "{garbage}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let stats = ProcessStats::read();
        assert!(stats.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(stats.threads.is_some_and(|threads| threads >= 1) && stats.open_fds.is_some_and(|fds| fds >= 1));
        assert!(stats.start_time_seconds.is_some_and(|time| time > 1_500_000_000.0));
    }
}
