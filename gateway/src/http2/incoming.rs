//! An upstream's answer in the form that HTTP/1 gives it, so that one set of rules judges both, and so that whatever
//! comes after knows no difference.

use http::{HeaderMap, Method, StatusCode};

use crate::http1::{AnswerFields, Body, ResponseHead};

/// What a head says of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The body's length, where it is declared.
    pub(super) length: Option<u64>,
    /// There can be none.
    pub(super) bodiless: bool,
}

/// Takes an answer's head.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn head(
    status: StatusCode,
    headers: &HeaderMap,
    request: &Method,
) -> Result<(ResponseHead, Told), &'static str> {
    let mut fields = AnswerFields::with_room_for(headers);
    for (name, value) in headers {
        fields.push(name, value)?;
    }
    let (head, body) = fields.finish(status, request)?;
    let told = match body {
        Body::None if is_bodiless(status, request) => Told { length: None, bodiless: true },
        Body::None => Told { length: Some(0), bodiless: false },
        Body::Length(length) => Told { length: Some(length), bodiless: false },
        Body::Chunked | Body::UntilClose => Told { length: None, bodiless: false },
    };
    Ok((head, told))
}

fn is_bodiless(status: StatusCode, request: &Method) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED || *request == Method::HEAD
}
