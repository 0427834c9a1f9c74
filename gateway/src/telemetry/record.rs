//! A request's access record: one line of JSON, its fields in the contract's order, absent rather than null.
//!
//! Of the query nothing is written but the parameters that the configuration names, and of headers those alone too:
//! none of them can be one that carries a token or a cookie. Written by hand into a buffer that is used again, so that
//! a line costs no allocation.

mod head;

pub use head::HeadFields;

use super::json::{write_escaped, write_number};
use super::timestamp::Stamper;
use crate::algorithms::words;
use crate::error::{Code, Fault};

/// How a request's answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The whole answer was handed to the client.
    Complete,
    /// The client went away first.
    ClientLeft,
    /// The upstream broke off within its answer.
    UpstreamCut,
    /// A time limit broke it off.
    Timeout,
    /// The gateway ended first: its drain ran out of time, or was told to hurry. Written as `timeout`, with the
    /// gateway's fault: the contract has no other word for a time that was up.
    Drained,
}

impl Ended {
    /// As written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client_left",
            Self::UpstreamCut => "upstream_cut",
            Self::Timeout | Self::Drained => "timeout",
        }
    }
}

/// What one request's record says. Borrowed: it lives as long as one call of [`AccessRecord::write`].
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When the request's head had come, microseconds since the Unix epoch.
    pub unix_us: i64,
    /// The request's id, text as the two after it, in which nothing needs an escape. Bytes, since nobody has to look
    /// again whether they are.
    pub request_id: &'a [u8],
    /// The trace's id, 32 digits; absent for what never became a request.
    pub trace_id: Option<&'a [u8]>,
    /// Our span's id, 16 digits.
    pub span_id: Option<&'a [u8]>,
    /// The client's address, without port.
    pub client: &'a str,
    /// The method as sent, a token; empty, and then not written, where what came was no request.
    pub method: &'a str,
    /// The host asked for; bytes, as the id.
    pub host: Option<&'a [u8]>,
    /// The path as matched, or empty likewise; what follows a `?` is not written.
    pub path: &'a str,
    /// Of the query, what is told behind the path; where some parameters are named, and never empty.
    pub query: Option<&'a str>,
    /// `HTTP/1.1`
    pub protocol: &'a str,
    /// The route's name; absent when none matched.
    pub route: Option<&'a str>,
    /// Who is asking, where that was proven.
    pub subject: Option<&'a str>,
    /// Why the request's credential was refused; clients are not told.
    pub auth: Option<&'a str>,
    /// The answer's status; 499 when the client left before there was one, 503 when the gateway ended before.
    pub status: u16,
    /// The problem; `None` is written as `ok`.
    pub code: Option<Code>,
    /// Whose fault; `None` where there is none.
    pub fault: Option<Fault>,
    /// The status of gRPC that its caller was told.
    pub grpc_status: Option<u8>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The address of the last endpoint asked.
    pub endpoint: Option<&'a str>,
    /// Exchanges begun with endpoints.
    pub attempts: u32,
    /// Whether a hedge was sent; absent where the route has none.
    pub hedged: Option<bool>,
    /// The breaker's state that was met.
    pub breaker: Option<&'a str>,
    /// The rule that refused.
    pub limit: Option<&'a str>,
    /// What it was turned away for, where it was.
    pub shed: Option<&'a str>,
    /// Bytes of the request's body that came.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// From the head's last byte to the answer's end, microseconds.
    pub total_us: u64,
    /// Of that, waiting for upstreams; absent when none was asked.
    pub upstream_us: Option<u64>,
    /// Of that, the gateway's own work; absent where it was not measured.
    pub overhead_us: Option<u64>,
    /// How it ended.
    pub ended: Ended,
    /// Parts of an aggregate.
    pub parts: Option<u32>,
    /// The names of those that are not in the answer, in a list.
    pub parts_missing: Option<&'a str>,
    /// The same, each with what became of it.
    pub parts_results: Option<&'a str>,
    /// Requests that went in one batch.
    pub batch_size: Option<u32>,
    /// How it came by its answer, where answers are kept.
    pub cache: Option<&'a str>,
    /// Headers of the request, where some are named.
    pub request_headers: Option<&'a HeadFields>,
    /// Headers of the answer, likewise.
    pub response_headers: Option<&'a HeadFields>,
}

impl<'a> AccessRecord<'a> {
    /// A record of what every request has; the rest is absent or zero until set.
    pub fn new(
        unix_us: i64,
        request_id: &'a [u8],
        client: &'a str,
        method: &'a str,
        path: &'a str,
        status: u16,
    ) -> Self {
        Self {
            unix_us,
            request_id,
            trace_id: None,
            span_id: None,
            client,
            method,
            host: None,
            path,
            query: None,
            protocol: "HTTP/1.1",
            route: None,
            subject: None,
            auth: None,
            status,
            code: None,
            fault: None,
            grpc_status: None,
            upstream: None,
            endpoint: None,
            attempts: 0,
            hedged: None,
            breaker: None,
            limit: None,
            shed: None,
            bytes_in: 0,
            bytes_out: 0,
            total_us: 0,
            upstream_us: None,
            overhead_us: None,
            ended: Ended::Complete,
            parts: None,
            parts_missing: None,
            parts_results: None,
            batch_size: None,
            cache: None,
            request_headers: None,
            response_headers: None,
        }
    }

