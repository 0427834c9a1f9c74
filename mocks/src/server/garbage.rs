//! Answers that are wrong on purpose: what a gateway must turn into a 502, and never pool the connection after.

use crate::faults::{Draws, Garbage};

/// A head that is larger than any gateway's bound.
const HUGE: usize = 1 << 20;
/// Interim answers before the right one; more than any server needs.
const FLOOD: usize = 1000;

/// Writes the wrong answer.
pub(crate) fn write(kind: Garbage, draws: &mut Draws, out: &mut Vec<u8>) {
    match kind {
        Garbage::Bytes => {
            // The first byte is no letter, so this can never be read as a status line.
            out.push(0x16);
            (0..32).for_each(|_| out.extend_from_slice(&draws.next_u64().to_le_bytes()));
        }
        Garbage::HugeHead => {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n");
            while out.len() < HUGE {
                out.extend_from_slice(b"x-filler: ");
                out.resize(out.len() + 1000, b'x');
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"\r\n{}");
        }
        Garbage::Flood1xx => {
            (0..FLOOD).for_each(|_| out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"));
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        }
        _ => out.extend_from_slice(fixed(kind)),
    }
}

fn fixed(kind: Garbage) -> &'static [u8] {
    match kind {
        Garbage::StatusLine => b"HTTP/1.1 OK 200\r\ncontent-length: 2\r\n\r\n{}",
        Garbage::BareLf => b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
        Garbage::Header => b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n{}",
        Garbage::ClTe => {
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        }
        Garbage::TwoCl => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        Garbage::BadCl => b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\n{}",
        Garbage::BadChunk => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n",
        Garbage::Bytes | Garbage::HugeHead | Garbage::Flood1xx => b"",
    }
}
