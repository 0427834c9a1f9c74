//! Ends what a run has started where the run itself is killed, and has no time for it.
//!
//! Our own programs end with their standard input. A web server or a store does not, and a group of its own is not
//! reached by what ends the run (SIGKILL from a CI system, or for want of memory). So one shell for the whole process
//! holds the end of a pipe and a list of groups; when the pipe closes, which the system brings about however the run
//! ends, it kills those that are still on the list. It sleeps until then.
//!
//! Invariant: a group is on the list as long as somebody holds it, and no longer: its number may then be another's.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::Pid;

/// Reads `+ GROUP` and `- GROUP`; at the end of its input it kills what is left.
const SCRIPT: &str = r#"groups=
while read -r sign group; do
  rest=
  for one in $groups; do [ "$one" = "$group" ] || rest="$rest $one"; done
  groups=$rest
  [ "$sign" = + ] && groups="$groups $group"
done
for one in $groups; do kill -s KILL -- "-$one"; done"#;

/// The one of this process; none where there is no shell.
static WATCHER: LazyLock<Option<Mutex<Watcher>>> = LazyLock::new(|| Watcher::start().ok().map(Mutex::new));

/// The shell, and the pipe that it reads.
#[derive(Debug)]
struct Watcher {
    // It is left to itself: when the pipe closes it ends, and whoever has its parent's place then takes notice.
    #[cfg_attr(not(test), expect(dead_code, reason = "it lives as long as the pipe does"))]
    shell: Child,
    pipe: ChildStdin,
}

impl Watcher {
    fn start() -> io::Result<Self> {
        let mut command = Command::new("sh");
        // In a group of its own, so that what ends ours leaves it, and nowhere that somebody may want to remove.
        command.args(["-c", SCRIPT]).current_dir("/").process_group(0);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pipe = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { shell, pipe })
    }

    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        self.pipe.write_all(format!("{sign} {}\n", group.as_raw_nonzero()).as_bytes())
    }
}

/// A group that is on the list until this is dropped.
#[derive(Debug)]
pub(super) struct Watched(Pid);

impl Watched {
    /// Puts a group on the list.
    pub(super) fn new(group: Pid) -> Self {
        tell('+', group);
        Self(group)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

fn tell(sign: char, group: Pid) {
    if let Some(watcher) = &*WATCHER {
        // Where somebody has ended it nobody watches, and the run is as good.
        let _ = watcher.lock().unwrap_or_else(PoisonError::into_inner).tell(sign, group);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn leader() -> Child {
        Command::new("sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    #[test]
    fn when_the_pipe_closes_what_is_on_the_list_ends_and_nothing_else() {
        let (mut kept, mut ended, mut other) = (leader(), leader(), leader());
        let mut watcher = Watcher::start().unwrap();
        for child in [&kept, &ended, &other] {
            watcher.tell('+', Pid::from_child(child)).unwrap();
        }
        watcher.tell('-', Pid::from_child(&kept)).unwrap();
        let Watcher { mut shell, pipe } = watcher;
        drop(pipe);
        assert!(shell.wait().unwrap().code().is_some());
        assert_eq!((ended.wait().unwrap().signal(), other.wait().unwrap().signal()), (Some(9), Some(9)));
        assert!(kept.try_wait().unwrap().is_none(), "it is nobody's any more");
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
