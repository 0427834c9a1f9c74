//! Spans of the crate `tracing` around the program's own code, so that what it logs says whose request it was about.
//!
//! Only with the feature `tracing`; without it there is nothing of them, and nothing is paid.

use std::future::Future;

use super::request::RequestInfo;

/// What of the program's own runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// A handler.
    Handler,
    /// A stage, before.
    Request,
    /// A stage, after.
    Response,
    /// A stage, at the end.
    Ended,
    /// A provider of identity.
    Identity,
}

/// The span, where there is one.
pub(crate) struct Around(#[cfg(feature = "tracing")] ::tracing::Span);

#[cfg(feature = "tracing")]
impl Around {
    /// Around what is registered under this name, at work for this request.
    pub(crate) fn of(what: What, name: &str, info: &RequestInfo) -> Self {
        Self::of_ids(what, name, (&info.request_id, info.trace_id(), &info.route))
    }

    /// The same, of a request of which no more than ids and route are told.
    pub(crate) fn of_ids(what: What, name: &str, (request_id, trace_id, route): (&str, &str, &str)) -> Self {
        macro_rules! span {
            ($called:literal) => {
                ::tracing::info_span!(target: "gateway", $called, name, request_id, trace_id, route)
            };
        }
        Self(match what {
            What::Handler => span!("handler"),
            What::Request => span!("stage_request"),
            What::Response => span!("stage_response"),
            What::Ended => span!("stage_ended"),
            What::Identity => span!("identity"),
        })
    }

    /// A future within it.
    pub(crate) fn future<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        ::tracing::Instrument::instrument(future, self.0)
    }

    /// A call within it.
    pub(crate) fn call<T>(self, call: impl FnOnce() -> T) -> T {
        self.0.in_scope(call)
    }
}

#[cfg(not(feature = "tracing"))]
impl Around {
    /// Nothing.
    #[inline]
    pub(crate) fn of(_: What, _: &str, _: &RequestInfo) -> Self {
        Self()
    }

    /// Nothing.
    #[inline]
    pub(crate) fn of_ids(_: What, _: &str, _: (&str, &str, &str)) -> Self {
        Self()
    }

    /// The future.
    #[inline]
    pub(crate) fn future<F: Future>(self, future: F) -> F {
        future
    }

    /// The call.
    #[inline]
    pub(crate) fn call<T>(self, call: impl FnOnce() -> T) -> T {
        call()
    }
}
