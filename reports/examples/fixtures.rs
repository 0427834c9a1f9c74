//! Writes the fixtures of the tests: `cargo run -p reports --example fixtures [-- FOLDER]`.
//!
//! Without a folder, the committed JSON files are written anew. With one, each fixture gets a folder of its own in it,
//! with its histogram log beside the result and everything that is rendered of it; `trend.html` is of forty runs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use reports::{files, trend};

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    for fixture in fixtures::all() {
        let Some(folder) = &folder else {
            let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
            fs::write(committed.join(format!("{}.json", fixture.name)), fixture.result.to_json())?;
            continue;
        };
        let own = folder.join(fixture.name);
        fs::create_dir_all(&own)?;
        fs::write(own.join("result.json"), fixture.result.to_json())?;
        if let Some(load) = fixture.result.load.keys().next() {
            write_log(&own.join(format!("{load}.hlog")), &fixture.histograms)?;
        }
        files::write(&fixture.result, &own, &own)?;
    }
    let Some(folder) = folder else { return Ok(()) };
    fs::write(folder.join("trend.html"), trend::render(&trend::groups(&fixtures::runs_over_time())))
}

fn write_log(path: &Path, histograms: &[(String, hdrhistogram::Histogram<u64>)]) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new().begin_log_with(&mut file, &mut serializer)?;
    for (tag, histogram) in histograms {
        log.write_histogram(histogram, Duration::ZERO, Duration::from_secs(1), Tag::new(tag))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    drop(log);
    file.flush()
}
