//! What one request leaves in its trace: spans, from whoever works for it.
//!
//! Parts, shared calls and late ends may outlive the request's own end, in any order. So a trail belongs to all of them
//! together, and goes out when the last is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::span::{Attribute, Kind, Link, Span, SpanId, Value};
use super::tracer::Tracer;
use crate::algorithms::rng::Draws;
use crate::locked::lock;
use crate::telemetry::metrics::SpanResult;

/// Spans of one request; more are counted as dropped.
const MOST_SPANS: usize = 256;

/// Spans of one trace that this gateway makes for one request.
#[derive(Debug)]
pub(super) struct Trail {
    tracer: Arc<Tracer>,
    trace_id: [u8; 16],
    state: Option<Box<str>>,
    gathered: Mutex<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    spans: Vec<Span>,
    ids: Draws,
    left_out: u64,
}

/// A trail that has ended: what is sent.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) trace_id: [u8; 16],
    /// `tracestate` as it came.
    pub(super) state: Option<Box<str>>,
    pub(super) spans: Vec<Span>,
}

/// A place in a trail: the span under which what happens next belongs.
#[derive(Debug, Clone)]
pub struct Track {
    trail: Arc<Trail>,
    span: SpanId,
}

impl Track {
    /// A trail that begins with this span, which is added when it ends. `None` where nothing can be sent now.
    #[cold]
    pub fn begin(
        tracer: &Arc<Tracer>,
        trace_id: [u8; 16],
        span_id: [u8; 8],
        state: impl FnOnce() -> Option<Box<str>>,
    ) -> Option<Self> {
        let seed = u64::from_be_bytes(span_id);
        let span = SpanId::new(seed)?;
        if !tracer.has_room() {
            return None;
        }
        let gathered = Gathered { spans: Vec::with_capacity(4), ids: Draws::new(seed), left_out: 0 };
        let trail = Trail { tracer: Arc::clone(tracer), trace_id, state: state(), gathered: Mutex::new(gathered) };
        Some(Self { trail: Arc::new(trail), span })
    }

    /// The span under which things happen here.
    pub fn span(&self) -> SpanId {
        self.span
    }

    /// Where it is, as seen from another trace.
    pub fn as_link(&self) -> Link {
        Link { trace_id: self.trail.trace_id, span: self.span }
    }

    /// The same trail, under another of its spans.
    pub fn under(&self, span: SpanId) -> Self {
        Self { trail: Arc::clone(&self.trail), span }
    }

    /// A call begins, which ends by [`Track::end`]. Under its id others may begin.
    pub fn call(
        &self,
        kind: Kind,
        name: Value,
        began: Instant,
        attributes: impl FnOnce(&mut Vec<Attribute>),
    ) -> SpanId {
        let mut gathered = self.trail.lock();
        let id = loop {
            if let Some(id) = SpanId::new(gathered.ids.next_u64()) {
                break id;
            }
        };
        let mut span = Span::new(kind, name, id, Some(self.span), began);
        attributes(&mut span.attributes);
        // The request's own span comes last, and always has a place.
        gathered.add(span, MOST_SPANS - 1);
        id
    }

    /// A call under this span that ends when what is returned is dropped.
    pub fn open(&self, kind: Kind, name: Value, attributes: impl FnOnce(&mut Vec<Attribute>)) -> Opened {
        let id = self.call(kind, name, self.trail.tracer.now(), attributes);
        Opened { track: self.clone(), id, failed: false, attributes: Vec::new() }
    }

    /// A call has ended.
    pub fn end(&self, id: SpanId, ended: Instant, failed: bool, more: impl IntoIterator<Item = Attribute>) {
        let mut gathered = self.trail.lock();
        if let Some(span) = gathered.spans.iter_mut().find(|span| span.id == id) {
            (span.ended, span.failed) = (Some(ended), failed);
            span.attributes.extend(more);
        }
    }

    /// The call of this span, which had ended, has failed after all: at this time, and with these attributes in place
    /// of those of the same names.
    pub fn amend(&self, id: SpanId, ended: Instant, more: impl IntoIterator<Item = Attribute>) {
        let mut gathered = self.trail.lock();
        if let Some(span) = gathered.spans.iter_mut().find(|span| span.id == id) {
            (span.ended, span.failed) = (Some(ended), true);
            for (name, value) in more {
                match span.attributes.iter_mut().find(|(known, _)| *known == name) {
                    Some(known) => known.1 = value,
                    None => span.attributes.push((name, value)),
                }
            }
        }
    }

    /// Something more is known of a call that has ended.
    pub fn tell(&self, id: SpanId, more: Attribute) {
        let mut gathered = self.trail.lock();
        if let Some(span) = gathered.spans.iter_mut().find(|span| span.id == id) {
            span.attributes.push(more);
        }
    }

    /// Adds a span that has ended: the request's own.
    pub fn add(&self, span: Span) {
        self.trail.lock().add(span, MOST_SPANS);
    }
}

impl Gathered {
    fn add(&mut self, span: Span, most: usize) {
        if self.spans.len() < most {
            self.spans.push(span);
        } else {
            self.left_out += 1;
        }
    }
}

impl Trail {
    /// A panic while a span is added leaves at worst a span without an end.
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        lock(&self.gathered)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let gathered = self.gathered.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.tracer.count(SpanResult::TooMany, gathered.left_out);
        let mut spans = std::mem::take(&mut gathered.spans);
        // What was given up without a word ended with the rest.
        let last = spans.iter().filter_map(|span| span.ended).max();
        for span in &mut spans {
            span.ended = span.ended.or(last);
        }
        self.tracer.put(Trace { trace_id: self.trace_id, state: self.state.take(), spans });
    }
}

/// A span that ends when this is dropped.
#[derive(Debug)]
pub struct Opened {
    track: Track,
    id: SpanId,
    failed: bool,
    attributes: Vec<Attribute>,
}

impl Opened {
    /// Its id.
    pub fn id(&self) -> SpanId {
        self.id
    }

    /// What it came to.
    pub fn came_to(&mut self, failed: bool, attribute: Attribute) {
        self.failed = failed;
        self.attributes.push(attribute);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let now = self.track.trail.tracer.now();
        self.track.end(self.id, now, self.failed, std::mem::take(&mut self.attributes));
    }
}

#[cfg(test)]
mod tests;
