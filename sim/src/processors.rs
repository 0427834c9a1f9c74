//! Which logical processors this process may use, and which of them are threads of one core.
//!
//! Their numbers need not begin with 0: `taskset`, a container's `--cpuset-cpus` and a cgroup leave others out, and the
//! system refuses to pin a thread to one that it may not use. Found before anything is pinned: afterwards the driver's
//! thread knows its own only.

use std::collections::BTreeSet;

use rustix::thread::{CpuSet, sched_getaffinity};

/// Said of a pinning where what measures and what is measured have the threads of one core.
pub const SIBLINGS: &str = "these are threads of one core, and what one does slows the other";

/// A pinning in words, where it has to be known to whoever reads the figures.
#[must_use]
pub fn note(pinning: &str) -> Option<String> {
    pinning.contains(SIBLINGS).then(|| pinning.to_owned())
}

/// Logical processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processors {
    /// Those of each core together, in the order of their numbers.
    cores: Vec<Vec<usize>>,
    /// How many may be used at a time: fewer than there are where a quota says so.
    count: usize,
}

impl Processors {
    /// Those that the calling thread may use.
    #[must_use]
    pub fn find() -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let allowed = match sched_getaffinity(None) {
            Ok(set) => (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect(),
            // More of them than the set holds: the first ones, as good as any.
            Err(_) => (0..count).collect::<Vec<_>>(),
        };
        Self::of(&allowed, count, threads_of_core)
    }

    /// These, of which so many may be used at a time; `threads` are all of the core that one of them belongs to.
    #[must_use]
    pub fn of(allowed: &[usize], count: usize, threads: impl Fn(usize) -> Vec<usize>) -> Self {
        let (mut cores, mut seen) = (Vec::new(), BTreeSet::new());
        for processor in allowed {
            if seen.contains(processor) {
                continue;
            }
            let mut core: Vec<usize> = threads(*processor).into_iter().filter(|one| allowed.contains(one)).collect();
            if !core.contains(processor) {
                core = vec![*processor];
            }
            seen.extend(core.iter().copied());
            cores.push(core);
        }
        Self { cores, count: count.min(allowed.len()).max(1) }
    }

    /// How many may be used at a time.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// So many of them, or all: of different cores as far as there are, threads of one core beside each other, and
    /// cores of which more are taken first. So the first and the last are of one core only where there is one.
    #[must_use]
    pub fn choose(&self, count: usize) -> Vec<usize> {
        let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); self.cores.len()];
        let threads = self.cores.iter().map(Vec::len).max().unwrap_or(0);
        let by_turns = (0..threads).flat_map(|thread| (0..self.cores.len()).map(move |core| (core, thread)));
        let there = by_turns.filter(|(core, thread)| self.cores[*core].len() > *thread);
        for (core, thread) in there.take(count.min(self.count)) {
            chosen[core].push(self.cores[core][thread]);
        }
        chosen.sort_by_key(|core| std::cmp::Reverse(core.len()));
        chosen.into_iter().flatten().collect()
    }

    /// Whether one of these and one of those are threads of one core.
    #[must_use]
    pub fn share_a_core(&self, these: &[usize], those: &[usize]) -> bool {
        let holds = |core: &Vec<usize>, some: &[usize]| core.iter().any(|one| some.contains(one));
        self.cores.iter().any(|core| holds(core, these) && holds(core, those))
    }
}

/// All threads of the core that a processor belongs to, as the kernel says; none where it does not.
fn threads_of_core(processor: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
    list(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Reads the kernel's form of a list: `0,4` or `0-1,8-9`.
fn list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    text.split(',').filter_map(range).flatten().take(CpuSet::MAX_CPU).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(processor: usize) -> Vec<usize> {
        vec![processor]
    }

    /// As many servers number them: the second threads come after all first ones.
    fn with_four_more(processor: usize) -> Vec<usize> {
        vec![processor % 4, processor % 4 + 4]
    }

    #[test]
    fn only_those_are_chosen_that_may_be_used() {
        assert_eq!(Processors::of(&[2, 3], 2, alone).choose(2), [2, 3]);
        assert_eq!(Processors::of(&[5, 7, 9], 3, alone).choose(8), [5, 7, 9]);
        assert_eq!(Processors::of(&[3], 1, alone).choose(2), [3]);
        assert_eq!(Processors::of(&[0, 1, 2, 3], 2, alone).choose(4), [0, 1], "a quota of two");
    }

    #[test]
    fn the_second_is_of_another_core_where_there_is_one() {
        let adjacent = Processors::of(&[0, 1, 2, 3], 4, |one| vec![one / 2 * 2, one / 2 * 2 + 1]);
        assert_eq!(adjacent.choose(2), [0, 2]);
        assert!(!adjacent.share_a_core(&[0], &[2]) && adjacent.share_a_core(&[0], &[1]));
        assert_eq!(Processors::of(&[0, 4], 2, with_four_more).choose(2), [0, 4], "there is no other");
    }

    #[test]
    fn what_is_taken_from_the_end_has_a_core_of_its_own() {
        let eight = Processors::of(&[0, 1, 2, 3, 4, 5, 6, 7], 8, with_four_more);
        let chosen = eight.choose(8);
        assert_eq!(chosen, [0, 4, 1, 5, 2, 6, 3, 7]);
        assert!(!eight.share_a_core(&chosen[..6], &chosen[6..]));
        let three = Processors::of(&[0, 1, 5], 3, with_four_more);
        assert_eq!(three.choose(3), [1, 5, 0], "the one that is alone comes last");
    }

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!((list("0,4\n"), list("0-1,8-9\n"), list("7\n")), (vec![0, 4], vec![0, 1, 8, 9], vec![7]));
        assert_eq!((list(""), list("x-y")), (Vec::new(), Vec::new()));
        assert_eq!(list("0-18446744073709551615").len(), CpuSet::MAX_CPU, "whatever stands there, it ends");
    }

    #[test]
    fn this_process_may_use_what_is_found() {
        let found = Processors::find();
        let chosen = found.choose(usize::MAX);
        assert!(!chosen.is_empty() && chosen.len() == found.count());
        let pinned = std::thread::spawn(move || crate::process::pin_thread(&chosen).map(|()| Processors::find()));
        assert_eq!(pinned.join().unwrap().unwrap().count(), found.count());
    }
}
