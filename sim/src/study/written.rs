//! Scenarios and configurations as an arm has them: a committed file with edits, written into a folder of its own.

use std::path::{Path, PathBuf};

use super::experiment::Edit;
use crate::rounds::unrolled::unrolled;
use crate::scenario::{Scenario, load};

/// Where a written scenario is.
pub(super) const FILE: &str = "scenario.toml";

/// A text with its edits. One that changes nothing is a mistake: the file is no longer what the edit was written for.
///
/// # Errors
/// The edit that found nothing.
pub(super) fn edited(text: &str, edits: &[Edit], found: &mut [bool]) -> String {
    let mut text = text.to_owned();
    for (Edit(from, to), found) in edits.iter().zip(found) {
        *found |= text.contains(from);
        text = text.replace(from, to);
    }
    text
}

/// Writes an arm's scenario, with all files that it names, and reads it.
///
/// # Errors
/// In words: what cannot be read, written, or is not right; an edit that changed nothing.
pub(super) fn scenario(scenarios: &Path, file: &str, edits: &[Edit], folder: &Path) -> Result<Scenario, String> {
    let path = scenarios.join(file);
    let from = path.parent().unwrap_or(scenarios);
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let mut found = vec![false; edits.len()];
    let text = edited(&read(&path)?, edits, &mut found);
    write(&folder.join(FILE), &text)?;
    let mut named = text;
    // A configuration names files too, so it comes before them.
    for with in [true, false] {
        for beside in files(from)? {
            let name = beside.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.ends_with(".toml") != with || !named.contains(&format!("\"{name}\"")) {
                continue;
            }
            if with {
                let text = edited(&read(&beside)?, edits, &mut found);
                named += &text;
                write(&folder.join(&name), &text)?;
            } else {
                std::fs::copy(&beside, folder.join(&name)).map_err(|error| cannot(&beside, &error))?;
            }
        }
    }
    all_found(&path, edits, &found)?;
    load(&folder.join(FILE)).map_err(|error| error.to_string())
}

/// A gateway's configuration with its edits and its blanks, in the form of `{name}`; a line that names `{n}` stands
/// once for each of the copies.
///
/// # Errors
/// In words: what cannot be read, or an edit that changed nothing.
pub(super) fn configuration(
    scenarios: &Path,
    (file, edits, copies): (&str, &[Edit], usize),
    blanks: &[(&str, &str)],
) -> Result<String, String> {
    let path = scenarios.join(file);
    let mut found = vec![false; edits.len()];
    let text = edited(&read(&path)?, edits, &mut found);
    all_found(&path, edits, &found)?;
    let text = unrolled(&text, copies);
    Ok(blanks.iter().fold(text, |text, (blank, value)| text.replace(&format!("{{{blank}}}"), value)))
}

fn all_found(path: &Path, edits: &[Edit], found: &[bool]) -> Result<(), String> {
    match edits.iter().zip(found).find(|(_, found)| !**found) {
        Some((Edit(from, _), _)) => Err(format!("{}: there is no `{from}` to change", path.display())),
        None => Ok(()),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| cannot(folder, &error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| cannot(path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_finds_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "rate = 1\nto = '{upstream}'\n").unwrap();
        let made = configuration(folder.path(), ("a.toml", &[Edit("rate = 1", "rate = 2")], 1), &[("upstream", "x:1")]);
        assert_eq!(made.unwrap(), "rate = 2\nto = 'x:1'\n");
        let why = configuration(folder.path(), ("a.toml", &[Edit("burst", "x")], 1), &[]).unwrap_err();
        assert!(why.contains("no `burst` to change") && why.contains("a.toml"), "{why}");
    }
}
