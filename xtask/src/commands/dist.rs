//! `cargo xtask dist`: the gateway as it is shipped, laid out by a profile of itself at work.
//!
//! Three steps. A gateway is built that counts which way its branches go. Traffic of many kinds passes through it: the
//! demo's (several routes, a log, an endpoint that fails half way, retries), and scenarios at full speed, with tokens,
//! limits and bodies. Then the same sources are built again, with what was counted: what is used stands together and in
//! a line, what is not is out of the way. What no traffic passed through here is built for size, so all that a request
//! may need is to be among it.
//!
//! Where LLVM's BOLT is installed, a fourth: the program as it was linked counts once more, and its functions are laid
//! out anew (Panchenko et al., "BOLT: A Practical Binary Optimizer for Data Centers and Beyond", CGO 2019). A compiler
//! lays out one function at a time; which functions follow each other is known only now.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, refuse_unknown};
use crate::process::{cargo, command, find, output, run as run_command};
use crate::workspace::target_dir;

/// The traffic: enough that every branch of the usual way is counted some ten thousand times.
const RATE: &str = "5000/s";

/// Scenarios whose traffic is counted too.
const SCENARIOS: [&str; 6] = ["full-speed", "chain", "rate-limit", "identity-flood", "slow-bodies", "edge-http2"];

/// Blocks in the order in which they follow each other, functions in the order in which they call each other, and what
/// hardly ever runs apart. Functions that are the same are there once, but for those whose address somebody takes; and
/// none begins farther behind the one before it than the processor reads at a time, where by default it is up to half
/// a line of the cache: a request passes through more code than the first cache holds (docs/performance.md).
const LAYOUT: [&str; 9] = [
    "-reorder-blocks=ext-tsp",
    "-reorder-functions=cdsort",
    "-split-functions",
    "-split-all-cold",
    "-split-eh",
    "-icf=safe",
    "-align-functions=16",
    "-align-functions-max-bytes=15",
    "-dyno-stats",
];

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
    let_traffic_pass(&counting, &folder)?;
    run_command(command(profdata).arg("merge").arg("-o").arg(&profile).arg(&counts))?;
    // BOLT needs to know what refers to what in a program that is linked already.
    let flags = format!("-Cprofile-use={} -Clink-arg=-Wl,--emit-relocs", profile.display());
    let shipped = build(&compiler, &folder.join("shipped"), &flags)?;

    let program = folder.join("gateway");
    match compiler.llvm_tool("llvm-bolt") {
        Some(bolt) => lay_out(&bolt, &shipped, &program, &folder)?,
        None => {
            println!("llvm-bolt is not there; functions stay as they were linked (on Debian: bolt-{})", compiler.llvm);
            copy(&shipped, &program)?;
        }
    }
    println!("\n{}", program.display());
    Ok(())
}

/// Lets traffic of all kinds pass through a gateway that counts.
fn let_traffic_pass(counting: &Path, folder: &Path) -> Result<(), Failure> {
    let mut demo = command(target_dir().join("release/sim"));
    pass("the demo", demo.arg("demo").arg("--gateway-bin").arg(counting).args(["--rate", RATE]))?;
    for name in SCENARIOS {
        run_scenario(name, counting, &folder.join("runs").join(name))?;
    }
    // Scenarios have no gRPC; comparisons have, and need no peer.
    let mut grpc = command(target_dir().join("release/sim"));
    grpc.args(["peers", "--chain", "grpc", "--rounds", "1", "--seconds", "3", "--gateway-bin"]).arg(counting);
    pass("gRPC", grpc.stdout(Stdio::null()))
}

/// Lets a load pass. What a gateway that counts, on a busy machine, did not hold (1), and what is no valid measurement
/// (4), was counted all the same.
fn pass(load: &str, command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|e| Failure::cannot_run(format!("{load}: {e}")))?;
    if status.success() || matches!(status.code(), Some(1 | 4)) {
        Ok(())
    } else {
        Err(Failure::cannot_run(format!("{load}: {status}")))
    }
}

