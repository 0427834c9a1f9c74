//! The messages that are sent through what is measured.

use std::fmt::Write as _;

use gateway::request_fields::RequestFields;

/// Bytes of the body that the pipeline's upstream answers with; the size that `sim peers` uses.
pub const BODY_BYTES: usize = 512;
/// Chunks in a chunked answer.
pub const CHUNKS: usize = 32;
/// Bytes in each.
pub const CHUNK_BYTES: usize = 128;
/// Fields of the wide answer.
pub const WIDE_FIELDS: usize = 40;

/// What the client of the pipeline asks for.
pub const REQUEST: &[u8] = b"GET /api/service-17/items/123456?fields=name HTTP/1.1\r\n\
    host: api.example.com\r\n\
    user-agent: benches/1.0\r\n\
    accept: application/json\r\n\
    accept-encoding: gzip, br\r\n\
    authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl\r\n\r\n";

/// The same of a client that presents this token.
pub fn bearing(token: &str) -> &'static [u8] {
    let request = String::from_utf8_lossy(REQUEST).replace("eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl", token);
    request.leak().as_bytes()
}

/// What its upstream answers.
pub fn answer() -> &'static [u8] {
    let body = "x".repeat(BODY_BYTES);
    whole(&format!("content-type: application/json\r\ncontent-length: {BODY_BYTES}\r\nserver: mock\r\n\r\n{body}"))
}

/// An answer of many fields and no body.
pub fn wide_answer() -> &'static [u8] {
    let mut rest = String::new();
    for number in 1..WIDE_FIELDS {
        let _ = write!(rest, "x-field-{number}: value {number} of this answer\r\n");
    }
    whole(&format!("{rest}content-length: 0\r\n\r\n"))
}

/// An answer in many chunks.
pub fn chunked_answer() -> &'static [u8] {
    let mut rest = String::from("transfer-encoding: chunked\r\n\r\n");
    for _ in 0..CHUNKS {
        let _ = write!(rest, "{CHUNK_BYTES:x}\r\n{}\r\n", "y".repeat(CHUNK_BYTES));
    }
    whole(&format!("{rest}0\r\n\r\n"))
}

/// Lives as long as the process, which measures and ends.
fn whole(rest: &str) -> &'static [u8] {
    format!("HTTP/1.1 200 OK\r\ndate: Mon, 02 Nov 2026 10:00:00 GMT\r\n{rest}").leak().as_bytes()
}

/// What a browser sends: nothing in it has to go.
pub fn clean_headers() -> RequestFields {
    headers(&[
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("cache-control", "no-cache"),
        ("referer", "https://app.example.com/orders"),
        ("x-api-version", "7"),
    ])
}

/// The same, with fields that concern one connection only, and with some that a client may not send.
pub fn hostile_headers() -> RequestFields {
    let mut all = clean_headers();
    all.extend([
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("te", "trailers, deflate"),
        ("x-auth-subject", "root"),
        ("x-auth-scopes", "all"),
        ("x-auth-tenant", "other"),
    ]);
    all
}

/// As a trusted proxy sends it: with an id, a trace, and whom it speaks for.
pub fn proxied_headers() -> RequestFields {
    let mut all = clean_headers();
    all.extend([
        ("x-request-id", "3f0c2c1e-5d8a-4a52-9a3e-0d6f6f0f9b11"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=00f067aa0ba902b7,other=t61rcWkgMzE"),
        ("x-forwarded-for", "203.0.113.7, 10.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com"),
    ]);
    all
}

fn headers(fields: &[(&'static str, &'static str)]) -> RequestFields {
    fields.iter().copied().collect()
}
