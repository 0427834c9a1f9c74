//! Answers to web pages that call gRPC, on routes that translate (`grpc_web`): what their heads say. What becomes of
//! the body is in `response_body/web.rs`.
//!
//! An answer of trailers alone stays one, its status in the head (PROTOCOL-WEB, "Trailers-only responses"): a page of
//! another origin is told that it may read them there.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::{HeaderName, HeaderValue};

use crate::algorithms::grpc_web::ToPage;
use crate::exchange::Exchange;
use crate::http1::Fields;
use crate::network::Network;

/// What a page of another origin may read of a status that is in the head.
pub(super) const READABLE: &str = "grpc-status, grpc-message, grpc-status-details-bin";

/// Says in the head what the page reads, and how to translate the body; `None` where the answer is none of gRPC, and
/// passes as it is.
#[cold]
pub(super) fn prepare<N: Network>(exchange: &mut Exchange<N>, fields: &mut Fields) -> Option<ToPage> {
    let web = exchange.translated()?;
    let told = web.type_of_answer(fields.get(CONTENT_TYPE.as_str())?)?;
    let kind = HeaderValue::from_maybe_shared(bytes::Bytes::from(told)).ok()?;
    // It is longer by its trailers; and these come in the body.
    let gone: [HeaderName; 2] = [CONTENT_LENGTH, TRAILER];
    fields.retain(|name| !gone.iter().any(|gone| name.eq_ignore_ascii_case(gone.as_str().as_bytes())));
    fields.edit(&[], &[(CONTENT_TYPE, kind)]);
    // Whatever its client speaks: no trailers are needed for that.
    exchange.speech.tells_behind = true;
    Some(ToPage::new(web.reads_text))
}
