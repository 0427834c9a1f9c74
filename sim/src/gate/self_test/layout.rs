//! The same code in another layout: each function changes places with its neighbours.
//!
//! That is what a change of any one function does to the others: they move, and fall into other cache lines, while what
//! runs together still lies together. To throw all functions about at random is another matter; a program without any
//! locality is a slower program, and the gate is right to say so.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::rounds::order::shuffled;

/// Functions that change places with each other.
const NEIGHBOURS: usize = 16;

/// The functions that `nm --defined-only -n` prints (in order of address), neighbours shuffled: one symbol a line, as
/// lld's `--symbol-ordering-file` reads it.
pub(super) fn shuffled_order(nm: &str, seed: u64) -> String {
    let mut rng = Pcg64::seed_from_u64(seed);
    let function = |line: &str| {
        let [_, kind, name] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
        matches!(kind, "t" | "T").then(|| name.to_owned())
    };
    let functions: Vec<String> = nm.lines().filter_map(function).collect();
    let mut order = String::new();
    for group in functions.chunks(NEIGHBOURS) {
        for index in shuffled(group.len(), &mut rng) {
            order += &group[index];
            order.push('\n');
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_change_places_with_their_neighbours_alone() {
        let nm: String = (0..40).map(|n| format!("{:016x} t f{n}\n", n * 64)).collect();
        let nm = format!("{nm}0000000000001000 D data\n                 U elsewhere\n");
        let order = shuffled_order(&nm, 1);
        let places: Vec<usize> = order.lines().map(|name| name[1..].parse().unwrap()).collect();
        assert_eq!(places.len(), 40);
        assert!(places.iter().enumerate().all(|(place, was)| place / NEIGHBOURS == was / NEIGHBOURS), "{order}");
        assert!(places.iter().enumerate().any(|(place, was)| place != *was));
        assert_eq!(order, shuffled_order(&nm, 1));
        assert_ne!(order, shuffled_order(&nm, 2));
    }
}
