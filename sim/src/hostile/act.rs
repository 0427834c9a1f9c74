//! What each kind of hostile client does on a connection.

use std::time::Duration;

use super::frames::{
    BEGIN, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, fields, frame, stream,
};

/// The pause between two pieces of what is sent slowly.
const SLOWLY: Duration = Duration::from_millis(100);
/// Frames of a flood, requests in a pipeline: far beyond what any client needs, and some hundred kilobytes.
const FLOOD: u32 = 5_000;
/// Requests in a pipeline.
const PIPELINE: usize = 2_000;
/// The host that all ask for.
const HOST: &str = "hostile.test";

/// What a hostile client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Connects and says nothing.
    Silent,
    /// A TLS handshake that stops in the middle of its first message.
    HalfHandshake,
    /// The head of a request, a byte now and then, without an end.
    SlowHead,
    /// A request whose body comes a byte now and then.
    SlowBody,
    /// Asks for an answer and does not read it.
    SlowReader,
    /// Asks many times at once, and reads nothing.
    Pipeline,
    /// Asks, and is gone before the answer: with RST.
    Broken,
    /// The head of a request as fast as it is taken, without an end.
    EndlessHead,
    /// Heads that are none, a different one on each connection.
    Malformed,
    /// HTTP/2: asks and takes it back, as often as it can.
    RapidReset,
    /// HTTP/2: a head in pieces, without an end.
    ContinuationFlood,
    /// HTTP/2: settings.
    SettingsFlood,
    /// HTTP/2: pings.
    PingFlood,
    /// HTTP/2: a body of nothing, in many pieces.
    EmptyDataFlood,
    /// HTTP/2: few bytes that unpack to many fields.
    HpackBomb,
}

/// Each act by its word in scenarios.
pub(crate) const ACTS: &[(&str, Act)] = &[
    ("silent", Act::Silent),
    ("half_handshake", Act::HalfHandshake),
    ("slow_head", Act::SlowHead),
    ("slow_body", Act::SlowBody),
    ("slow_reader", Act::SlowReader),
    ("pipeline", Act::Pipeline),
    ("broken", Act::Broken),
    ("endless_head", Act::EndlessHead),
    ("malformed", Act::Malformed),
    ("rapid_reset", Act::RapidReset),
    ("continuation_flood", Act::ContinuationFlood),
    ("settings_flood", Act::SettingsFlood),
    ("ping_flood", Act::PingFlood),
    ("empty_data_flood", Act::EmptyDataFlood),
    ("hpack_bomb", Act::HpackBomb),
];

/// What is done on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// What is sent at once.
    pub(super) first: Vec<u8>,
    /// What is sent again and again after that, and the pause before each.
    pub(super) then: Option<(Vec<u8>, Duration)>,
    /// Whether it reads what comes meanwhile.
    pub(super) reads: bool,
    /// It breaks the connection as soon as it has sent.
    pub(super) breaks: bool,
}

impl Act {
    /// The scripts of this act, which connections take in turns.
    pub(super) fn scripts(self, path: &str) -> Vec<Script> {
        let kinds = if self == Self::Malformed { BROKEN.len() as u64 } else { 1 };
        (0..kinds).map(|number| self.script(path, number)).collect()
    }

