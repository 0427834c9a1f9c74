//! Writing JSON fields by hand: an access record is one object, nearly flat, and this is all that it needs.
//!
//! Strings are escaped so that a line is one line on every terminal: control characters of ASCII and of Latin-1 (where
//! one byte can start an escape sequence), the line separators of Unicode, and what turns the direction of a line.

use crate::terminal::turns_text;

/// What a byte needs inside a JSON string: 0 nothing, 1 `\u00xx`, 2 a look at the character (it is not ASCII), else the
/// letter of its short escape.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0_u8; 256];
    let mut byte = 0;
    while byte < 256 {
        escapes[byte] = match byte as u8 {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f | 0x7f => 1,
            0x80..=0xff => 2,
            _ => 0,
        };
        byte += 1;
    }
    escapes
};

/// Appends the characters of a JSON string, without its quotes. Bytes that are no text are replaced.
#[inline]
pub(crate) fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    match first_special(text) {
        None => out.extend_from_slice(text),
        Some(at) => write_slowly(out, text, at),
    }
}

/// Appends a JSON string.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Where the first byte stands that needs more than to be copied. Nearly no text has one, so that sixteen are asked at
/// once, in a form of which a compiler makes vector instructions; the last ones together with some before them.
#[inline]
fn first_special(text: &[u8]) -> Option<usize> {
    let may_have_one = match text.len() {
        0..4 => true,
        4..8 => ends_have_special::<4>(text),
        8..16 => ends_have_special::<8>(text),
        _ => {
            let mut any = text.last_chunk::<16>().is_some_and(has_special);
            for block in text.as_chunks::<16>().0 {
                any |= has_special(block);
            }
            any
        }
    };
    if may_have_one { text.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) } else { None }
}

/// Of a text between once and twice as long as a block: its first ones and its last ones are all of it.
#[inline]
fn ends_have_special<const N: usize>(text: &[u8]) -> bool {
    text.first_chunk::<N>().is_some_and(has_special) | text.last_chunk::<N>().is_some_and(has_special)
}

#[inline]
fn has_special<const N: usize>(block: &[u8; N]) -> bool {
    let is_special = |byte: u8| (byte.wrapping_sub(b' ') > b'~' - b' ') | (byte == b'"') | (byte == b'\\');
    block.iter().fold(false, |any, byte| any | is_special(*byte))
}

#[cold]
fn write_slowly(out: &mut Vec<u8>, text: &[u8], plain: usize) {
    // A byte that needs care begins a character, so that this splits between characters.
    let (head, rest) = text.split_at(plain);
    out.extend_from_slice(head);
    for c in String::from_utf8_lossy(rest).chars() {
        let code = u32::from(c);
        match u8::try_from(code).map(|byte| ESCAPES[usize::from(byte)]) {
            Ok(0) => out.push(code as u8),
            Ok(1) => write_code(out, code),
            Ok(2) if c.is_control() => write_code(out, code),
            Ok(letter) if letter > 2 => out.extend_from_slice(&[b'\\', letter]),
            _ if moves_a_line(c) => write_code(out, code),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether a character ends a line, or turns its direction.
fn moves_a_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}') || turns_text(c)
}

fn write_code(out: &mut Vec<u8>, code: u32) {
    let digit = |shift: u32| b"0123456789abcdef"[(code >> shift & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Appends a decimal number.
#[inline]
pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    // Many are: attempts, bytes of a body that is not there.
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        write_escaped(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        for (text, expected) in [
            ("plain /path-1", "plain /path-1"),
            ("a\"b\\c", "a\\\"b\\\\c"),
            ("\r\n\t", "\\r\\n\\t"),
            ("\u{1b}[31m\0\u{7f}", "\\u001b[31m\\u0000\\u007f"),
            ("caf\u{e9} \u{9b}31m \u{2028}", "caf\u{e9} \\u009b31m \\u2028"),
            ("\u{200e}\u{200f}\u{202a}a\u{202e}\u{2066}b\u{2069}", "\\u200e\\u200f\\u202aa\\u202e\\u2066b\\u2069"),
            ("a\u{61c}b", "a\\u061cb"),
            ("\u{200d}\u{202f}\u{206a}\u{5d0}", "\u{200d}\u{202f}\u{206a}\u{5d0}"),
            ("\u{1f600}", "\u{1f600}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    proptest! {
        #[test]
        fn many_at_once_find_what_one_by_one_finds(
            plain in "[ !#-\\[\\]-~]{0,70}", special in any::<u8>(), at in 0_usize..70
        ) {
            let mut text = plain.into_bytes();
            prop_assert_eq!(first_special(&text), None);
            if let Some(byte) = text.get_mut(at) {
                *byte = special;
            }
            prop_assert_eq!(first_special(&text), text.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0));
        }

        #[test]
        fn bytes_that_are_no_text_are_replaced(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            write_escaped(&mut out, &bytes);
            let written = String::from_utf8(out).unwrap();
            let read: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn every_string_is_read_back(text in any::<String>(), tail in "[\\x00-\\x7f]{0,20}") {
            let text = text + &tail;
            let written = escaped(&text);
            prop_assert!(!written.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{written}\"")).unwrap(), text);
        }
    }
}
