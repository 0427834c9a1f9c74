//! Base and head: a program that is there, or a git revision that is built.
//!
//! Revisions are built in worktrees under `target/gate`, all into one target folder, so that what they share is
//! compiled once. A built gateway is kept by its commit; a worktree goes when its user does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use super::GateError;

/// A gateway to run.
#[derive(Debug)]
pub struct Binary {
    /// Its program.
    pub path: PathBuf,
    /// The commit it was built from; `None` for a program that was given.
    pub commit: Option<String>,
    /// SHA-256 of the program, in hex.
    pub hash: String,
}

impl Binary {
    /// A program that is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn given(path: &Path) -> Result<Self, GateError> {
        let file = |source| GateError::File { path: path.to_path_buf(), source };
        let path = std::fs::canonicalize(path).map_err(file)?;
        let bytes = std::fs::read(&path).map_err(file)?;
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path, commit: None, hash })
    }

    /// How it is called in results.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.commit {
            Some(commit) => format!("commit {}", short(commit)),
            None => format!("{} (sha256 {})", self.path.display(), short(&self.hash)),
        }
    }
}

/// The repository that revisions are of, and how they are built.
#[derive(Debug, Clone)]
pub struct Workshop {
    root: PathBuf,
    /// Where everything is put: `target/gate`.
    folder: PathBuf,
    profile: String,
}

/// A revision's files; they go when this is dropped.
#[derive(Debug)]
pub struct Worktree {
    root: PathBuf,
    /// Where they are.
    pub path: PathBuf,
}

impl Drop for Worktree {
    fn drop(&mut self) {
        // What is left over is found and removed by the next run with this revision.
        let _ = run(git(&self.root).args(["worktree", "remove", "--force"]).arg(&self.path));
    }
}

impl Workshop {
    /// The workshop of the repository that the current folder is in.
    ///
    /// # Errors
    /// When it is in none.
    pub fn here(profile: &str) -> Result<Self, GateError> {
        let output = run(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
        let root = PathBuf::from(text(&output));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let target = std::path::absolute(&target).unwrap_or(target);
        Ok(Self { folder: target.join("gate"), root, profile: profile.to_owned() })
    }

    /// The commit that a revision names.
    ///
    /// # Errors
    /// When it names none.
    pub fn commit(&self, revision: &str) -> Result<String, GateError> {
        let spec = format!("{revision}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &spec];
        match git(&self.root).args(arguments).output() {
            Ok(output) if output.status.success() => Ok(text(&output)),
            _ => Err(GateError::NoSuchSide { side: revision.to_owned() }),
        }
    }

    /// The gateway of a commit, built if it has not been yet.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn build(&self, commit: &str) -> Result<Binary, GateError> {
        let kept = self.folder.join("built").join(format!("{}-{}", short(commit), self.profile)).join("gateway");
        if !kept.is_file() {
            let worktree = self.check_out(commit)?;
            let options = ["--locked", "--package", "gateway", "--bin", "gateway"];
            self.cargo(&worktree.path, "build", &options.map(OsString::from))?;
            self.keep(&kept)?;
        }
        Ok(Binary { commit: Some(commit.to_owned()), ..Binary::given(&kept)? })
    }

    /// The gateway of the working tree as it is, built with these options behind `cargo build` or `cargo rustc`.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn build_here(&self, name: &str, subcommand: &str, options: &[&str]) -> Result<Binary, GateError> {
        let fixed = ["--locked", "--package", "gateway", "--bin", "gateway"];
        let options: Vec<OsString> = fixed.iter().chain(options).map(OsString::from).collect();
        self.cargo(&self.root, subcommand, &options)?;
        let kept = self.folder.join("built").join(format!("here-{name}-{}", self.profile)).join("gateway");
        self.keep(&kept)?;
        Binary::given(&kept)
    }

