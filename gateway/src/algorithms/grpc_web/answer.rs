//! A service's answer as a page reads it: its messages as they come, then its trailers as the last of them.

use super::messages::{Messages, PREFIX};
use super::text::IntoText;

/// The first byte of the message that is the trailers, not compressed.
const TRAILERS: u8 = 0x80;

/// Translates an answer as it comes.
#[derive(Debug)]
pub struct ToPage {
    messages: Messages,
    text: Option<IntoText>,
}

impl ToPage {
    /// For a page that reads text, or bytes.
    pub fn new(reads_text: bool) -> Self {
        Self { messages: Messages::default(), text: reads_text.then(IntoText::default) }
    }

    /// More of the messages came. What a page reads in their place, where that is something else: text, of which all is
    /// there that a message's end needs.
    pub fn messages(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let ended = self.messages.follow(bytes);
        let text = self.text.as_mut()?;
        let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4 + 8);
        let (whole, begun) = bytes.split_at(ended.unwrap_or(0));
        if ended.is_some() {
            text.encode(whole, true, &mut out);
        }
        text.encode(begun, false, &mut out);
        Some(out)
    }

    /// Whether it stands between two messages: only there another one can follow.
    pub fn is_between(&self) -> bool {
        self.messages.is_between()
    }

    /// The trailers, as the last message: fields as HTTP/1 writes them, without the empty line behind them. Fields of
    /// one name, which follow each other, are one line, as they may be (gRPC over HTTP/2, "Custom-Metadata"): of
    /// several lines clients keep the last.
    pub fn trailers<'f>(&mut self, fields: impl Iterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
        let (mut frame, mut last) = (vec![TRAILERS, 0, 0, 0, 0], "");
        for (name, value) in fields {
            let parts = if name == last { [&b","[..], b"", value] } else { [name.as_bytes(), b": ", value] };
            if name != last && !last.is_empty() {
                frame.extend_from_slice(b"\r\n");
            }
            parts.iter().for_each(|part| frame.extend_from_slice(part));
            last = name;
        }
        if !last.is_empty() {
            frame.extend_from_slice(b"\r\n");
        }
        let length = u32::try_from(frame.len() - usize::from(PREFIX)).unwrap_or(u32::MAX);
        frame[1..usize::from(PREFIX)].copy_from_slice(&length.to_be_bytes());
        let Some(text) = &mut self.text else { return frame };
        let mut out = Vec::with_capacity(frame.len().div_ceil(3) * 4 + 4);
        text.encode(&frame, true, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::FromText;
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, message].concat()
    }

    #[test]
    fn trailers_are_the_last_message() {
        let fields = || [("grpc-status", &b"5"[..]), ("grpc-message", b"no such order")].into_iter();
        let bytes = b"\x80\x00\x00\x00\x2dgrpc-status: 5\r\ngrpc-message: no such order\r\n";
        assert_eq!(ToPage::new(false).trailers(fields()), bytes);
        assert_eq!(ToPage::new(true).trailers(fields()), STANDARD.encode(bytes).as_bytes());
        assert_eq!(ToPage::new(false).trailers([].into_iter()), [0x80, 0, 0, 0, 0]);
        let several = [("a", &b"1"[..]), ("a", b"2"), ("b-bin", b"AA=="), ("b-bin", b"/w=="), ("b-bin", b"")];
        let told = ToPage::new(false).trailers(several.into_iter());
        assert_eq!(&told[5..], b"a: 1,2\r\nb-bin: AA==,/w==,\r\n", "of lines of one name clients keep the last");
    }

    #[test]
    fn bytes_pass_as_they_are_and_each_is_within_a_message_or_between_two() {
        let mut page = ToPage::new(false);
        let bytes = [framed(b"ab"), framed(b"")].concat();
        let between = bytes.iter().map(|byte| (page.messages(&[*byte]), page.is_between()));
        let between: Vec<bool> = between.map(|(out, is_between)| out.is_none() && is_between).collect();
        let ends: Vec<usize> = (0..between.len()).filter(|at| between[*at]).map(|at| at + 1).collect();
        assert_eq!(ends, [7, 12]);
        page.messages(&[0, 0xff, 0xff, 0xff, 0xff]);
        page.messages(&[0; 4096]);
        assert!(!page.is_between(), "the longest message is not over so soon");
    }

    proptest! {
        #[test]
        fn text_is_padded_where_messages_end_and_nowhere_else_however_they_are_cut(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6),
            piece in 1_usize..40,
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            let (mut page, mut text, mut came) = (ToPage::new(true), Vec::new(), 0);
            for part in bytes.chunks(piece) {
                let out = page.messages(part).unwrap();
                came += part.len();
                text.extend_from_slice(&out);
                if page.is_between() {
                    // What has been said so far is all that came.
                    let (mut from, mut all) = (FromText::default(), Vec::new());
                    prop_assert_eq!(from.decode(&text, &mut all), Ok(()));
                    prop_assert!(from.is_even() && all == bytes[..came]);
                } else {
                    let whole = Messages::default().follow(&bytes[..came]).unwrap_or(0);
                    let (mut from, mut all) = (FromText::default(), Vec::new());
                    prop_assert_eq!(from.decode(&text, &mut all), Ok(()));
                    prop_assert!(all.len() >= whole && came - all.len() < 3, "a message's end waits for nothing");
                }
            }
            prop_assert!(page.is_between());
        }
    }
}
