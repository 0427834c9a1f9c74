//! How much more the upstreams were asked than the gateway was.

use std::collections::HashSet;

use serde::Serialize;

use crate::history::{EventKind, History, Name};

/// `retries` of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RetryScore {
    /// Attempts over requests that were sent: 1 without retries, less where the gateway answers by itself.
    pub amplification: f64,
    /// Attempts over the requests that had any: what one request cost the upstreams at least.
    pub attempts_per_request: f64,
}

/// Counts the attempts that the gateway tells of, since it alone saw refused connections; those of the mocks where it
/// tells of none. Health checks are no attempts.
pub fn judge(history: &History) -> RetryScore {
    let told: Vec<Option<&Name>> = history
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Attempt { request_id, .. } => Some(request_id.as_ref()),
            _ => None,
        })
        .collect();
    let by_clients = history.attempts.iter().filter(|attempt| !attempt.health_check);
    let seen: Vec<Option<&Name>> = by_clients.map(|attempt| attempt.request_id.as_ref()).collect();
    // The mocks may know more: a gateway's bounded stream of events drops its oldest.
    let attempts = if told.len() >= seen.len() { told } else { seen };
    let sent = history.clients.iter().filter(|request| request.was_sent()).count();
    let asked: HashSet<&Name> = attempts.iter().copied().flatten().collect();
    let named = attempts.iter().flatten().count();
    let over = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    RetryScore { amplification: over(attempts.len(), sent), attempts_per_request: over(named, asked.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::Story;
    use crate::history::{Ending, Seen};

    #[test]
    fn attempts_over_requests() {
        let twice =
            Story::new().asked().tried("orders/0", Ending::Broken, 1).tried("orders/1", Ending::Answered(200), 2);
        let story = twice.told_client(200, 3).refused(503).answered("orders/1", 200, 1).answered("orders/1", 200, 1);
        let score = judge(&story.end());
        assert_eq!((score.amplification, score.attempts_per_request), (1.0, 4.0 / 3.0));
        assert_eq!(judge(&Story::new().end()), RetryScore::default());
    }

    #[test]
    fn refused_connections_count_where_the_gateway_tells_of_them() {
        let story =
            Story::new().at_ms(1).asked().seen("orders/0", Seen::Connect, 1).seen("orders/1", Seen::Status(200), 0);
        let story = story.tried("orders/1", Ending::Answered(200), 0).told_client(200, 0);
        assert_eq!(judge(&story.end()).amplification, 2.0);
    }
}
