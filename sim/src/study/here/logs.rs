//! Figures out of what a run wrote: its access records and its result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

/// Only the last seconds of a log count, since it begins with the warm-up.
const LAST_US: f64 = 4e6;
/// Load is looked at in steps of this length.
const STEP_US: f64 = 100_000.0;
const DAY_US: f64 = 86_400e6;
/// The service that fails in the graph of twenty.
const GUILTY: &str = "s7";
/// Where services of a chain hand in what a header told them.
const LEDGER: &str = "told";
/// Where clients come in whose outage is measured.
const ENTRY: &str = "orders";

/// One access record.
struct Record {
    trace: String,
    id: String,
    route: String,
    subject: String,
    upstream: String,
    endpoint: String,
    status: u64,
    /// Microseconds of the day.
    at_us: f64,
    total_us: f64,
    upstream_us: f64,
}

impl Record {
    fn read(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| record[key].as_f64().unwrap_or(0.0);
        Some(Self {
            trace: text("trace_id"),
            id: text("request_id"),
            route: text("route"),
            subject: text("subject"),
            upstream: text("upstream"),
            endpoint: text("endpoint"),
            status: record["status"].as_u64()?,
            at_us: time_of(record["ts"].as_str()?)?,
            total_us: number("total_us"),
            upstream_us: number("upstream_us"),
        })
    }

    fn end_us(&self) -> f64 {
        self.at_us + self.total_us
    }

    fn failed(&self) -> bool {
        self.status >= 500
    }
}

/// Microseconds of the day, of a time such as `2026-11-23T15:03:24.967486Z`.
fn time_of(text: &str) -> Option<f64> {
    let mut parts = text.split_once('T')?.1.trim_end_matches('Z').split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1e6)
}

/// The records of the last seconds of a run.
fn records(folder: &Path) -> Result<Vec<Record>, String> {
    let (mut records, last) = all_records(folder)?;
    records.retain(|record| record.at_us >= last - LAST_US);
    Ok(records)
}

/// All records of a run, its warm-up's too, and the end of the last one.
fn all_records(folder: &Path) -> Result<(Vec<Record>, f64), String> {
    let path = folder.join("access-0.log");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut records: Vec<Record> = text.lines().filter_map(Record::read).collect();
    let (Some(first), Some(last)) = (records.first().map(|one| one.at_us), records.last().map(Record::end_us)) else {
        return Err(format!("{}: no records", path.display()));
    };
    // A run over midnight.
    let last = if last < first - DAY_US / 2.0 { last + DAY_US } else { last };
    for record in &mut records {
        record.at_us += if record.at_us < first - DAY_US / 2.0 { DAY_US } else { 0.0 };
    }
    Ok((records, last))
}

/// The spread of response times, and of the requests that endpoints have at a time. A request is at its endpoint from
/// the first byte sent to the last one of its answer, waiting in the service's own queue too: the sum of these times is
/// the mean number in flight (Little), and no utilisation.
pub(in crate::study) fn spread(folder: &Path) -> Result<Value, String> {
    let records = records(folder)?;
    let times: Vec<f64> = records.iter().map(|record| record.total_us).collect();
    let mut busy: BTreeMap<&str, f64> = BTreeMap::new();
    let mut steps: BTreeMap<(&str, u64), f64> = BTreeMap::new();
    for record in records.iter().filter(|record| !record.endpoint.is_empty()) {
        *busy.entry(&record.endpoint).or_default() += record.upstream_us;
        *steps.entry((&record.endpoint, (record.at_us / STEP_US) as u64)).or_default() += record.upstream_us;
    }
    // Who had nothing to do in a step is as much of the spread as who had too much.
    let numbers = || steps.keys().map(|(_, step)| *step);
    let (first, last) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
    let load = |endpoint: &&str, step: u64| steps.get(&(*endpoint, step)).copied().unwrap_or(0.0);
    let mut of_steps: Vec<f64> =
        busy.keys().flat_map(|endpoint| (first..=last).map(move |step| load(endpoint, step))).collect();
    let mut of_endpoints: Vec<f64> = busy.values().copied().collect();
    // One that got nothing has no record.
    let unseen = endpoints(folder).saturating_sub(of_endpoints.len());
    of_endpoints.extend(std::iter::repeat_n(0.0, unseen));
    of_steps.extend(std::iter::repeat_n(0.0, unseen * (first..=last).count()));
    Ok(json!({
        "deviation_us": deviation(&times).1,
        "in_flight_variation": variation(&of_endpoints),
        "load_variation": variation(&of_steps),
    }))
}

