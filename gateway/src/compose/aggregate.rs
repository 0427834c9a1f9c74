//! An aggregate, compiled: its parts with the routes that they are called by, who waits for whom, and what stands
//! between them in the document.

use std::sync::Arc;

use bytes::Bytes;

use super::target::{Piece, Unfit, fill};
use super::values;
use crate::algorithms::part_graph::PartGraph;
use crate::config::settings;
use crate::config::settings::aggregate::CallPiece;
use crate::request_target::PathQuery;
use crate::telemetry::json::write_escaped;
use crate::telemetry::metrics::{PartSeries, Registry};

/// One of `[[aggregates]]`.
pub struct Aggregate {
    /// As configured.
    pub settings: Arc<settings::aggregate::Aggregate>,
    pub(super) parts: Box<[Part]>,
    pub(super) graph: PartGraph,
}

/// One part.
pub(super) struct Part {
    pub(super) name: Arc<str>,
    /// Its route among the snapshot's.
    pub(super) route: usize,
    pub(super) required: bool,
    /// What is there where it is missing.
    pub(super) fallback: Bytes,
    /// That is a fallback, not `null` for want of one.
    pub(super) stands_in: bool,
    /// Its name in the document, and what stands before that.
    pub(super) prefix: Bytes,
    pub(super) series: Arc<PartSeries>,
    call: Box<[Compiled]>,
}

/// A piece of a call, its parameter looked up.
enum Compiled {
    Literal(Box<str>),
    /// A parameter's place among those of the path.
    Param(usize),
    Rest(usize),
    /// A parameter of the client's query.
    Query(Box<str>),
    Value(usize, Box<[String]>),
}

/// Parameters of a request's path: their byte ranges of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub(super) path: &'a str,
    pub(super) ranges: &'a [(u32, u32)],
}

impl<'a> Parameters<'a> {
    pub(super) fn get(self, number: usize) -> &'a str {
        let range = self.ranges.get(number).map(|&(start, end)| start as usize..end as usize);
        range.and_then(|range| self.path.get(range)).unwrap_or("")
    }
}

impl Aggregate {
    /// Compiles the aggregate of this name. Its parts have routes from `first_route` on, in their order; `place` says
    /// where a parameter of the path stands among its values, and whether it is the rest. `None` where parts wait for
    /// each other in a circle, which validation refuses.
    pub fn new(
        name: &str,
        settings: &Arc<settings::aggregate::Aggregate>,
        first_route: usize,
        place: impl Fn(&str) -> Option<(usize, bool)>,
        metrics: &Registry,
    ) -> Option<Self> {
        let needs: Vec<Vec<usize>> = settings.parts.iter().map(|part| part.needs().collect()).collect();
        let compile = |piece: &CallPiece| match piece {
            CallPiece::Literal(text) => Some(Compiled::Literal(text.as_str().into())),
            CallPiece::Param(name) => {
                place(name).map(|(at, is_rest)| if is_rest { Compiled::Rest(at) } else { Compiled::Param(at) })
            }
            CallPiece::Query(name) => Some(Compiled::Query(name.as_str().into())),
            CallPiece::Value(part, path) => Some(Compiled::Value(*part, path.as_slice().into())),
        };
        let part = |(number, part): (usize, &settings::aggregate::Part)| {
            Some(Part {
                name: Arc::clone(&part.name),
                route: first_route + number,
                required: part.required,
                fallback: part.fallback.clone().unwrap_or_else(|| Bytes::from_static(b"null")),
                stands_in: part.fallback.is_some(),
                prefix: prefix(number, &part.name),
                series: metrics.part(name, &part.name),
                call: part.call.iter().map(compile).collect::<Option<_>>()?,
            })
        };
        Some(Self {
            settings: Arc::clone(settings),
            parts: settings.parts.iter().enumerate().map(part).collect::<Option<_>>()?,
            graph: PartGraph::new(&needs).ok()?,
        })
    }
}

impl Part {
    /// What is called; `query` is the client's, `value_of` gives the answers of other parts.
    pub(super) fn target<'a>(
        &self,
        parameters: Parameters<'a>,
        query: &'a str,
        value_of: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> Result<PathQuery, Unfit> {
        let found: Vec<Option<String>> = self
            .call
            .iter()
            .map(|piece| match piece {
                Compiled::Value(part, path) => value_of(*part).and_then(|json| values::find(json, path)),
                _ => None,
            })
            .collect();
        if self.call.iter().zip(&found).any(|(piece, found)| matches!(piece, Compiled::Value(..)) && found.is_none()) {
            return Err(Unfit);
        }
        fill(self.call.iter().zip(&found).map(|(piece, found)| match piece {
            Compiled::Literal(text) => Piece::Literal(text),
            Compiled::Param(number) => Piece::Param(parameters.get(*number)),
            Compiled::Rest(number) => Piece::Rest(parameters.get(*number)),
            Compiled::Query(name) => Piece::Query(name, query),
            Compiled::Value(..) => Piece::Value(found.as_deref().unwrap_or("")),
        }))
    }
}

/// `{"user":`, and `,"orders":` of those behind it.
fn prefix(number: usize, name: &str) -> Bytes {
    let mut prefix = vec![if number == 0 { b'{' } else { b',' }, b'"'];
    write_escaped(&mut prefix, name.as_bytes());
    prefix.extend_from_slice(b"\":");
    prefix.into()
}
