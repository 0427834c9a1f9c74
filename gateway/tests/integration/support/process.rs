//! The real binary, for what belongs to a process: signals, exit codes, what it says on standard error.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, Command};

use super::guarded;

/// A running gateway process. It is killed with its test.
pub(crate) struct Process {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where operators connect.
    pub(crate) admin: SocketAddr,
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    /// Runs `gateway` to its end: exit code, standard output, standard error.
    pub(crate) async fn run(arguments: &[&str], folder: &Path) -> (i32, String, String) {
        Self::run_with(arguments, folder, &[]).await
    }

    /// The same, with these environment variables.
    pub(crate) async fn run_with(
        arguments: &[&str],
        folder: &Path,
        variables: &[(&str, &str)],
    ) -> (i32, String, String) {
        let mut command = command(arguments, folder);
        let output = guarded("the program's end", command.envs(variables.iter().copied()).output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Starts `gateway run` and waits until it serves.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::launch(config, &[], &[]).await
    }

    /// The same, with these environment variables.
    pub(crate) async fn start_with(config: &Path, variables: &[(&str, &str)]) -> Self {
        Self::launch(config, &[], variables).await
    }

    /// Starts one in front of this upstream whose admin asks for this token; its configuration lies in the folder.
    pub(crate) async fn start_with_token(upstream: SocketAddr, token: &str) -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let text = format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\ntoken_env = 'THE_TOKEN'\n\
             [telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/'\nupstream = 'http://{upstream}'\n"
        );
        std::fs::write(&file, text).unwrap();
        (Self::start_with(&file, &[("THE_TOKEN", token)]).await, folder)
    }

    /// Starts `gateway run` with these arguments more.
    pub(crate) async fn start_with_arguments(config: &Path, arguments: &[&str]) -> Self {
        Self::launch(config, arguments, &[]).await
    }

    /// Starts one that may have this many file descriptors.
    pub(crate) async fn start_with_descriptors(config: &Path, most: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" run --config \"$1\"")]);
        command.arg(env!("CARGO_BIN_EXE_gateway")).arg(config).kill_on_drop(true);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Self::up(command).await
    }

    async fn launch(config: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command(&["run", "--config", config.to_str().unwrap()], config.parent().unwrap());
        command.args(arguments).envs(variables.iter().copied());
        Self::up(command).await
    }

    async fn up(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = next_event(&mut stderr, "ready").await;
        let address = ready["listeners"][0].as_str().unwrap().parse().unwrap();
        let admin = ready["admin"].as_str().unwrap().parse().unwrap();
        Self { child, stderr, address, admin }
    }

    /// Waits for an event on standard error.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        next_event(&mut self.stderr, kind).await
    }

    /// Sends a signal, by the name that `kill` knows.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Fills the pipe of its standard error to the brim: what it says from now on waits until somebody reads.
    pub(crate) async fn fill_stderr(&self) {
        // Another opening of the same pipe: whether a write may wait is said of each.
        let pipe = pipe::OpenOptions::new().open_sender(format!("/proc/{}/fd/2", self.id())).unwrap();
        guarded("room in the pipe", pipe.writable()).await.unwrap();
        while pipe.try_write(&[b'\n'; 4096]).is_ok() {}
        while pipe.try_write(b"\n").is_ok() {}
    }

    /// Waits for its end, and reads nothing of what it says; the exit code.
    pub(crate) async fn ended_unheard(&mut self) -> i32 {
        guarded("the process' end", self.child.wait()).await.unwrap().code().unwrap()
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(&mut self) -> i32 {
        // A full pipe must not keep it from ending.
        let mut rest = Vec::new();
        let (status, _) = guarded("the process' end", async {
            tokio::join!(self.child.wait(), self.stderr.get_mut().read_to_end(&mut rest))
        })
        .await;
        status.unwrap().code().unwrap()
    }
}

async fn next_event(stderr: &mut Lines<BufReader<ChildStderr>>, kind: &str) -> Value {
    let mut seen = Vec::new();
    loop {
        let Some(line) = guarded(kind, stderr.next_line()).await.unwrap() else { panic!("no {kind} in {seen:?}") };
        match serde_json::from_str::<Value>(&line) {
            Ok(event) if event["event"] == kind => return event,
            _ => seen.push(line),
        }
    }
}