    /// Appends the record as one line, its newline included.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_among(out, &mut Stamper::default());
    }

    /// The same, for one of many that come one after the other.
    pub(super) fn write_among(&self, out: &mut Vec<u8>, stamper: &mut Stamper) {
        out.extend_from_slice(b"{\"ts\":\"");
        stamper.write(out, self.unix_us);
        self.write_request(out);
        self.write_answer(out);
        self.write_way(out);
        self.write_measures(out);
        out.extend_from_slice(b"}\n");
    }

    fn write_request(&self, out: &mut Vec<u8>) {
        // Of ids, addresses and methods it is known what they are made of: nothing in them needs an escape.
        plain(out, b"\",\"schema\":1,\"request_id\":\"", self.request_id);
        if let Some(id) = self.trace_id {
            plain(out, b",\"trace_id\":\"", id);
        }
        if let Some(id) = self.span_id {
            plain(out, b",\"span_id\":\"", id);
        }
        plain(out, b",\"client\":\"", self.client.as_bytes());
        if let Some(method) = known(self.method) {
            plain(out, b",\"method\":\"", method.as_bytes());
        }
        if let Some(host) = self.host {
            text(out, b",\"host\":\"", host);
        }
        match self.query {
            None => optional(out, b",\"path\":\"", known(without_query(self.path))),
            Some(query) => self.write_path_and(out, query),
        }
        plain(out, b",\"protocol\":\"", self.protocol.as_bytes());
    }

    /// The path with what is told of the query, where that is known of which path it is.
    #[cold]
    fn write_path_and(&self, out: &mut Vec<u8>, query: &str) {
        let Some(path) = known(without_query(self.path)) else { return };
        out.extend_from_slice(b",\"path\":\"");
        write_escaped(out, path.as_bytes());
        out.push(b'?');
        write_value(out, query.as_bytes());
    }

    fn write_answer(&self, out: &mut Vec<u8>) {
        optional(out, b",\"route\":\"", self.route);
        optional(out, b",\"subject\":\"", self.subject);
        if let Some(why) = self.auth {
            plain(out, b",\"auth\":\"", why.as_bytes());
        }
        number(out, b",\"status\":", u64::from(self.status));
        // The names of results, codes, faults, states and ends are ours: nothing in them needs an escape.
        plain(out, b",\"code\":\"", self.code.map_or("ok", Code::as_str).as_bytes());
        if let Some(fault) = self.fault {
            plain(out, b",\"fault\":\"", fault.as_str().as_bytes());
        }
        if let Some(status) = self.grpc_status {
            number(out, b",\"grpc_status\":", status.into());
        }
    }

    fn write_way(&self, out: &mut Vec<u8>) {
        optional(out, b",\"upstream\":\"", self.upstream);
        optional(out, b",\"endpoint\":\"", self.endpoint);
        number(out, b",\"attempts\":", u64::from(self.attempts));
        if let Some(hedged) = self.hedged {
            let field: &[u8] = if hedged { b",\"hedged\":true" } else { b",\"hedged\":false" };
            out.extend_from_slice(field);
        }
        if let Some(state) = self.breaker {
            plain(out, b",\"breaker\":\"", state.as_bytes());
        }
        optional(out, b",\"limit\":\"", self.limit);
        if let Some(reason) = self.shed {
            plain(out, b",\"shed\":\"", reason.as_bytes());
        }
    }

    fn write_measures(&self, out: &mut Vec<u8>) {
        number(out, b",\"bytes_in\":", self.bytes_in);
        number(out, b",\"bytes_out\":", self.bytes_out);
        number(out, b",\"total_us\":", self.total_us);
        if let Some(us) = self.upstream_us {
            number(out, b",\"upstream_us\":", us);
        }
        if let Some(us) = self.overhead_us {
            number(out, b",\"overhead_us\":", us);
        }
        plain(out, b",\"ended\":\"", self.ended.as_str().as_bytes());
        if let Some(parts) = self.parts {
            number(out, b",\"parts\":", u64::from(parts));
        }
        optional(out, b",\"parts_missing\":\"", self.parts_missing);
        optional(out, b",\"parts_results\":\"", self.parts_results);
        if let Some(size) = self.batch_size {
            number(out, b",\"batch_size\":", u64::from(size));
        }
        if let Some(cache) = self.cache {
            plain(out, b",\"cache\":\"", cache.as_bytes());
        }
        if let Some(fields) = self.request_headers {
            fields.write(out, b",\"request_headers\":{");
        }
        if let Some(fields) = self.response_headers {
            fields.write(out, b",\"response_headers\":{");
        }
    }
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn without_query(path: &str) -> &str {
    words::position(path.as_bytes(), b'?').map_or(path, |at| &path[..at])
}

// The length of a key is known where it is written, so that a few moves copy it, and no call.

#[inline]
fn text<const KEY: usize>(out: &mut Vec<u8>, key: &[u8; KEY], value: &[u8]) {
    out.extend_from_slice(key);
    write_value(out, value);
}

/// A value to the end of its string. One for all fields: code that each of them had for itself would put other code
/// out of the processor's cache.
#[inline(never)]
fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    write_escaped(out, value);
    out.push(b'"');
}

#[inline]
fn optional<const KEY: usize>(out: &mut Vec<u8>, key: &[u8; KEY], value: Option<&str>) {
    if let Some(value) = value {
        text(out, key, value.as_bytes());
    }
}

/// A value in which nothing needs an escape.
#[inline]
fn plain<const KEY: usize>(out: &mut Vec<u8>, key: &[u8; KEY], value: &[u8]) {
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out.push(b'"');
}

#[inline]
fn number<const KEY: usize>(out: &mut Vec<u8>, key: &[u8; KEY], value: u64) {
    out.extend_from_slice(key);
    write_number(out, value);
}

#[cfg(test)]
mod tests;
