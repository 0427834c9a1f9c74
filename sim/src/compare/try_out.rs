//! What is wrong with a peer, told before anything runs: its program, its configuration's blanks, and what it says
//! itself of its configuration.
//!
//! nginx, HAProxy and Envoy can be asked whether they would take a configuration. Another program cannot: it has to be
//! there and executable, and the blanks have to be right. What else is wrong with it shows when it starts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::own_config::OwnConfig;
use super::stand::{Manner, Source, Stand, Standing, last_lines};
use crate::children::ChildError;
use crate::folder::Folder;
use crate::peers::program::free_address;
use crate::process::Process;
use crate::run::{Place, RunError};

/// A program that takes longer over its answer has none, and shows at its start what it thinks.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Tries all of them; nothing is left behind.
///
/// # Errors
/// What is wrong with the first that cannot take part.
pub(super) fn try_out(stands: &[Arc<Stand>]) -> Result<(), RunError> {
    let folder = Folder::make(None, "compare-try").map_err(|(path, source)| RunError::File { path, source })?;
    let tried = stands.iter().try_for_each(|stand| stand.try_out(folder.path()));
    folder.remove_if_temporary();
    tried
}

impl Stand {
    fn try_out(&self, folder: &Path) -> Result<(), RunError> {
        let endpoints: BTreeMap<String, SocketAddr> =
            self.scenario.endpoints().zip(1..).map(|(name, port)| (name, (Ipv4Addr::LOCALHOST, port).into())).collect();
        let place = Place { number: 0, endpoints: &endpoints, listener: None, folder, cores: &[] };
        let cannot = |source| ChildError::Start { name: self.name.clone(), source };
        let free = || free_address().map_err(cannot);
        let at = Standing { listen: free()?, admin: free()?, epoch: 0 };
        let (text, _) = self.configuration(&place, &at)?;
        let config = folder.join(&*self.file_name());
        let Some(arguments) = question(&self.manner, folder, &config) else { return Ok(()) };
        std::fs::write(&config, text).map_err(RunError::file(&config))?;
        let log = folder.join(format!("{}.log", self.name));
        let mut command = Command::new(&self.path);
        command.current_dir(folder).args(arguments);
        let mut process = Process::start(&mut command, &log, &[], false).map_err(cannot)?;
        process.wait(ANSWERS_WITHIN);
        if process.has_failed() { Err(self.refused(&config, &last_lines(&log))) } else { Ok(()) }
    }

    /// The program would not take its configuration, and said this.
    fn refused(&self, config: &Path, said: &str) -> RunError {
        match &self.source {
            Source::Own(own) => {
                // Lines are the same in what was filled in, and its own file is the one that the user knows.
                let said = said.replace(&*config.to_string_lossy(), &own.path().to_string_lossy());
                own.wrong(format!("{} does not take it:\n{said}", self.name))
            }
            Source::Made(_) => {
                let why =
                    format!("{} does not take the configuration that was made for it:\n{said}", self.path.display());
                RunError::Control { what: self.name.clone(), why }
            }
        }
    }
}

impl OwnConfig {
    /// It is not right.
    pub(super) fn wrong(&self, why: String) -> RunError {
        RunError::PeerConfig { file: self.path().to_path_buf(), why }
    }
}

/// How a program is asked whether it would take a configuration; `None` where nobody knows.
fn question(manner: &Manner, folder: &Path, config: &Path) -> Option<Vec<String>> {
    let (config, dir) = (config.display().to_string(), folder.display().to_string());
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    match manner {
        Manner::Nginx => words(&["-t", "-q", "-p", &dir, "-c", &config, "-e", &format!("{dir}/nginx.error.log")]),
        Manner::Haproxy => words(&["-c", "-f", &config]),
        Manner::Envoy => words(&["--mode", "validate", "-c", &config, "--log-level", "error"]),
        Manner::Own(_) => None,
    }
}

/// A program by its path, or by its name on the search path, as an absolute path: each run has a folder of its own, in
/// which a relative one would mean another file.
///
/// # Errors
/// Why it cannot be run.
pub(super) fn program(wanted: &Path) -> Result<PathBuf, String> {
    let is_name = wanted.components().count() == 1 && !wanted.to_string_lossy().contains('/');
    let found = if is_name {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(wanted)).find(|file| file.is_file())
    } else {
        Some(wanted.to_path_buf()).filter(|file| file.is_file())
    };
    let named = wanted.display();
    let found = found.ok_or_else(|| match is_name {
        true => format!("there is no program `{named}` on the PATH; write its whole path"),
        false => format!("there is no program {named}"),
    })?;
    let mode = found.metadata().map_or(0, |file| file.permissions().mode());
    if mode & 0o111 == 0 {
        return Err(format!("{named} is no program that may be run; if it is one: chmod +x {named}"));
    }
    absolute(&found).map_err(|error| format!("{named}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_or_its_name_and_is_absolute() {
        assert!(program(Path::new("sh")).unwrap().is_absolute());
        // A test's folder is its crate's.
        assert_eq!(program(Path::new("./no/such")), Err("there is no program ./no/such".to_owned()));
        let said = program(Path::new("surely-no-such-program")).unwrap_err();
        assert!(said.contains("on the PATH"), "{said}");
        let said = program(Path::new("./Cargo.toml")).unwrap_err();
        assert!(said.contains("chmod +x ./Cargo.toml"), "{said}");
        assert!(program(Path::new("/")).is_err(), "a folder is no program");
    }

    #[test]
    fn only_programs_that_are_known_can_be_asked() {
        let ask = |manner: &Manner| question(manner, Path::new("/d"), Path::new("/d/c"));
        assert_eq!(ask(&Manner::Haproxy), Some(["-c", "-f", "/d/c"].map(str::to_owned).to_vec()));
        assert!(ask(&Manner::Nginx).is_some_and(|words| words[0] == "-t"), "it tests, and does not serve");
        assert!(ask(&Manner::Envoy).is_some_and(|words| words[1] == "validate"));
        assert_eq!(ask(&Manner::Own(Vec::new())), None);
    }
}
