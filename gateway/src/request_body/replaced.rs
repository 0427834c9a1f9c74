//! Another body in place of a client's, which the program's own stages have made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BodyLimits, RequestBody, Source, Streaming};
use crate::clock::Clock;
use crate::context::HeaderRules;
use crate::replay::Replay;
use crate::timer::Deadlines;

impl RequestBody {
    /// Whether anybody has asked for a byte of it.
    pub fn was_read(&self) -> bool {
        matches!(self, Self::Streaming(streaming) if streaming.begun)
    }

    /// These bytes in place of all that it is: what its client has sent is forgotten, what it is still to send is let
    /// go of, and so are trailers. What is counted as having come is what came. One that broke off stays what it is:
    /// its request ends, whoever was to have it.
    pub fn replace(&mut self, bytes: Bytes, (deadlines, clock, rules): (&Arc<Deadlines>, &Clock, &Arc<HeaderRules>)) {
        if matches!(self, Self::Streaming(streaming) if streaming.failed.is_some()) {
            return;
        }
        if bytes.is_empty() {
            *self = Self::Empty;
            return;
        }
        if let Self::Empty = self {
            let limits = BodyLimits { max_bytes: None, idle: Duration::from_secs(60), total: None };
            let (deadlines, rules) = (Arc::clone(deadlines), Arc::clone(rules));
            *self =
                Self::Streaming(Box::new(Streaming::unread(Source::Empty, limits, deadlines, clock.clone(), rules)));
        }
        if let Self::Streaming(streaming) = self {
            streaming.forget_deadlines();
            streaming.progress.go_on(clock);
            streaming.source = Source::Empty;
            streaming.failed = None;
            streaming.begun = true;
            streaming.replay = Some(Box::new(Replay::whole(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::{BodyExt as _, Full};

    use super::super::{BodyFault, BodyProgress};
    use super::*;
    use crate::config::settings::identity::IdentityHeaders;
    use crate::config::settings::server::Underscores;
    use crate::request_body::Read;

    type Around = (Arc<Deadlines>, Clock, Arc<HeaderRules>);

    fn around() -> Around {
        let clock = Clock::starting_at(Duration::ZERO);
        let rules = Arc::new(HeaderRules::new(&IdentityHeaders::usual(), Underscores::Reject));
        (Deadlines::new(clock.clone()), clock, rules)
    }

    fn replace(body: &mut RequestBody, text: &'static str, (deadlines, clock, rules): &Around) {
        body.replace(Bytes::from_static(text.as_bytes()), (deadlines, clock, rules));
    }

    fn client(text: &'static str, (deadlines, clock, rules): &Around) -> (RequestBody, Option<Arc<BodyProgress>>) {
        let source = Source::Boxed(Box::pin(Full::new(Bytes::from_static(text.as_bytes())).map_err(|it| match it {})));
        let limits = BodyLimits { max_bytes: Some(9), idle: Duration::from_secs(1), total: None };
        RequestBody::new(source, limits, Arc::clone(deadlines), clock.clone(), Arc::clone(rules))
    }

    /// Sent on as the pipeline does it, with a limit for what a client sends.
    async fn sent(body: RequestBody, (deadlines, clock, rules): &Around) -> (Option<u64>, Bytes) {
        let limits = BodyLimits { max_bytes: Some(9), idle: Duration::from_secs(1), total: None };
        let (deadlines, rules) = (Arc::clone(deadlines), Arc::clone(rules));
        let body = RequestBody::new(body.put_back(), limits, deadlines, clock.clone(), rules).0;
        (body.size_hint().exact(), body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn it_is_sent_with_its_own_length_and_counts_for_nobody() {
        let around = around();
        for was_there in ["", "short"] {
            let (mut body, progress) = client(was_there, &around);
            replace(&mut body, "longer than a client's may be", &around);
            let (length, bytes) = sent(body, &around).await;
            assert_eq!((length, &bytes[..]), (Some(29), &b"longer than a client's may be"[..]));
            assert_eq!(progress.map_or(0, |it| it.bytes()), 0);
        }
        let (mut body, _) = client("short", &around);
        replace(&mut body, "", &around);
        assert!(body.is_end_stream() && !body.was_read());
        assert_eq!(sent(body, &around).await, (Some(0), Bytes::new()));
    }

    #[tokio::test]
    async fn one_that_broke_off_is_not_replaced() {
        let around = around();
        for text in ["", "another"] {
            let broken = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>(BodyFault::Malformed)]);
            let source = Source::Boxed(Box::pin(http_body_util::StreamBody::new(broken)));
            let limits = BodyLimits { max_bytes: Some(9), idle: Duration::from_secs(1), total: None };
            let (deadlines, clock, rules) = (Arc::clone(&around.0), around.1.clone(), Arc::clone(&around.2));
            let (mut body, progress) = RequestBody::new(source, limits, deadlines, clock, rules);
            assert!(matches!(body.frame().await, Some(Err(BodyFault::Malformed))));
            replace(&mut body, text, &around);
            assert!(matches!(body.frame().await, Some(Err(BodyFault::Malformed))));
            assert_eq!(progress.unwrap().fault(), Some(BodyFault::Malformed));
        }
    }

    #[tokio::test]
    async fn it_can_be_replaced_and_sent_again() {
        let around = around();
        let (mut body, progress) = client("short", &around);
        let held = Arc::new(crate::held_bytes::HeldBytes::default());
        for text in ["one", "another"] {
            body.gather(crate::held_bytes::Gathered::new(&held, 1 << 20));
            let read = std::future::poll_fn(|cx| body.poll_gathered(100, cx)).await.unwrap();
            assert!(matches!(read, Read::Whole(bytes) if bytes.len() == if text == "one" { 5 } else { 3 }));
            replace(&mut body, text, &around);
        }
        assert_eq!(progress.unwrap().bytes(), 5);
        body.keep(100);
        for _ in 0..2 {
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                whole.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            assert_eq!(whole, b"another");
            assert!(body.rewind());
        }
        drop(body);
        assert_eq!(held.count(), 0);
    }
}
