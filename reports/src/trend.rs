//! What changed over many runs.
//!
//! Runs are compared with runs of the same kind, name and machine alone; runs that call themselves not valid are left
//! out, and that is said. Change points and outliers are found as [`change_points`](crate::change_points) describes.

mod figures;
mod page;

use std::collections::{BTreeMap, BTreeSet};

pub use page::render;

use crate::change_points::{Level, Measure, levels, outliers};
use crate::quantity::{change, digits};
use crate::result::{Kind, ResultFile};
use crate::story::is_invalid;
use figures::{Figure, figures};

/// Runs that may be compared.
#[derive(Debug)]
pub struct Group {
    /// Kind and name.
    pub name: String,
    /// Processor and cores.
    pub machine: String,
    /// When and what each run was, the oldest first.
    pub runs: Vec<Run>,
    /// Runs that were left out, since they are not valid.
    pub left_out: usize,
    /// What was measured, figures that changed first.
    pub series: Vec<Series>,
}

/// One run of a group.
#[derive(Debug, Clone)]
pub struct Run {
    /// When it began.
    pub started_at: String,
    /// The commit; empty when unknown.
    pub commit: String,
}

/// One figure over the runs of a group.
#[derive(Debug)]
pub struct Series {
    /// Its name, as expectations name it.
    pub name: String,
    /// Its values; each has the number of its run.
    pub values: Vec<(usize, f64)>,
    /// Its levels, by place in `values`.
    pub levels: Vec<Level>,
    /// Places in `values` that stand outside.
    pub outliers: Vec<usize>,
    /// Whether more of it is worse; `None` where neither is.
    pub more_is_worse: Option<bool>,
    /// Whether its values are sizes, or differences in percent.
    pub measure: Measure,
}

/// A change of level.
#[derive(Debug, PartialEq)]
pub struct Change<'a> {
    /// The first run of the new level.
    pub run: usize,
    /// The run before it.
    pub last_before: usize,
    /// Median before and after.
    pub levels: (f64, f64),
    /// The figure.
    pub figure: &'a str,
    /// Whether it got worse; `None` where that cannot be said.
    pub is_worse: Option<bool>,
    /// Whether the levels are sizes, or differences in percent.
    pub measure: Measure,
}

/// Sorts results, the oldest first, into groups and looks for changes.
#[must_use]
pub fn groups(results: &[ResultFile]) -> Vec<Group> {
    let mut sorted: BTreeMap<(String, String), Vec<&ResultFile>> = BTreeMap::new();
    for result in results {
        let name = format!("{} {}", format!("{:?}", result.kind).to_lowercase(), result.name);
        let machine = format!("{}, {} cores", result.environment.cpu, result.environment.cores);
        sorted.entry((name, machine)).or_default().push(result);
    }
    sorted.into_iter().map(|((name, machine), results)| group(name, machine, &results)).collect()
}

fn group(name: String, machine: String, results: &[&ResultFile]) -> Group {
    // One that fails though it is not valid has figures that prove nothing, as others that are not.
    let believed = |result: &&ResultFile| !is_invalid(result) && (result.validity.valid || result.kind == Kind::Suite);
    let valid: Vec<&ResultFile> = results.iter().copied().filter(believed).collect();
    let figures: Vec<BTreeMap<String, Figure>> = valid.iter().map(|result| figures(result)).collect();
    let names: BTreeSet<&String> = figures.iter().flat_map(BTreeMap::keys).collect();
    let mut series: Vec<Series> = names.into_iter().map(|name| one_series(name, &figures)).collect();
    series.sort_by_key(|one| (one.levels.len() < 2, one.outliers.is_empty()));
    let run = |result: &&ResultFile| Run { started_at: result.started_at.clone(), commit: result.commit.clone() };
    Group { name, machine, runs: valid.iter().map(run).collect(), left_out: results.len() - valid.len(), series }
}

fn one_series(name: &str, figures: &[BTreeMap<String, Figure>]) -> Series {
    let found = figures.iter().enumerate().filter_map(|(run, figures)| Some((run, figures.get(name)?)));
    let values: Vec<(usize, f64)> = found.clone().map(|(run, figure)| (run, figure.value)).collect();
    let plain: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    let first = found.map(|(_, figure)| *figure).next();
    let measure = first.map_or(Measure::Size, |figure| figure.measure);
    let levels = levels(&plain, measure);
    let outliers = outliers(&plain, &levels, measure);
    let more_is_worse = first.and_then(|figure| figure.more_is_worse);
    Series { name: name.to_owned(), outliers, values, levels, more_is_worse, measure }
}

impl Series {
    /// Its changes of level, the oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<Change<'_>> {
        let change = |pair: &[Level]| Change {
            run: self.values[pair[1].from].0,
            last_before: self.values[pair[1].from - 1].0,
            levels: (pair[0].median, pair[1].median),
            figure: &self.name,
            is_worse: self.more_is_worse.map(|more| (pair[1].median > pair[0].median) == more),
            measure: self.measure,
        };
        self.levels.windows(2).map(change).collect()
    }
}

impl Group {
    /// A change as a sentence, with the range of commits that it lies in.
    #[must_use]
    pub fn told(&self, found: &Change<'_>) -> String {
        let (old, new) = found.levels;
        let by = match found.measure {
            Measure::Difference => format!(" ({} points)", points(new - old)),
            Measure::Size if old == 0.0 => String::new(),
            Measure::Size => format!(" ({})", change((new / old - 1.0) * 100.0)),
        };
        let word = match found.is_worse {
            Some(true) => "worse",
            Some(false) => "better",
            None => "changed",
        };
        let (before, run) = (&self.runs[found.last_before], &self.runs[found.run]);
        let short = |commit: &str| commit.chars().take(10).collect::<String>();
        let commits = if before.commit.is_empty() || run.commit.is_empty() {
            String::new()
        } else {
            format!(", commits {}..{}", short(&before.commit), short(&run.commit))
        };
        let (run_number, date) = (found.run + 1, &run.started_at);
        format!(
            "{}: {word} from run {run_number} ({date}{commits}) on: {} to {}{by}",
            found.figure,
            digits(old),
            digits(new)
        )
    }

    /// An outlier as a sentence.
    fn told_outlier(&self, series: &Series, place: usize) -> String {
        let (run, value) = series.values[place];
        let usual = series.levels.iter().find(|level| level.from <= place && place < level.until);
        let usual = usual.map_or(0.0, |level| level.median);
        let date = &self.runs[run].started_at;
        format!(
            "{}: run {} ({date}) stands out: {} where {} is usual",
            series.name,
            run + 1,
            digits(value),
            digits(usual)
        )
    }
}

/// A difference of percentages, with its sign.
fn points(difference: f64) -> String {
    format!("{difference:+.1}").replace('-', "−")
}

/// All changes as lines for a terminal.
#[must_use]
pub fn text(groups: &[Group]) -> String {
    let mut lines = Vec::new();
    for group in groups {
        let runs = group.runs.len();
        let left_out =
            if group.left_out > 0 { format!(", {} not valid and left out", group.left_out) } else { String::new() };
        lines.push(format!("{} on {}: {runs} runs{left_out}", group.name, group.machine));
        let before = lines.len();
        for series in &group.series {
            lines.extend(series.changes().iter().map(|change| format!("  {}", group.told(change))));
            lines.extend(series.outliers.iter().map(|place| format!("  {}", group.told_outlier(series, *place))));
        }
        if lines.len() == before {
            lines.push("  no change found".to_owned());
        }
    }
    lines.join("\n") + "\n"
}
