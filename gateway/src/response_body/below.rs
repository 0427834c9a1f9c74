//! What is compressed on its way: an upstream's body, or a document that is put together. Either is watched below, and
//! records why where it breaks off; how much the client gets, and that it has got all, is told above.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::Relay;
use super::composed::Composed;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::timer::Wait;

/// A body whose bytes become others before the client gets them.
pub(super) enum Below<N: Network> {
    Relayed(Relay<N>),
    Composed(Box<Composed<N>>),
}

impl<N: Network> Below<N> {
    pub(super) fn exchange(&self) -> &Exchange<N> {
        match self {
            Self::Relayed(relay) => &relay.exchange,
            Self::Composed(composed) => &composed.exchange,
        }
    }

    pub(super) fn exchange_mut(&mut self) -> &mut Exchange<N> {
        match self {
            Self::Relayed(relay) => &mut relay.exchange,
            Self::Composed(composed) => &mut composed.exchange,
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Relayed(relay) => relay.poll_frame(cx),
            Self::Composed(composed) => composed.poll_frame(cx),
        }
    }

    /// No more comes.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Relayed(relay) => relay.source.is_none(),
            Self::Composed(composed) => composed.is_over(),
        }
    }

    /// All that was promised has come, though the word that this was the end may still be on its way.
    pub(super) fn has_all(&self) -> bool {
        match self {
            Self::Relayed(relay) => relay.source.as_ref().is_some_and(|source| source.leg.length_left() == Some(0)),
            Self::Composed(composed) => composed.is_over(),
        }
    }

    /// While the client takes its time with what came, nobody waits for an upstream.
    pub(super) fn pause(&mut self) {
        match self {
            Self::Relayed(relay) => relay.exchange.connection.deadlines.clear(Wait::ResponseBody),
            Self::Composed(composed) => composed.pause(),
        }
    }

    /// No more of it is wanted: whoever sends it is left.
    pub(super) fn leave(&mut self) {
        match self {
            Self::Relayed(relay) => relay.source = None,
            Self::Composed(composed) => composed.leave(),
        }
    }

    /// What drives an upstream's connection, where a single one answers. A document's request is over.
    pub(super) fn relay(&mut self) -> Option<&mut Relay<N>> {
        match self {
            Self::Relayed(relay) => Some(relay),
            Self::Composed(_) => None,
        }
    }
}
