//! The forms in which a client gets its answer: how large, and as which kind of gRPC. They hang on what it says that it
//! takes.

use http::Method;

use crate::algorithms::grpc_web::Web;
use crate::compression::Accepted;
use crate::config::settings::Route;
use crate::config::settings::compress::Coding;
use crate::request_fields::RequestFields;

/// What becomes of the answer's size.
pub(super) fn compress(route: &Route, headers: &RequestFields) -> Option<String> {
    let compress = route.compress.as_deref()?;
    let lines = headers.get_all(&http::header::ACCEPT_ENCODING).iter().map(|value| value.as_bytes());
    let takes = Accepted::choose(lines, &compress.codings).coding.map_or("the answer as it is", Coding::as_str);
    Some(format!("{compress}; this client takes {takes}"))
}

/// What becomes of a call of a web page.
pub(super) fn grpc_web(route: &Route, (method, headers): (&Method, &RequestFields)) -> Option<String> {
    if !route.grpc_web {
        return None;
    }
    let accept = headers.get_all(&http::header::ACCEPT).iter().map(|value| value.as_bytes());
    let kind = headers.get(&http::header::CONTENT_TYPE).filter(|_| *method == Method::POST);
    let form = |is_text| if is_text { "base64" } else { "bytes" };
    let told = match kind.and_then(|kind| Web::of(kind.as_bytes(), accept)) {
        None => "this request is none, and passes as it is".to_owned(),
        Some(web) => format!("this one is {}, and is answered in {}", form(web.sends_text), form(web.reads_text)),
    };
    Some(format!("calls of web pages are gRPC to the upstream; {told}"))
}
