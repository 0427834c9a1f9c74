//! What is computed in this process: the same code that the gateway runs, without sockets in between.
//!
//! - [`routing`]: matches in tables of many routes, beside a scan; [`hashing`]: keys on a ring, and caches behind it;
//! - [`tokens`]: a corpus of tokens and attacks; [`limits`]: buckets of many keys; [`ids`]: what a request is called;
//! - [`embedding`]: what it takes to mount the gateway in a program; [`documents`]: what it says of its routes;
//! - [`logs`]: what runs wrote.

pub(super) mod documents;
pub(super) mod embedding;
pub(super) mod hashing;
pub(super) mod ids;
pub(super) mod limits;
pub(super) mod logs;
pub(super) mod routing;
pub(super) mod tokens;

use loadgen::clock::Clock;

/// Nanoseconds of one call of `work`, which is told its number: the mean of `times` after a tenth as many to warm up.
fn ns_each(times: u64, mut work: impl FnMut(u64)) -> f64 {
    (0..times / 10).for_each(&mut work);
    let clock = Clock::start();
    (0..times).for_each(work);
    clock.now_ns() as f64 / times.max(1) as f64
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
