//! The child that holds the users: started, let go at an agreed time, listened to, ended.
//!
//! Invariant: the child ends with whoever holds [`Users`], and at the latest a few seconds after its last request may
//! have ended. It ends by itself when its standard input does, so it outlives no parent.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::book::Book;
use super::wire::{Job, MESSAGE_BYTES, Message, Start};
use crate::clock::{Clock, duration_ns, monotonic_ns};
use crate::interrupt::Group;
use crate::sample::{Observer, Outcome, Totals};

/// The program with goose in it.
const PROGRAM: &str = "journeys";
/// How often it is looked whether the run is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After its last request may have ended, the child has this long to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of its standard error that are kept.
const LAST_LINES: usize = 12;

/// Who the users are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crowd {
    /// How many there are at once.
    pub users: u32,
    /// How many of them begin a second; all at once when `None`.
    pub spawn_per_s: Option<f64>,
}

/// Why there were no users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The program is not where it should be.
    #[error(
        "the program `journeys`, which holds the users, is not at {0}: build it with `cargo build --release -p journeys` \
         (the same profile as this program), or say where it is with --journeys-bin"
    )]
    Absent(PathBuf),
    /// It could not be started or spoken to.
    #[error("{program}: {source}")]
    Io {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before its time.
    #[error("the users' program ended: {0}")]
    Ended(String),
    /// It says what this program does not understand.
    #[error("the users' program is of another build: build both anew")]
    Foreign,
}

/// Where the program is: as given, or beside this one.
///
/// # Errors
/// When it is not there.
pub fn find_program(given: Option<&Path>) -> Result<PathBuf, UsersError> {
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        let folder = own.parent().unwrap_or(Path::new("")).to_path_buf();
        // Cargo puts tests one folder below programs.
        if folder.ends_with("deps") { folder.with_file_name(&name) } else { folder.join(&name) }
    };
    let path = given.map_or_else(beside, Path::to_path_buf);
    if path.is_file() { Ok(path) } else { Err(UsersError::Absent(path)) }
}

/// Users who are there and wait to begin.
#[derive(Debug)]
pub struct Users {
    program: PathBuf,
    child: Child,
    _group: Group,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Reads standard error, and has its last lines at its end.
    words: Option<JoinHandle<String>>,
    timeout: Duration,
}

impl Users {
    /// Starts the child and waits until its users are there. It may run on the cores of the calling thread. `timeout`
    /// is that of its journeys.
    ///
    /// # Errors
    /// When it cannot be started, or says why it cannot go on.
    pub fn launch(program: &Path, job: &Job, timeout: Duration) -> Result<Self, UsersError> {
        let failed = |source| UsersError::Io { program: program.to_path_buf(), source };
        let mut command = Command::new(program);
        // A group of its own: Ctrl-C in a terminal is for this program, which ends the child in its turn.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let group = Group::of(&child);
        let missing = || failed(io::Error::from(io::ErrorKind::BrokenPipe));
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(missing)?);
        let words = Some(std::thread::spawn(move || last_words(BufReader::new(stderr))));
        let program = program.to_path_buf();
        let mut users = Self {
            program,
            child,
            _group: group,
            input,
            output: BufReader::with_capacity(1 << 16, output),
            words,
            timeout,
        };
        users.tell(&serde_json::to_string(job).unwrap_or_else(|error| unreachable!("plain data is JSON: {error}")));
        match users.next()? {
            Some(Message::Ready) => Ok(users),
            Some(_) => Err(UsersError::Foreign),
            None => Err(users.ended()),
        }
    }

    /// Lets the users go at `from_ns` until `until_ns` of the run's clock, or until `stop` is set, and hands on what
    /// happens. Requests that have begun are waited for.
    ///
    /// # Errors
    /// When the child ends before its time, or says what is not understood.
    pub fn run(
        mut self,
        (from_ns, until_ns): (u64, u64),
        clock: Clock,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
        book: &mut Book,
    ) -> Result<Ended, UsersError> {
        let zero_ns = monotonic_ns() - clock.now_ns();
        let start = Start { from_ns: from_ns + zero_ns, until_ns: until_ns.saturating_add(zero_ns) };
        self.tell(&serde_json::to_string(&start).unwrap_or_else(|error| unreachable!("plain data is JSON: {error}")));
        let (input, pid, timeout) = (self.input.take(), Pid::from_child(&self.child), self.timeout);
        let over = AtomicBool::new(false);
        let mut heard = Heard { observer, book, zero_ns, from_ns, ended: Ended::default() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                end_in_time(input, pid, stop, &over, &clock, (until_ns, timeout));
            });
            let mut heard_all = || -> Result<(), UsersError> {
                while let Some(message) = self.next()? {
                    heard.take(&message, clock.now_ns())?;
                }
                Ok(())
            };
            let all = heard_all();
            over.store(true, Ordering::Relaxed);
            all
        })?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(heard.ended),
            _ => Err(self.ended()),
        }
    }

    /// Writes a line. A child that does not read it has ended, and reading tells why.
    fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// The next message; `None` at the end.
    fn next(&mut self) -> Result<Option<Message>, UsersError> {
        let mut bytes = [0; MESSAGE_BYTES];
        match self.output.read_exact(&mut bytes) {
            Ok(()) => Message::from_bytes(&bytes).map(Some).ok_or(UsersError::Foreign),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(UsersError::Io { program: self.program.clone(), source }),
        }
    }

    /// Why it ended, in its own words.
    fn ended(&mut self) -> UsersError {
        self.input = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        UsersError::Ended(if words.is_empty() { status } else { words })
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run of users came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended {
    /// Counts, as of the engine's loads; `cpu_ns` is that of the child.
    pub totals: Totals,
    /// Requests that the child could not tell of, since nobody listened fast enough.
    pub lost: u64,
}

/// Hands messages on, their times moved to the run's clock.
struct Heard<'a> {
    observer: &'a mut dyn Observer,
    book: &'a mut Book,
    zero_ns: u64,
    from_ns: u64,
    ended: Ended,
}

