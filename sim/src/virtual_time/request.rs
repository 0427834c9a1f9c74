//! A request as a mock reads it: strict, since a gateway that sends anything ambiguous is wrong.

use std::fmt::Write as _;

use loadgen::request::header;

/// The most header lines: the gateway's own limit, and what it adds.
const MAX_HEADERS: usize = 160;

/// Who asks, where the gateway checks an endpoint.
const HEALTH_CHECK: &str = "portcullis-health";

/// What a mock has to know of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `x-request-id`.
    pub request_id: Option<String>,
    /// `x-sim-body`: how many bytes the client's body has.
    pub sent_bytes: Option<u64>,
    /// `x-sim-target`: what the client asked for.
    pub sent_target: Option<String>,
    /// A header that only the gateway may set, and did not.
    pub forged: Option<String>,
    /// The lines that `x-mock-show` asks to see, as the answer shows them; empty where it asks for none.
    pub shown: String,
    /// Bytes of the head.
    pub head_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The connection ends after the answer.
    pub close: bool,
    /// The gateway asks by itself whether the endpoint is well.
    pub health_check: bool,
}

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More is needed.
    Partial,
    /// A whole head.
    Head(Box<Request>),
    /// Not what a gateway may send, and why.
    Bad(String),
}

/// Reads a head.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(error) => return Parsed::Bad(error.to_string()),
    };
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        head_bytes,
        ..Request::default()
    };
    let (mut lengths, mut hosts) = (0, 0);
    for header in head.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else { continue };
        match header.name.len() {
            4 if header.name.eq_ignore_ascii_case("host") => hosts += 1,
            10 if header.name.eq_ignore_ascii_case("connection") => {
                request.close |= value.eq_ignore_ascii_case("close");
            }
            10 if header.name.eq_ignore_ascii_case("x-sim-body") => request.sent_bytes = value.parse().ok(),
            10 if header.name.eq_ignore_ascii_case("user-agent") => {
                request.health_check = value == HEALTH_CHECK;
            }
            12 if header.name.eq_ignore_ascii_case("x-request-id") => request.request_id = Some(value.to_owned()),
            12 if header.name.eq_ignore_ascii_case("x-sim-target") => request.sent_target = Some(value.to_owned()),
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                lengths += 1;
                match value.parse() {
                    Ok(length) => request.body_bytes = length,
                    Err(_) => return Parsed::Bad(format!("content-length: {value}")),
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Parsed::Bad("a body of known length came chunked".to_owned());
            }
            _ if is_identity(header.name) => request.forged = Some(header.name.to_owned()),
            _ => {}
        }
    }
    request.shown = shown(head.headers);
    if lengths > 1 || hosts != 1 {
        return Parsed::Bad(format!("{lengths} content-lengths, {hosts} hosts"));
    }
    Parsed::Head(Box::new(request))
}

/// What a mock shows of these lines, as the mocks on sockets do.
fn shown(lines: &[httparse::Header<'_>]) -> String {
    let of = |name: String| lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(&name));
    let text = |line: &httparse::Header<'_>| String::from_utf8_lossy(line.value).into_owned();
    let lists: Vec<String> = of(header::SHOW.to_owned()).map(text).collect();
    let list = lists.join(",");
    let mut shown = String::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        for line in of(name.to_owned()) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "x-mock-saw-{}: {}\r\n", name.to_ascii_lowercase(), text(line));
        }
    }
    if !lists.is_empty() {
        let _ = write!(shown, "{}: {list}\r\n", header::SHOW);
    }
    shown
}

/// Names that only the gateway may set; how they are spelled does not matter.
fn is_identity(name: &str) -> bool {
    let name = name.as_bytes();
    name.len() >= 7
        && name[..6]
            .iter()
            .zip(b"x-auth")
            .all(|(byte, wanted)| byte.eq_ignore_ascii_case(wanted) || (*byte == b'_' && *wanted == b'-'))
        && matches!(name[6], b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Parsed {
        parse(format!("POST /a?b HTTP/1.1\r\nhost: x\r\n{lines}\r\n").as_bytes())
    }

    #[test]
    fn a_head_is_read() {
        let Parsed::Head(request) =
            head("X-Request-Id: r\r\ncontent-length: 12\r\nx-sim-body: 12\r\nconnection: close\r\n")
        else {
            panic!()
        };
        assert_eq!((&*request.method, &*request.target, request.body_bytes), ("POST", "/a?b", 12));
        assert_eq!((request.request_id.as_deref(), request.sent_bytes, request.close), (Some("r"), Some(12), true));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nhost: x\r\n"), Parsed::Partial);
    }

    #[test]
    fn lines_that_are_asked_for_are_shown() {
        let shown = |lines: &str| match head(lines) {
            Parsed::Head(request) => request.shown,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown("x-a: 1\r\n"), "");
        let both = shown("X-A: 1\r\nx-a: 2\r\nx-mock-show: x-a, x-b\r\n");
        assert_eq!(both, "x-mock-saw-x-a: 1\r\nx-mock-saw-x-a: 2\r\nx-mock-show: x-a, x-b\r\n");
    }

    #[test]
    fn what_is_ambiguous_is_bad() {
        for lines in [
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: x\r\n",
            "transfer-encoding: chunked\r\n",
            "host: y\r\n",
            "a : b\r\n",
        ] {
            assert!(matches!(head(lines), Parsed::Bad(_)), "{lines}");
        }
    }

    #[test]
    fn identity_of_a_client_is_seen_in_every_spelling() {
        for name in ["x-auth-subject", "X-Auth_Subject", "x_auth_subject"] {
            let Parsed::Head(request) = head(&format!("{name}: evil\r\n")) else { panic!() };
            assert_eq!(request.forged.as_deref(), Some(name));
        }
        let Parsed::Head(request) = head("x-author: me\r\n") else { panic!() };
        assert_eq!(request.forged, None);
    }
}
