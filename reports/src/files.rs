//! The files that stand beside a `result.json`: the page, the Markdown and the JUnit XML.

use std::io;
use std::path::{Path, PathBuf};

use crate::result::ResultFile;
use crate::{junit, markdown, page};

/// The result itself.
pub const RESULT: &str = "result.json";
/// The page.
pub const PAGE: &str = "report.html";
/// The same as Markdown.
pub const MARKDOWN: &str = "report.md";
/// Expectations as test cases.
pub const JUNIT: &str = "junit.xml";

/// Writes all renderings of a result into `folder`. Histogram logs are looked for in `logs`, which is where the
/// `result.json` is.
///
/// # Errors
/// When the folder cannot be made or a file not be written.
pub fn write(result: &ResultFile, logs: &Path, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut elsewhere = None;
    if place(logs)? != place(folder)? {
        elsewhere.insert(result.clone()).leave_pages();
    }
    let result = elsewhere.as_ref().unwrap_or(result);
    write_whole(&folder.join(PAGE), &page::render(result, Some(logs)))?;
    write_whole(&folder.join(MARKDOWN), &markdown::render(result))?;
    write_whole(&folder.join(JUNIT), &junit::render(result))
}

/// A folder's own path; one without a name is where we are.
fn place(folder: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// Writes a file that is whole or stays as it was: under another name first, so that a full disk leaves no half of a
/// result. What a link points to is written, and the link stays. What is no file (`/dev/null`, a pipe) is written where
/// it stands: a file put in its place by root would break whoever uses the device.
///
/// # Errors
/// What the system said; nothing of it stays then.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return std::fs::write(path, text);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // It may not even have been made.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Removes what an earlier run has left in a folder, so that a report is never that of another run than the last.
///
/// # Errors
/// When a file is there and cannot be removed.
pub fn clear(folder: &Path) -> io::Result<()> {
    // Another run may have other loads, and whoever merges histograms takes all that there are.
    let logs = histograms(&folder.join(RESULT));
    for name in [RESULT, PAGE, MARKDOWN, JUNIT].into_iter().chain(logs.iter().map(String::as_str)) {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if ![io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The files beside a result that hold its loads' histograms. Only a plain name is that of a file there.
fn histograms(result: &Path) -> Vec<String> {
    let loads = ResultFile::read(result).map(|result| result.load).unwrap_or_default();
    let is_plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    loads.into_keys().filter(is_plain).map(|name| format!("{name}.hlog")).collect()
}

/// Writes what a CI system looks at where there is no result: that a command was not done, and why.
///
/// # Errors
/// When the folder cannot be made or a file not be written.
pub fn write_trouble(folder: &Path, command: &str, why: &str) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    write_whole(&folder.join(JUNIT), &junit::trouble(command, why))?;
    write_whole(&folder.join(MARKDOWN), &markdown::trouble(command, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESULT);
        write_whole(&path, "first").unwrap();
        write_whole(&path, "second").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
        // What is there already, and is no file, stands in its way.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(write_whole(&taken, "text").is_err());
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_a_pipe_and_a_link_stay_what_they_are() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        // Links, so that a mistake costs these and no device of the machine.
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
        std::fs::write(at("real.md"), "old").unwrap();
        std::os::unix::fs::symlink(at("real.md"), at("link.md")).unwrap();
        for name in ["null", "link.md"] {
            write_whole(&at(name), "text").unwrap();
            assert!(std::fs::symlink_metadata(at(name)).unwrap().is_symlink(), "{name}");
        }
        assert!(std::fs::metadata(at("null")).unwrap().file_type().is_char_device());
        assert_eq!(std::fs::read_to_string(at("real.md")).unwrap(), "text");
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn what_an_earlier_run_wrote_goes_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        clear(&folder.path().join("not/there")).unwrap();
        write(&ResultFile::default(), folder.path(), folder.path()).unwrap();
        let mut result = ResultFile::default();
        result.load.insert("old".to_owned(), crate::result::Load::default());
        result.load.insert("../gateway".to_owned(), crate::result::Load::default());
        std::fs::write(folder.path().join(RESULT), result.to_json()).unwrap();
        for name in ["gateway.log", "old.hlog", "other.hlog"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        clear(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, ["gateway.log", "other.hlog"], "histograms of the loads of the earlier run go, too");
        clear(&folder.path().join("gateway.log")).unwrap();
    }

    #[test]
    fn what_could_not_be_run_is_an_error_in_every_file_that_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        write_trouble(&out, "sim run x.toml", "x.toml:3: unknown key `<b>`\n  ```\n").unwrap();
        let junit = std::fs::read_to_string(out.join(JUNIT)).unwrap();
        let document = roxmltree::Document::parse(&junit).unwrap();
        let error = document.descendants().find(|node| node.has_tag_name("error")).unwrap();
        assert!(error.attribute("message").unwrap().starts_with("x.toml:3: unknown key `<b>`"), "{junit}");
        assert_eq!(document.root_element().attribute("errors"), Some("1"));
        assert!(!junit.contains("seed"), "nothing was drawn: {junit}");
        let markdown = std::fs::read_to_string(out.join(MARKDOWN)).unwrap();
        assert!(markdown.starts_with("## ❌") && markdown.matches("```").count() == 2, "{markdown}");
    }
}
