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
        _ if status == StatusCode::RESET_CONTENT => Told { length: None, bodiless: true },
        Body::Chunked | Body::UntilClose => Told { length: None, bodiless: false },
    };
    Ok((head, told))
}

fn is_bodiless(status: StatusCode, request: &Method) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED || *request == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_content_is_not_given_any() {
        let told = |status, fields: &HeaderMap| head(status, fields, &Method::GET).map(|(_, told)| told);
        let nothing = HeaderMap::new();
        for status in [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED] {
            assert_eq!(told(status, &nothing), Ok(Told { length: None, bodiless: true }), "{status}");
        }
        assert_eq!(told(StatusCode::OK, &nothing), Ok(Told { length: None, bodiless: false }));
        let five = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("5"))]);
        assert!(told(StatusCode::RESET_CONTENT, &five).is_err());
    }
}
