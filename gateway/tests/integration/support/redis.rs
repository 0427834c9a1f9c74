//! A real `redis-server` of a test's own, that can be paused, killed and started again.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Looks until a server answers, at most.
const TRIES: u32 = 2_000;
/// A server that does not answer a test for so long has hung.
const GUARD: Duration = Duration::from_secs(10);

/// Says that a server speaks TLS; no argument of its own.
const TLS: &str = "(tls)";

/// A server. It is killed with its test.
pub(crate) struct Redis {
    child: Child,
    folder: TempDir,
    more: Vec<String>,
    more_folders: Vec<TempDir>,
    /// Where it is.
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with these arguments more.
    pub(crate) fn with(more: &[&str]) -> Self {
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        // Between the look for a free port and the start somebody else may take it.
        for _ in 0..10 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let child = spawn(&folder, &more, address);
            let mut redis = Self { child, folder, more: more.clone(), more_folders: Vec::new(), address };
            if redis.answers() {
                return redis;
            }
        }
        panic!("no redis-server could be started: is it installed? `cargo xtask test` does that");
    }

    /// A sentinel that watches this master under the name `main`, and is alone enough to decide. It holds no master for
    /// dead by itself, since one that gets too little of a busy machine is not: it is told (`SENTINEL FAILOVER main`).
    pub(crate) fn sentinel(master: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor main {} {} 1\nsentinel down-after-milliseconds main 3600000\n",
            master.ip(),
            master.port()
        );
        std::fs::write(&file, text).unwrap();
        let mut sentinel = Self::with(&[file.to_str().unwrap(), "--sentinel"]);
        // It writes what it learns into its file.
        sentinel.more_folders.push(folder);
        sentinel
    }

    /// A cluster of so many masters, each with its part of the slots. They may take a moment to find each other; none
    /// is held for dead that is slow.
    pub(crate) fn cluster(masters: usize) -> Vec<Self> {
        const SLOTS: usize = 16_384;
        let nodes: Vec<Self> = (0..masters)
            .map(|_| Self::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "600000"]))
            .collect();
        for (number, node) in nodes.iter().enumerate() {
            let (from, until) = (number * SLOTS / masters, (number + 1) * SLOTS / masters - 1);
            assert!(node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).starts_with("+OK"));
            assert!(node.command(&format!("CLUSTER ADDSLOTSRANGE {from} {until}")).starts_with("+OK"));
        }
        for node in &nodes[1..] {
            let (ip, port) = (nodes[0].address.ip(), nodes[0].address.port());
            assert!(node.command(&format!("CLUSTER MEET {ip} {port}")).starts_with("+OK"));
        }
        nodes
    }

    /// One that speaks TLS alone.
    pub(crate) fn with_tls(certificate: &str, key: &str) -> Self {
        Self::with(&["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no", TLS])
    }

    /// Whether it answers before it ends.
    fn answers(&mut self) -> bool {
        for _ in 0..TRIES {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.more.iter().any(|word| word == TLS) {
                // Nobody here speaks TLS: that it listens is enough.
                if TcpStream::connect(self.address).is_ok() {
                    return true;
                }
                std::thread::park_timeout(Duration::from_millis(5));
                continue;
            }
            let answer = self.try_command("PING").unwrap_or_default();
            if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        false
    }

    fn try_command(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(GUARD)).ok()?;
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut buffer = [0; 16 * 1024];
        let length = stream.read(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Asks it; the answer as it is written.
    pub(crate) fn command(&self, line: &str) -> String {
        self.try_command(line).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// Keys that it has, those of gateways left out.
    pub(crate) fn limit_keys(&self) -> usize {
        let keys = self.command("KEYS limit:*");
        keys.trim_start_matches('*').lines().next().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Lets it hang: it takes connections, and says nothing.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Kills it: nobody listens any more, and all that it knew is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after that, on the same port.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.more, self.address);
        assert!(self.answers(), "it starts again");
    }
}

fn spawn(folder: &TempDir, more: &[String], address: SocketAddr) -> Child {
    let port = address.port().to_string();
    let mut command = Command::new("redis-server");
    // A configuration file comes first.
    let (file, more) = more.split_at(usize::from(more.first().is_some_and(|word| !word.starts_with("--"))));
    command.args(file).args(["--bind", "127.0.0.1"]);
    if more.iter().any(|word| word == TLS) {
        command.args(["--port", "0", "--tls-port", &port]);
    } else {
        command.args(["--port", &port]);
    }
    if file.is_empty() {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    command.args(["--dir", folder.path().to_str().unwrap()]).args(more.iter().filter(|word| *word != TLS));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server is installed: `cargo xtask test` does that")
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A paused one dies of this too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
