//! Fields of an answer that is kept: gathered into a block of their own, so that they hold on to nothing of what they
//! came with.

use bytes::Bytes;

use super::fields::{Fields, Known, MAX_BLOCK};

impl Fields {
    /// These names and values as fields; `None` where they are more than a head may hold. Nothing that frames a body,
    /// but for its length, and nothing of a connection may be among them.
    pub fn gathered<'f>(lines: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Option<Box<Self>> {
        let (mut block, mut fields) = (Vec::with_capacity(512), Box::<Self>::default());
        for (name, value) in lines {
            let at = block.len();
            for part in [name, b": ", value, b"\r\n"] {
                block.extend_from_slice(part);
            }
            if block.len() + 2 > MAX_BLOCK {
                return None;
            }
            let known = fields.note(at, name, at + name.len() + 2, value.len());
            debug_assert!(!matches!(known, Known::TransferEncoding | Known::Connection), "it is of one connection");
        }
        block.extend_from_slice(b"\r\n");
        block.shrink_to_fit();
        fields.set_block(Bytes::from(block));
        Some(fields)
    }

    /// Bytes that the fields off the wire take.
    pub fn block_len(&self) -> usize {
        self.wire_len()
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn what_is_gathered_is_written_like_what_came() {
        let lines = [(&b"Date"[..], &b"now"[..]), (b"Content-Length", b"3"), (b"x-a", b""), (b"X-A", b"b: c")];
        let fields = Fields::gathered(lines.into_iter()).unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), lines);
        let mut out = Vec::new();
        fields.write(&mut out, true);
        assert_eq!(out, b"Date: now\r\nContent-Length: 3\r\nx-a: \r\nX-A: b: c\r\n");
        assert!(fields.has_date() && fields.has_length() && fields.block_len() > out.len());
        let mut copy = fields;
        copy.retain(|name| !name.eq_ignore_ascii_case(b"x-a"));
        copy.push_more(&[(&header::AGE, "7")]);
        let mut out = Vec::new();
        copy.write(&mut out, false);
        assert_eq!(out, b"Date: now\r\nage: 7\r\n");
    }

    #[test]
    fn more_than_a_head_holds_is_none() {
        let long = vec![b'x'; MAX_BLOCK];
        assert!(Fields::gathered(std::iter::once((&b"x"[..], &long[..]))).is_none());
        assert!(Fields::gathered(std::iter::empty()).is_some());
    }
}
