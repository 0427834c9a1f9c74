//! What the program's own code answers, as the client gets it: with the gateway's headers, and framed by its body.

use axum::body::Body as AnyBody;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;

use super::own::tell_limits;
use super::relay::{hear_call, note_stream, received};
use super::{close_while_draining, cross_origin, edited, grpc, problem, secure_own, secure_seen};
use crate::context::names::{RATELIMIT, RATELIMIT_POLICY, X_REQUEST_ID, streams};
use crate::context::{announce_what_passes, remove_from_answer};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::{Answer, Held, ResponseBody};

/// An upstream's answer, for stages to look at.
pub fn lend<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> (Held<N>, Response) {
    if let Some(seen) = &mut exchange.seen {
        seen.lend();
    }
    let status = answer.head.status;
    if exchange.is_grpc {
        hear_call(&mut exchange, status, &answer.head.fields);
    }
    let fields = received(&exchange, &answer.source, status, answer.head.fields);
    note_stream(&mut exchange, &answer.source, &fields);
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    let (held, body) = Held::lend(exchange, answer.source, idle_timeout);
    let mut response = Response::new(AnyBody::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = fields.to_map();
    (held, response)
}

/// Passes a handler's answer on, or one that stages have seen.
pub fn handled<N: Network>(mut held: Held<N>, response: Response) -> Reply<N> {
    let status = response.status();
    if status.is_informational() {
        return lost(held, &GatewayError::new(Code::Internal, "The program's answer is no final one."));
    }
    if held.with(|exchange| exchange.connection.opens_tunnel(status)) {
        return lost(held, &GatewayError::no_websocket());
    }
    pass(held, response, (status, false))
}

/// Gives it, and records this status; whether it is a problem.
fn pass<N: Network>(mut held: Held<N>, response: Response, (recorded, is_problem): (StatusCode, bool)) -> Reply<N> {
    let (parts, body) = response.into_parts();
    let (status, mut headers) = (parts.status, parts.headers);
    let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.size_hint().exact();
    // A problem is the gateway's own, whoever had answered before.
    let is_own = is_problem || matches!(held, Held::Own(_));
    let is_head = held.with(|exchange| {
        exchange.status = Some(recorded);
        if exchange.is_grpc
            && let Some(told) = headers.get("grpc-status")
        {
            exchange.tells_grpc_status(told.as_bytes());
        }
        if is_own && length.is_none() {
            exchange.speech.streams = headers.get(header::CONTENT_TYPE).is_some_and(|kind| streams(kind.as_bytes()));
        }
        let is_head = exchange.method == Method::HEAD;
        dress(exchange, &mut headers, is_own);
        if is_problem {
            edited::problem(exchange, &mut headers);
        } else {
            edited::own(exchange, &mut headers);
        }
        headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
        frame(&mut headers, length, has_none, is_head);
        close_while_draining(exchange, &mut headers);
        exchange.note_answered(&headers);
        is_head
    });
    let body = if is_head || has_none { None } else { Some(body) };
    Reply::own(status, headers, ResponseBody::handled(held, body))
}

/// Answers with a problem where an answer was in hand already.
pub fn lost<N: Network>(held: Held<N>, error: &GatewayError) -> Reply<N> {
    match held {
        Held::Own(exchange) => problem::answer(exchange, error),
        Held::Lent(_) => handled_problem(held, error),
    }
}

fn handled_problem<N: Network>(mut held: Held<N>, error: &GatewayError) -> Reply<N> {
    let response = held.with(|exchange| {
        exchange.code = Some(error.code);
        let mut response = Response::new(AnyBody::empty());
        if exchange.is_grpc {
            grpc::describe(response.headers_mut(), exchange, error);
            return response;
        }
        let (body, kind) = problem::Said::of(exchange, error).into_parts();
        *response.status_mut() = error.status();
        problem::describe(response.headers_mut(), error, (kind, body.len()));
        response.map(|_| AnyBody::from(body))
    });
    pass(held, response, (error.status(), true))
}

/// What belongs to one connection goes, and what is the gateway's to say is said.
fn dress<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap, is_own: bool) {
    remove_from_answer(headers);
    if headers.contains_key(header::TRAILER) {
        announce_what_passes(headers, &exchange.snapshot.header_rules);
    }
    if exchange.limits.is_some() {
        headers.remove(&RATELIMIT);
        headers.remove(&RATELIMIT_POLICY);
        tell_limits(exchange, headers);
    }
    cross_origin::tell_instead(exchange, headers);
    if is_own {
        secure_own(exchange, headers);
    } else {
        secure_seen(exchange, headers);
    }
}

/// One length, which is the body's. What is said of one to HEAD is of the body that GET has.
fn frame(headers: &mut HeaderMap, length: Option<u64>, has_none: bool, is_head: bool) {
    let said = headers.remove(header::CONTENT_LENGTH);
    if has_none {
        return;
    }
    let said = said.filter(|said| is_head && said.as_bytes().iter().all(u8::is_ascii_digit));
    // A handler that knows of HEAD has left its body out.
    if let Some(length) = said.or_else(|| length.filter(|length| !is_head || *length > 0).map(HeaderValue::from)) {
        headers.insert(header::CONTENT_LENGTH, length);
    }
}
