//! Who asked for a change, for which, and what came of it: one line on standard error, an event and a count for each
//! call that would change the gateway, those that are refused too.
//!
//! What is told holds no secret and nothing of a length that its caller chose. Calls that were done or tried are all
//! told of; of those that were not let through, or ask for what there is not, one a second is, with how many were not.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use super::State;
use crate::client_info::ClientInfo;
use crate::network::Network;
use crate::telemetry::events::{AdminWrite, Event};
use crate::telemetry::metrics::{AdminAction, AdminResult};
use crate::telemetry::notice;

/// The longest piece of a path that is told, in characters.
const MOST_TOLD: usize = 200;

/// Who is at the other end of an admin connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Passes a call on, and tells of it if it would change something.
pub(super) async fn watch<N: Network>(Shared(state): Shared<Arc<State<N>>>, request: Request, next: Next) -> Response {
    if !writes(request.method()) {
        return next.run(request).await;
    }
    let mut told = Told {
        action: action(request.uri().path()),
        target: target(request.uri()),
        peer: peer(&request),
        ended: None,
        state,
    };
    let response = next.run(request).await;
    told.ended = Some(response.status());
    response
}

/// The other end, as the admin's own server says it, or the program's.
fn peer(request: &Request) -> Option<SocketAddr> {
    let extensions = request.extensions();
    let own = extensions.get::<Peer>().map(|peer| peer.0);
    let told = || extensions.get::<ClientInfo>().map(ClientInfo::address);
    own.or_else(told).or_else(|| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
}

/// Whether a call may change something.
fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// What is asked for.
fn action(path: &str) -> AdminAction {
    match path {
        "/reload" => AdminAction::Reload,
        "/drain" => AdminAction::Drain,
        "/cache/purge" => AdminAction::CachePurge,
        _ if path.starts_with("/breakers/") => match path.rsplit('/').next() {
            Some("open") => AdminAction::BreakerOpen,
            Some("close") => AdminAction::BreakerClose,
            Some("auto") => AdminAction::BreakerAuto,
            _ => AdminAction::Other,
        },
        _ => AdminAction::Other,
    }
}

/// The path, and of its query the route that is meant, and the path that is purged, no longer than a line bears: what
/// else is there may be a secret that was put in the wrong place.
fn target(uri: &Uri) -> String {
    let is_purge = uri.path() == "/cache/purge";
    let is_told = |pair: &&str| pair.starts_with("route=") || is_purge && pair.starts_with("path=");
    let told: Vec<&str> = uri.query().into_iter().flat_map(|query| query.split('&')).filter(is_told).take(2).collect();
    let whole = if told.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), told.join("&")) };
    whole.chars().take(MOST_TOLD).collect()
}

/// A call that is told of when it ends, in whatever way.
struct Told<N: Network> {
    state: Arc<State<N>>,
    action: AdminAction,
    target: String,
    peer: Option<SocketAddr>,
    ended: Option<StatusCode>,
}

impl<N: Network> Drop for Told<N> {
    fn drop(&mut self) {
        let result = match self.ended {
            None => AdminResult::Left,
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => AdminResult::Refused,
            Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => AdminResult::NotFound,
            Some(status) if status.is_success() => AdminResult::Done,
            Some(_) => AdminResult::Failed,
        };
        let shared = self.state.gateway.shared();
        let (series, now) = (shared.metrics.admin(), shared.clock.monotonic_ns(shared.clock.now()));
        series.wrote(self.action, result);
        let untold = match result {
            AdminResult::Refused | AdminResult::NotFound => match series.may_tell(now / 1_000_000_000) {
                Some(untold) => untold,
                None => return,
            },
            AdminResult::Done | AdminResult::Failed | AdminResult::Left => 0,
        };
        let who = match (result, &self.state.token) {
            (AdminResult::Refused, _) => "nobody",
            _ if self.state.serves.is_none() => "program",
            (_, Some(_)) => "token",
            (_, None) => "loopback",
        };
        let write = AdminWrite {
            action: self.action,
            result,
            who,
            client: self.peer,
            target: std::mem::take(&mut self.target),
            status: self.ended.map(|status| status.as_u16()),
            untold,
        };
        notice::admin_write(shared.events.voice(), write.fields());
        shared.events.report(now, Event::Admin(Box::new(write)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_one_of_a_few() {
        for (path, expected) in [
            ("/reload", AdminAction::Reload),
            ("/drain", AdminAction::Drain),
            ("/breakers/orders/127.0.0.1:9001/open", AdminAction::BreakerOpen),
            ("/breakers/orders/127.0.0.1:9001/close", AdminAction::BreakerClose),
            ("/breakers/orders/127.0.0.1:9001/auto", AdminAction::BreakerAuto),
            ("/breakers/orders/127.0.0.1:9001/burn", AdminAction::Other),
            ("/reload/", AdminAction::Other),
            ("/limits", AdminAction::Other),
        ] {
            assert_eq!(action(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_told_of_a_target_is_short_and_no_secret() {
        let told = |text: &str| target(&text.parse().unwrap());
        assert_eq!(told("/reload?token=s3cret"), "/reload");
        assert_eq!(told("/breakers/up/a:1/open?token=x&route=orders"), "/breakers/up/a:1/open?route=orders");
        assert_eq!(told(&format!("/{}", "x".repeat(5000))).len(), MOST_TOLD);
    }

    #[test]
    fn what_only_looks_is_none() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(!writes(&method));
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::from_bytes(b"BREW").unwrap()] {
            assert!(writes(&method));
        }
    }
}
