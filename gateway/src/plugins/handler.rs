//! Handlers: what answers in place of an upstream.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tower_service::Service;

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A service of any kind that answers requests.
#[derive(Clone)]
pub struct Handler {
    /// The name that it is registered under.
    pub(crate) name: Arc<str>,
    ask: Arc<dyn Fn(Request) -> Answering + Send + Sync>,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

impl Handler {
    /// A handler of this name: an axum `MethodRouter`, a `Router`, or any service like them.
    pub fn new<S>(name: Arc<str>, service: S) -> Self
    where
        S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send,
    {
        let ask = move |request| -> Answering {
            let mut service = service.clone();
            Box::pin(async move {
                let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
                let answered = match ready {
                    Ok(()) => service.call(request).await,
                    Err(never) => match never {},
                };
                match answered {
                    Ok(response) => response.into_response(),
                    Err(never) => match never {},
                }
            })
        };
        Self { name, ask: Arc::new(ask) }
    }

    /// Asks it.
    pub(crate) fn answer(&self, request: Request) -> impl Future<Output = Response> + Send {
        (self.ask)(request)
    }
}