impl Heard<'_> {
    fn take(&mut self, message: &Message, now_ns: u64) -> Result<(), UsersError> {
        let own = |ns: u64| ns.saturating_sub(self.zero_ns);
        match message {
            Message::Ready => return Err(UsersError::Foreign),
            Message::Sample(sample) => {
                let mut sample = *sample;
                for time in [&mut sample.intended_ns, &mut sample.sent_ns, &mut sample.head_ns, &mut sample.end_ns] {
                    *time = own(*time);
                }
                let totals = &mut self.ended.totals;
                totals.started += 1;
                totals.finished += 1;
                totals.not_ok += u64::from(sample.outcome != Outcome::Ok);
                totals.wall_ns = totals.wall_ns.max(sample.end_ns.saturating_sub(self.from_ns));
                self.observer.sample(&sample);
                self.book.sample(&sample);
            }
            Message::Page { step, from_ns, end_ns, whole } => {
                if *whole {
                    self.book.page(*step, own(*from_ns), own(*end_ns));
                }
            }
            Message::Journey { journey, from_ns, end_ns, whole } => {
                self.book.journey(*journey, own(*from_ns), own(*end_ns), *whole);
            }
            Message::Tick { cpu_ns, in_flight, lost } => {
                self.ended.lost = *lost;
                let totals = &mut self.ended.totals;
                (totals.cpu_ns, totals.in_flight) = (*cpu_ns, *in_flight);
                totals.wall_ns = totals.wall_ns.max(now_ns.saturating_sub(self.from_ns));
                self.observer.tick(now_ns, totals);
            }
        }
        Ok(())
    }
}

/// Closes the child's input when the run is to end early, and ends a child that goes on for too long.
fn end_in_time(
    input: Option<ChildStdin>,
    pid: Pid,
    stop: &AtomicBool,
    over: &AtomicBool,
    clock: &Clock,
    (until_ns, timeout): (u64, Duration),
) {
    let (mut input, mut last_ns) = (input, until_ns.saturating_add(duration_ns(timeout + GRACE)));
    while !over.load(Ordering::Relaxed) {
        if stop.load(Ordering::Relaxed) && input.take().is_some() {
            last_ns = last_ns.min(clock.now_ns() + duration_ns(timeout + GRACE));
        }
        if clock.now_ns() > last_ns {
            // It may have ended by itself in this moment.
            let _ = kill_process(pid, Signal::KILL);
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn last_words(stderr: impl BufRead) -> String {
    let mut last = VecDeque::new();
    for line in stderr.lines().map_while(Result::ok) {
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            protocol: super::super::wire::PROTOCOL,
            file: String::new(),
            targets: Vec::new(),
            users: 1,
            spawn_per_s: None,
            seed: 1,
            key: None,
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_how_to_build_it() {
        let error = find_program(Some(Path::new("/no/such/journeys"))).unwrap_err().to_string();
        assert!(error.contains("/no/such/journeys") && error.contains("cargo build --release -p journeys"), "{error}");
    }

    #[test]
    fn a_program_that_ends_early_leaves_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("journeys");
        std::fs::write(&program, "#!/bin/sh\necho 'no users today' >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Users::launch(&program, &job(), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("no users today"), "{error}");
        std::fs::write(&program, "#!/bin/sh\nhead -c 80 /dev/zero\n").unwrap();
        assert!(matches!(Users::launch(&program, &job(), Duration::ZERO), Err(UsersError::Foreign)));
    }
}
