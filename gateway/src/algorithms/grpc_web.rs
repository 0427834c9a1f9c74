//! gRPC as web pages write it (gRPC-Web, PROTOCOL-WEB of gRPC), as plain bytes: what its types of content are to a
//! service and back, its requests' text, and its answers.
//!
//! A page sees no trailers and, where it is old, no bytes that are not text. So an answer's trailers are one more
//! message, the last, whose first byte says so; and all of it may be base64, which begins anew wherever somebody had to
//! let go of what he had. Nothing is gathered here: of what comes a few bytes are kept at most.

mod answer;
mod messages;
mod text;

pub use answer::ToPage;
pub use messages::Messages;
pub use text::{FromText, NotText};

/// What a service calls its content.
const OF_SERVICE: &[u8] = b"application/grpc";
/// What a page calls it.
const OF_PAGE: &[u8] = b"application/grpc-web";
/// What is behind that where it is base64.
const TEXT: &[u8] = b"-text";

/// How a page writes its call, and how it wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Web {
    /// The request is base64.
    pub sends_text: bool,
    /// The answer is to be.
    pub reads_text: bool,
}

impl Web {
    /// A call of this type of content, whose page takes these types. `None` where it is none of a page.
    ///
    /// Who names no type of gRPC-Web among what it takes is answered as it asks.
    pub fn of<'h>(content_type: &[u8], accept: impl IntoIterator<Item = &'h [u8]>) -> Option<Self> {
        let (sends_text, _) = apart(content_type)?;
        let mut taken = accept.into_iter().flat_map(|line| line.split(|byte| *byte == b','));
        let named = taken.find_map(|one| apart(one.trim_ascii()));
        Some(Self { sends_text, reads_text: named.map_or(sends_text, |(is_text, _)| is_text) })
    }

    /// What its page is told of an answer of this type; `None` where that is none of gRPC, and passes as it is.
    pub fn type_of_answer(self, of_service: &[u8]) -> Option<Vec<u8>> {
        let form = of_service.strip_prefix(OF_SERVICE).filter(|form| is_form(form))?;
        Some([self.own_type().as_bytes(), form].concat())
    }

    /// The type of an answer without messages.
    pub fn own_type(self) -> &'static str {
        if self.reads_text { "application/grpc-web-text" } else { "application/grpc-web" }
    }
}

/// What a service is told of a request of this type; `None` where that is none of a page.
pub fn type_of_request(of_page: &[u8]) -> Option<Vec<u8>> {
    let (_, form) = apart(of_page)?;
    Some([OF_SERVICE, form].concat())
}

/// Whether a page's type says that it is text, and what is behind that: of what messages are made, parameters.
fn apart(of_page: &[u8]) -> Option<(bool, &[u8])> {
    let form = of_page.strip_prefix(OF_PAGE)?;
    let (is_text, form) = match form.strip_prefix(TEXT) {
        // The encoding may be named, and there is one.
        Some(form) => (true, form.strip_prefix(b"-base64").unwrap_or(form)),
        None => (false, form),
    };
    is_form(form).then_some((is_text, form))
}

fn is_form(form: &[u8]) -> bool {
    matches!(form, [] | [b'+' | b';' | b' ' | b'\t', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_type_is_gone_on_the_way_to_its_service_and_what_messages_are_made_of_stays() {
        for (of_page, of_service) in [
            ("application/grpc-web", Some("application/grpc")),
            ("application/grpc-web+proto", Some("application/grpc+proto")),
            ("application/grpc-web-text", Some("application/grpc")),
            ("application/grpc-web-text+proto", Some("application/grpc+proto")),
            ("application/grpc-web-text-base64+thrift", Some("application/grpc+thrift")),
            ("application/grpc-web+json; charset=utf-8", Some("application/grpc+json; charset=utf-8")),
            ("application/grpc-web;a=b", Some("application/grpc;a=b")),
            ("application/grpc-webx", None),
            ("application/grpc-web-texts", None),
            ("application/grpc-web-base64", None),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("text/plain", None),
            ("", None),
        ] {
            let told = type_of_request(of_page.as_bytes()).map(|told| String::from_utf8(told).unwrap());
            assert_eq!(told.as_deref(), of_service, "{of_page}");
        }
    }

    #[test]
    fn a_page_is_answered_as_it_says_or_else_as_it_asks() {
        let of = |kind: &str, accept: &[&str]| {
            let web = Web::of(kind.as_bytes(), accept.iter().map(|line| line.as_bytes()))?;
            Some((web.sends_text, web.reads_text))
        };
        let (binary, text) = ("application/grpc-web+proto", "application/grpc-web-text");
        assert_eq!(of(binary, &[]), Some((false, false)));
        assert_eq!(of(text, &["*/*"]), Some((true, true)));
        assert_eq!(of(binary, &[text]), Some((false, true)));
        assert_eq!(of(text, &["text/html, application/grpc-web+proto"]), Some((true, false)));
        assert_eq!(of(binary, &["text/html", "application/grpc-web-text;q=0.9"]), Some((false, true)));
        assert_eq!(of("application/grpc", &[text]), None);
    }

    #[test]
    fn an_answer_has_the_type_that_its_page_reads() {
        let [binary, text] = [false, true].map(|reads_text| Web { sends_text: false, reads_text });
        let told = |web: Web, kind: &str| web.type_of_answer(kind.as_bytes()).map(|it| String::from_utf8(it).unwrap());
        assert_eq!(told(binary, "application/grpc").as_deref(), Some("application/grpc-web"));
        assert_eq!(told(binary, "application/grpc+proto").as_deref(), Some("application/grpc-web+proto"));
        assert_eq!(told(text, "application/grpc+proto").as_deref(), Some("application/grpc-web-text+proto"));
        for other in ["application/grpc-web+proto", "text/html", "application/grpcx", ""] {
            assert_eq!(told(text, other), None, "{other}");
        }
    }
}
