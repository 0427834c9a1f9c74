//! The gateway's access record of a request, as far as oracles read it (records.md, "Access record").

use super::Name;

/// How the answer ended, as the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Whole.
    Complete,
    /// The client left first.
    ClientLeft,
    /// The upstream broke off.
    UpstreamCut,
    /// A time limit broke it off.
    Timeout,
}

impl Ended {
    /// Reads the field `ended`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "complete" => Some(Self::Complete),
            "client_left" => Some(Self::ClientLeft),
            "upstream_cut" => Some(Self::UpstreamCut),
            "timeout" => Some(Self::Timeout),
            _ => None,
        }
    }
}

/// One access record.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRecord {
    /// When the request was over: its `ts` and `total_us`, brought to the run's clock.
    pub ended_ns: u64,
    /// The gateway that wrote it, from 0.
    pub gateway: usize,
    /// The request.
    pub request_id: Name,
    /// The route; `None` when none matched.
    pub route: Option<Name>,
    /// The status that the client got; 499 when it left before there was one.
    pub status: u16,
    /// The problem's code, or `ok`.
    pub code: Name,
    /// The upstream.
    pub upstream: Option<Name>,
    /// The address of the last endpoint asked.
    pub endpoint: Option<Name>,
    /// Exchanges begun with endpoints.
    pub attempts: u32,
    /// The rule that refused.
    pub limit: Option<Name>,
    /// How it ended.
    pub ended: Ended,
}
