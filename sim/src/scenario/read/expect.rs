//! `[[expect]]`: figures and their bounds.

use super::super::figures;
use super::super::model::ExpectPart;
use super::super::problem::Report;
use super::super::reader::Reader;

const KEYS: &[&str] = &["figure", "above", "per", "min", "max"];

/// What the result will tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The figures that it will have.
    pub(super) figures: &'a [String],
    /// A gateway is restarted, and nobody is told what it decides from then on.
    pub(super) restarts: bool,
    /// It runs in virtual time.
    pub(super) simulated: bool,
}

/// Every expectation; `known` is `None` when that is not known because something else is wrong.
pub(super) fn expectations(reader: &Reader<'_>, known: Option<Known<'_>>, report: &mut Report) -> Vec<ExpectPart> {
    let mut expectations = Vec::new();
    for node in reader.tables("expect", report) {
        let Some(reader) = Reader::of(node, KEYS, report) else { continue };
        let (min, max) = (reader.number("min", report), reader.number("max", report));
        if !reader.has("min") && !reader.has("max") {
            reader.missing("max", "write a bound: `max`, `min`, or both", report);
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            report.error(reader.place("min"), "the least is above the most, so nothing can hold");
        }
        let Some(figure) = reader.text("figure", report) else {
            if !reader.has("figure") {
                reader.missing("figure", "name a figure of the result, as in load.main.requests", report);
            }
            continue;
        };
        let (above, per) = (reader.text("above", report), reader.text("per", report));
        if above.is_some() && per.is_some() {
            report.error(reader.place("per"), "a figure is held above another, or per another, not both");
        }
        if let Some(known) = known {
            check(("figure", figure), known, &reader, report);
            above.into_iter().for_each(|above| check(("above", above), known, &reader, report));
            per.into_iter().for_each(|per| check(("per", per), known, &reader, report));
        }
        let [above, per] = [above, per].map(|other| other.map(str::to_owned));
        // How far one figure is above another may be anything, and a ratio of two nearly so.
        if above.is_none() {
            let is_ratio = per.is_none() && figures::is_ratio(figure);
            let is_signed = figures::is_signed(figure);
            for key in ["min", "max"] {
                bound(key, &reader, (is_ratio, is_signed), report);
            }
        }
        expectations.push(ExpectPart { figure: figure.to_owned(), min, max, above, per });
    }
    expectations
}

/// A bound that every value holds, or none, is a slip of the pen: a percentage for a share, or a sign.
fn bound(key: &str, reader: &Reader<'_>, (is_ratio, is_signed): (bool, bool), report: &mut Report) {
    // What is no number is told already.
    let mut told = Report::default();
    let Some(value) = reader.number(key, &mut told) else { return };
    if is_ratio && !(0.0..=1.0).contains(&value) {
        let share = value / 100.0;
        let help = match (0.0..=1.0).contains(&share) {
            true => format!("write {key} = {}", (share * 1e9).round() / 1e9),
            false => "1 is all of them".to_owned(),
        };
        report.error_with(reader.place(key), "a ratio is between 0 and 1", help);
    } else if !is_signed && value < 0.0 {
        let help = "0 is none at all";
        report.error_with(reader.place(key), "this figure is never below 0", help);
    }
}

fn check((key, figure): (&str, &str), told: Known<'_>, reader: &Reader<'_>, report: &mut Report) {
    let known = told.figures;
    if told.simulated && figures::is_of_a_machine(figure) {
        let message = format!("in virtual time nothing costs anything, so that the result will hold no `{figure}`");
        let help = "leave it out, or run the scenario with runtime = \"sockets\"";
        return report.error_with(reader.place(key), message, help);
    }
    if known.iter().any(|name| name == figure) || figures::is_count(figure, known) {
        return;
    }
    let instances = known.iter().filter(|name| name.starts_with("gateway.") && name.ends_with(".reuse_ratio")).count();
    match figures::is_metric(figure, instances) {
        Ok(true) => return,
        Ok(false) => {}
        Err(message) => return report.error(reader.place(key), message),
    }
    let section = figure.split('.').next().unwrap_or_default();
    let at = reader.place(key);
    if told.restarts && ["breakers", "limiters"].contains(&section) {
        let message = "what a gateway decides is followed up to its first restart, so that breakers and rate limits are \
                       not scored where one is restarted; leave the event `restart` out, or expect what clients see";
        report.error(at, message);
        return;
    }
    if section == "limiters" && !known.iter().any(|name| name.starts_with("limiters.")) {
        let message = "the gateway's configuration has no rate limit that is scored (one with `anonymous` is not)";
        report.error(at, message);
        return;
    }
    let of_rule = figure.strip_suffix(".false_admits").or_else(|| figure.strip_suffix(".false_refusals"));
    if let Some(rule) = of_rule.filter(|rule| known.contains(&format!("{rule}.admitted"))) {
        let why = "a store that gateways share decides later than it is asked";
        let message = format!("the result will hold no `{figure}`: {why}");
        let help = format!("expect `{rule}.bound_violation`, `.sustained_error` or `.admitted`");
        report.error_with(at, message, help);
        return;
    }
    if section == "breakers" && !known.iter().any(|name| name.starts_with("breakers.")) {
        report.error(at, "breakers are scored where there is one gateway, whose breakers they are");
        return;
    }
    // What is in the same section comes first: a list of all is cut.
    let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
    names.sort_by_key(|name| name.split('.').next() != Some(section));
    report.unknown(at, format!("the result will hold no figure `{figure}`"), figure, &names);
}