/// Lets the linked program count, and writes it anew with what is used together side by side.
fn lay_out(bolt: &Path, shipped: &Path, program: &Path, folder: &Path) -> Result<(), Failure> {
    let (counting, counts) = (folder.join("gateway.counting"), folder.join("layout"));
    start_empty(&counts)?;
    let mut instrument = command(bolt);
    instrument.arg(shipped).arg("-instrument").arg("-o").arg(&counting);
    // One file for each process: those of a scenario may run at once.
    instrument.arg(format!("-instrumentation-file={}", counts.join("counts").display()));
    run_command(instrument.arg("-instrumentation-file-append-pid"))?;
    let_traffic_pass(&counting, folder)?;
    let merged = folder.join("gateway.fdata");
    let mut merge = command(bolt.with_file_name("merge-fdata"));
    run_command(merge.arg("-o").arg(&merged).args(files_of(&counts)?))?;
    let mut lay_out = command(bolt);
    lay_out.arg(shipped).arg("-o").arg(program).arg("-data").arg(&merged).args(LAYOUT);
    run_command(&mut lay_out)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e: std::io::Error| Failure::cannot_run(format!("{}: {e}", folder.display()));
    std::fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::copy(from, to).map(drop).map_err(|e| Failure::cannot_run(format!("{}: {e}", from.display())))
}

/// Lets a scenario's traffic pass. Whether it is fast enough or a valid measurement is not asked here, and it is not:
/// it counts.
fn run_scenario(name: &str, gateway: &Path, out: &Path) -> Result<(), Failure> {
    println!("scenario {name}");
    let mut sim = command(target_dir().join("release/sim"));
    sim.arg("run").arg(format!("sim/scenarios/{name}.toml")).arg("--gateway-bin").arg(gateway).arg("--out").arg(out);
    pass(&format!("scenario {name}"), sim.stdout(Stdio::null()))
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
    /// The version of LLVM in it, the first number.
    llvm: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self, Failure> {
        let says = |args: &[&str]| {
            let said = output(command("rustc").args(args))?;
            Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
        };
        let version = says(&["-vV"])?;
        let said = |what: &str| {
            said(&version, what).ok_or_else(|| Failure::cannot_run(format!("`rustc -vV` does not say its {what}")))
        };
        let llvm = said("LLVM version")?.chars().take_while(char::is_ascii_digit).collect();
        Ok(Self { host: said("host")?, llvm, sysroot: says(&["--print", "sysroot"])?.into() })
    }

    /// The tool that reads counts, of the compiler's own version: another may not read them. With the compiler, or from
    /// the system's packages.
    fn profdata(&self) -> Result<PathBuf, Failure> {
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/llvm-profdata");
        if own.is_file() {
            return Ok(own);
        }
        self.llvm_tool("llvm-profdata").ok_or_else(|| {
            Failure::cannot_run(format!(
                "llvm-profdata is not there; install it with `rustup component add llvm-tools` or, on Debian, `apt-get \
                 install llvm-{}`",
                self.llvm
            ))
        })
    }

    /// A tool of the compiler's version of LLVM, where the system has it.
    fn llvm_tool(&self, name: &str) -> Option<PathBuf> {
        let packaged = PathBuf::from(format!("/usr/lib/llvm-{}/bin/{name}", self.llvm));
        if packaged.is_file() { Some(packaged) } else { find(&format!("{name}-{}", self.llvm)) }
    }
}

/// What a compiler's own words say of something.
fn said(version: &str, what: &str) -> Option<String> {
    let lines = version.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(name, _)| *name == what).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_without_its_tools_is_told_what_to_install() {
        let (host, llvm) = ("none".to_owned(), "0".to_owned());
        let compiler = Compiler { host, llvm, sysroot: PathBuf::from("/no/such/folder") };
        let failure = compiler.profdata().unwrap_err();
        assert_eq!(failure.code, 3);
        assert!(failure.message.contains("rustup component add llvm-tools"));
        assert!(failure.message.contains("apt-get install llvm-0"));
    }

    #[test]
    fn host_and_llvm_are_read_from_the_compilers_own_words() {
        let words = "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2";
        assert_eq!(said(words, "host").unwrap(), "x86_64-unknown-linux-gnu");
        assert_eq!(said(words, "LLVM version").unwrap(), "22.1.2");
        assert_eq!(said("gcc", "host"), None);
    }
}
