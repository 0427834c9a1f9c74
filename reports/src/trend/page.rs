//! The trend as a page.

use maud::{Markup, html};

use super::{Group, Series};
use crate::page::{cell, document, section, table};
use crate::plot::trend::Trend;
use crate::plot::{Ink, Mark, Shape, both, key};
use crate::quantity::digits;

/// Figures of a group that are drawn; the others are a table.
const MOST_DRAWN: usize = 8;

/// The page of all groups.
#[must_use]
pub fn render(groups: &[Group]) -> String {
    let changes: usize = groups.iter().flat_map(|group| &group.series).map(|series| series.changes().len()).sum();
    let runs: usize = groups.iter().map(|group| group.runs.len()).sum();
    let class = if changes > 0 { "verdict unsure" } else { "verdict good" };
    let outside: usize = groups.iter().flat_map(|group| &group.series).map(|series| series.outliers.len()).sum();
    let mut headline = match changes {
        0 => "No figure changed its level".to_owned(),
        1 => "One figure changed its level".to_owned(),
        more => format!("Figures changed their level {more} times"),
    };
    headline += &match outside {
        0 => ".".to_owned(),
        1 => "; one single value stands out.".to_owned(),
        more => format!("; {more} single values stand out."),
    };
    let body = html! {
        header {
            p.kind { "Trend" }
            h1 { "Runs over time" }
            p.about { (runs) " valid runs in " (groups.len()) " groups of equal kind, name and machine" }
            div class=(class) { p.headline { (headline) } }
        }
        @for group in groups { (of_group(group)) }
        p.note {
            "A change of level is a border that chance makes at most once in 200 shuffles of the series (rank sums, binary "
            "segmentation), with medians at least one percent apart, or one point where a figure is a change in percent "
            "itself. A run stands out when it lies beyond the quartiles of the runs before it by more than three times "
            "their distance."
        }
    };
    document("Trend · Portcullis", &body)
}

fn of_group(group: &Group) -> Markup {
    let (drawn, others) = group.series.split_at(group.series.len().min(MOST_DRAWN));
    let marks = [
        Mark::new(Ink::Median, Shape::Dot, "a run"),
        Mark::new(Ink::Bad, Shape::Dot, "a run that stands out"),
        Mark::new(Ink::Reference, Shape::Line, "median of a level"),
        Mark::new(Ink::Bad, Shape::Dashed, "the level changed"),
    ];
    let span = match (group.runs.first(), group.runs.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.started_at, last.started_at),
        _ => "no valid run".to_owned(),
    };
    section(
        &group.name,
        &html! {
            p.note {
                (group.machine) " · " (group.runs.len()) " runs, " (span)
                @if group.left_out > 0 { " · " (group.left_out) " not valid and left out" }
            }
            @if !drawn.is_empty() { (key(&marks)) }
            @for series in drawn { (of_series(group, series)) }
            @if !others.is_empty() {
                details {
                    summary { (others.len()) " more figures" }
                    (table(&["figure", "first", "last", "median"], &others.iter().map(row).collect::<Vec<_>>()))
                }
            }
        },
    )
}

fn of_series(group: &Group, series: &Series) -> Markup {
    let values: Vec<f64> = series.values.iter().map(|(_, value)| *value).collect();
    let levels: Vec<(usize, usize, f64)> =
        series.levels.iter().map(|level| (level.from, level.until, level.median)).collect();
    let (name, axis) = (series.name.as_str(), "run, the oldest first");
    let drawing = Trend { name, axis, values: &values, levels: &levels, outliers: &series.outliers };
    html! {
        figure {
            (both(&format!("{} over {} runs", series.name, values.len()), &drawing))
            @for change in series.changes() { p.note { (group.told(&change)) "." } }
            @for place in &series.outliers { p.note { (group.told_outlier(series, *place)) "." } }
        }
    }
}

fn row(series: &Series) -> Vec<Markup> {
    let at = |place: Option<&(usize, f64)>| cell(place.map_or_else(|| "–".to_owned(), |(_, value)| digits(*value)));
    let median = series.levels.last().map_or_else(|| "–".to_owned(), |level| digits(level.median));
    vec![html! { code { (series.name) } }, at(series.values.first()), at(series.values.last()), cell(median)]
}
