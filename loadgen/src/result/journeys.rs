//! `load.<name>.journeys.<journey>` of a result: what users saw of their journeys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PhaseResult, Quantiles};
use crate::journey::Book;
use crate::journey::book::JourneySeen;

/// One journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JourneyResult {
    /// Gone to the end.
    pub completed: u64,
    /// Given up, since a step did not come out as expected.
    pub abandoned: u64,
    /// How long a whole one took, thinking included; `null` where nobody went one to its end.
    #[serde(default)]
    pub duration_us: Option<Quantiles>,
    /// Each request by its step's name; of a page's parts `STEP/PART`.
    pub steps: BTreeMap<String, PhaseResult>,
    /// Each step that is a page of several parts, and came whole: from its document's request to the last part's last
    /// byte.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub pages: BTreeMap<String, Quantiles>,
}

impl JourneyResult {
    /// The figures of all journeys.
    #[must_use]
    pub fn all_of(book: &Book) -> BTreeMap<String, Self> {
        let one = |seen: &JourneySeen| Self {
            completed: seen.completed,
            abandoned: seen.abandoned,
            duration_us: Quantiles::some(&seen.duration),
            steps: seen.requests.iter().map(|phase| (phase.name.clone(), PhaseResult::of(phase))).collect(),
            pages: seen
                .pages
                .iter()
                .filter_map(|(name, whole)| Some((name.clone(), Quantiles::some(whole)?)))
                .collect(),
        };
        book.journeys.iter().map(|seen| (seen.name.clone(), one(seen))).collect()
    }
}
