//! How long requests took beyond the slowest of what upstreams were asked for them: what a gateway adds to an answer
//! that is put together of several, and to one that is not, by the same measure.
//!
//! A request's time is that of its access record, what upstreams took is what their journal tells of its id.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RunError;
use crate::history::Attempt;

/// An access record, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    request_id: &'a str,
    #[serde(default)]
    route: &'a str,
    status: u16,
    total_us: u64,
}

/// `routes` of a result: for each route the quantiles over its good requests.
pub(super) fn over_slowest(
    logs: &[Option<PathBuf>],
    attempts: &[Attempt],
) -> Result<BTreeMap<String, Value>, RunError> {
    let mut slowest: HashMap<&str, u64> = HashMap::new();
    for attempt in attempts {
        let (Some(id), Some(end_ns)) = (&attempt.request_id, attempt.end_ns) else { continue };
        let took = slowest.entry(id.as_ref()).or_default();
        *took = end_ns.saturating_sub(attempt.arrival_ns).max(*took);
    }
    let mut over: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for log in logs.iter().flatten() {
        let file = std::fs::File::open(log).map_err(RunError::file(log))?;
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            let Ok(line) = serde_json::from_slice::<Line<'_>>(&line) else { continue };
            let Some(took_ns) = slowest.get(line.request_id).filter(|_| line.status < 400) else { continue };
            let beyond = line.total_us.saturating_sub(took_ns / 1_000);
            over.entry(line.route.to_owned()).or_default().push(beyond);
        }
    }
    Ok(over.into_iter().map(|(route, over)| (route, json!({ "over_slowest_us": quantiles(over) }))).collect())
}

fn quantiles(mut all: Vec<u64>) -> Value {
    all.sort_unstable();
    let at = |share: f64| {
        let rank = (all.len() as f64 * share).ceil() as usize;
        all.get(rank.max(1) - 1).copied().unwrap_or(0)
    };
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Ending, Endpoint, Hit, Name};

    fn attempt(id: &str, arrival_ns: u64, end_ns: u64) -> Attempt {
        Attempt {
            endpoint: Endpoint::new("orders", 0),
            connection: 1,
            request_id: Some(Name::from(id)),
            arrival_ns,
            answer_ns: None,
            end_ns: Some(end_ns),
            ending: Ending::Answered(200),
            hit: Hit::None,
            health_check: false,
        }
    }

    #[test]
    fn what_is_beyond_the_slowest_part_counts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let line = |id: &str, route: &str, status: u16, total_us: u64| {
            format!("{{\"request_id\":\"{id}\",\"route\":\"{route}\",\"status\":{status},\"total_us\":{total_us}}}\n")
        };
        let lines = [
            line("a", "board", 200, 5_300),
            line("b", "plain", 200, 2_100),
            line("c", "plain", 503, 9_000),
            line("nobody", "plain", 200, 9_000),
        ];
        std::fs::write(&log, lines.concat()).unwrap();
        let attempts = [
            attempt("a", 0, 5_000_000),
            attempt("a", 1_000_000, 3_000_000),
            attempt("b", 7_000_000, 9_000_000),
            attempt("c", 0, 1),
        ];
        let routes = over_slowest(&[Some(log), None], &attempts).unwrap();
        assert_eq!((&routes["board"]["over_slowest_us"]["p50"], routes.len()), (&json!(300), 2));
        assert_eq!(routes["plain"]["over_slowest_us"], json!({ "p50": 100, "p90": 100, "p99": 100 }));
    }
}
