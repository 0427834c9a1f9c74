//! `[capacity]`: which load's rate is raised until its objective no longer holds.

use std::time::Duration;

use loadgen::plan::Arrivals;

use super::super::model::{CapacityPart, LoadModel, LoadPart, Runtime};
use super::super::problem::Report;
use super::super::reader::Reader;
use super::load::MOST_RATE;

const KEYS: &[&str] = &["load", "p99", "success", "step", "repeats", "most"];
/// The share of requests that has to succeed where none is written.
const SUCCESS: f64 = 0.999;
/// How long each rate lasts where nothing is written. Below half a second a 99th percentile says little.
const STEP: Duration = Duration::from_secs(1);
const LEAST_STEP: Duration = Duration::from_millis(200);
const MOST_STEP: Duration = Duration::from_secs(60);
/// Six give an interval of 95 %.
const REPEATS: u64 = 6;

/// The part, when there is one.
pub(super) fn capacity(
    reader: &Reader<'_>,
    loads: &[LoadPart],
    runtime: Runtime,
    report: &mut Report,
) -> Option<CapacityPart> {
    let node = reader.node("capacity")?;
    let reader = Reader::of(node, KEYS, report)?;
    if runtime == Runtime::Virtual {
        report.error(node.at, "what a machine can carry is found on the machine: runtime = \"sockets\"");
    }
    if loads.iter().any(|load| load.journey.is_some()) {
        report.error(node.at, "users of journeys wait for their answers, so beside them there is no rate to raise");
    }
    if loads.iter().any(|load| !load.from.is_zero()) {
        report.error(node.at, "it runs before t = 0, where loads that begin later are not");
    }
    let load = load(&reader, loads, report);
    let objective = reader.duration("p99", report);
    if !reader.has("p99") {
        reader.missing("p99", "say which 99th percentile of latency has to hold, as in \"20ms\"", report);
    }
    let success = reader.number("success", report).unwrap_or(SUCCESS);
    if !(0.0..=1.0).contains(&success) {
        report.error(reader.place("success"), "a share from 0 to 1, as in 0.999");
    }
    let step = reader.duration("step", report).unwrap_or(STEP);
    if !(LEAST_STEP..=MOST_STEP).contains(&step) {
        report.error(reader.place("step"), "from 200ms to 60s");
    }
    let repeats = reader.integer("repeats", 1..=100, report).unwrap_or(REPEATS);
    let most_rps = reader.rate("most", report).unwrap_or(MOST_RATE);
    let load = load?;
    let LoadModel::Open { rate, .. } = loads[load].model else { return None };
    if most_rps < rate || most_rps > MOST_RATE {
        let range = format!("from the load's own rate, {rate:.0}/s, to {MOST_RATE:.0}/s");
        report.error(reader.place("most"), range);
    }
    Some(CapacityPart { load, p99: objective?, success, step, repeats: usize::try_from(repeats).ok()?, most_rps })
}

/// The number of the load whose rate is raised.
fn load(reader: &Reader<'_>, loads: &[LoadPart], report: &mut Report) -> Option<usize> {
    let number = match reader.text("load", report) {
        Some(name) => {
            let found = loads.iter().position(|load| load.name == name);
            if found.is_none() {
                let names: Vec<&str> = loads.iter().map(|load| load.name.as_str()).collect();
                report.unknown(reader.place("load"), format!("there is no load `{name}`"), name, &names);
            }
            found?
        }
        None if loads.len() == 1 => 0,
        None => {
            reader.missing("load", "of several loads, say which is raised", report);
            return None;
        }
    };
    match loads[number].model {
        LoadModel::Open { arrivals: Arrivals::Constant | Arrivals::Poisson, .. } => Some(number),
        _ => {
            let message = "only an open load with constant or poisson arrivals has one rate to raise";
            report.error(reader.place("load"), message);
            None
        }
    }
}
