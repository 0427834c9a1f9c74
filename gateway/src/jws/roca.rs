//! Moduli of a flawed generator (ROCA, CVE-2017-15361): their factors can be found, so whoever has the public key can
//! sign. They are told by their remainders (Nemec, Sys, Svenda, Klinec, Matyas, "The Return of Coppersmith's Attack",
//! 2017, section 2.3): modulo each small prime, such a modulus is a power of 65537. Of other moduli, one in 2^153 is.

/// The odd primes of the generator's smallest product.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus, big-endian, is of that form.
pub(super) fn is_of_flawed_generator(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let remainder = modulus.iter().fold(0, |remainder, byte| (remainder * 256 + u32::from(*byte)) % prime);
        is_power(remainder, *prime)
    })
}

/// Whether a number is a power of 65537 modulo a prime.
fn is_power(number: u32, prime: u32) -> bool {
    let base = 65_537 % prime;
    let mut power = 1;
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = power * base % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A power of 65537, of so many bits.
    fn power(bits: usize) -> Vec<u8> {
        let mut number = vec![0_u8; bits / 8 + 2];
        *number.last_mut().unwrap() = 1;
        while number[..2] == [0, 0] {
            // Times 2^16, and the number itself.
            let shifted: Vec<u8> = number[2..].iter().copied().chain([0, 0]).collect();
            let mut carry = 0;
            for (byte, add) in number.iter_mut().zip(shifted).rev() {
                carry += u16::from(*byte) + u16::from(add);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
        }
        number
    }

    #[test]
    fn a_modulus_of_that_form_is_told() {
        assert!(is_of_flawed_generator(&power(2048)));
        let mut other = power(2048);
        *other.last_mut().unwrap() ^= 2;
        assert!(!is_of_flawed_generator(&other));
    }

    proptest! {
        #[test]
        fn others_are_not(modulus in proptest::collection::vec(any::<u8>(), 256)) {
            prop_assert!(!is_of_flawed_generator(&modulus));
        }
    }
}
