//! Random numbers for one request: drawn from the seed and the request's number, so that no request depends on those
//! before it.

use std::fmt::Write as _;

/// The generator SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): a counter
/// through a mixing function. Seeding costs nothing, which matters for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The numbers of one request.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self { state: mixed(seed ^ mixed(number.wrapping_add(GOLDEN))) }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mixed(self.state)
    }

    /// Above zero and below one.
    fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Below `count`, which is above zero; each as often as any other but for one in 2^64 / `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(count)) >> 64) as u64
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Numbers from 1 to `count`, the k-th as often as `1 / k^exponent`.
///
/// Rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
/// distributions", 1996): no table, however many numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zipf {
    count: u64,
    exponent: f64,
    integral_of_first: f64,
    integral_of_last: f64,
    shortcut: f64,
}

impl Zipf {
    /// `count` is above zero, `exponent` too.
    pub(super) fn new(count: u64, exponent: f64) -> Self {
        let mut zipf = Self { count, exponent, integral_of_first: 0.0, integral_of_last: 0.0, shortcut: 0.0 };
        zipf.integral_of_first = zipf.integral(1.5) - 1.0;
        zipf.integral_of_last = zipf.integral(count as f64 + 0.5);
        zipf.shortcut = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn draw(&self, draws: &mut Draws) -> u64 {
        loop {
            let under = self.integral_of_last + draws.unit() * (self.integral_of_first - self.integral_of_last);
            let exact = self.integral_inverse(under);
            let rank = ((exact + 0.5) as u64).clamp(1, self.count);
            let nearest = rank as f64;
            if nearest - exact <= self.shortcut || under >= self.integral(nearest + 0.5) - self.density(nearest) {
                return rank;
            }
        }
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the density from 1, written so that it holds for an exponent of one too.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over((1.0 - self.exponent) * log) * log
    }

    fn integral_inverse(&self, x: f64) -> f64 {
        let scaled = (x * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over(scaled) * x).exp()
    }
}

/// `(e^x - 1) / x`, which is 1 at zero.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x * 0.5 }
}

/// `ln(1 + x) / x`, which is 1 at zero.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x * 0.5 }
}

/// Writes a random UUID of version 4 (RFC 9562, section 5.4).
pub(super) fn write_uuid(draws: &mut Draws, out: &mut Vec<u8>) {
    let high = draws.next_u64() & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = draws.next_u64() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    for (index, byte) in high.to_be_bytes().into_iter().chain(low.to_be_bytes()).enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        for digit in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
}

/// Writes a number in decimal digits.
pub(super) fn write_number(number: i128, out: &mut Vec<u8>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // A vector takes all that is written.
    let _ = write!(Bytes(out), "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_draws_each_rank_as_often_as_its_weight_says() {
        for (count, exponent) in [(1, 1.0), (2, 1.0), (10, 1.0), (1_000, 1.0), (50, 0.5), (50, 2.0)] {
            let zipf = Zipf::new(count, exponent);
            let total = 200_000_u32;
            let mut seen = vec![0_u32; count as usize + 1];
            for number in 0..total {
                seen[zipf.draw(&mut Draws::new(9, u64::from(number))) as usize] += 1;
            }
            let weight = |rank: u64| (rank as f64).powf(-exponent);
            let all: f64 = (1..=count).map(weight).sum();
            for rank in 1..=count {
                let expected = f64::from(total) * weight(rank) / all;
                let difference = (f64::from(seen[rank as usize]) - expected).abs();
                assert!(
                    difference <= 6.0 * expected.sqrt() + 3.0,
                    "{count} {exponent}: {rank} {difference} {expected}"
                );
            }
            assert_eq!(seen[0], 0);
        }
    }

    #[test]
    fn a_range_is_drawn_evenly_and_by_number() {
        let mut seen = [0_u32; 6];
        for number in 0..60_000 {
            seen[Draws::new(1, number).below(6) as usize] += 1;
        }
        // 10,000 each, standard deviation 91.
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
        assert_eq!(Draws::new(1, 5).next_u64(), Draws::new(1, 5).next_u64());
        assert_ne!(Draws::new(1, 5).next_u64(), Draws::new(2, 5).next_u64());
    }

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        for number in 0..100 {
            let mut out = Vec::new();
            write_uuid(&mut Draws::new(3, number), &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
            assert!([8, 13, 18, 23].iter().all(|dash| &text[*dash..=*dash] == "-"), "{text}");
        }
    }
}
