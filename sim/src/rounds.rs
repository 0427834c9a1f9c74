//! Turns of contenders, driven by one driver in front of one mock: what `sim peers`, `sim gate` and the
//! studies share.
//!
//! A contender's turn is a stretch of load through it. What others do on the machine drifts, so turns of contenders are
//! mixed in a seeded random order, and a contender's CPU time is read when it has nothing to do: the kernel books the
//! time of a running thread only now and then.
//!
//! | module | what it holds |
//! |---|---|
//! | [`turn`] | one turn, and what it showed |
//! | [`luggage`] | what its requests carry |
//! | [`order`] | who comes when |
//! | [`progress`] | how far it is |
//! | [`unrolled`] | configurations with many lines that are alike |

pub mod luggage;
pub mod order;
pub mod progress;
pub mod turn;
pub mod unrolled;

use crate::process::pin_thread;
use crate::processors::{Processors, SIBLINGS};

/// Driver straight to the mock must reach this many times what a contender does, or the driver may be the limit.
pub const HEADROOM: f64 = 1.5;
/// A contender that used this share of its cores was the limit itself.
pub const BUSY: f64 = 0.95;
/// A smaller share of upstream requests on connections that were open already is worth a note.
pub const REUSED: f64 = 0.99;

/// Who runs on which core. Found before anything is pinned: afterwards the driver's thread knows its own core only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// Logical processors that this process may use.
    pub count: usize,
    /// Where contender and load run; `None` where there is one core only, and nothing can be kept apart.
    pair: Option<Pair>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    contender: usize,
    load: usize,
    are_siblings: bool,
}

impl Cores {
    /// The cores that the calling thread may use.
    #[must_use]
    pub fn find() -> Self {
        Self::of(&Processors::find())
    }

    fn of(processors: &Processors) -> Self {
        let pair = match processors.choose(2)[..] {
            [contender, load] => {
                Some(Pair { contender, load, are_siblings: processors.share_a_core(&[contender], &[load]) })
            }
            _ => None,
        };
        Self { count: processors.count(), pair }
    }

    /// Where the contender runs; empty where there is one core only, and nothing can be kept apart.
    #[must_use]
    pub fn contender(self) -> Vec<usize> {
        self.pair.map(|pair| pair.contender).into_iter().collect()
    }

    /// Where driver and mock run.
    #[must_use]
    pub fn load(self) -> Vec<usize> {
        self.pair.map(|pair| pair.load).into_iter().collect()
    }

    /// Pins the calling thread, which is to be the driver.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn pin_driver(self) -> std::io::Result<()> {
        let cores = self.load();
        if cores.is_empty() { Ok(()) } else { pin_thread(&cores) }
    }

    /// The pinning in words, for a result.
    #[must_use]
    pub fn pinning(self) -> String {
        let Some(Pair { contender, load, are_siblings }) = self.pair else { return "none: one core".to_owned() };
        let siblings = if are_siblings { format!("; {SIBLINGS}") } else { String::new() };
        format!("contender on core {contender}, driver and mock on core {load}{siblings}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors::note;

    #[test]
    fn contender_and_load_are_kept_apart_where_there_are_two_cores() {
        let of = |allowed: &[usize]| Cores::of(&Processors::of(allowed, allowed.len(), |one| vec![one]));
        let two = of(&[0, 1]);
        assert_eq!((two.contender(), two.load()), (vec![0], vec![1]));
        assert_eq!(two.pinning(), "contender on core 0, driver and mock on core 1");
        let others = of(&[2, 3]);
        assert_eq!((others.contender(), others.load()), (vec![2], vec![3]), "these are all that may be used");
        let one = of(&[0]);
        assert_eq!((one.contender(), one.load(), one.pin_driver().is_ok()), (Vec::new(), Vec::new(), true));
    }

    #[test]
    fn threads_of_one_core_are_told() {
        let cores = Cores::of(&Processors::of(&[0, 1], 2, |_| vec![0, 1]));
        assert!(cores.pinning().ends_with(&format!("core 1; {SIBLINGS}")), "{}", cores.pinning());
        assert_eq!(note(&cores.pinning()), Some(cores.pinning()));
        let apart = Cores::of(&Processors::of(&[0, 1], 2, |one| vec![one]));
        assert_eq!(note(&apart.pinning()), None);
    }

    #[test]
    fn cores_are_those_from_before_the_pinning() {
        let found = std::thread::spawn(|| {
            let before = Cores::find();
            before.pin_driver().unwrap();
            (before, Cores::find())
        });
        let (before, after) = found.join().unwrap();
        assert_eq!(after.count, 1);
        assert!(before.count < 2 || before.contender() != after.contender());
    }
}