/// How many endpoints a run's upstreams have, those that got nothing too; none where no result tells.
fn endpoints(folder: &Path) -> usize {
    let Ok(result) = reports::result::ResultFile::read(&folder.join("result.json")) else { return 0 };
    // Several upstreams may have the same ones.
    let names: BTreeSet<&String> = result.balance.values().flat_map(|balance| balance.share.keys()).collect();
    names.len()
}

/// Mean and standard deviation.
fn deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

fn variation(values: &[f64]) -> f64 {
    let (mean, deviation) = deviation(values);
    if mean > 0.0 { deviation / mean } else { 0.0 }
}

fn by_trace(records: &[Record]) -> BTreeMap<&str, Vec<&Record>> {
    let mut traces: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    records.iter().for_each(|record| traces.entry(&record.trace).or_default().push(record));
    traces
}

/// Of chains of eight services: how many have all their records under one trace, and under one id, and whether ids
/// differ.
pub(in crate::study) fn chains(folder: &Path) -> Result<Value, String> {
    let records = records(folder)?;
    let traces = by_trace(&records);
    // Whatever entered at the first service, wherever its records are: what was cut off by the look-back has none
    // there.
    let entered: Vec<&Vec<&Record>> =
        traces.values().filter(|trace| trace.iter().any(|record| record.route == "s1")).collect();
    let routes =
        |trace: &[&Record]| trace.iter().map(|record| record.route.clone()).collect::<BTreeSet<String>>().len();
    let whole = entered.iter().filter(|trace| trace.len() == 8 && routes(trace) == 8).count();
    let one_id = |trace: &&&Vec<&Record>| trace.iter().map(|record| &record.id).collect::<BTreeSet<_>>().len() == 1;
    let with_one_id = entered.iter().filter(one_id).count();
    // One id for all would be no id.
    let different = entered.iter().flat_map(|trace| trace.iter()).filter(|record| record.route == "s1");
    let different = different.map(|record| &record.id).collect::<BTreeSet<_>>().len();
    let of = |count: usize| count as f64 / entered.len().max(1) as f64;
    Ok(json!({
        "chains": entered.len(), "whole": of(whole), "one_id": of(with_one_id), "different": of(different),
    }))
}

/// Of chains of services: the share of hops that were let in under the right identity, and of those that were told it
/// by a header, which each hands in at a route of its own.
pub(in crate::study) fn subjects(folder: &Path) -> Result<Value, String> {
    let records = records(folder)?;
    let (mut chains, mut hops, mut let_in, mut told) = (0_usize, 0_usize, 0_usize, 0_usize);
    for trace in by_trace(&records).values() {
        let entered = trace.iter().find_map(|record| Some((*record, length_of(&record.route)?)));
        let Some((entered, length)) = entered else { continue };
        // By which route somebody came says whose chain it is, and the first record who of them it was.
        let is_his = entered.subject.ends_with(&format!("-of-{length}"));
        let is_right = |record: &Record| is_his && record.status == 200 && record.subject == entered.subject;
        let right = |at_ledger: bool| {
            let all: Vec<&&Record> = trace.iter().filter(|record| (record.route == LEDGER) == at_ledger).collect();
            let good = all.iter().filter(|record| is_right(record)).count();
            // What was right twice makes up for nothing.
            good.min(length).saturating_sub(all.len() - good)
        };
        chains += 1;
        hops += length;
        let_in += right(false);
        told += right(true);
    }
    let of = |count: usize| count as f64 / hops.max(1) as f64;
    Ok(json!({ "chains": chains, "let_in": of(let_in), "told": of(told) }))
}

/// How many services a chain has that begins at this route.
fn length_of(route: &str) -> Option<usize> {
    route.strip_prefix("enter-")?.parse().ok()
}

/// How long clients saw errors: from the first failed answer of a route to the last one, warm-up and all.
pub(in crate::study) fn outage(folder: &Path) -> Result<Value, String> {
    let (records, _) = all_records(folder)?;
    let failed = || records.iter().filter(|record| record.route == ENTRY && record.failed());
    let first = failed().map(|record| record.at_us).fold(f64::INFINITY, f64::min);
    let last = failed().map(Record::end_us).fold(f64::NEG_INFINITY, f64::max);
    Ok(json!({ "outage_ms": ((last - first) / 1e3).max(0.0) }))
}

