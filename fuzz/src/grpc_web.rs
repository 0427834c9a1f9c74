//! gRPC-Web: a page's text means what base64 says, in whatever pieces it comes, or it is refused; and a service's
//! messages are, as text, the same bytes, of which a whole message waits for nothing.

use gateway::algorithms::grpc_web::{FromText, ToPage, Web, type_of_request};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Four characters after the other, bit by bit; `None` of what is not exactly that.
fn naive(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for four in text.chunks(4) {
        let padding = if four.ends_with(b"==") { 2 } else { usize::from(four.ends_with(b"=")) };
        let mut bits = 0_u32;
        for character in &four[..four.len() - padding] {
            let value = ALPHABET.iter().position(|known| known == character)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let bits = bits << (6 * padding);
        let all = bits.to_be_bytes();
        bytes.extend_from_slice((four.len() == 4).then_some(&all[1..4 - padding])?);
    }
    Some(bytes)
}

fn decoded(text: &[u8], piece: usize) -> Option<Vec<u8>> {
    let (mut from, mut bytes) = (FromText::default(), Vec::new());
    for piece in text.chunks(piece) {
        from.decode(piece, &mut bytes).ok()?;
    }
    from.is_even().then_some(bytes)
}

/// How many of these bytes are whole messages, and whether that is all of them.
fn whole(bytes: &[u8]) -> (usize, bool) {
    let mut at = 0;
    while let Some(prefix) = bytes[at..].first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        match at.checked_add(5 + length).filter(|end| *end <= bytes.len()) {
            Some(end) => at = end,
            None => break,
        }
    }
    (at, at == bytes.len())
}

/// The first byte says in what pieces the rest comes.
pub fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    assert_eq!(decoded(bytes, piece), naive(bytes), "in pieces of {piece}");
    // The same as what a service answers.
    let (mut page, mut text, mut came) = (ToPage::new(true), Vec::new(), 0);
    for part in bytes.chunks(piece) {
        text.extend(page.messages(part).expect("it reads text"));
        came += part.len();
        let read = decoded(&text, 3).expect("it is base64");
        let (ended, is_between) = whole(&bytes[..came]);
        assert!(bytes.starts_with(&read) && read.len() >= ended, "a whole message waits for nothing");
        assert_eq!(page.is_between(), is_between);
    }
    // And as types of content.
    if let Some(web) = Web::of(bytes, [bytes]) {
        assert_eq!(web.sends_text, web.reads_text);
        let of_service = type_of_request(bytes).expect("it is a page's");
        let back = web.type_of_answer(&of_service).expect("it is gRPC's");
        assert_eq!(type_of_request(&back), Some(of_service));
    }
}
