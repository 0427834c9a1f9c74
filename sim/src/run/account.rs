//! One answer and one record for each request: the gateways' access records beside what clients sent and got.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use loadgen::sample::Failure;
use serde_json::{Value, json};

use super::error::RunError;

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

/// The number of records in each log; none where there is none. Where services call each other through the gateways,
/// those of one client's request have one trace and count once.
pub(super) fn count_records(logs: &[Option<PathBuf>], nested: bool) -> Result<Vec<u64>, RunError> {
    let mut traces = HashSet::new();
    let mut count = |log: &Option<PathBuf>| {
        let Some(log) = log else { return Ok(0) };
        let file = std::fs::File::open(log).map_err(RunError::file(log))?;
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok).filter(|line| !line.is_empty());
        Ok(lines.filter(|line| !nested || trace_of(line).is_none_or(|trace| traces.insert(trace))).count() as u64)
    };
    logs.iter().map(&mut count).collect()
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
        assert_eq!(count_records(&[Some(one.clone()), Some(two.clone())], true).unwrap(), [3, 1]);
        assert_eq!(count_records(&[Some(one), Some(two)], false).unwrap(), [4, 2]);
    }

    #[test]
    fn every_line_is_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "{}\n{}\n\n{}").unwrap();
        assert_eq!(count_records(&[Some(log), None], false).unwrap(), [3, 0]);
        let none = [Some(folder.path().join("none"))];
        assert!(matches!(count_records(&none, false), Err(RunError::File { .. })));
    }
}
