//! design.md, invariant 1: in the gateway only `clock.rs` names a system clock.

use crate::tidy::tree::{Finding, Tree};

const CLOCKS: &[&str] = &["Instant::now", "SystemTime", "UNIX_EPOCH", "clock_gettime", "Instant::elapsed"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_in("gateway/src/").filter(|file| file.path != "gateway/src/clock.rs") {
        for (line, path) in file.paths_outside_tests() {
            if CLOCKS.iter().any(|clock| path.contains(clock)) {
                let advice = format!("`{}` outside clock.rs: ask the `Clock` that you are given", path.text());
                findings.push(Finding::new(file, line, advice));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::finds;

    #[test]
    fn only_the_clock_reads_the_systems_time() {
        let code = "fn a() { std::time::Instant::now(); }\nuse std::time::{Duration, SystemTime};";
        finds(check, &[("gateway/src/clock.rs", code)], &[]);
        finds(
            check,
            &[("gateway/src/context/a.rs", code)],
            &["gateway/src/context/a.rs:1", "gateway/src/context/a.rs:2"],
        );
        finds(check, &[("loadgen/src/pacer.rs", code)], &[]);
    }
}
