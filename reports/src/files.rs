//! The files that stand beside a `result.json`: the page, the Markdown and the JUnit XML.

use std::io;
use std::path::Path;

use crate::result::ResultFile;
use crate::{junit, markdown, page};

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
    std::fs::write(folder.join(PAGE), page::render(result, Some(logs)))?;
    std::fs::write(folder.join(MARKDOWN), markdown::render(result))?;
    std::fs::write(folder.join(JUNIT), junit::render(result))
}
