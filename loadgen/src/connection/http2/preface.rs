//! A first look at a server that is to speak HTTP/2 in the clear: whether it does.
//!
//! Without it, one that speaks only HTTP/1 would be asked again and again, and fail each time.

use std::io::{Read, Write};

/// What a client says first, then settings with nothing in them (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Goodbye, without an error (section 6.8).
const GOODBYE: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// The head of a frame: three bytes of length, the kind, flags, and four bytes of the stream (section 4.1).
const HEAD: usize = 9;
/// So much of another answer is shown.
const MOST_SHOWN: usize = 64;

/// Says the preface on a socket that blocks, and hears what comes.
///
/// # Errors
/// What was said that is no settings of HTTP/2. A server that says nothing at all, or goes away, may be busy: the load
/// will show it.
pub(crate) fn try_out(stream: &mut (impl Read + Write)) -> Result<(), String> {
    let mut heard = [0; MOST_SHOWN];
    let mut count = 0;
    if stream.write_all(PREFACE).is_err() {
        return Ok(());
    }
    while !is_enough(&heard[..count]) {
        match stream.read(&mut heard[count..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => count += more,
        }
    }
    if count == 0 || is_settings(&heard[..count]) {
        // It is told that this was all; whether it hears that is no matter.
        let _ = stream.write_all(GOODBYE);
        return Ok(());
    }
    let line = heard[..count].split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
    Err(line.escape_ascii().to_string())
}

/// Whether it shows what is spoken: a whole head of a frame, or else a line.
fn is_enough(heard: &[u8]) -> bool {
    let is_settings = heard.len() >= HEAD && is_settings(heard);
    is_settings || heard.len() == MOST_SHOWN || heard.first() != Some(&0) && heard.contains(&b'\n')
}

/// Whether this begins with settings, which a server says first (section 3.4), or may have begun with them.
fn is_settings(heard: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    match heard {
        [_, _, _, kind, flags, stream @ ..] => {
            *kind == SETTINGS && *flags == 0 && stream.iter().take(4).all(|byte| *byte == 0)
        }
        few => few.first() == Some(&0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::*;

    /// What the other side says, however it is spoken to.
    struct Says(Cursor<&'static [u8]>);

    impl Read for Says {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            // In pieces, as a network may.
            let most = into.len().min(5);
            self.0.read(&mut into[..most])
        }
    }

    impl Write for Says {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn settings_come_first_or_it_is_another_protocol() {
        let heard = |says: &'static [u8]| try_out(&mut Says(Cursor::new(says)));
        assert_eq!(heard(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0"), Ok(()));
        assert_eq!(heard(b"\0\0\0\x04\0\0\0\0\0"), Ok(()));
        assert_eq!(heard(b""), Ok(()), "nobody knows");
        assert_eq!(heard(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Err("HTTP/1.1 400 Bad Request".to_owned()));
        assert_eq!(heard(b"-ERR\r\n"), Err("-ERR".to_owned()));
        assert!(heard(b"\0\0\x08\x07\0\0\0\0\0").is_err(), "a goodbye before a word");
    }
}
