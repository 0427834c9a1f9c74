//! `gateway check FILE`: every problem, nothing started.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::output;
use super::{BAD, COULD_NOT_RUN, DONE};
use crate::config::settings::upstream::Protocol;
use crate::config::{LoadError, Loaded, Problem, Purpose, load};

/// Find every problem in a configuration. Nothing is started.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gateway check gateway.toml\n  gateway check gateway.toml --json\n  gateway check production.toml --allow-missing-files   # on a laptop, or in CI\n\nThe first line of each problem is FILE:LINE:COLUMN: error: MESSAGE, so that editors find the place.\n\nExit codes: 0 it can be used (perhaps with warnings), 1 it cannot, 3 the file cannot be read, or the result\nnot be written."
)]
pub(super) struct Check {
    /// The configuration.
    #[arg(default_value = "gateway.toml")]
    file: PathBuf,
    /// Print the problems as JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Where a file that the configuration names (certificates, keys, users, documents) cannot be read here, warn, and
    /// check everything else: for another machine than is to serve it. Files that are here are checked as ever.
    #[arg(long, visible_alias = "no-files")]
    allow_missing_files: bool,
}

impl Check {
    pub(super) fn run(&self) -> u8 {
        let purpose = if self.allow_missing_files { Purpose::CheckElsewhere } else { Purpose::Check };
        let loaded = load(&self.file, purpose);
        if self.json { report_json(&self.file, &loaded) } else { report(&self.file, &loaded) }
    }
}

fn report(file: &Path, loaded: &Result<Loaded, LoadError>) -> u8 {
    let colour = output::problems_have_colour();
    match loaded {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                output::problem(&format!("{}\n", warning.render(colour)));
            }
            output::result(&summary(file, loaded))
        }
        Err(error) => output::unusable(error),
    }
}

/// How many there are of what is matched.
struct Composed {
    routes: usize,
    aggregates: usize,
    batches: usize,
}

impl Composed {
    fn of(loaded: &Loaded) -> Self {
        let all = &loaded.config.routes;
        let aggregates = all.iter().filter(|route| route.aggregate.is_some()).count();
        let batches = all.iter().filter(|route| route.batch.is_some()).count();
        Self { routes: all.len() - aggregates - batches, aggregates, batches }
    }
}

/// `gateway.toml: ok (2 routes, 1 upstream)`; upstreams over HTTP/2, and with backups, are told.
fn summary(file: &Path, loaded: &Loaded) -> String {
    let counted = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    let Composed { routes, aggregates, batches } = Composed::of(loaded);
    let mut counts = vec![counted(routes, "route")];
    if aggregates > 0 {
        counts.push(counted(aggregates, "aggregate"));
    }
    if batches > 0 {
        counts.push(if batches == 1 { "1 batch".to_owned() } else { format!("{batches} batches") });
    }
    counts.push(counted(loaded.config.upstreams.len(), "upstream"));
    let over_http2 = loaded.config.upstreams.iter().filter(|upstream| upstream.protocol == Protocol::Http2).count();
    if over_http2 > 0 {
        counts.push(format!("{over_http2} of them over HTTP/2"));
    }
    let backed_up = loaded.config.upstreams.iter().filter(|upstream| upstream.has_backups()).count();
    if backed_up > 0 {
        counts.push(format!("{backed_up} of them with backups"));
    }
    if !loaded.warnings.is_empty() {
        counts.push(counted(loaded.warnings.len(), "warning"));
    }
    format!("{}: ok ({})", file.display(), counts.join(", "))
}

fn report_json(file: &Path, loaded: &Result<Loaded, LoadError>) -> u8 {
    let file = file.display().to_string();
    let (code, document) = match loaded {
        Ok(loaded) => {
            let Composed { routes, aggregates, batches } = Composed::of(loaded);
            let upstreams = loaded.config.upstreams.len();
            let problems: &[Problem] = &loaded.warnings;
            let mut document =
                json!({"file": file, "ok": true, "routes": routes, "upstreams": upstreams, "problems": problems});
            if aggregates > 0 {
                document["aggregates"] = aggregates.into();
            }
            if batches > 0 {
                document["batches"] = batches.into();
            }
            (DONE, document)
        }
        Err(LoadError::Invalid(problems)) => (BAD, json!({"file": file, "ok": false, "problems": problems})),
        Err(error) => (COULD_NOT_RUN, json!({"file": file, "ok": false, "error": error.to_string()})),
    };
    output::result(&document.to_string()).max(code)
}
