//! Bytes that are looked at sixteen at a time, for heads and what else comes off the wire: what is asked of each of
//! them is a bit of one number.
//!
//! The instructions are the processor's own where it has such (SSE2, which every x86-64 has, and NEON), by `wide`,
//! whose interface is safe; elsewhere it is plain arithmetic.

use wide::u8x16;

/// Bytes of a block.
pub const BLOCK: usize = 16;

/// Sixteen bytes of a text.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    bytes: u8x16,
    /// So many of them stand before those that are asked about.
    before: u32,
}

/// What is asked of each byte of a block.
#[derive(Debug, Clone, Copy)]
pub struct Marked(u8x16);

impl std::ops::BitOr for Marked {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Block {
    /// Those from here on, where there are sixteen.
    #[inline]
    pub fn whole(text: &[u8], at: usize) -> Option<Self> {
        Some(Self { bytes: u8x16::new(*text.get(at..)?.first_chunk()?), before: 0 })
    }

    /// Those from here on; at the text's end there are fewer. `None` behind the end.
    #[inline]
    pub fn at(text: &[u8], at: usize) -> Option<Self> {
        match Self::whole(text, at) {
            Some(whole) => Some(whole),
            None => text.get(at..).map(|rest| Self::last(text, rest)),
        }
    }

    /// The last ones, of which the rest is what is asked about.
    #[inline]
    fn last(text: &[u8], rest: &[u8]) -> Self {
        let before = BLOCK - rest.len();
        let bytes = match text.last_chunk() {
            Some(bytes) => *bytes,
            None => Self::short(rest, before),
        };
        Self { bytes: u8x16::new(bytes), before: before as u32 }
    }

    #[cold]
    fn short(rest: &[u8], before: usize) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        bytes[before..].copy_from_slice(rest);
        bytes
    }

    /// Those that are this byte.
    #[inline]
    pub fn equal(self, byte: u8) -> Marked {
        Marked(self.bytes.cmp_eq(u8x16::splat(byte)))
    }

    /// Those that are between these two, or one of them.
    #[inline]
    pub fn within(self, least: u8, most: u8) -> Marked {
        Marked(self.bytes.max(u8x16::splat(least)).min(u8x16::splat(most)).cmp_eq(self.bytes))
    }

    /// Those of which names of fields are made nearly always: letters of lower case, digits and dashes.
    #[inline]
    pub fn plain_in_names(self) -> Marked {
        self.within(b'a', b'z') | self.within(b'0', b'9') | self.equal(b'-')
    }

    /// A bit for each byte of the text that is marked, the lowest for the first.
    #[inline]
    pub fn bits(self, marked: Marked) -> u32 {
        marked.0.move_mask().cast_unsigned() >> self.before
    }

    /// The same of those that are not.
    #[inline]
    pub fn other_bits(self, marked: Marked) -> u32 {
        (!marked.0.move_mask().cast_unsigned() & 0xffff) >> self.before
    }
}

/// The first byte from here on of which there is a bit.
#[inline]
pub fn find(text: &[u8], mut at: usize, bits: impl Fn(Block) -> u32) -> Option<usize> {
    while let Some(block) = Block::whole(text, at) {
        let found = bits(block);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += BLOCK;
    }
    let found = bits(Block::at(text, at)?);
    (found != 0).then(|| at + found.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes of which there is a bit.
    fn told(at: usize, bits: u32) -> Vec<usize> {
        (0..u32::BITS as usize).filter(|place| bits & (1 << place) != 0).map(|place| at + place).collect()
    }

    proptest! {
        #[test]
        fn a_block_tells_of_each_byte_what_is_asked(
            text in proptest::collection::vec(any::<u8>(), 0..70), start in 0_usize..70, bounds in any::<(u8, u8)>(),
        ) {
            let Some(block) = Block::at(&text, start) else { return Ok(()) };
            let expected = |test: &dyn Fn(u8) -> bool| -> Vec<usize> {
                (start..(start + BLOCK).min(text.len())).filter(|at| test(text[*at])).collect()
            };
            let (least, most) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
            prop_assert_eq!(told(start, block.bits(block.equal(least))), expected(&|byte| byte == least));
            let within = block.within(least, most);
            prop_assert_eq!(told(start, block.bits(within)), expected(&|byte| (least..=most).contains(&byte)));
            let others = expected(&|byte| !(least..=most).contains(&byte));
            prop_assert_eq!(told(start, block.other_bits(within)), others);
            let plain = expected(&|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            prop_assert_eq!(told(start, block.bits(block.plain_in_names())), plain);
        }

        #[test]
        fn the_first_byte_that_ends_a_text_is_found_wherever_it_stands(
            text in proptest::collection::vec(any::<u8>(), 0..70), start in 0_usize..20,
        ) {
            let plain = text.iter().enumerate().skip(start).find(|(_, byte)| **byte < b' ' || **byte == 0x7f);
            let test = |block: Block| block.bits(block.within(0, b' ' - 1) | block.equal(0x7f));
            prop_assert_eq!(find(&text, start, test), plain.map(|(at, _)| at));
        }
    }
}
