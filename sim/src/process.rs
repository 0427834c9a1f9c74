//! A program that a run starts, and what it takes from the machine.
//!
//! Each is the leader of a process group of its own: Ctrl-C in a terminal reaches `sim` alone, which ends its programs
//! in order, and a program with workers ends as a whole. Dropping a [`Process`] ends it, so a panic does too, and so
//! does a second Ctrl-C; where `sim` itself is killed, its `watcher` does.

mod watcher;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::interrupt::Group;
use rustix::process::{Signal, kill_process, kill_process_group};
use rustix::thread::{CpuSet, sched_setaffinity};
use watcher::Watched;

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is asked whether it has.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// A process rests when it used at most `SETTLED_US` microseconds within this time.
const SETTLING: Duration = Duration::from_millis(2);
const SETTLED_US: u64 = 50;
/// How often that is asked.
const SETTLING_ASKS: u32 = 15;

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    /// Last: it is let go when the group has ended.
    _watched: Watched,
}

impl Process {
    /// Starts a program with its output in `log`, allowed on `cores` only (all, when empty). `pipe_stderr` keeps
    /// standard error for the caller.
    ///
    /// # Errors
    /// When the log cannot be made, or the program not be started or pinned.
    pub fn start(command: &mut Command, log: &Path, cores: &[usize], pipe_stderr: bool) -> io::Result<Self> {
        // Always at the file's end: standard output and whoever copies standard error share it.
        File::create(log)?;
        let log = File::options().append(true).open(log)?;
        let stderr = if pipe_stderr { Stdio::piped() } else { log.try_clone()?.into() };
        command.stdin(Stdio::piped()).stdout(log).stderr(stderr).process_group(0);
        // A child has the affinity of the thread that starts it, so a thread of its own is pinned first.
        let child = std::thread::scope(|scope| {
            let pinned = scope.spawn(|| {
                if !cores.is_empty() {
                    pin_thread(cores)?;
                }
                command.spawn()
            });
            pinned.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
        })?;
        let group = Group::of(&child);
        let watched = Watched::new(group.id());
        Ok(Self { child, group, _watched: watched })
    }

    /// Its standard error, once, when it was kept.
    pub fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// Writes an order to its standard input.
    ///
    /// # Errors
    /// When it has ended, or reads nothing.
    pub fn order(&mut self, text: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(text.as_bytes())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it has ended, and not well.
    pub fn has_failed(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if !status.success())
    }

