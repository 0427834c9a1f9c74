//! One answer and one record for each request: the gateways' access records beside what clients sent and got.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use loadgen::sample::Failure;
use serde_json::{Value, json};

use super::error::RunError;
use crate::hostile;

/// Whether a request reached the wire, as far as its client knows.
pub(super) fn was_sent(failure: Option<Failure>) -> bool {
    failure != Some(Failure::Connect)
}

/// The account of a whole run, warm-up included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// Requests that reached the wire.
    pub(super) requests: u64,
    /// Requests with a status.
    pub(super) answers: u64,
    /// Access records.
    pub(super) records: u64,
}

impl Account {
    /// Answers without a record. A request without an answer may have a record all the same (499).
    fn missing(&self) -> u64 {
        self.answers.saturating_sub(self.records)
    }

    /// Records without a request.
    fn surplus(&self) -> u64 {
        self.records.saturating_sub(self.requests)
    }

    /// `accounting` of a result.
    pub(super) fn to_json(self) -> Value {
        json!({
            "requests": self.requests, "answers": self.answers, "records": self.records,
            "missing": self.missing(), "surplus": self.surplus(),
        })
    }
}

/// The access records of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// For each gateway those of the loads.
    pub(super) loads: Vec<u64>,
    /// For each part of hostile clients those of all gateways.
    pub(super) hostile: Vec<u64>,
}

/// The number of records in each log; none where there is none. Where services call each other through the gateways,
/// those of one client's request have one trace and count once. Hostile clients are known by their addresses.
pub(super) fn count_records(logs: &[Option<PathBuf>], nested: bool, parts: usize) -> Result<Records, RunError> {
    let mut traces = HashSet::new();
    let clients: Vec<String> = (0..parts).map(|part| format!("\"client\":\"{}\"", hostile::address(part))).collect();
    let mut records = Records { loads: Vec::new(), hostile: vec![0; parts] };
    for log in logs {
        let mut count = 0;
        let Some(log) = log else {
            records.loads.push(count);
            continue;
        };
        let file = std::fs::File::open(log).map_err(RunError::file(log))?;
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok).filter(|line| !line.is_empty()) {
            let text = String::from_utf8_lossy(&line);
            match clients.iter().position(|client| text.contains(client)) {
                Some(part) => records.hostile[part] += 1,
                None => count += u64::from(!nested || trace_of(&line).is_none_or(|trace| traces.insert(trace))),
            }
        }
        records.loads.push(count);
    }
    Ok(records)
}

/// The trace that a record belongs to.
fn trace_of(line: &[u8]) -> Option<u128> {
    let record: Value = serde_json::from_slice(line).ok()?;
    u128::from_str_radix(record["trace_id"].as_str()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_too_much_are_told_apart() {
        let account = |answers, records| Account { requests: 10, answers, records }.to_json();
        assert_eq!((account(10, 10)["missing"].as_u64(), account(10, 10)["surplus"].as_u64()), (Some(0), Some(0)));
        assert_eq!(account(10, 8)["missing"], 2);
        // A client that left early: no answer, one record.
        assert_eq!((account(9, 10)["missing"].as_u64(), account(9, 10)["surplus"].as_u64()), (Some(0), Some(0)));
        assert_eq!(account(10, 11)["surplus"], 1);
    }

    #[test]
    fn calls_within_a_request_are_no_requests_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["a.log", "b.log"].map(|name| folder.path().join(name));
        let line = |trace: u32| format!("{{\"trace_id\":\"{trace:032x}\"}}\n");
        std::fs::write(&one, line(1) + &line(2) + &line(1) + "{}\n").unwrap();
        std::fs::write(&two, line(2) + &line(3)).unwrap();
        assert_eq!(count_records(&[Some(one.clone()), Some(two.clone())], true, 0).unwrap().loads, [3, 1]);
        assert_eq!(count_records(&[Some(one), Some(two)], false, 0).unwrap().loads, [4, 2]);
    }

    #[test]
    fn every_line_is_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "{}\n{}\n\n{}").unwrap();
        assert_eq!(count_records(&[Some(log), None], false, 0).unwrap().loads, [3, 0]);
        let none = [Some(folder.path().join("none"))];
        assert!(matches!(count_records(&none, false, 0), Err(RunError::File { .. })));
    }

    #[test]
    fn records_of_hostile_clients_are_counted_apart() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let line = |client: &str| format!("{{\"client\":\"{client}\",\"status\":408}}\n");
        let lines = ["127.0.0.1", "127.66.0.2", "127.66.0.1", "127.66.0.2", "127.66.0.21"].map(line);
        std::fs::write(&log, lines.concat()).unwrap();
        let records = count_records(&[Some(log)], false, 2).unwrap();
        assert_eq!(records, Records { loads: vec![2], hostile: vec![1, 2] });
    }
}
