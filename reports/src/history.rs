//! Results of many runs, kept in a folder: one JSON file each, in a form that a version control system likes.
//!
//! What is kept is the result without its time series and rounds: a history is for figures, and a year of runs should
//! fit a repository. The name of a file follows from the run, so keeping a run twice keeps it once.

use std::io;
use std::path::{Path, PathBuf};

use crate::result::{ReadError, ResultFile};

/// The longest part of a file name that comes from a result's own name.
const LONGEST_NAME: usize = 48;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct History {
    /// Results, the oldest first.
    pub results: Vec<ResultFile>,
    /// Files that are no results.
    pub unread: Vec<ReadError>,
}

/// Keeps a result in a folder, which is made when it is not there. Gives the path of the file.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn keep(result: &ResultFile, folder: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let mut kept = result.clone();
    kept.timeline.clear();
    kept.pairs.clear();
    kept.leave_pages();
    let path = folder.join(file_name(result));
    std::fs::write(&path, kept.to_json())?;
    Ok(path)
}

/// Reads all results of a folder. Files that are none are told, and stop nothing.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn read(folder: &Path) -> io::Result<History> {
    let mut history = History::default();
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    for path in paths {
        match ResultFile::read(&path) {
            Ok(result) => history.results.push(result),
            Err(error) => history.unread.push(error),
        }
    }
    // Times of one form and one zone sort as text.
    history.results.sort_by(|one, other| one.started_at.cmp(&other.started_at));
    Ok(history)
}

/// Time, kind, name and seed, of letters that every file system takes.
fn file_name(result: &ResultFile) -> String {
    let kind = format!("{:?}", result.kind).to_lowercase();
    let name: String = plain(&result.name).chars().take(LONGEST_NAME).collect();
    format!("{}-{kind}-{name}-{}.json", plain(&result.started_at), result.seed)
}

fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Moment;

    fn result(started_at: &str, name: &str) -> ResultFile {
        ResultFile {
            name: name.to_owned(),
            started_at: started_at.to_owned(),
            timeline: vec![Moment::default()],
            ..ResultFile::default()
        }
    }

    #[test]
    fn a_run_is_kept_once_and_without_its_time_series() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("history");
        keep(&result("2026-02-01T00:00:00Z", "b"), &inner).unwrap();
        keep(&result("2026-01-01T00:00:00Z", "a"), &inner).unwrap();
        keep(&result("2026-01-01T00:00:00Z", "a"), &inner).unwrap();
        let history = read(&inner).unwrap();
        let names: Vec<&str> = history.results.iter().map(|result| result.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "the oldest first");
        assert!(history.results.iter().all(|result| result.timeline.is_empty()));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = keep(&result("2026-01-01T00:00:00Z", "../../etc/passwd\u{0}"), folder.path()).unwrap();
        assert_eq!(path.parent(), Some(folder.path()));
    }

    #[test]
    fn what_is_no_result_is_told_and_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        keep(&result("2026-01-01T00:00:00Z", "a"), folder.path()).unwrap();
        std::fs::write(folder.path().join("broken.json"), "{").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not asked").unwrap();
        let history = read(folder.path()).unwrap();
        assert_eq!((history.results.len(), history.unread.len()), (1, 1));
        assert!(read(&folder.path().join("none")).is_err());
    }
}
