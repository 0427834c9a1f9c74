//! The echo, written by hand: no tree is built and nothing is allocated for a request.

use super::head::Head;

/// What arrived after the head.
#[derive(Debug)]
pub(crate) struct Received {
    pub bytes: u64,
    /// SHA-256 of the body, in small hexadecimal digits.
    pub sha256: [u8; 64],
    /// The trailer section as received, with its empty line; empty when there was none.
    pub trailers: Vec<u8>,
}

/// A request without a body. The digest is that of no bytes.
pub(crate) static NOTHING: Received = Received {
    bytes: 0,
    sha256: *b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    trailers: Vec::new(),
};

/// A body of no bytes.
pub(crate) fn nothing() -> Received {
    Received { bytes: 0, sha256: NOTHING.sha256, trailers: Vec::new() }
}

/// A digest in small hexadecimal digits.
pub(crate) fn hex(digest: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'0'; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// Writes the echo of a request. `prefix` is `{"service":"…","endpoint":…`, which every echo of an endpoint starts
/// with.
pub(crate) fn echo(out: &mut Vec<u8>, prefix: &[u8], head: &Head<'_, '_>, received: &Received) {
    let (path, query) = head.path_and_query();
    out.extend_from_slice(prefix);
    out.extend_from_slice(b",\"method\":");
    string(out, head.method.as_bytes());
    out.extend_from_slice(b",\"path\":");
    string(out, path.as_bytes());
    out.extend_from_slice(b",\"query\":");
    string(out, query.unwrap_or("").as_bytes());
    out.extend_from_slice(b",\"headers\":");
    pairs(out, head.headers);
    out.extend_from_slice(b",\"body_bytes\":");
    out.extend_from_slice(itoa::Buffer::new().format(received.bytes).as_bytes());
    out.extend_from_slice(b",\"body_sha256\":\"");
    out.extend_from_slice(&received.sha256);
    out.push(b'"');
    if !received.trailers.is_empty() {
        let mut storage = [httparse::EMPTY_HEADER; 64];
        if let Ok(httparse::Status::Complete((_, trailers))) = httparse::parse_headers(&received.trailers, &mut storage)
        {
            out.extend_from_slice(b",\"trailers\":");
            pairs(out, trailers);
        }
    }
    out.push(b'}');
}

fn pairs(out: &mut Vec<u8>, headers: &[httparse::Header<'_>]) {
    out.push(b'[');
    for (index, header) in headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'[');
        string(out, header.name.as_bytes());
        out.push(b',');
        string(out, header.value);
        out.push(b']');
    }
    out.push(b']');
}

/// Writes a JSON string. Bytes that are not UTF-8 are read as ISO-8859-1, so that each byte can be told.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
    if bytes.iter().all(plain) {
        out.extend_from_slice(bytes);
    } else {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().for_each(|c| escaped(out, c)),
            Err(_) => bytes.iter().for_each(|byte| escaped(out, char::from(*byte))),
        }
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        c if u32::from(c) < 0x20 || c == '\u{7f}' => {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_digest_of_nothing_is_right() {
        let hex: String = Sha256::digest(b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex.as_bytes(), NOTHING.sha256);
    }

    proptest! {
        #[test]
        fn strings_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            string(&mut out, &bytes);
            let read: String = serde_json::from_slice(&out).unwrap();
            let latin_1 = || bytes.iter().map(|b| char::from(*b)).collect();
            let expected = String::from_utf8(bytes.clone()).unwrap_or_else(|_| latin_1());
            prop_assert_eq!(read, expected);
        }
    }
}
