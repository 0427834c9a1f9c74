//! Somebody who reads the gateway's events.

use serde_json::Value;

use super::{Client, Gateway, guarded};

/// Somebody who reads `/events`.
pub(crate) struct Events(Client);

impl Events {
    /// Connects; what happens from now on is seen.
    pub(crate) async fn of(gateway: &Gateway, query: &str) -> Self {
        let mut client = Client::connect(gateway.admin).await;
        client.send(format!("GET /events{query} HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.admin)).await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        let mut reader = Self(client);
        assert_eq!(reader.text_until("\n\n").await, ": events\n\n");
        reader
    }

    async fn text_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push_str(&self.0.chunk().await);
        }
        text
    }

    /// The next events, so many.
    pub(crate) async fn next(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            let text = self.text_until("\n\n").await;
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            events.extend(data.map(|data| serde_json::from_str::<Value>(data).unwrap()));
        }
        events
    }

    /// All events, up to those that come with the first that is so.
    pub(crate) async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        let come = async {
            while !events.iter().any(&is_it) {
                events.extend(self.next(1).await);
            }
        };
        guarded("the event", come).await;
        events
    }

    /// Why endpoints' breakers changed, the next so many times; roll-ups are left out.
    pub(crate) async fn causes(&mut self, count: usize) -> Vec<Value> {
        let mut causes = Vec::new();
        while causes.len() < count {
            let of_endpoints = self.next(1).await.into_iter().filter(|event| event.get("endpoint").is_some());
            causes.extend(of_endpoints.map(|mut event| event["cause"].take()));
        }
        causes.truncate(count);
        causes
    }
}
