//! Where a field stands: in which buffer, and at which bytes of it. Sixteen bytes a field, so that a walk over a usual
//! head looks at two or three lines of the processor's cache.

use std::ops::Range;

/// Where the bytes of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffer {
    /// In the head that came.
    Block,
    /// Among the gateway's own lines.
    Own,
}

/// The field is among the gateway's own lines.
const OWN: u8 = 1;
/// The line is as this program writes it: `name: value` and a line end, and nothing else.
const USUAL: u8 = 2;
/// The value is not to be kept in tables of fields.
const SENSITIVE: u8 = 4;

/// Where a field stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    at: u32,
    value: u32,
    length: u32,
    pub(super) name_len: u16,
    mark: u8,
    what: u8,
}

/// What tells most names apart, below 64: their length, and three of their letters.
#[inline]
pub(super) fn mark(name: &[u8]) -> u8 {
    let [first, .., last] = name else { return name.first().copied().unwrap_or(0) & 63 };
    let middle = name[name.len() / 2];
    let length = name.len() as u8;
    first.wrapping_add(last.wrapping_mul(5)).wrapping_add(middle.wrapping_mul(11)).wrapping_add(length.wrapping_mul(3))
        & 63
}

impl Place {
    /// One in the block, whose line may be a usual one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB, a name by it")]
    pub(super) fn in_block(
        mark: u8,
        (at, name): (usize, usize),
        (value, length): (usize, usize),
        is_usual: bool,
    ) -> Self {
        let what = if is_usual { USUAL } else { 0 };
        Self { at: at as u32, value: value as u32, length: length as u32, name_len: name as u16, mark, what }
    }

    /// One of the gateway's own lines.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    pub(super) fn in_own(mark: u8, at: usize, name: usize, length: usize) -> Self {
        let value = at + name + 2;
        let what = OWN | USUAL;
        Self { at: at as u32, value: value as u32, length: length as u32, name_len: name as u16, mark, what }
    }

    /// The same, to be kept in no table.
    pub(super) fn sensitive(self) -> Self {
        Self { what: self.what | SENSITIVE, ..self }
    }

    pub(super) fn is_sensitive(self) -> bool {
        self.what & SENSITIVE != 0
    }

    /// Whether the name may be one of this mark and length.
    #[inline]
    pub(super) fn may_be(self, mark: u8, length: usize) -> bool {
        self.mark == mark && usize::from(self.name_len) == length
    }

    #[inline]
    pub(super) fn buffer(self) -> Buffer {
        if self.what & OWN == 0 { Buffer::Block } else { Buffer::Own }
    }

    /// The buffer that it stands in.
    #[inline]
    pub(super) fn of<'b>(self, block: &'b [u8], own: &'b [u8]) -> &'b [u8] {
        if self.what & OWN == 0 { block } else { own }
    }

    /// Whether its line can be copied as it is.
    #[inline]
    pub(super) fn is_usual(self) -> bool {
        self.what & USUAL != 0
    }

    #[inline]
    pub(super) fn name(self) -> Range<usize> {
        let at = self.at as usize;
        at..at + usize::from(self.name_len)
    }

    #[inline]
    pub(super) fn value(self) -> Range<usize> {
        let at = self.value as usize;
        at..at + self.length as usize
    }

    /// The whole line, where it is a usual one.
    #[inline]
    pub(super) fn line(self) -> Range<usize> {
        self.at as usize..(self.value + self.length + 2) as usize
    }
}
