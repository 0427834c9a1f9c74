//! Seeds, and what becomes of them where no fuzzer watches the code.

use std::path::Path;

use gateway::algorithms::rng::Draws;

/// The longest mutant, bytes.
const LONGEST: usize = 4_200;

/// What lies in `fuzz/seeds/NAME`.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Where mutants are drawn from.
#[derive(Debug)]
pub struct Dice(Draws);

impl Dice {
    /// The same seed gives the same mutants.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Draws::new(seed))
    }

    /// A number below this one, which is above 0.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.0.below(most as u64)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.0.next_u64().to_le_bytes()[0]
    }
}

/// One seed, changed in a few places; sometimes two seeds in one.
#[must_use]
pub fn mutant(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(5) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(40)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.byte(),
            2 => bytes.insert(at, dice.byte()),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(40)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => drop(bytes.splice(at..at, *b"\r\n")),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}
