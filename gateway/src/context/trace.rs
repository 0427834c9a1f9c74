//! W3C Trace Context: a trace is continued or started, and every hop gets a span id of its own.
//!
//! Parsing is strict (features.md 2.13): lower case only, no zero ids, version `ff` never, one header only. A later
//! version is read by its first four fields and answered with version `00`. Whether a trace is sampled is decided from
//! its id, so that gateways with the same ratio agree; a peer's own word counts only where the peer is trusted, since
//! the bit costs money. A client that chooses its trace id may still choose one that falls under the ratio: that is the
//! price of agreement, and `trust_incoming = "trusted"` avoids it.

use std::num::NonZeroU64;
use std::ops::Range;

use http::HeaderValue;
use memchr::memmem;

use super::{hex, tracestate};
use crate::config::settings::telemetry::{Tracing, TrustTrace};
use crate::http1::RequestHead;
use crate::request_fields::{KnownName, RequestFields};

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LEN: usize = 55;
/// The span's digits.
const SPAN: Range<usize> = 36..52;
/// Where in it stands whether spans are kept: the last of its flags.
const FLAG: usize = LEN - 1;

/// `[telemetry.tracing]`, compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePolicy {
    trust: TrustTrace,
    /// A trace is sampled when the low 56 bits of its id are at least this (the rejection threshold of OpenTelemetry's
    /// "TraceState: Probability Sampling"; W3C Trace Context level 2 asks that these bits be random).
    threshold: u64,
}

impl TracePolicy {
    /// Compiles the settings.
    pub fn new(settings: &Tracing) -> Self {
        let ratio = settings.sample_ratio.clamp(0.0, 1.0);
        // Exact: both ends are powers of two, and a float's conversion saturates.
        let threshold = ((1.0 - ratio) * (1_u64 << 56) as f64) as u64;
        Self { trust: settings.trust_incoming, threshold }
    }

    fn samples(&self, trace_id: &[u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g] = *trace_id;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.threshold
    }
}

/// Where a request stands in its trace: what the gateway tells the upstream and writes into the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace's id.
    pub trace_id: [u8; 16],
    /// The span of this hop: ours, new for each request.
    pub span_id: [u8; 8],
    /// The span of the peer that called us, where its trace is continued.
    pub parent_id: Option<[u8; 8]>,
    /// Passed on as `tracestate`.
    pub tracestate: Option<HeaderValue>,
    /// The outgoing `traceparent`, written once: header and record both read it.
    text: [u8; LEN],
}

impl TraceContext {
    /// Continues the request's trace as the policy allows, or starts one from these random bits.
    #[inline]
    pub fn continue_or_start(
        headers: &RequestFields,
        policy: &TracePolicy,
        peer_trusted: bool,
        random: [u64; 3],
    ) -> Self {
        let continues = match policy.trust {
            TrustTrace::Always => true,
            TrustTrace::Trusted => peer_trusted,
            TrustTrace::Never => false,
        };
        // An id of zeros is invalid; one chance in 2^64 is not worth a loop.
        let span_id = random[2].max(1).to_be_bytes();
        let told = continues && headers.contains_key(KnownName::TRACEPARENT);
        match if told { Incoming::read(headers) } else { None } {
            Some(incoming) => {
                let sampled = if peer_trusted { incoming.sampled } else { policy.samples(&incoming.trace_id) };
                let tracestate = tracestate::combined(headers);
                Self::new(incoming.trace_id, span_id, Some(incoming.parent_id), sampled, tracestate)
            }
            None => {
                let id = (u128::from(random[0]) << 64) | u128::from(random[1]);
                let trace_id = id.max(1).to_be_bytes();
                Self::new(trace_id, span_id, None, policy.samples(&trace_id), None)
            }
        }
    }

    fn new(
        trace_id: [u8; 16],
        span_id: [u8; 8],
        parent_id: Option<[u8; 8]>,
        sampled: bool,
        tracestate: Option<HeaderValue>,
    ) -> Self {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::encode(&trace_id, &mut text[3..35]);
        hex::encode(&span_id, &mut text[SPAN]);
        text[FLAG] = b'0' + u8::from(sampled);
        Self { trace_id, span_id, parent_id, tracestate, text }
    }

    /// Spans of this request are to be kept.
    #[inline]
    pub fn sampled(&self) -> bool {
        self.text[FLAG] == b'1'
    }

    /// The outgoing `traceparent`.
    #[inline]
    pub fn to_header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Names this span of ours as the parent in a head that tells of this trace. A head that does not, since its route
    /// says something else there or nothing, stays as it is.
    #[cold]
    pub fn name_parent(&self, head: &mut RequestHead, span: NonZeroU64) {
        let trace = &self.text[..SPAN.start];
        let mut digits = [0; SPAN.end - SPAN.start];
        hex::encode(&span.get().to_be_bytes(), &mut digits);
        let start = b"\r\ntraceparent: ".len();
        let line = [b"\r\ntraceparent: ", trace].concat();
        if let Some(at) = memmem::find(&head.lines, &line) {
            let at = at + start + SPAN.start;
            if let Some(old) = head.lines.get_mut(at..at + digits.len()) {
                old.copy_from_slice(&digits);
            }
        } else if head.headers.get(KnownName::TRACEPARENT).is_some_and(|told| told.as_bytes().starts_with(trace)) {
            let mut text = self.text;
            text[SPAN].copy_from_slice(&digits);
            head.headers.insert(KnownName::TRACEPARENT, text);
        }
    }

    /// The outgoing `traceparent`.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The trace id as 32 lower-case digits.
    #[inline]
    pub fn trace_id_text(&self) -> &[u8] {
        &self.text[3..35]
    }

    /// The span id as 16 lower-case digits.
    #[inline]
    pub fn span_id_text(&self) -> &[u8] {
        &self.text[SPAN]
    }
}

/// A peer's `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Incoming {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    sampled: bool,
}

impl Incoming {
    fn read(headers: &RequestFields) -> Option<Self> {
        let first = headers.get(KnownName::TRACEPARENT)?;
        if headers.repeats(KnownName::TRACEPARENT) {
            return None;
        }
        Self::parse(first.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LEN)?;
        let [version] = hex::decode::<1>(&known[..2])?;
        let end_fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|b| *b == b'-'),
        };
        if !end_fits || known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
            return None;
        }
        let trace_id = hex::decode::<16>(&known[3..35])?;
        let parent_id = hex::decode::<8>(&known[36..52])?;
        let [flags] = hex::decode::<1>(&known[53..55])?;
        let valid = trace_id != [0; 16] && parent_id != [0; 8];
        valid.then_some(Self { trace_id, parent_id, sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests;