    /// How it has ended, as in "by signal 9"; `None` while it runs.
    pub fn how_it_ended(&mut self) -> Option<String> {
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status,
            Err(_) => return Some("in a way that nobody knows".to_owned()),
        };
        Some(match (status.signal(), status.code()) {
            (Some(signal), _) => format!("by signal {signal}"),
            (None, code) => format!("with exit code {}", code.unwrap_or(0)),
        })
    }

    /// What its whole group has used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        group_usage(self.group.id().as_raw_nonzero().get())
    }

    /// The same once its threads have come to rest, so that all its time is booked: the kernel adds a running thread's
    /// time only now and then. A process that does not rest is waited for no longer than 30 milliseconds.
    #[must_use]
    pub fn settled_usage(&self) -> Usage {
        let mut last = self.usage();
        for _ in 0..SETTLING_ASKS {
            std::thread::sleep(SETTLING);
            let now = self.usage();
            if now.cpu_us.saturating_sub(last.cpu_us) <= SETTLED_US {
                return now;
            }
            last = now;
        }
        last
    }

    /// The memory of the program and of all that it started, bytes. Looks at these alone, since a look at every process
    /// of the machine takes milliseconds, which others on the core then wait.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        let root = self.group.id().as_raw_nonzero().get();
        family_rss(root, 0).unwrap_or_else(|| group_usage(root).rss_bytes)
    }

    /// The open descriptors of the program and of all that it started.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        let open = |process: i32| fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |list| list.count() as u64);
        family(self.group.id().as_raw_nonzero().get(), 0).into_iter().map(open).sum()
    }

    /// Ends the whole group at once, without asking.
    pub fn end_now(&mut self) {
        let _ = kill_process_group(self.group.id(), Signal::KILL);
        let _ = self.child.wait();
    }

    /// Sends a signal to its whole group.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process_group(self.group.id(), signal)?)
    }

    /// Sends a signal to the program itself, and not to the workers that it started.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal_leader(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.group.id(), signal)?)
    }

    /// Waits until it has ended by itself, at most this long.
    pub fn wait(&mut self, at_most: Duration) {
        for _ in 0..at_most.as_millis() / ASK_EVERY.as_millis() {
            if !self.is_running() {
                break;
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Asks it to end, waits a while, then ends the whole group.
    pub fn stop(&mut self) {
        // It may have ended by itself; then there is no one to tell.
        let _ = kill_process_group(self.group.id(), Signal::TERM);
        self.wait(GRACE);
        let _ = kill_process_group(self.group.id(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop();
        } else {
            // The leader has ended; what it left behind in its group has to go too.
            let _ = kill_process_group(self.group.id(), Signal::KILL);
        }
    }
}

/// Allows the calling thread on these cores only.
///
/// # Errors
/// When there is no such core.
pub fn pin_thread(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// What processes have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of the threads that live, microseconds; where the kernel counts no nanoseconds for each
    /// thread, of all threads in steps of the clock tick (10 ms as a rule).
    pub cpu_us: u64,
    /// Resident memory, bytes; pages that processes share count for each.
    pub rss_bytes: u64,
}

fn group_usage(group: i32) -> Usage {
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let page_bytes = rustix::param::page_size() as u64;
    let mut usage = Usage::default();
    let Ok(entries) = fs::read_dir("/proc") else { return usage };
    for entry in entries.flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(one) = parse_stat(&stat).filter(|one| one.group == group) {
            let exact_us = threads_cpu_ns(&entry.path()).map(|ns| ns / 1_000);
            usage.cpu_us += exact_us.unwrap_or(one.cpu_ticks * tick_us);
            usage.rss_bytes += one.rss_pages * page_bytes;
        }
    }
    usage
}

/// The CPU time of a process's threads, nanoseconds. `None` where the kernel keeps none.
fn threads_cpu_ns(process: &Path) -> Option<u64> {
    let mut total_ns = 0;
    for thread in fs::read_dir(process.join("task")).ok()?.flatten() {
        total_ns += booked_ns(&thread.path())?;
    }
    (total_ns > 0).then_some(total_ns)
}

/// The CPU time of a thread of this process, nanoseconds; 0 where the kernel keeps none.
pub(crate) fn thread_cpu_ns(number: i32) -> u64 {
    booked_ns(Path::new(&format!("/proc/self/task/{number}"))).unwrap_or(0)
}

/// The first field of a thread's `schedstat` (Documentation/scheduler/sched-stats in the kernel's sources).
fn booked_ns(thread: &Path) -> Option<u64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

/// Processes that start each other, one below the other, are at most this many deep.
const DEEPEST: u32 = 4;

/// A process and its children.
fn family(process: i32, depth: u32) -> Vec<i32> {
    let mut all = vec![process];
    if depth >= DEEPEST {
        return all;
    }
    for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(
            children.split_whitespace().filter_map(|one| one.parse().ok()).flat_map(|one| family(one, depth + 1)),
        );
    }
    all
}

/// The resident memory of a process and of its children; `None` where the kernel does not list them.
fn family_rss(process: i32, depth: u32) -> Option<u64> {
    let folder = format!("/proc/{process}");
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    let mut total = parse_stat(&stat)?.rss_pages * rustix::param::page_size() as u64;
    for thread in fs::read_dir(format!("{folder}/task")).ok()?.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).ok()?;
        for child in children.split_whitespace().filter_map(|one| one.parse().ok()).filter(|_| depth < DEEPEST) {
            // A child that ended meanwhile has none.
            total += family_rss(child, depth + 1).unwrap_or(0);
        }
    }
    Some(total)
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: i32,
    cpu_ticks: u64,
    rss_pages: u64,
}

