//! A claim as it stands in the result, and all of them as a table.

use loadgen::clock::{rfc3339, unix_seconds};
use reports::quantity::{claim_interval, claim_value};
use reports::result::{Claim as Recorded, ClaimPlot, ClaimPoint, ClaimSeries, ResultFile};
use reports::table::Table;

use super::experiment::{Arm, Claim, Draw, Figure, Plot, Series};
use super::figure::{drawn, estimate, lack, values};
use super::perform::Performed;
use super::{Options, verdict};

/// What came of a claim.
pub(super) fn of(claim: &Claim, done: &Performed, seconds: f64, options: &Options) -> Recorded {
    let mut notes = done.notes.clone();
    notes.extend(claim.missing.iter().map(|text| format!("not measured here: {text}")));
    let mut configuration = vec![format!("{} rounds of each arm, seed {}", done.rounds, options.seed)];
    configuration.extend(done.configuration.iter().cloned());
    let figures = || claim.figures.iter().filter(|figure| !is_left_out(claim, figure, options));
    notes.extend(figures().filter_map(|figure| lack(figure, &done.samples, done.rounds)));
    let mut recorded = Recorded {
        id: claim.id.to_owned(),
        section: claim.section.to_owned(),
        claim: claim.claim.to_owned(),
        system: claim.system.to_owned(),
        experiment: claim.experiment.to_owned(),
        figures: figures().map(|figure| drawn(figure, &done.samples, done.rounds)).collect(),
        configuration,
        notes,
        plots: claim.plots.iter().filter_map(|plot| plotted(claim, plot, done)).collect(),
        seconds: (seconds * 10.0).round() / 10.0,
        measured_at: rfc3339(unix_seconds()),
        build: build(options),
        ..Recorded::default()
    };
    verdict::judge(&mut recorded);
    recorded.notes.extend(verdict::indicated(&recorded.figures));
    recorded
}

/// Whether a figure is drawn from an arm that has no part when it is quick: nothing is said of it then.
fn is_left_out(claim: &Claim, figure: &Figure, options: &Options) -> bool {
    let parts = figure.draw.parts();
    let is_drawn_from = |arm: &Arm| parts.iter().any(|(of, _)| *of == arm.name);
    options.quick && claim.arms.iter().filter(|arm| arm.is_slow).any(is_drawn_from)
}

/// Which build was measured, and how thoroughly. Times of a debug build are those of no gateway that anybody runs.
fn build(options: &Options) -> String {
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    let gateway = match &options.programs.gateway {
        Some(path) => format!("gateway {}", path.display()),
        None => format!("{profile}, gateway {}", gateway::build::version()),
    };
    if options.quick { format!("{gateway}, quick") } else { gateway }
}

fn plotted(claim: &Claim, plot: &Plot, done: &Performed) -> Option<ClaimPlot> {
    let arm = |name: &&'static str| claim.arms.iter().find(|arm| arm.name == *name);
    let series = |series: &Series| ClaimSeries {
        name: series.name.to_owned(),
        points: series.arms.iter().filter_map(arm).filter_map(|arm| point(arm, series, done)).collect(),
    };
    let series: Vec<ClaimSeries> = plot.series.iter().map(series).filter(|one| !one.points.is_empty()).collect();
    (!series.is_empty()).then(|| ClaimPlot {
        caption: plot.caption.to_owned(),
        x: plot.x.0.to_owned(),
        x_log: plot.x.1,
        y: plot.y.0.to_owned(),
        unit: plot.unit,
        y_log: plot.y.1,
        series,
    })
}

fn point(arm: &Arm, series: &Series, done: &Performed) -> Option<ClaimPoint> {
    // What was late is drawn where there is nothing else; the notes say so.
    let draw = Draw::Of(arm.name, series.figure);
    let valid = values(&draw, &done.samples, done.rounds, false);
    let found = if valid.is_empty() { values(&draw, &done.samples, done.rounds, true) } else { valid };
    let found = estimate(&found, false)?;
    let [y, low, high] = [found.value, found.low, found.high].map(|value| value * series.scale);
    Some(ClaimPoint { name: arm.name.to_owned(), x: arm.x, y, low, high })
}

/// Which claims there are.
pub(super) fn list(claims: &[&Claim]) -> String {
    let mut table = Table::new(["", "section", "claim", "arms", "rounds", "experiment"]).left(1).left(2).left(5);
    for claim in claims {
        table.row([
            claim.id.to_owned(),
            claim.section.to_owned(),
            claim.claim.to_owned(),
            claim.arms.len().to_string(),
            claim.rounds.1.to_string(),
            claim.experiment.to_owned(),
        ]);
    }
    table.lines().join("\n") + "\n"
}

/// All claims of a result, a line each.
pub(super) fn table(result: &ResultFile) -> String {
    let mut table = Table::new(["", "verdict", "first figure", "value", "interval"]).left(1).left(2).left(4);
    for claim in &result.claims {
        let first = claim.figures.first().filter(|figure| figure.value.is_some());
        table.row([
            claim.id.clone(),
            claim.verdict.to_string(),
            first.map_or_else(|| claim.why.clone(), |figure| figure.name.clone()),
            first.map(claim_value).unwrap_or_default(),
            first.map(claim_interval).unwrap_or_default(),
        ]);
    }
    let story = reports::story::of(result);
    format!("{}\n\n{}", table.lines().join("\n"), story.headline)
}
