//! The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).

use h2::Reason;

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

/// Whether more bytes may make of these the beginning of an HTTP/2 connection, or they are that.
pub fn may_become_preface(bytes: &[u8]) -> bool {
    let shared = bytes.len().min(PREFACE.len());
    bytes[..shared] == PREFACE[..shared]
}

/// All that a connection is told on which no stream is opened (RFC 9113, sections 3.4 and 6.8): empty SETTINGS, since
/// every server begins with them, and GOAWAY with this reason, which says that nothing was looked at.
pub fn farewell(reason: Reason, detail: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 6] = [7, 0, 0, 0, 0, 0];
    const LAST_STREAM: [u8; 4] = [0; 4];
    // Less than a frame of the smallest kind may hold (section 4.2).
    let detail = &detail.as_bytes()[..detail.len().min(256)];
    let [_, length @ ..] = u32::to_be_bytes(8 + u32::try_from(detail.len()).unwrap_or(0));
    [&SETTINGS[..], &length, &GOAWAY, &LAST_STREAM, &u32::from(reason).to_be_bytes(), detail].concat()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_preface_is_known_from_where_it_can_be_nothing_else() {
        for length in 0..PREFACE.len() {
            assert_eq!(begins_like_preface(&PREFACE[..length]), length >= TELLING, "{length}");
            assert!(may_become_preface(&PREFACE[..length]), "{length}");
        }
        assert!(begins_like_preface(&[PREFACE, &b"\0\0\0\x04\0"[..]].concat()));
        for other in [
            "PRI * HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.1\r\n\r\n",
            "PRI * HTTP/2.0\r\nhost: a\r\n\r\n",
            "GET / HTTP/2.0\r\n",
        ] {
            assert!(!begins_like_preface(other.as_bytes()) && !may_become_preface(other.as_bytes()), "{other}");
        }
    }

    #[tokio::test]
    async fn who_speaks_http2_understands_the_farewell() {
        for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let (mut read, mut write) = tokio::io::split(ours);
            write.write_all(&farewell(reason, "No place.")).await.unwrap();
            let (mut sender, connection) = h2::client::handshake(theirs).await.unwrap();
            let request = http::Request::builder().uri("http://a.test/").body(()).unwrap();
            let sent = sender.send_request(request, true);
            let (ended, ()) = tokio::join!(connection, async {
                let mut bytes = [0; 1024];
                let _ = read.read(&mut bytes).await;
                write.shutdown().await.unwrap();
            });
            let told = sent.unwrap().0.await.unwrap_err();
            assert!(told.is_go_away() && told.is_remote() && told.reason() == Some(reason), "{told:?}");
            drop(ended);
        }
    }
}