/// Reads a line of `/proc/PID/stat` (proc(5)): the fields after the name, which may hold anything but ends at the last
/// parenthesis.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Counted from state, which is field 3: pgrp is 5, utime 14, stime 15, rss 24.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat { group: i32::try_from(number(5)?).ok()?, cpu_ticks: number(14)? + number(15)?, rss_pages: number(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let line = "17 (a) (b) S 1 42 17 0 -1 4194560 1 2 3 4 100 23 0 0 20 0 1 0 5 1000000 250 18446744073709551615 1";
        assert_eq!(parse_stat(line), Some(Stat { group: 42, cpu_ticks: 123, rss_pages: 250 }));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_dropped_process_is_gone_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // A child of its own that ignores the polite signal, and holds standard error open as long as it lives.
        command.args(["-c", "(trap '' TERM; exec sleep 1000) & echo started >&2; wait"]);
        let mut process = Process::start(&mut command, &folder.path().join("log"), &[], true).unwrap();
        let mut stderr = process.take_stderr().unwrap();
        let mut started = [0; 8];
        io::Read::read_exact(&mut stderr, &mut started).unwrap();
        assert!(process.is_running() && process.usage().rss_bytes > 0);
        drop(process);
        // Returns only when nobody holds the other end any more.
        assert_eq!(io::Read::read(&mut stderr, &mut started).unwrap(), 0);
    }

    #[test]
    fn descriptors_are_those_of_the_program_and_of_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "(exec 7</dev/null 8</dev/null; echo started >&2; exec sleep 1000 2>&-) & wait"]);
        let mut process = Process::start(&mut command, &folder.path().join("log"), &[], true).unwrap();
        let mut said = [0; 8];
        io::Read::read_exact(&mut process.take_stderr().unwrap(), &mut said).unwrap();
        let own = fs::read_dir(format!("/proc/{}/fd", process.group.id().as_raw_nonzero())).unwrap().count() as u64;
        assert!(process.descriptors() >= own + 4, "{} of both, {own} of the first", process.descriptors());
    }

    #[test]
    fn memory_is_that_of_the_program_and_of_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // The innermost stays the shell that has spoken: of a program that has just been started in its place, a kernel
        // that counts pages per core may know of none yet.
        command.args(["-c", "(sh -c 'echo started >&2; sleep 1000; true'; true) & wait"]);
        let mut process = Process::start(&mut command, &folder.path().join("log"), &[], true).unwrap();
        let mut said = [0; 8];
        io::Read::read_exact(&mut process.take_stderr().unwrap(), &mut said).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.group.id().as_raw_nonzero())).unwrap();
        let alone = parse_stat(&stat).unwrap().rss_pages * rustix::param::page_size() as u64;
        let all = process.rss_bytes();
        assert!(all > alone, "{all} bytes of three processes, {alone} of the first");
    }

    #[test]
    fn cpu_time_is_counted_and_a_process_can_be_ended_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done >&2; exec sleep 1000"]);
        let mut process = Process::start(&mut command, &folder.path().join("log"), &[], true).unwrap();
        let mut said = [0; 5];
        io::Read::read_exact(&mut process.take_stderr().unwrap(), &mut said).unwrap();
        let used_us = process.settled_usage().cpu_us;
        assert!(used_us > 1_000, "{used_us} us for twenty thousand steps");
        assert_eq!(process.how_it_ended(), None);
        process.end_now();
        assert!(!process.is_running());
        assert_eq!(process.how_it_ended().as_deref(), Some("by signal 9"));
    }

    #[test]
    fn a_pinned_process_stays_on_its_core() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "grep Cpus_allowed_list /proc/self/status"]);
        let mut process = Process::start(&mut command, &log, &[0], false).unwrap();
        process.child.wait().unwrap();
        assert!(fs::read_to_string(&log).unwrap().trim_end().ends_with("\t0"));
    }
}
