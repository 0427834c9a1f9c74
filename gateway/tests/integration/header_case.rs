//! `preserve_header_case`: names of header fields reach the other side in the letters in which they were written.

use mocks::raw::{Raw, Script};

use crate::support::Gateway;
use crate::support::h2::H2Client;

const OK: &str = "HTTP/1.1 200 OK\r\nX-Answer: a\r\nETag: \"1\"\r\nContent-Length: 2\r\n\r\nok";

/// The lines of the head that the upstream got, but for those that the gateway adds, sorted.
async fn got(upstream: &Raw) -> Vec<String> {
    let received = upstream.received().concat();
    let text = String::from_utf8(received).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let own = ["x-request-", "traceparent", "x-forwarded-", "forwarded"];
    let lines = head.split("\r\n").skip(1).filter(|line| !own.iter().any(|own| line.starts_with(own)));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

async fn asked(server: &str, route: &str, request: &str) -> (Vec<String>, String) {
    let upstream = Raw::script(Script::new().read_request().send(OK)).await.unwrap();
    let gateway = Gateway::start(&crate::support::one_route(server, route, upstream.addr())).await;
    let mut client = gateway.client().await;
    client.send(request).await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    (got(&upstream).await, answer)
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nX-SOAP-Action: x\r\nx-Twice: 1\r\nX-tWICE: 2\r\nX-Gone: 1\r\n\
                    Connection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn names_reach_the_upstream_as_the_client_wrote_them() {
    let route = "request_headers = { set = { x-soap-action = 'y', X-New = 'z' }, remove = ['x-gone'] }";
    let (lines, _) = asked("preserve_header_case = true", route, POST).await;
    assert_eq!(lines, ["Content-Length: 2", "Host: a", "X-SOAP-Action: y", "X-tWICE: 2", "x-Twice: 1", "x-new: z"]);
    let chunked = POST.replace("Content-Length: 2\r\n\r\nhi", "TRANSFER-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    let (lines, _) = asked("preserve_header_case = true", "", &chunked).await;
    assert!(lines.contains(&"TRANSFER-Encoding: chunked".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn where_it_is_off_names_are_in_small_letters() {
    let (lines, _) = asked("", "", POST).await;
    let all = ["content-length: 2", "host: a", "x-gone: 1", "x-soap-action: x", "x-twice: 1", "x-twice: 2"];
    assert_eq!(lines, all);
}

#[tokio::test]
async fn answers_keep_their_letters_whether_a_route_edits_them_or_not() {
    let (_, answer) = asked("", "", POST).await;
    assert!(answer.contains("\r\nX-Answer: a\r\nETag: \"1\"\r\nContent-Length: 2\r\n"), "{answer}");
    let (_, answer) = asked("", "response_headers = { set = { etag = '2' }, remove = ['x-request-id'] }", POST).await;
    assert!(
        answer.contains("\r\nX-Answer: a\r\nContent-Length: 2\r\n") && answer.contains("\r\netag: 2\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("x-request-id"));
}

#[tokio::test]
async fn http_2_has_no_letters_to_keep() {
    let upstream = Raw::script(Script::new().read_request().send(OK)).await.unwrap();
    let gateway = Gateway::with("preserve_header_case = true", upstream.addr()).await;
    let answer = H2Client::connect(gateway.address).await.get("/").await;
    assert_eq!((answer.status, answer.header("x-answer")), (200, Some("a")));
    assert_eq!(got(&upstream).await, ["host: a.test"]);
}
