//! Runs programs: says what it runs, takes no input from the terminal, and passes exit codes on.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;
use crate::workspace::{root, tools_dir, variable};

/// A command that runs in the workspace's root, without standard input.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that started this program, so that a chosen toolchain stays chosen.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = command(variable("CARGO").unwrap_or_else(|| PathBuf::from("cargo")));
    command.args(args);
    // A subcommand installed by `install_tool` is found by cargo through the path.
    if let Some(path) = path_with_tools() {
        command.env("PATH", path);
    }
    command
}

fn path_with_tools() -> Option<OsString> {
    let path = variable("PATH")?;
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.push(tools_dir().join("bin"));
    std::env::join_paths(dirs).ok()
}

/// Prints the command, runs it with the terminal as its output, and turns its exit code into a result.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    println!("$ {line}");
    let status = command.status().map_err(|e| Failure::cannot_run(format!("cannot start `{line}`: {e}")))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(Failure { message: format!("`{line}` failed ({status})"), code })
}

/// Runs a command and keeps what it prints; fails only if it cannot be started.
pub(crate) fn output(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|e| Failure::cannot_run(format!("cannot start `{}`: {e}", line(command))))
}

/// Whether a command starts and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Where a program is: on the path, among our tools, or where packages put servers (often not on a person's path).
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let extra = [tools_dir().join("bin"), PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &std::path::Path) -> bool {
    file.is_file()
}

/// The first line that a program prints, on either output, when asked for its version.
pub(crate) fn version_of(program: &std::path::Path, flag: &str) -> String {
    let Ok(output) = output(command(program).arg(flag)) else { return "version unknown".to_owned() };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join("\n");
    text.trim().lines().next().unwrap_or("version unknown").trim().to_owned()
}

/// The same command at a low priority, where the machine can do that: it takes what others leave.
pub(crate) fn yielding(given: Command) -> Command {
    let Some(nice) = find("nice") else { return given };
    let mut lower = command(nice);
    lower.args(["-n", "10"]).arg(given.get_program()).args(given.get_args());
    for (name, value) in given.get_envs() {
        match value {
            Some(value) => lower.env(name, value),
            None => lower.env_remove(name),
        };
    }
    lower
}

/// A command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let is_cargo = program.file_stem().is_some_and(|name| name == "cargo");
    let mut line = if is_cargo { "cargo".to_owned() } else { program.to_string_lossy().into_owned() };
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let quote = if arg.contains([' ', '"', '*', '$']) { "'" } else { "" };
        let _ = write!(line, " {quote}{arg}{quote}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_own_exit_code_is_passed_on() {
        let failure = run(command("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(failure.code, 7);
        assert!(run(&mut command("true")).is_ok());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run(&mut command("no-such-program-here")).unwrap_err();
        assert_eq!(failure.code, 3);
        assert!(failure.message.contains("no-such-program-here"));
        assert_eq!(find("no-such-program-here"), None);
        assert!(find("sh").is_some());
    }

    #[test]
    fn a_program_gets_no_input() {
        assert!(succeeds(&mut command("cat")), "cat ends at once, since its input is empty");
    }

    #[test]
    fn a_command_that_yields_is_the_same_command() {
        let mut given = command("sh");
        given.args(["-c", "test \"$WORD\" = here"]).env("WORD", "here");
        assert!(succeeds(&mut yielding(given)));
        let mut given = command("sh");
        given.args(["-c", "exit 7"]);
        assert_eq!(run(&mut yielding(given)).unwrap_err().code, 7);
    }

    #[test]
    fn a_printed_line_can_be_typed_again() {
        assert_eq!(line(command("sh").args(["-c", "exit 7"])), "sh -c 'exit 7'");
    }
}