    /// A commit's files.
    ///
    /// # Errors
    /// When git does not give them.
    pub fn check_out(&self, commit: &str) -> Result<Worktree, GateError> {
        let path = self.folder.join("worktrees").join(short(commit));
        let worktree = Worktree { root: self.root.clone(), path };
        if worktree.path.exists() {
            run(git(&self.root).args(["worktree", "remove", "--force"]).arg(&worktree.path))?;
        }
        run(git(&self.root).args(["worktree", "prune"]))?;
        run(git(&self.root).args(["worktree", "add", "--detach", "--quiet"]).arg(&worktree.path).arg(commit))?;
        Ok(worktree)
    }

    /// A cargo command that builds into the workshop's target folder.
    #[must_use]
    pub fn cargo_command(&self, folder: &Path) -> Command {
        // Cargo tells what it started which cargo it is; by itself this program takes the one on the path.
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(folder).env("CARGO_TARGET_DIR", self.folder.join("target"));
        command
    }

    fn cargo(&self, folder: &Path, subcommand: &str, options: &[OsString]) -> Result<(), GateError> {
        let mut command = self.cargo_command(folder);
        command.arg(subcommand).args(["--profile", &self.profile]).args(options);
        run(&mut command).map(drop)
    }

    /// Copies the gateway that was built last to where it is kept.
    fn keep(&self, kept: &Path) -> Result<(), GateError> {
        // Cargo's folder for `dev` is `debug`; all others are called as they are.
        let folder = if self.profile == "dev" { "debug" } else { &self.profile };
        let built = self.folder.join("target").join(folder).join("gateway");
        let file = |source| GateError::File { path: kept.to_path_buf(), source };
        std::fs::create_dir_all(kept.parent().unwrap_or(kept)).map_err(file)?;
        // Under another name first, so that nobody ever finds half of it.
        let half = kept.with_extension("half");
        std::fs::copy(&built, &half).map_err(|source| GateError::File { path: built, source })?;
        std::fs::rename(&half, kept).map_err(file)
    }
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root);
    command
}

/// Runs a command to its end; one that fails gives its last words.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<Output, GateError> {
    let name = format!("{command:?}");
    let failed = |why: String| GateError::Command { command: name.clone(), why };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().collect();
    Err(failed(lines[lines.len().saturating_sub(20)..].join("\n")))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Enough of a hash to tell it by.
#[must_use]
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one commit, and a workshop for it.
    fn workshop(folder: &Path) -> Workshop {
        let root = folder.join("repository");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("file"), "as committed").unwrap();
        for arguments in [&["init", "--quiet"][..], &["add", "file"], &["commit", "--quiet", "-m", "first"]] {
            let who = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
            run(git(&root).args(who).args(arguments)).unwrap();
        }
        Workshop { folder: folder.join("target/gate"), root, profile: "dist".to_owned() }
    }

    #[test]
    fn a_revision_is_checked_out_and_its_files_go_again() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = workshop(folder.path());
        let commit = workshop.commit("HEAD").unwrap();
        assert_eq!(commit.len(), 40);
        std::fs::write(workshop.root.join("file"), "changed since").unwrap();
        let worktree = workshop.check_out(&commit).unwrap();
        assert_eq!(std::fs::read_to_string(worktree.path.join("file")).unwrap(), "as committed");
        let path = worktree.path.clone();
        // A run that was killed leaves its worktree behind; the next one takes its place.
        std::mem::forget(worktree);
        let again = workshop.check_out(&commit).unwrap();
        assert_eq!(again.path, path);
        drop(again);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_revision_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = workshop(folder.path()).commit("--no-such-thing").unwrap_err();
        assert!(error.to_string().contains("--no-such-thing"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_command_that_fails_gives_its_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo so it is >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().ends_with("so it is"), "{error}");
        assert!(run(&mut Command::new("/no/such/program")).is_err());
    }

    #[test]
    fn a_built_gateway_is_not_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = workshop(folder.path());
        let commit = workshop.commit("HEAD").unwrap();
        let kept = workshop.folder.join("built").join(format!("{}-dist", short(&commit)));
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join("gateway"), "a program").unwrap();
        let binary = workshop.build(&commit).unwrap();
        assert_eq!(binary.label(), format!("commit {}", &commit[..12]));
        assert_eq!(binary.hash, Binary::given(&kept.join("gateway")).unwrap().hash);
    }
}
