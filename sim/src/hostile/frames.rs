//! Frames of HTTP/2 as a hostile client writes them (RFC 9113), and what it understands of those that come.

/// What a connection by prior knowledge begins with, and settings that change nothing.
pub(super) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// The names of error codes by their numbers (RFC 9113, section 7).
pub(crate) const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];
/// A frame's head, bytes.
const HEAD: usize = 9;

/// A frame; its payload has fewer than 2^24 bytes.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The stream of the request with this number.
pub(super) fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// The fields of a request, by the static table as far as it goes (RFC 7541, appendix A). `path` and `host` have fewer
/// than 127 bytes.
pub(super) fn fields(method: &str, path: &str, host: &str) -> Vec<u8> {
    const SCHEME_HTTP: u8 = 0x86;
    let mut block = vec![if method == "POST" { 0x83 } else { 0x82 }, SCHEME_HTTP];
    for (name, value) in [(4, path), (1, host)] {
        // A literal that is not added to the table, its name by its place there.
        block.extend_from_slice(&[name, u8::try_from(value.len()).unwrap_or(0)]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// The name of the error with which the peer says goodbye, if the bytes that came from it hold a GOAWAY.
pub(super) fn goaway(mut bytes: &[u8]) -> Option<&'static str> {
    while let [a, b, c, kind, _, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
        let payload = rest.get(HEAD - 5..)?;
        if *kind == GOAWAY {
            let code = payload.get(4..8)?.try_into().ok()?;
            return Some(CODES.get(u32::from_be_bytes(code) as usize).copied().unwrap_or("UNKNOWN"));
        }
        bytes = payload.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_is_found_behind_other_frames() {
        let bye = frame(GOAWAY, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 11, b'w', b'h', b'y']);
        let bytes = [frame(SETTINGS, 0, 0, &[]), frame(PING, 1, 0, &[0; 8]), bye.clone()].concat();
        assert_eq!(goaway(&bytes), Some("ENHANCE_YOUR_CALM"));
        assert_eq!(goaway(&bye), Some("ENHANCE_YOUR_CALM"));
        for cut in 0..bytes.len() - 3 {
            assert_eq!(goaway(&bytes[..cut]), None, "{cut} bytes");
        }
        assert_eq!(goaway(b"HTTP/1.1 400 Bad Request\r\n\r\n"), None);
    }

    #[test]
    fn a_request_is_what_h2_reads() {
        let block = fields("GET", "/a", "a.test");
        assert_eq!(block, [&[0x82, 0x86, 4, 2, b'/', b'a', 1, 6][..], b"a.test"].concat());
        assert_eq!(frame(HEADERS, END_HEADERS | END_STREAM, stream(1), &block)[..9], [0, 0, 14, 1, 5, 0, 0, 0, 3]);
    }
}
