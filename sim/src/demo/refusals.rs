//! What the gateway itself answered 503, and why, read from its page of metrics: an answer that nobody injected is
//! somebody's. Pure.

use gateway::error::Code;
use gateway::telemetry::metrics::ShedReason;

use crate::metrics_page::Wanted;

/// The gateway's own answers of the injected status.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refusals {
    /// By the code of their problem documents.
    codes: Vec<(&'static str, u64)>,
    /// Why something was turned away, with how often.
    reasons: Vec<(ShedReason, u64)>,
}

impl Refusals {
    /// Of a page of metrics, for answers of this status.
    pub(super) fn read(page: &str, status: u16) -> Self {
        let sum = |sample: &str| Wanted::parse(sample).map_or(0, |wanted| wanted.sum(page) as u64);
        let of_code = |code: &Code| {
            let name = code.as_str();
            (name, sum(&format!("gateway_requests_total{{status_class=\"5xx\",code=\"{name}\"}}")))
        };
        let of_reason =
            |reason: ShedReason| (reason, sum(&format!("gateway_shed_total{{reason=\"{}\"}}", reason.as_str())));
        let codes = Code::ALL.iter().filter(|code| code.status().as_u16() == status).map(of_code);
        Self {
            codes: codes.filter(|(_, count)| *count > 0).collect(),
            reasons: ShedReason::ALL.into_iter().map(of_reason).filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.codes.iter().map(|(_, count)| count).sum()
    }

    /// All of them in a sentence without its end; `None` where there were none.
    pub(super) fn told(&self, status: u16) -> Option<String> {
        if self.codes.is_empty() {
            return None;
        }
        let codes: Vec<String> = self.codes.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let reasons: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{} ({count})", why(*reason))).collect();
        let since = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
        Some(format!("the gateway itself answered {status}: {}{since}", codes.join(", ")))
    }
}

/// Why something is turned away, for who has not read about it yet.
fn why(reason: ShedReason) -> String {
    let told = match reason {
        ShedReason::LoopDelay => "its loop was late, as on a machine that is busy with something else",
        ShedReason::Memory => "the process had grown beyond `shed_above_rss`",
        ShedReason::InFlight | ShedReason::RouteInFlight => "its `max_in_flight` was used up",
        ShedReason::UpstreamInFlight | ShedReason::UpstreamLatency | ShedReason::UpstreamConnections => {
            "an upstream had all that it may have"
        }
        ShedReason::Deadline => "the request's time ran out before an upstream was asked",
        ShedReason::Sockets => "the machine gave no socket",
        other => return other.as_str().replace('_', " "),
    };
    told.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_nobody_injected_are_told_with_their_reason() {
        let page = "gateway_requests_total{route=\"a\",status_class=\"5xx\",code=\"overloaded\"} 180\n\
            gateway_requests_total{route=\"b\",status_class=\"5xx\",code=\"overloaded\"} 6\n\
            gateway_requests_total{route=\"b\",status_class=\"5xx\",code=\"ok\"} 9\n\
            gateway_requests_total{route=\"b\",status_class=\"4xx\",code=\"route_not_found\"} 9\n\
            gateway_shed_total{reason=\"loop_delay\"} 186\ngateway_shed_total{reason=\"memory\"} 0\n";
        let refusals = Refusals::read(page, 503);
        assert_eq!(refusals.total(), 186, "a service's own 503 is not the gateway's");
        assert_eq!(
            refusals.told(503).unwrap(),
            "the gateway itself answered 503: 186 overloaded: its loop was late, as on a machine that is busy with \
             something else (186)"
        );
        assert_eq!((Refusals::read("", 503).told(503), Refusals::read(page, 502).total()), (None, 0));
    }
}
