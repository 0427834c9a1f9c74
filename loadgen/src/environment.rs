//! Where a run was measured: processor, kernel, memory, and how much of the machine others took.
//!
//! Reads `/proc` and `/sys`; what is not there is left out.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// The `environment` of a result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name.
    pub cpu: String,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory of the machine, bytes.
    pub memory: u64,
    /// The frequency governor; empty when there is none.
    pub governor: String,
    /// Which part ran on which core; empty when nothing was pinned.
    pub pinning: String,
    /// Versions of what was measured, by name.
    pub versions: BTreeMap<String, String>,
    /// Share of the machine's time that its host gave to others during the run.
    pub steal_ratio: f64,
    /// Half width of what two equal builds differ by, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub noise_aa: Option<f64>,
}

impl Environment {
    /// Reads the machine as it is; `steal_ratio` is since `before`.
    #[must_use]
    pub fn read(before: &CpuTicks) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes: u64 = memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory: kilobytes * 1024,
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").trim().to_owned(),
            pinning: String::new(),
            versions: BTreeMap::new(),
            steal_ratio: CpuTicks::read().steal_since(before),
            noise_aa: None,
        }
    }
}

/// Logical processors that this process may use, and that the machine has.
#[must_use]
pub fn cores() -> (usize, usize) {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbered =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    (allowed, stat.lines().filter(numbered).count().max(allowed))
}

/// The machine's processor time so far, from the first line of `/proc/stat`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTicks {
    total: u64,
    steal: u64,
}

impl CpuTicks {
    /// Reads them now.
    #[must_use]
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        // user nice system idle iowait irq softirq steal; the guest columns are in user already (proc(5)).
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map(|word| word.parse().unwrap_or(0)).collect();
        Self { total: ticks.iter().sum(), steal: ticks.get(7).copied().unwrap_or(0) }
    }

    /// Share of all time since `before` that was stolen by the host.
    #[must_use]
    pub fn steal_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        if total == 0 { 0.0 } else { self.steal.saturating_sub(before.steal) as f64 / total as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time() {
        let before = CpuTicks::parse("cpu  100 0 100 800 0 0 0 0 50 0\n");
        let after = CpuTicks::parse("cpu  150 0 150 880 0 0 0 20 60 0\n");
        assert!((after.steal_since(&before) - 0.1).abs() < 1e-12);
        assert!((before.steal_since(&before)).abs() < 1e-12);
    }

    #[test]
    fn this_machine_can_be_described() {
        let environment = Environment::read(&CpuTicks::read());
        assert!(environment.cores >= 1);
        assert!(!environment.kernel.is_empty() && environment.memory > 0);
        let (allowed, online) = cores();
        assert!(allowed >= 1 && online >= allowed);
    }
}
