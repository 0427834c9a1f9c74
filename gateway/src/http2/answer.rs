//! An answer's head as HTTP/2 has it: without what speaks of a connection (RFC 9113, section 8.2.2), with a length that
//! fits the body, and a date.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, SEC_WEBSOCKET_ACCEPT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;

use crate::context::names::X_REQUEST_ID;
use crate::context::survey::is_grpc;
use crate::http1::AnswerHead;

/// Fields that speak of a connection, which HTTP/2 has no use for (RFC 9113, section 8.2.2). `te` may say `trailers`.
pub(crate) const OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The head of an answer with this body. What a 304, or an answer to HEAD, says of a length is of the body that it does
/// not have, and stays; 204 says nothing of one (RFC 9110, section 8.6), nor does an answer of gRPC that is all
/// trailers ("Trailers-Only"): callers would take it for one of its service's own.
pub fn head(status: StatusCode, fields: AnswerHead, head_only: bool, body: &impl Body, date: &[u8]) -> Response<()> {
    let mut headers = fields.into_map();
    for name in &OF_CONNECTIONS {
        headers.remove(name);
    }
    if let Some(id) = headers.get_mut(&X_REQUEST_ID) {
        // It never comes again: kept in no table of fields (RFC 7541, section 6.2.3), it drives out none that does.
        id.set_sensitive(true);
    }
    let bodiless = status == StatusCode::NO_CONTENT;
    let stays = !bodiless && (head_only || status == StatusCode::NOT_MODIFIED);
    if !stays {
        let length = body.size_hint().exact().filter(|length| *length > 0 || !is_call(&headers));
        set_length(&mut headers, if bodiless { None } else { length });
    }
    if !headers.contains_key(DATE)
        && let Ok(date) = HeaderValue::from_bytes(date)
    {
        headers.insert(DATE, date);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The head of an answer that opens a tunnel: 101 of HTTP/1 is 200 (RFC 8441, section 5), and nobody asks for a proof.
pub fn tunnel_head(fields: AnswerHead) -> Response<()> {
    let mut headers = fields.into_map();
    for name in OF_CONNECTIONS.iter().chain([&CONTENT_LENGTH, &SEC_WEBSOCKET_ACCEPT]) {
        headers.remove(name);
    }
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    response
}

fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes()))
}

fn set_length(headers: &mut HeaderMap, length: Option<u64>) {
    match length {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> AnswerHead {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        AnswerHead::Map(Box::new(fields.iter().map(field).collect()))
    }

    fn length(response: &Response<()>) -> Option<&str> {
        response.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn what_speaks_of_a_connection_is_gone() {
        let given = [("connection", "close"), ("keep-alive", "1"), ("transfer-encoding", "chunked"), ("x", "y")];
        let response = head(StatusCode::OK, fields(&given), false, &Empty::<&[u8]>::new(), b"now");
        let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x", "content-length", "date"]);
    }

    #[test]
    fn the_length_is_the_bodys_but_where_there_is_none() {
        let (ok, none) = (StatusCode::OK, StatusCode::NO_CONTENT);
        let told = || fields(&[("content-length", "9")]);
        let unknown = StreamBody::new(futures_util::stream::empty::<Result<_, ()>>());
        let _: &dyn Body<Data = &[u8], Error = ()> = &unknown;
        assert_eq!(length(&head(ok, told(), false, &Full::new(&b"four"[..]), b"")), Some("4"));
        assert_eq!(length(&head(ok, told(), false, &unknown, b"")), None);
        assert_eq!(length(&head(ok, told(), true, &Empty::<&[u8]>::new(), b"")), Some("9"));
        assert_eq!(length(&head(StatusCode::NOT_MODIFIED, told(), false, &Empty::<&[u8]>::new(), b"")), Some("9"));
        assert_eq!(length(&head(none, told(), false, &Empty::<&[u8]>::new(), b"")), None);
    }

    #[test]
    fn trailers_of_grpc_that_are_all_there_is_have_none() {
        let given = |kind| fields(&[("content-type", kind), ("grpc-status", "5")]);
        let of = |kind| head(StatusCode::OK, given(kind), false, &Empty::<&[u8]>::new(), b"");
        assert_eq!(length(&of("application/grpc+proto")), None);
        assert_eq!(length(&of("text/plain")), Some("0"));
    }
}
