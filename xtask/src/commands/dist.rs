//! `cargo xtask dist`: the gateway as it is shipped, laid out by a profile of itself at work.
//!
//! Three steps. A gateway is built that counts which way its branches go. Traffic of many kinds passes through it: the
//! demo's (several routes, a log, an endpoint that fails half way, retries), and scenarios at full speed, with tokens,
//! limits and bodies. Then the same sources are built again, with what was counted: what is used stands together and in
//! a line, what is not is out of the way. What no traffic passed through here is built for size, so all that a request
//! may need is to be among it.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, refuse_unknown};
use crate::process::{cargo, command, output, run as run_command};
use crate::workspace::target_dir;

/// The traffic: enough that every branch of the usual way is counted some ten thousand times.
const RATE: &str = "5000/s";

/// Scenarios whose traffic is counted too.
const SCENARIOS: [&str; 5] = ["full-speed", "chain", "rate-limit", "identity-flood", "slow-bodies"];

/// Builds it, and prints where it is.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &[])?;
    let compiler = Compiler::ask()?;
    let profdata = compiler.profdata()?;
    let folder = target_dir().join("pgo");
    let (counts, profile) = (folder.join("counts"), folder.join("gateway.profdata"));
    start_empty(&counts)?;

    let counting = build(&compiler, &folder.join("counting"), &format!("-Cprofile-generate={}", counts.display()))?;
    run_command(&mut cargo(&["build", "--release", "--bin", "sim"]))?;
    let mut demo = command(target_dir().join("release/sim"));
    run_command(demo.arg("demo").arg("--gateway-bin").arg(&counting).args(["--rate", RATE]))?;
    for name in SCENARIOS {
        run_scenario(name, &counting, &folder.join("runs").join(name))?;
    }
    run_command(command(profdata).arg("merge").arg("-o").arg(&profile).arg(&counts))?;
    let shipped = build(&compiler, &folder.join("shipped"), &format!("-Cprofile-use={}", profile.display()))?;

    let program = folder.join("gateway");
    std::fs::copy(&shipped, &program).map_err(|e| Failure::cannot_run(format!("{}: {e}", shipped.display())))?;
    println!("\n{}", program.display());
    Ok(())
}

/// Lets a scenario's traffic pass. Whether it is fast enough or a valid measurement is not asked here, and it is not:
/// it counts.
fn run_scenario(name: &str, gateway: &Path, out: &Path) -> Result<(), Failure> {
    println!("scenario {name}");
    let mut sim = command(target_dir().join("release/sim"));
    sim.arg("run").arg(format!("sim/scenarios/{name}.toml")).arg("--gateway-bin").arg(gateway).arg("--out").arg(out);
    sim.stdout(std::process::Stdio::null());
    let status = sim.status().map_err(|e| Failure::cannot_run(format!("{name}: {e}")))?;
    match status.code() {
        Some(0 | 1 | 4) => Ok(()),
        _ => Err(Failure::cannot_run(format!("scenario {name} ended with {status}"))),
    }
}

/// Nothing of an earlier run may be counted: the sources may be others.
fn start_empty(folder: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(failed)?;
    }
    std::fs::create_dir_all(folder).map_err(failed)
}

/// Builds the gateway with these flags; where it is. A target is named, so that cargo keeps them from build scripts and
/// macros, which would count as well.
fn build(compiler: &Compiler, folder: &Path, flags: &str) -> Result<PathBuf, Failure> {
    let mut build = cargo(&["build", "--profile", "dist", "--bin", "gateway", "--target", &compiler.host]);
    println!("RUSTFLAGS={flags}");
    run_command(build.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", folder))?;
    Ok(folder.join(&compiler.host).join("dist/gateway"))
}

/// The compiler that cargo uses here.
struct Compiler {
    host: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self, Failure> {
        let says = |args: &[&str]| {
            let said = output(command("rustc").args(args))?;
            Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
        };
        let host = host_of(&says(&["-vV"])?).ok_or_else(|| Failure::cannot_run("rustc does not name its host"))?;
        Ok(Self { host, sysroot: says(&["--print", "sysroot"])?.into() })
    }

    /// The tool that reads counts, of the compiler's own version: another cannot read them.
    fn profdata(&self) -> Result<PathBuf, Failure> {
        let tool = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/llvm-profdata");
        if tool.is_file() {
            return Ok(tool);
        }
        Err(Failure::cannot_run("llvm-profdata is not there; install it with `rustup component add llvm-tools`"))
    }
}

fn host_of(version: &str) -> Option<String> {
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_without_its_tools_is_told_what_to_install() {
        let compiler = Compiler { host: "none".to_owned(), sysroot: PathBuf::from("/no/such/folder") };
        let failure = compiler.profdata().unwrap_err();
        assert_eq!(failure.code, 3);
        assert!(failure.message.contains("rustup component add llvm-tools"));
    }

    #[test]
    fn the_host_is_read_from_the_compilers_own_words() {
        let said = "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0";
        assert_eq!(host_of(said).unwrap(), "x86_64-unknown-linux-gnu");
        assert_eq!(host_of("gcc"), None);
    }
}