/// Of requests of the graph that failed: how often the records alone say which service was the cause.
pub(in crate::study) fn located(folder: &Path) -> Result<Value, String> {
    let records = records(folder)?;
    let traces = by_trace(&records);
    let failed: Vec<&Vec<&Record>> =
        traces.values().filter(|trace| trace.iter().any(|record| record.route == "s0" && record.failed())).collect();
    // Whoever asked the one that failed waited for it, and ended later.
    let is_found = |trace: &&&Vec<&Record>| {
        let failing = trace.iter().filter(|record| record.failed());
        let first = failing.min_by(|one, other| one.end_us().total_cmp(&other.end_us()));
        first.is_some_and(|first| first.upstream == GUILTY)
    };
    let found = failed.iter().filter(is_found).count();
    let joined = failed.iter().filter(|trace| trace.iter().any(|record| record.upstream == GUILTY)).count();
    let of = |count: usize| count as f64 / failed.len().max(1) as f64;
    Ok(json!({ "failed": failed.len(), "located": of(found), "joined": of(joined) }))
}

/// Of a search for capacity: latency near the most that holds the objective, over that at a third of it.
pub(in crate::study) fn curve(folder: &Path) -> Result<Value, String> {
    let path = folder.join("result.json");
    let result = reports::result::ResultFile::read(&path).map_err(|error| error.to_string())?;
    let capacity = result.capacity.values().next().ok_or("no capacity was looked for")?;
    let knee = capacity.knee_rps.estimate;
    let near = |share: f64| {
        let steps = capacity.steps.iter().filter(|step| step.p50_us.estimate > 0.0);
        let distance = |rps: f64| (rps / knee - share).abs();
        steps.min_by(|one, other| distance(one.offered_rps).total_cmp(&distance(other.offered_rps)))
    };
    let steps = || near(0.8).zip(near(0.3));
    let p50 = steps().map(|(high, low)| high.p50_us.estimate / low.p50_us.estimate);
    let p99 = steps().map(|(high, low)| high.p99_us.estimate / low.p99_us.estimate);
    Ok(json!({ "p50_high_over_low": p50, "p99_high_over_low": p99 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(&str, &str, &str, u64, f64, f64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let line = |(trace, route, time, status, total, upstream): &(&str, &str, &str, u64, f64, f64)| {
            let record = json!({
                "trace_id": trace, "request_id": trace, "route": route, "upstream": route, "endpoint": route,
                "ts": format!("2026-11-23T{time}Z"), "status": status, "total_us": total, "upstream_us": upstream,
            });
            format!("{record}\n")
        };
        std::fs::write(folder.path().join("access-0.log"), lines.iter().map(line).collect::<String>()).unwrap();
        folder
    }

    #[test]
    fn who_failed_first_is_the_cause() {
        let folder = log(&[
            ("a", "s0", "10:00:00.000000", 502, 900.0, 0.0),
            ("a", "s2", "10:00:00.000100", 502, 700.0, 0.0),
            ("a", "s7", "10:00:00.000200", 503, 300.0, 0.0),
            ("b", "s0", "10:00:00.100000", 502, 900.0, 0.0),
            ("b", "s3", "10:00:00.100100", 500, 100.0, 0.0),
            ("c", "s0", "10:00:00.200000", 200, 900.0, 0.0),
        ]);
        let found = located(folder.path()).unwrap();
        assert_eq!(found, json!({ "failed": 2, "located": 0.5, "joined": 0.5 }));
    }

    #[test]
    fn a_chain_is_whole_with_a_record_of_each_service() {
        let names: Vec<String> = (1..=8).map(|number| format!("s{number}")).collect();
        let mut lines: Vec<(&str, &str, &str, u64, f64, f64)> =
            names.iter().map(|name| ("a", name.as_str(), "23:59:59.900000", 200, 1.0, 1.0)).collect();
        lines.push(("b", "s1", "00:00:00.100000", 200, 1.0, 1.0));
        let found = chains(log(&lines).path()).unwrap();
        assert_eq!(found, json!({ "chains": 2, "whole": 0.5, "one_id": 1.0, "different": 1.0 }), "also over midnight");
    }

    /// One record of a chain's trace for each route, subject and status.
    fn identities(lines: &[(&str, &str, &str, u64)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let line = |(trace, route, subject, status): &(&str, &str, &str, u64)| {
            let record = json!({
                "trace_id": trace, "route": route, "subject": subject, "status": status,
                "ts": "2026-11-23T10:00:00.000000Z", "total_us": 1,
            });
            format!("{record}\n")
        };
        std::fs::write(folder.path().join("access-0.log"), lines.iter().map(line).collect::<String>()).unwrap();
        folder
    }

    #[test]
    fn an_identity_is_right_at_each_hop_or_the_hop_is_wrong() {
        const ADA: &str = "user-1-of-2";
        let of = |lines: &[(&str, &str, &str, u64)]| subjects(identities(lines).path()).unwrap();
        let well =
            [("a", "enter-2", ADA, 200), ("a", "s8", ADA, 200), ("a", "told", ADA, 200), ("a", "told", ADA, 200)];
        assert_eq!(of(&well), json!({ "chains": 1, "let_in": 1.0, "told": 1.0 }));
        let (mut other, mut forged, mut silent) = (well, well, well);
        other[1].2 = "user-2-of-2";
        assert_eq!(of(&other), json!({ "chains": 1, "let_in": 0.0, "told": 1.0 }), "the next one is somebody else");
        forged[2] = ("a", "told", "", 401);
        assert_eq!(
            of(&forged),
            json!({ "chains": 1, "let_in": 1.0, "told": 0.0 }),
            "nobody has the key of what it said"
        );
        silent[2].0 = "b";
        assert_eq!(of(&silent), json!({ "chains": 1, "let_in": 1.0, "told": 0.5 }), "one of two was told nothing");
        let confused = well.map(|(trace, route, _, status)| (trace, route, "user-1-of-8", status));
        assert_eq!(of(&confused), json!({ "chains": 1, "let_in": 0.0, "told": 0.0 }), "all agree on the wrong one");
        let intruder = [("i", "s8", "", 401)];
        assert_eq!(of(&intruder), json!({ "chains": 0, "let_in": 0.0, "told": 0.0 }), "no chain shows nothing right");
    }

    #[test]
    fn an_outage_is_as_long_as_clients_see_it() {
        let folder = log(&[
            ("a", "orders", "10:00:00.000000", 200, 100.0, 100.0),
            ("b", "orders", "10:00:01.000000", 503, 100.0, 100.0),
            ("b", "stock", "10:00:00.500000", 503, 100.0, 100.0),
            ("c", "orders", "10:00:02.000000", 502, 1_000.0, 100.0),
            ("d", "orders", "10:00:09.000000", 200, 100.0, 100.0),
        ]);
        assert_eq!(outage(folder.path()).unwrap(), json!({ "outage_ms": 1_001.0 }));
        let well = log(&[("a", "orders", "10:00:00.000000", 200, 100.0, 100.0)]);
        assert_eq!(outage(well.path()).unwrap(), json!({ "outage_ms": 0.0 }));
    }

    #[test]
    fn an_idle_endpoint_is_a_part_of_the_spread() {
        let folder = log(&[
            ("a", "e1", "10:00:10.000000", 200, 100.0, 100.0),
            ("b", "e2", "10:00:10.000000", 200, 100.0, 100.0),
            ("c", "e1", "10:00:10.150000", 200, 100.0, 100.0),
        ]);
        let found = spread(folder.path()).unwrap()["load_variation"].as_f64().unwrap();
        // 100, 100, 100 and nothing: a mean of 75, a deviation of 43.3.
        assert!((found - 3.0_f64.sqrt() / 3.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn spreads_are_of_the_last_seconds() {
        let folder = log(&[
            ("w", "e1", "10:00:00.000000", 200, 1e6, 1e6),
            ("a", "e1", "10:00:10.000000", 200, 100.0, 100.0),
            ("b", "e2", "10:00:10.000000", 200, 300.0, 300.0),
        ]);
        let found = spread(folder.path()).unwrap();
        assert_eq!((found["deviation_us"].as_f64(), found["in_flight_variation"].as_f64()), (Some(100.0), Some(0.5)));
        assert!(spread(log(&[]).path()).is_err(), "no records say nothing");
        // Of three endpoints the third got nothing: 100, 300 and 0.
        let share = ["e1", "e2", "e3"].map(|name| (name.to_owned(), 0.0));
        let mut result = reports::result::ResultFile::default();
        let balance = reports::result::Balance { share: share.into(), ..Default::default() };
        result.balance.insert("orders".to_owned(), balance.clone());
        result.balance.insert("the-same".to_owned(), balance);
        std::fs::write(folder.path().join("result.json"), result.to_json()).unwrap();
        let found = spread(folder.path()).unwrap()["in_flight_variation"].as_f64().unwrap();
        assert!((found - 14.0_f64.sqrt() / 4.0).abs() < 1e-9, "{found}");
    }
}
