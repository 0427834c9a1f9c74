//! Programs of other gateways: what they are called, where they are, what version they are, and when they serve.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// Looks for a listener this often, and so many times: ten seconds.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// A program that is known here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Its name in results.
    pub(crate) name: &'static str,
    /// What its file may be called.
    files: &'static [&'static str],
    /// How it is asked for its version.
    version: &'static [&'static str],
}

/// All of them.
pub(crate) const KNOWN: [Known; 9] = [
    Known { name: "nginx", files: &["nginx"], version: &["-v"] },
    Known { name: "haproxy", files: &["haproxy"], version: &["-v"] },
    Known { name: "envoy", files: &["envoy"], version: &["--version"] },
    Known { name: "caddy", files: &["caddy"], version: &["version"] },
    Known { name: "pingora", files: &["pingora", "peer-pingora"], version: &["--version"] },
    Known { name: "fastapi-httpx", files: &["peer-fastapi-httpx"], version: &["--version"] },
    Known { name: "fastapi-aiohttp", files: &["peer-fastapi-aiohttp"], version: &["--version"] },
    Known { name: "flask", files: &["peer-flask"], version: &["--version"] },
    Known { name: "node", files: &["peer-node"], version: &["--version"] },
];

/// A program that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// As it says itself.
    pub(crate) version: String,
}

/// A program by its name: where `path` says, where `cargo xtask peers` puts it, or among the system's programs.
pub(crate) fn find(name: &str, path: Option<&Path>) -> Option<Found> {
    let known = KNOWN.iter().find(|known| known.name == name)?;
    let path = match path {
        Some(path) => path.is_file().then(|| path.to_path_buf())?,
        None => look_for(known.files)?,
    };
    let version = version_of(&path, known.version);
    Some(Found { path, version })
}

/// The first line that a program prints when asked for its version, on either stream.
pub(crate) fn version_of(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "unknown".to_owned() };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown");
    // `nginx version: nginx/1.22.1`: what follows the word is what is asked for.
    line.rsplit_once("version: ").map_or(line, |(_, version)| version).to_owned()
}

/// A loopback address that is free now. Peers cannot take port 0 and say which they got, so the port may be taken by
/// another between here and their start; then they do not serve, and the run says so.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// Waits until a program takes connections at an address, or has ended, or ten seconds have passed.
pub(crate) fn takes_connections(process: &mut Process, address: SocketAddr) -> bool {
    for _ in 0..LOOKS {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        if !process.is_running() {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    false
}

/// Where a program is: beside our build (`target/peers/bin`, made by `cargo xtask peers`), on the path, or where
/// servers are installed.
fn look_for(files: &[&str]) -> Option<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(3)).map(|folder| folder.join("peers/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders =
        beside.chain([PathBuf::from("target/peers/bin")]).chain(std::env::split_paths(&path)).chain(system);
    folders.find_map(|folder| {
        let folder = std::path::absolute(folder).ok()?;
        files.iter().map(|file| folder.join(file)).find(|file| file.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_not_there_is_none() {
        assert_eq!(find("apache", None), None);
        assert_eq!(find("nginx", Some(Path::new("/no/such/nginx"))), None);
        assert!(look_for(&["surely-no-such-program"]).is_none());
        assert!(look_for(&["sh"]).is_some());
    }

    #[test]
    fn a_version_is_what_the_first_line_says() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("p");
        std::fs::write(&program, "#!/bin/sh\necho\necho \"$0  version: 1.2\"\necho more\n").unwrap();
        let mut mode = std::fs::metadata(&program).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        assert_eq!(version_of(&program, &[]), "1.2");
        assert_eq!(version_of(Path::new("/no/such/program"), &[]), "unknown");
    }
}
