//! What a record tells of the heads of a request and of its answer, where the configuration names headers or parameters
//! of the query. Written down as they pass: when the record is made they are gone.

use http::HeaderMap;

use super::Exchange;
use crate::context::AnyFields;
use crate::http1::Fields;
use crate::network::Network;
use crate::query;
use crate::request_fields::RequestFields;
use crate::telemetry::record::HeadFields;

/// Of both heads, what the record is to tell.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Of the request's query; empty where nothing is to be told of it.
    pub(super) query: Box<str>,
    /// Of the request, as the client sent it.
    pub(super) sent: HeadFields,
    /// Of the answer, as the client gets it.
    pub(super) answered: HeadFields,
}

impl<N: Network> Exchange<N> {
    /// Keeps what the record is to tell of the request's head, before anything of it is believed or taken away.
    #[cold]
    pub(crate) fn record_sent(&mut self, head: &RequestFields) {
        let recorded = &self.snapshot.config.telemetry.recorded;
        let sent = HeadFields::of(&recorded.request, |name| head.values_of(name));
        let query = query::only(self.uri.query().unwrap_or(""), &recorded.query).into();
        self.heads = Some(Box::new(Heads { query, sent, answered: HeadFields::default() }));
    }

    /// The same of an answer's head.
    #[inline]
    pub(crate) fn record_answered(&mut self, head: &HeaderMap) {
        if self.heads.is_some() {
            self.record_answer(head);
        }
    }

    /// The same of an upstream's answer.
    #[inline]
    pub(crate) fn record_relayed(&mut self, head: &Fields) {
        if self.heads.is_some() {
            self.record_answer_of_wire(head);
        }
    }

    #[cold]
    fn record_answer(&mut self, head: &HeaderMap) {
        let names = &self.snapshot.config.telemetry.recorded.response;
        let answered = HeadFields::of(names, |name| head.values_of(name));
        self.set_answered(answered);
    }

    #[cold]
    fn record_answer_of_wire(&mut self, head: &Fields) {
        let answered = HeadFields::of(&self.snapshot.config.telemetry.recorded.response, |name| head.all(name));
        self.set_answered(answered);
    }

    fn set_answered(&mut self, answered: HeadFields) {
        if let Some(heads) = &mut self.heads {
            heads.answered = answered;
        }
    }
}
