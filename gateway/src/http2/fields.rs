//! Where each field of a packed block ends (RFC 7541, sections 5 and 6). It takes neither a table nor Huffman's code to
//! see that: a field is integers, and strings whose length stands before them.

/// The shift of the last byte that an integer may have, its first byte aside: `h2` refuses longer ones.
const LAST_SHIFT: u32 = 21;

/// What a walk comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// The end of a field.
    End,
    /// The end of the bytes, within a field.
    More,
    /// Something that no field has: an integer that is too long, or a name of no bytes. (`h2` takes the latter for the
    /// end of the bytes, and would wait for more.)
    NoField,
}

/// A walk over a block, whatever pieces it comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields(Place);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before(Part),
    /// In an integer that did not fit into its first byte.
    Within {
        part: Part,
        value: usize,
        shift: u32,
    },
    /// In a string of which so many bytes are to come.
    Text {
        part: Part,
        left: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A field; its first byte tells its form.
    Field,
    /// An integer that is all of a field: the index of a whole one, or a size of the table.
    Alone,
    /// The index of a name; 0 when the name is written out.
    Index,
    Name,
    Value,
}

impl Fields {
    /// Before the first field.
    pub(super) fn new() -> Self {
        Self(Place::Before(Part::Field))
    }

    /// Walks on to the end of a field: how many bytes it went, and what it came to.
    pub(super) fn walk(&mut self, bytes: &[u8]) -> (usize, Met) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            let next = match self.0 {
                Place::Before(part) => {
                    at += 1;
                    part.begin(byte)
                }
                Place::Within { part, value, shift } => {
                    at += 1;
                    part.go_on(byte, value, shift)
                }
                Place::Text { part, left } => {
                    let some = left.min(bytes.len() - at);
                    at += some;
                    Some(if some == left { part.behind() } else { Place::Text { part, left: left - some } })
                }
            };
            let Some(next) = next else { return (at, Met::NoField) };
            self.0 = next;
            if next == Place::Before(Part::Field) {
                return (at, Met::End);
            }
        }
        (at, Met::More)
    }
}

impl Part {
    /// Takes the first byte of its integer. `None`: no field goes on like this, and so below.
    fn begin(self, byte: u8) -> Option<Place> {
        let (part, mask) = match self {
            Self::Field if byte & 0x80 != 0 => (Self::Alone, 0x7f),
            Self::Field if byte & 0x40 != 0 => (Self::Index, 0x3f),
            Self::Field if byte & 0x20 != 0 => (Self::Alone, 0x1f),
            Self::Field => (Self::Index, 0x0f),
            part => (part, 0x7f),
        };
        let value = usize::from(byte & mask);
        if byte & mask < mask { part.is(value) } else { Some(Place::Within { part, value, shift: 0 }) }
    }

    /// Takes a further byte of it.
    fn go_on(self, byte: u8, value: usize, shift: u32) -> Option<Place> {
        let value = value + (usize::from(byte & 0x7f) << shift);
        if byte & 0x80 == 0 {
            self.is(value)
        } else {
            (shift < LAST_SHIFT).then_some(Place::Within { part: self, value, shift: shift + 7 })
        }
    }

    /// What comes behind its integer.
    fn is(self, value: usize) -> Option<Place> {
        match (self, value) {
            (Self::Index, 0) => Some(Place::Before(Self::Name)),
            (Self::Index, _) => Some(Place::Before(Self::Value)),
            (Self::Name, 0) => None,
            (Self::Name, left) | (Self::Value, left @ 1..) => Some(Place::Text { part: self, left }),
            (Self::Field | Self::Alone, _) | (Self::Value, 0) => Some(Place::Before(Self::Field)),
        }
    }

    /// What comes behind its string.
    fn behind(self) -> Place {
        Place::Before(if self == Self::Name { Self::Value } else { Self::Field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where fields end, of bytes that come in pieces of this size; and what comes at last.
    fn ends(block: &[u8], step: usize) -> (Vec<usize>, Met) {
        let (mut fields, mut ends, mut at, mut last) = (Fields::new(), Vec::new(), 0, Met::End);
        for mut piece in block.chunks(step) {
            while !piece.is_empty() {
                let (walked, met) = fields.walk(piece);
                (piece, at, last) = (&piece[walked..], at + walked, met);
                match met {
                    Met::End => ends.push(at),
                    Met::More => {}
                    Met::NoField => return (ends, met),
                }
            }
        }
        (ends, last)
    }

    #[test]
    fn every_form_of_a_field_ends_where_it_does() {
        let long = [&[0x0f, 0x80, 0x01, 0x7f, 0x01][..], &[b'v'; 128]].concat();
        let forms: [&[u8]; 11] = [
            b"\x82",             // an index
            b"\xff\x80\x01",     // a large one
            b"\x20",             // a size of the table
            b"\x3f\xe1\x1f",     // a large one
            b"\x40\x01n\x02vv",  // kept, its name written out
            b"\x41\x01v",        // kept, its name from the table
            b"\x00\x81\xff\x80", // not kept, packed; a value of no bytes
            b"\x04\x00",         // not kept, its name from the table, a value of no bytes
            b"\x10\x03nnn\x01v", // never kept
            b"\x1f\x00\x81v",    // never kept, the fifteenth name
            &long,               // a large index, a long value
        ];
        let block = forms.concat();
        let expected: Vec<usize> = (1..=forms.len()).map(|count| forms[..count].concat().len()).collect();
        for step in 1..=block.len() {
            assert_eq!(ends(&block, step), (expected.clone(), Met::End), "in steps of {step}");
        }
        for cut in (1..block.len()).filter(|cut| !expected.contains(cut)) {
            assert_eq!(ends(&block[..cut], 1).1, Met::More, "{cut}");
        }
    }

    #[test]
    fn what_no_field_has_is_told() {
        for (what, bad) in [
            ("an index", &b"\xff\xff\xff\xff\xff"[..]),
            ("a size", b"\x3f\x80\x80\x80\x80"),
            ("the index of a name", b"\x7f\xff\xff\xff\xff"),
            ("the length of a name", b"\x00\x7f\x80\x80\x80\x80"),
            ("the length of a value", b"\x41\xff\x80\x80\x80\x80"),
            ("a name of no bytes", b"\x40\x00"),
            ("a packed one", b"\x00\x80"),
        ] {
            for step in 1..=bad.len() + 1 {
                let block = [b"\x82", bad, b"\x82"].concat();
                assert_eq!(ends(&block, step), (vec![1], Met::NoField), "{what}, in steps of {step}");
            }
        }
        assert_eq!(ends(b"\xff\xff\xff\xff\x7f", 1), (vec![5], Met::End), "the largest that `h2` reads");
    }
}
