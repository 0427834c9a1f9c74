//! A call of the admin API that would change the gateway, as it is told of.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::event::with;
use crate::telemetry::metrics::{AdminAction, AdminResult};

/// A call of the admin API that would change the gateway.
#[derive(Debug, Clone)]
pub struct AdminWrite {
    /// What it asks for.
    pub action: AdminAction,
    /// What came of it.
    pub result: AdminResult,
    /// Whose right was shown: `token`, `loopback` where none is needed, `program` where that has let it through, or
    /// `nobody`'s.
    pub who: &'static str,
    /// The other end of its connection.
    pub client: Option<SocketAddr>,
    /// Path and query, cut to a length.
    pub target: String,
    /// The status that it was answered with.
    pub status: Option<u16>,
    /// Calls that were not let through and not told of since the last one that was.
    pub untold: u64,
}

impl AdminWrite {
    /// As it is told.
    pub fn fields(&self) -> Value {
        let fields = json!({
            "action": self.action.as_str(),
            "result": self.result.as_str(),
            "who": self.who,
            "target": self.target,
        });
        let fields = with(fields, "client", self.client.map(|client| client.to_string()));
        with(with(fields, "status", self.status), "untold", (self.untold > 0).then_some(self.untold))
    }
}
