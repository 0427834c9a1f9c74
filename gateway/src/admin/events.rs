//! `/events`: what happens in the gateway, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A reader is a task of the control runtime. One that does not read makes nobody wait: its events are dropped, oldest
//! first, and it is told how many.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::State;
use super::view::refusal;
use crate::network::Network;
use crate::telemetry::events::{Batch, Follower, Kinds};

/// Batches on their way to a reader; beyond them the ring holds what comes.
const AHEAD: usize = 4;
/// A line that says nothing, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long the event that ends the answer is waited for.
const LAST: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Names of kinds, separated by commas.
    #[serde(default)]
    kinds: String,
    /// Events after this number, as far as they are kept; without it, those from now on.
    after: Option<u64>,
    /// So many of those that are kept first, the last ones; not where a number is given.
    last: Option<usize>,
}

pub(super) async fn events<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &error.body_text()),
    };
    let kinds = match Kinds::parse(&asked.kinds) {
        Ok(kinds) => kinds,
        Err(name) => {
            let detail = format!("{name:?} is no kind of event.");
            return refusal(StatusCode::BAD_REQUEST, "bad_request", &detail);
        }
    };
    // What a browser sends when it connects again.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let events = &state.gateway.shared().events;
    let follower = match (last.or(asked.after), asked.last) {
        (None, Some(count)) => events.follow_last(kinds, count),
        (after, _) => events.follow(kinds, after),
    };
    let (sender, receiver) = mpsc::channel(AHEAD);
    // A program's server waits for every answer when it ends: this one ends with the drain then.
    let drain = state.serves.is_none().then(|| state.gateway.drain_begun());
    tokio::spawn(send(follower, sender, drain));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(Stream(receiver))).into_response()
}

/// Follows until the reader is gone, or `end` has come, whose own event is the last.
async fn send(mut follower: Follower, sender: mpsc::Sender<Bytes>, end: Option<impl Future<Output = ()>>) {
    let mut end = std::pin::pin!(async {
        match end {
            Some(end) => end.await,
            None => std::future::pending().await,
        }
    });
    // At once, so that the reader knows that it is heard.
    let mut text = Bytes::from_static(b": events\n\n");
    while sender.send(text).await.is_ok() {
        text = tokio::select! {
            batch = tokio::time::timeout(KEEP_ALIVE, follower.next()) => {
                batch.map_or(Bytes::from_static(b": still here\n\n"), |batch| told(&batch).into())
            }
            () = sender.closed() => return,
            () = &mut end => break,
        };
    }
    if let Ok(batch) = tokio::time::timeout(LAST, follower.next()).await {
        let _ = sender.send(told(&batch).into()).await;
    }
}

fn told(batch: &Batch) -> String {
    let mut text = String::new();
    if batch.missed > 0 {
        text.push_str(&format!("event: missed\ndata: {{\"kind\":\"missed\",\"events\":{}}}\n\n", batch.missed));
    }
    for event in &batch.events {
        // JSON has no line ends of its own.
        let kind = event.event.kind().as_str();
        text.push_str(&format!("id: {}\nevent: {kind}\ndata: {}\n\n", event.seq, event.to_json()));
    }
    text
}

/// The body of an endless answer.
struct Stream(mpsc::Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