    /// What is done on the connection with this number, about this path.
    pub(super) fn script(self, path: &str, number: u64) -> Script {
        let at_once = |first: Vec<u8>| Script { first, then: None, reads: true, breaks: false };
        let slowly = |first: Vec<u8>, piece: &[u8]| Script { then: Some((piece.to_vec(), SLOWLY)), ..at_once(first) };
        let get = || format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").into_bytes();
        match self {
            Self::Silent => at_once(Vec::new()),
            // A record of 512 bytes that begins with the head of a ClientHello, and ends there (RFC 8446, section 5.1).
            Self::HalfHandshake => at_once(vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
            Self::SlowHead => slowly(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nx-slow: ").into_bytes(), b"a"),
            Self::SlowBody => {
                let head = format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 1000000\r\n\r\n");
                slowly(head.into_bytes(), b"a")
            }
            // Its one request: behind a short answer, as of a service that failed, the gateway ends the connection.
            Self::SlowReader => {
                let first = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").into_bytes();
                Script { reads: false, ..at_once(first) }
            }
            Self::Pipeline => Script { reads: false, ..at_once(get().repeat(PIPELINE)) },
            Self::Broken => Script { breaks: true, ..at_once(get()) },
            Self::EndlessHead => {
                let field = b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(64);
                let first = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n").into_bytes();
                Script { then: Some((field, Duration::from_millis(1))), ..at_once(first) }
            }
            Self::Malformed => at_once(malformed(path, number)),
            _ => at_once([BEGIN.to_vec(), self.frames(path)].concat()),
        }
    }

    /// What is sent over HTTP/2.
    fn frames(self, path: &str) -> Vec<u8> {
        let ask = |number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &fields("GET", path, HOST));
        let post = frame(HEADERS, END_HEADERS, 1, &fields("POST", path, HOST));
        match self {
            Self::RapidReset => {
                // CANCEL
                let reset = |number| frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8]);
                (0..FLOOD).flat_map(|number| [ask(number), reset(number)].concat()).collect()
            }
            Self::ContinuationFlood => {
                let begun = frame(HEADERS, END_STREAM, 1, &fields("GET", path, HOST));
                // A field `x` without a value, a thousand times.
                let more = frame(CONTINUATION, 0, 1, &[0, 1, b'x', 0].repeat(1_000));
                [begun, more.repeat(200)].concat()
            }
            // SETTINGS_MAX_CONCURRENT_STREAMS
            Self::SettingsFlood => frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]).repeat(FLOOD as usize),
            Self::PingFlood => frame(PING, 0, 0, &[0; 8]).repeat(FLOOD as usize),
            Self::EmptyDataFlood => [post, frame(DATA, 0, 1, b"").repeat(4 * FLOOD as usize)].concat(),
            Self::HpackBomb => {
                // One field of 3,000 bytes goes into the table; each byte that follows is that field again.
                let mut block = fields("GET", path, HOST);
                block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
                block.extend_from_slice(&[b'a'; 3_000]);
                block.extend_from_slice(&[0xbe; 2_000]);
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
            }
            _ => Vec::new(),
        }
    }
}

/// Fields that each break one rule (security.md, group A).
const BROKEN: [&str; 8] = [
    "host: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked",
    "host: a\r\ncontent-length: 3\r\ncontent-length: 4",
    "host: a\r\ntransfer-encoding: xchunked",
    "host: a\nx: b",
    "host: a\r\nx: b\r\n folded",
    "host: a\r\nx : b",
    "host: a\r\nx: b\0c",
    "x: without a host",
];

/// A head that breaks one rule.
fn malformed(path: &str, number: u64) -> Vec<u8> {
    let broken = BROKEN[usize::try_from(number % BROKEN.len() as u64).unwrap_or(0)];
    format!("POST {path} HTTP/1.1\r\n{broken}\r\n\r\n0\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_a_word_of_its_own_and_is_bounded() {
        for (index, (word, act)) in ACTS.iter().enumerate() {
            assert!(ACTS[..index].iter().all(|(other, what)| other != word && what != act), "{word}");
            let script = act.script("/a", 0);
            assert!(script.first.len() < 1 << 20, "{word}: {} bytes", script.first.len());
            assert!(script.then.is_none_or(|(piece, pause)| !piece.is_empty() && !pause.is_zero()), "{word}");
        }
        assert_eq!(ACTS.len(), 15);
    }

    #[test]
    fn malformed_heads_take_turns() {
        let scripts = Act::Malformed.scripts("/a");
        assert!(scripts.iter().all(|script| script.first.starts_with(b"POST /a HTTP/1.1\r\n")));
        for (index, script) in scripts.iter().enumerate() {
            assert!(scripts[..index].iter().all(|other| other != script), "{index}");
        }
        assert_eq!((scripts.len(), Act::RapidReset.scripts("/a").len()), (BROKEN.len(), 1));
    }
}
