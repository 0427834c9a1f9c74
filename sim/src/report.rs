//! `sim report`: results as text, Markdown, JUnit XML and pages; runs that are kept, and what changed over them.
//!
//! It renders what was measured and judges nothing: its exit code says whether it could read and write, never what a
//! result says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use loadgen::stdout;
use reports::result::ResultFile;
use reports::{files, history, junit, markdown, page, text, trend};

/// The page of a trend.
const TREND_PAGE: &str = "trend.html";

/// What `sim report` is asked for.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Results: each a result.json, or the folder that holds one
    #[arg(required_unless_present = "trend")]
    results: Vec<PathBuf>,
    /// Print in this form, and write no file
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write report.html, report.md and junit.xml into this folder, not beside each result
    #[arg(long, value_name = "DIR", conflicts_with = "format")]
    out: Option<PathBuf>,
    /// Keep each result in this folder of runs, such as reports/history
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Look for changes over the runs kept in this folder, and write trend.html into it
    #[arg(long, value_name = "DIR")]
    trend: Option<PathBuf>,
}

/// A form in which a result is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Junit,
    Html,
}

/// Runs the command. An error has its exit code.
pub(crate) fn report(arguments: &ReportArguments) -> Result<ExitCode, (u8, String)> {
    for (index, path) in arguments.results.iter().enumerate() {
        let path = if path.is_dir() { path.join("result.json") } else { path.clone() };
        let result = ResultFile::read(&path).map_err(|error| (3, error.to_string()))?;
        let beside = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        match arguments.format {
            Some(format) => print(&in_form(result.clone(), &beside, format))?,
            None => render(&result, &beside, &arguments.folder(index, &beside))?,
        }
        if let Some(folder) = &arguments.keep {
            let kept = history::keep(&result, folder).map_err(|error| cannot(folder, &error))?;
            say(&format!("kept as {}", kept.display()));
        }
    }
    if let Some(folder) = &arguments.trend {
        show_trend(folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl ReportArguments {
    /// Where the files of a result go; several results that share a folder get one each in it.
    fn folder(&self, index: usize, beside: &Path) -> PathBuf {
        match &self.out {
            Some(out) if self.results.len() > 1 => out.join((index + 1).to_string()),
            Some(out) => out.clone(),
            None => beside.to_path_buf(),
        }
    }
}

fn render(result: &ResultFile, logs: &Path, folder: &Path) -> Result<(), (u8, String)> {
    files::write(result, logs, folder).map_err(|error| cannot(folder, &error))?;
    print(&text::render(result))?;
    print(&format!("page     {}\n", folder.join(files::PAGE).display()))
}

fn show_trend(folder: &Path) -> Result<(), (u8, String)> {
    let history = history::read(folder).map_err(|error| cannot(folder, &error))?;
    for error in &history.unread {
        say(&format!("left out: {error}"));
    }
    if history.results.is_empty() {
        let text = format!("{}: no run is kept there; `sim report OUT --keep DIR` keeps one", folder.display());
        return Err((3, text));
    }
    let groups = trend::groups(&history.results);
    let path = folder.join(TREND_PAGE);
    std::fs::write(&path, trend::render(&groups)).map_err(|error| cannot(&path, &error))?;
    print(&trend::text(&groups))?;
    print(&format!("page     {}\n", path.display()))
}

/// In one form, for whoever prints it: wherever that goes.
fn in_form(mut result: ResultFile, logs: &Path, format: Format) -> String {
    result.leave_pages();
    match format {
        Format::Text => text::render(&result),
        Format::Markdown => markdown::render(&result),
        Format::Junit => junit::render(&result),
        Format::Html => page::render(&result, Some(logs)),
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> (u8, String) {
    (3, format!("{}: {error}", path.display()))
}

fn print(text: &str) -> Result<(), (u8, String)> {
    stdout::print(text).map_err(|error| cannot(Path::new(stdout::NAME), &error))
}

fn say(text: &str) {
    // With standard error closed there is no one to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
