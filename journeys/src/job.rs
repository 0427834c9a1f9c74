//! What the parent wants: a line at the start, a line that lets the users go, and the end of the input.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use loadgen::journey::file::{FileError, parse};
use loadgen::journey::model::Journeys;
use loadgen::journey::wire::{Job, PROTOCOL, Start};
use loadgen::request::{KeyError, TokenKey};
use tokio::sync::watch;

/// Why there is nothing to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The input could not be read.
    #[error("standard input: {0}")]
    Input(#[from] io::Error),
    /// It is no job of this version.
    #[error("what is asked for is not understood ({0}); build this program and its parent anew")]
    Form(String),
    /// The journeys are not right.
    #[error("{0}")]
    File(#[from] FileError),
    /// Its tokens cannot be minted.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// There is no one to be.
    #[error("at least one user and one target are needed")]
    Nobody,
}

/// What is done, and by whom.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) journeys: Journeys,
    pub(crate) job: Job,
}

/// How far the parent's wishes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Users are to be there and wait.
    Wait,
    /// They go.
    Go(Start),
    /// No request is to begin any more.
    End,
}

/// Reads the job, and follows the input from then on.
pub(crate) fn read() -> Result<(Work, watch::Receiver<Wish>), JobError> {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let work = work(&line)?;
    let (wish, wishes) = watch::channel(Wish::Wait);
    std::thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(start) => wish.send_replace(Wish::Go(start)),
                Err(_) => break,
            };
        }
        wish.send_replace(Wish::End);
        // Whoever listens has it now; the channel stays open for those who ask later.
        std::mem::forget(wish);
    });
    Ok((work, wishes))
}

fn work(line: &str) -> Result<Work, JobError> {
    let job: Job = serde_json::from_str(line).map_err(|error| JobError::Form(error.to_string()))?;
    if job.protocol != PROTOCOL {
        return Err(JobError::Form(format!("version {} instead of {PROTOCOL}", job.protocol)));
    }
    if job.users == 0 || job.targets.is_empty() {
        return Err(JobError::Nobody);
    }
    let mut journeys = parse(Path::new("the file of journeys"), &job.file)?;
    let key = job.key.as_ref().map(|key| TokenKey::from_pem(key.pem.as_bytes(), key.settings.clone())).transpose()?;
    journeys.mint(key.as_ref())?;
    Ok(Work { journeys, job })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"b\"\npath = \"/{token(subject=a)}\"\n";

    fn line(protocol: u32, users: u32, file: &str) -> String {
        let targets = vec!["http://127.0.0.1:1".to_owned()];
        let job = Job { protocol, file: file.to_owned(), targets, users, spawn_per_s: None, seed: 1, key: None };
        serde_json::to_string(&job).unwrap()
    }

    #[test]
    fn a_job_that_cannot_be_done_is_refused_in_words() {
        let plain = FILE.replace("{token(subject=a)}", "");
        assert!(work(&line(PROTOCOL, 1, &plain)).is_ok());
        assert!(matches!(work(&line(PROTOCOL + 1, 1, &plain)), Err(JobError::Form(_))));
        assert!(matches!(work("{}"), Err(JobError::Form(_))));
        assert!(matches!(work(&line(PROTOCOL, 0, &plain)), Err(JobError::Nobody)));
        assert!(matches!(work(&line(PROTOCOL, 1, "")), Err(JobError::File(_))));
        assert!(matches!(work(&line(PROTOCOL, 1, FILE)), Err(JobError::Key(KeyError::Missing))));
    }
}
