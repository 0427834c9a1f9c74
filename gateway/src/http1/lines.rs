//! Finds where a head ends, line by line, over however many reads it takes to come.
//!
//! Each byte is looked at once, so a head that drips in byte by byte costs no more than one that comes at once. A line
//! that ends without CR is found here: `httparse` lets it pass (RFC 9112, section 2.2, allows both; a request that two
//! parsers read in two ways is how requests are smuggled).

/// Progress through one head.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lines {
    /// Bytes that have been looked at.
    seen: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    /// Lines that are whole, the first one included.
    count: usize,
}

impl Lines {
    /// Goes on over the buffer, which holds the head's bytes from its first on. The head's length once it is whole, its
    /// empty line included.
    ///
    /// # Errors
    /// A line ends without CR.
    #[inline]
    pub(super) fn find_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, BareLineFeed> {
        for offset in memchr::memchr_iter(b'\n', &buffer[self.seen..]) {
            let at = self.seen + offset;
            if at == self.line || buffer[at - 1] != b'\r' {
                return Err(BareLineFeed);
            }
            if at - self.line == 1 {
                return Ok(Some(at + 1));
            }
            self.line = at + 1;
            self.count += 1;
        }
        self.seen = buffer.len();
        Ok(None)
    }

    /// Whether no byte has been looked at.
    pub(super) fn is_untouched(&self) -> bool {
        self.seen == 0
    }

    /// Whole lines so far; the first is no field.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// Whether no line of a head that `httparse` took ends without CR. It takes a CR only before a LF, so that counting
/// both is enough.
#[inline]
pub(super) fn all_end_with_cr(head: &[u8]) -> bool {
    // Chunks so short that a byte can count them: the loop becomes a handful of vector instructions.
    head.chunks(128).fold(0_i32, |balance, chunk| {
        let (mut feeds, mut returns) = (0_u8, 0_u8);
        for byte in chunk {
            feeds += u8::from(*byte == b'\n');
            returns += u8::from(*byte == b'\r');
        }
        balance + i32::from(feeds) - i32::from(returns)
    }) == 0
}

/// A line ends without CR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BareLineFeed;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_ends_behind_its_empty_line_however_it_is_cut() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody\n";
        for step in 1..text.len() {
            let mut lines = Lines::default();
            let found = (1..=text.len()).step_by(step).find_map(|end| lines.find_end(&text[..end]).unwrap());
            let found = found.or_else(|| lines.find_end(text).unwrap());
            assert_eq!((found, lines.count()), (Some(text.len() - 5), 2), "{step} at once");
        }
    }

    #[test]
    fn a_line_that_ends_without_cr_is_an_error() {
        for bad in ["GET / HTTP/1.1\n", "a\r\nb\n", "a\r\n\n", "\n", "a\r\nb\r\r\n\n"] {
            let mut lines = Lines::default();
            assert_eq!(lines.find_end(bad.as_bytes()), Err(BareLineFeed), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn as_many_feeds_as_returns_are_counted_whatever_the_length(text in "[ab\r\n]{0,80}") {
            let count = |byte| text.bytes().filter(|it| *it == byte).count();
            prop_assert_eq!(all_end_with_cr(text.as_bytes()), count(b'\n') == count(b'\r'));
        }

        #[test]
        fn the_end_is_where_a_plain_search_finds_it(
            parts in proptest::collection::vec(prop_oneof![Just("a: b"), Just("\r\n"), Just("\r"), Just("x")], 0..30),
        ) {
            let text = parts.concat();
            let plain = if text.starts_with("\r\n") { Some(2) } else { text.find("\r\n\r\n").map(|at| at + 4) };
            prop_assert_eq!(Lines::default().find_end(text.as_bytes()), Ok(plain));
        }
    }
}
