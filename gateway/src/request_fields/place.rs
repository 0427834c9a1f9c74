//! Where a field stands: in which buffer, and at which bytes of it. Sixteen bytes a field, so that a walk over a usual
//! head looks at two or three lines of the processor's cache.

use std::ops::Range;

use super::known::Tag;

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
    pub(super) tag: Tag,
    what: u8,
}

impl Place {
    /// One in the block, whose line may be a usual one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB, a name by it")]
    pub(super) fn in_block(
        tag: Tag,
        (at, name): (usize, usize),
        (value, length): (usize, usize),
        is_usual: bool,
    ) -> Self {
        let what = if is_usual { USUAL } else { 0 };
        Self { at: at as u32, value: value as u32, length: length as u32, name_len: name as u16, tag, what }
    }

    /// One of the gateway's own lines.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    pub(super) fn in_own(tag: Tag, at: usize, name: usize, length: usize) -> Self {
        let value = at + name + 2;
        let what = OWN | USUAL;
        Self { at: at as u32, value: value as u32, length: length as u32, name_len: name as u16, tag, what }
    }

    /// The same, to be kept in no table if this holds.
    #[inline]
    pub(super) fn marked(self, is_sensitive: bool) -> Self {
        if is_sensitive { Self { what: self.what | SENSITIVE, ..self } } else { self }
    }

    #[inline]
    pub(super) fn is_sensitive(self) -> bool {
        self.what & SENSITIVE != 0
    }

    /// Whether this is its name, which has this tag: names with numbers are told by them.
    #[inline]
    pub(super) fn is(self, tag: Tag, name: &[u8], (block, own): (&[u8], &[u8])) -> bool {
        self.tag == tag && (tag.is_known() || self.of(block, own)[self.name()] == *name)
    }

    /// Bytes of its line in the usual form.
    #[inline]
    pub(super) fn line_len(self) -> usize {
        usize::from(self.name_len) + self.length as usize + b": \r\n".len()
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
