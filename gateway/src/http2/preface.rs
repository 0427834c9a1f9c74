//! The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).

/// What every client begins with.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `PRI * HTTP/2`: from here on no head of HTTP/1 can come of it.
const TELLING: usize = 12;

/// Whether a head that is none of HTTP/1 is the beginning of an HTTP/2 connection.
#[cold]
pub fn begins_like_preface(bytes: &[u8]) -> bool {
    let shared = bytes.len().min(PREFACE.len());
    shared >= TELLING && bytes[..shared] == PREFACE[..shared]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_known_from_where_it_can_be_nothing_else() {
        for length in 0..PREFACE.len() {
            assert_eq!(begins_like_preface(&PREFACE[..length]), length >= TELLING, "{length}");
        }
        assert!(begins_like_preface(&[PREFACE, &b"\0\0\0\x04\0"[..]].concat()));
        for other in [
            "PRI * HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.1\r\n\r\n",
            "PRI * HTTP/2.0\r\nhost: a\r\n\r\n",
            "GET / HTTP/2.0\r\n",
        ] {
            assert!(!begins_like_preface(other.as_bytes()), "{other}");
        }
    }
}
