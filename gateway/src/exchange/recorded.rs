//! The access record that an exchange leaves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Version;

use super::Exchange;
use crate::error::Code;
use crate::network::Network;
use crate::telemetry::metrics::AuthResult;
use crate::telemetry::record::{AccessRecord, Ended};

impl<N: Network> Exchange<N> {
    /// The name of the rule that refused.
    fn refusing_limit(&self) -> Option<&str> {
        if let Some(name) = self.held.as_ref().and_then(|holding| holding.refused()) {
            return Some(name);
        }
        let limits = self.route()?.limits.as_deref()?;
        self.limits.as_ref()?.refused(limits).map(|rule| &*rule.settings.name)
    }

    /// What its record tells of its query. What was no request has none.
    fn recorded_query(&self) -> Option<&str> {
        let heads = self.heads.as_ref().filter(|_| !self.unread)?;
        Some(&*heads.query).filter(|query| !query.is_empty())
    }

    /// Its access record.
    pub(crate) fn record(&self, status: u16, ended: Ended, total: Duration, overhead: Duration) -> AccessRecord<'_> {
        let route = self.route();
        let hedges = self.hedges.load(Ordering::Relaxed);
        // An answer may be that of another one's call, and so may be what is waited for in vain.
        let was_asked = self.attempts > 0
            || (self.upstream_head.is_some() && self.parts.is_none())
            || self.calls.as_ref().is_some_and(|calls| calls.asked().is_some());
        let had_nobody = matches!(self.code, Some(Code::BreakerOpen | Code::NoEndpoint));
        let unix_us = self.shard.shared.clock.unix_us_of(self.since);
        let id = self.request_id.as_bytes();
        let (method, path) = if self.unread { ("", "") } else { (self.method.as_str(), self.path()) };
        AccessRecord {
            trace_id: Some(self.trace.trace_id_text()),
            span_id: Some(self.trace.span_id_text()),
            host: self.host().map(|host| host.value.as_bytes()),
            protocol: match self.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            route: route.map(|route| &*route.settings.name),
            subject: self.identity.as_ref().and_then(|identity| identity.subject.as_deref()),
            auth: self.refused.map(AuthResult::as_str),
            code: self.code,
            fault: self.fault(ended),
            grpc_status: self.grpc_status,
            upstream: self.upstream().filter(|_| was_asked || had_nobody).map(|upstream| &*upstream.name),
            endpoint: self.endpoint.as_ref().filter(|_| was_asked).map(|endpoint| &*endpoint.address),
            attempts: self.attempts_made() + self.parts.as_ref().map_or(0, |parts| parts.attempts()),
            hedged: route.filter(|route| route.hedging.is_some()).map(|_| hedges > 0),
            breaker: self.breaker,
            limit: self.refusing_limit(),
            shed: self.aside.shed.get().filter(|_| self.code == Some(Code::Overloaded)).map(|reason| reason.as_str()),
            bytes_in: self.request_body.as_ref().map_or(0, |body| body.bytes()) + self.tunnelled_in,
            bytes_out: self.bytes_out,
            total_us: micros(total),
            upstream_us: self.upstream_began.map(|_| micros(total.saturating_sub(overhead))),
            overhead_us: Some(micros(overhead)),
            ended,
            parts: self.parts.as_ref().map(|parts| parts.number),
            parts_missing: self.missing.as_ref().map(|missing| &*missing.names),
            parts_results: self.missing.as_ref().map(|missing| &*missing.results),
            batch_size: self.batch_size,
            cache: self.cache.as_ref().and_then(|cache| Some(cache.came_by()?.as_str())),
            query: self.recorded_query(),
            request_headers: self.heads.as_ref().map(|heads| &heads.sent),
            response_headers: self.heads.as_ref().map(|heads| &heads.answered),
            ..AccessRecord::new(unix_us, id, self.client.as_str(), method, path, status)
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
