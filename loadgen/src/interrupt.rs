//! Ctrl-C and its like: the first one asks a command to end, the second one ends it, with all that it has started.
//!
//! What a command starts leads a group of its own, which no terminal's Ctrl-C reaches and which outlives the command: a
//! web server, say, or a store that was stopped on purpose. So groups are on a list while somebody holds them.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A group of processes that ends with this program, even when that has no time to end it in order.
#[derive(Debug)]
pub struct Group(Pid);

impl Group {
    /// The group that a child leads, from now on until this is dropped.
    #[must_use]
    pub fn of(leader: &Child) -> Self {
        let group = Pid::from_child(leader);
        groups().push(group);
        Self(group)
    }

    /// Its number, and its leader's.
    #[must_use]
    pub fn id(&self) -> Pid {
        self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        groups().retain(|group| *group != self.0);
    }
}

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every group that is held, without asking.
fn end_groups() {
    for group in groups().iter() {
        // It may have ended by itself.
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

/// Sets `stop` at the first Ctrl-C, SIGTERM or SIGHUP, so that the run ends what it started and still tells what it
/// has; the second ends the process and every [`Group`]. Where SIGHUP is ignored, as under `nohup`, it stays so.
pub fn end_on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    let hangs_up = !std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangups(&status));
    // They are listened to before this returns, while no other runtime is there: one that reads a signal between its
    // handler's coming and the listener's would tell nobody.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let entered = runtime.enter();
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut hangup = hangs_up.then(|| signal(SignalKind::hangup()).ok()).flatten();
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut any = async || {
                let hung_up = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                    _ = hung_up => 129,
                }
            };
            any().await;
            stop.store(true, Ordering::Relaxed);
            let code = any().await;
            end_groups();
            std::process::exit(code);
        });
    });
}

/// Whether a process ignores SIGHUP, by its `/proc/PID/status` (proc(5)): the first bit of `SigIgn`.
fn ignores_hangups(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    fn leader() -> Child {
        Command::new("sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    #[test]
    fn groups_that_are_held_end_stopped_ones_too_and_others_do_not() {
        let (mut held, mut stopped, mut let_go) = (leader(), leader(), leader());
        let _groups = [Group::of(&held), Group::of(&stopped)];
        drop(Group::of(&let_go));
        kill_process_group(Pid::from_child(&stopped), Signal::STOP).unwrap();
        end_groups();
        let signal = Some(Signal::KILL.as_raw());
        assert_eq!((held.wait().unwrap().signal(), stopped.wait().unwrap().signal()), (signal, signal));
        assert!(let_go.try_wait().unwrap().is_none(), "it is nobody's any more");
        let_go.kill().unwrap();
        let_go.wait().unwrap();
    }

    #[test]
    fn whether_hangups_are_ignored_is_read() {
        assert!(ignores_hangups("Name:\tsim\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangups("SigIgn:\t0000000000001000\n") && !ignores_hangups(""));
    }
}
