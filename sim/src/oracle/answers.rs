//! One answer and one access record for each request, whatever happened to it.
//!
//! Needs every record: an access log that samples or drops lines cannot be held to this.

use std::collections::HashMap;

use serde::Serialize;

use crate::history::{ClientRequest, Ended, History, Name, Outcome};

/// Names of requests that are given with the counts.
const EXAMPLES: usize = 5;

/// What is wrong; all zero when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AnswerScore {
    /// Requests that were sent.
    pub requests: u64,
    /// Requests without an answer whose client did not leave.
    pub unanswered: u64,
    /// Of other requests, those whose answer was cut before its head had left: the record tells of an answer that the
    /// upstream, or a time limit, broke off, and the client saw its connection close. Not counted as violations.
    pub cut_before_head: u64,
    /// Requests with more than one answer.
    pub answered_again: u64,
    /// Requests without a record.
    pub unrecorded: u64,
    /// Requests with more than one record.
    pub recorded_again: u64,
    /// Records of no request that a client sent.
    pub unknown_records: u64,
    /// Records with another status than the client got.
    pub other_status: u64,
    /// Some of the requests that something is wrong with.
    pub examples: Vec<String>,
}

impl AnswerScore {
    /// Everything that is wrong, together.
    pub fn violations(&self) -> u64 {
        self.unanswered
            + self.answered_again
            + self.unrecorded
            + self.recorded_again
            + self.unknown_records
            + self.other_status
    }

    fn count(&mut self, wrong: bool, of: fn(&mut Self) -> &mut u64, example: Option<&Name>) {
        if wrong {
            *of(self) += 1;
            if self.examples.len() < EXAMPLES {
                let name = example.map(|name| name.to_string()).filter(|name| !self.examples.contains(name));
                self.examples.extend(name);
            }
        }
    }
}

/// Holds every request against its answers and records. A run in which requests carry no ids, or which has no records
/// at all (a gateway that is not ours), is judged by its answers alone.
pub fn judge(history: &History) -> AnswerScore {
    let mut records: HashMap<&Name, Vec<(u16, Ended)>> = HashMap::new();
    for record in &history.records {
        records.entry(&record.request_id).or_default().push((record.status, record.ended));
    }
    let recorded = !records.is_empty();
    let mut score = AnswerScore::default();
    for request in history.clients.iter().filter(|request| request.was_sent()) {
        score.requests += 1;
        let id = request.request_id.as_ref();
        let left = request.outcome == Outcome::ClientError && request.status.is_none();
        let of = id.and_then(|id| recorded.then(|| records.remove(id).unwrap_or_default()));
        let silent = request.head_ns.is_none() && !left;
        let cut = of.iter().flatten().any(|(_, ended)| matches!(ended, Ended::UpstreamCut | Ended::Timeout));
        score.cut_before_head += u64::from(silent && cut);
        score.count(silent && !cut, |score| &mut score.unanswered, id);
        score.count(request.answers > 1, |score| &mut score.answered_again, id);
        let Some(of) = of else { continue };
        score.count(of.is_empty() && !left, |score| &mut score.unrecorded, id);
        score.count(of.len() > 1, |score| &mut score.recorded_again, id);
        let differs = of.first().is_some_and(|record| tells_another(request, *record));
        score.count(differs, |score| &mut score.other_status, id);
    }
    let mut unknown: Vec<&Name> = records.into_keys().collect();
    unknown.sort_unstable();
    for id in unknown {
        score.count(true, |score| &mut score.unknown_records, Some(id));
    }
    score
}

/// A record may say that the client left while the answer was on its way; otherwise it says what the client got.
fn tells_another(request: &ClientRequest, (status, ended): (u16, Ended)) -> bool {
    request.status.is_some_and(|got| got != status) && ended != Ended::ClientLeft
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;

    fn told() -> History {
        Story::new().answered("orders/0", 200, 1).refused(429).answered("orders/1", 503, 2).end()
    }

    fn wrong(change: impl FnOnce(&mut History)) -> AnswerScore {
        let mut history = told();
        change(&mut history);
        judge(&history)
    }

    #[test]
    fn one_of_each() {
        assert_eq!(judge(&told()), AnswerScore { requests: 3, ..AnswerScore::default() });
    }

    #[test]
    fn each_thing_that_can_be_wrong_is_found() {
        let score = wrong(|history| history.clients[1].head_ns = None);
        assert_eq!((score.unanswered, score.violations()), (1, 1));
        assert_eq!(score.examples, ["r2"]);
        let score = wrong(|history| history.clients[1].answers = 2);
        assert_eq!((score.answered_again, score.violations()), (1, 1));
        let score = wrong(|history| drop(history.records.pop()));
        assert_eq!((score.unrecorded, score.violations()), (1, 1));
        let score = wrong(|history| history.records.push(history.records[0].clone()));
        assert_eq!((score.recorded_again, score.violations()), (1, 1));
        let score = wrong(|history| history.records[0].request_id = "r9".into());
        assert_eq!((score.unrecorded, score.unknown_records, score.violations()), (1, 1, 2));
        let score = wrong(|history| history.records[0].status = 502);
        assert_eq!((score.other_status, score.violations()), (1, 1));
    }

    #[test]
    fn a_client_that_left_gets_no_answer_and_that_is_right() {
        let score = wrong(|history| {
            history.clients[0].outcome = Outcome::ClientError;
            (history.clients[0].head_ns, history.clients[0].status) = (None, None);
            (history.records[0].status, history.records[0].ended) = (499, Ended::ClientLeft);
        });
        assert_eq!(score.violations(), 0);
    }

    #[test]
    fn an_answer_that_was_cut_before_its_head_left_is_counted_apart() {
        let score = wrong(|history| {
            (history.clients[0].head_ns, history.clients[0].status) = (None, None);
            let first = history.records.iter_mut().find(|record| &*record.request_id == "r1").unwrap();
            first.ended = Ended::UpstreamCut;
        });
        assert_eq!((score.cut_before_head, score.violations()), (1, 0));
    }

    #[test]
    fn a_gateway_without_records_is_judged_by_its_answers() {
        assert_eq!(wrong(|history| history.records.clear()).violations(), 0);
    }
}
