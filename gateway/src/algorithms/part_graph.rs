//! Which parts of a whole wait for which others: found out once, then told as they settle.
//!
//! Invariants: a part is ready exactly once, and no earlier than the last one that it needs has settled; parts that
//! need each other in a circle are refused when the graph is made. The order is by Kahn, "Topological sorting of large
//! networks", 1962.

/// Parts by their numbers, and what each needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartGraph {
    /// How many others each needs.
    needs: Box<[u32]>,
    /// Who waits for each, in order.
    needed_by: Box<[Box<[usize]>]>,
}

/// Parts that need each other: each the next one, the last one the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle(pub Vec<usize>);

impl PartGraph {
    /// A graph of parts of which each needs those of the list in its place. A part that is named twice counts once; a
    /// number that no part has counts for nothing.
    ///
    /// # Errors
    /// A circle, where there is one.
    pub fn new(needs: &[Vec<usize>]) -> Result<Self, Circle> {
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
        let mut counts = vec![0_u32; needs.len()];
        for (part, needed) in needs.iter().enumerate() {
            for &other in needed {
                if let Some(waiting) = needed_by.get_mut(other)
                    && waiting.last() != Some(&part)
                {
                    waiting.push(part);
                    counts[part] += 1;
                }
            }
        }
        let graph = Self {
            needs: counts.into_boxed_slice(),
            needed_by: needed_by.into_iter().map(Vec::into_boxed_slice).collect(),
        };
        graph.circle(needs).map_or(Ok(graph), Err)
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// Whether others wait for this one.
    pub fn is_needed(&self, part: usize) -> bool {
        self.needed_by.get(part).is_some_and(|waiting| !waiting.is_empty())
    }

    /// A course of all parts, and those that need no other, in order.
    pub fn begin(&self) -> (Course, impl Iterator<Item = usize>) {
        let ready = self.needs.iter().enumerate().filter(|(_, needs)| **needs == 0).map(|(part, _)| part);
        (Course { open: self.needs.to_vec() }, ready)
    }

    /// Parts that can never be ready are in a circle, or wait for one: whoever walks from one to what it waits for
    /// comes round.
    fn circle(&self, needs: &[Vec<usize>]) -> Option<Circle> {
        let (mut course, ready) = self.begin();
        let mut ready: Vec<usize> = ready.collect();
        while let Some(part) = ready.pop() {
            ready.extend(course.settle(self, part));
        }
        let is_stuck = |part: usize| course.open.get(part).is_some_and(|open| *open > 0);
        let mut way = vec![(0..self.len()).find(|part| is_stuck(*part))?];
        loop {
            let next = needs[*way.last()?].iter().copied().find(|other| is_stuck(*other))?;
            if let Some(begin) = way.iter().position(|part| *part == next) {
                return Some(Circle(way.split_off(begin)));
            }
            way.push(next);
        }
    }
}

/// How far the parts of one whole are.
#[derive(Debug, Clone)]
pub struct Course {
    /// How many that each needs are open.
    open: Vec<u32>,
}

impl Course {
    /// This part has settled, which is told once: those that are ready now, in order.
    pub fn settle<'a>(&'a mut self, graph: &'a PartGraph, part: usize) -> impl Iterator<Item = usize> + 'a {
        let waiting = graph.needed_by.get(part).map_or(&[][..], |waiting| waiting);
        waiting.iter().copied().filter(move |other| {
            let open = &mut self.open[*other];
            *open = open.saturating_sub(1);
            *open == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn circles_are_told_from_their_beginning_to_their_end() {
        assert_eq!(PartGraph::new(&[vec![0]]), Err(Circle(vec![0])));
        assert_eq!(PartGraph::new(&[vec![], vec![2], vec![1]]), Err(Circle(vec![1, 2])));
        // 0 only waits for the circle.
        assert_eq!(PartGraph::new(&[vec![1], vec![2], vec![3], vec![1]]), Err(Circle(vec![1, 2, 3])));
        assert!(PartGraph::new(&[vec![], vec![0, 0], vec![1, 0]]).is_ok());
        assert!(PartGraph::new(&[]).is_ok_and(|graph| graph.is_empty()));
    }

    #[test]
    fn who_needs_a_part_twice_waits_for_it_once() {
        let graph = PartGraph::new(&[vec![], vec![0, 0, 9]]).expect("no circle");
        let (mut course, ready) = graph.begin();
        assert_eq!(ready.collect::<Vec<_>>(), [0]);
        assert_eq!(course.settle(&graph, 0).collect::<Vec<_>>(), [1]);
        assert!(graph.is_needed(0) && !graph.is_needed(1));
    }

    /// Whether somebody can come back to a part by going to what it needs, looked at one part after another.
    fn has_circle(needs: &[Vec<usize>]) -> bool {
        (0..needs.len()).any(|start| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<usize> = needs[start].clone();
            while let Some(part) = next.pop() {
                if seen.insert(part) {
                    next.extend(&needs[part]);
                }
            }
            seen.contains(&start)
        })
    }

    proptest! {
        #[test]
        fn each_part_is_ready_once_and_only_after_all_that_it_needs(
            needs in (1..7_usize).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(0..n, 0..3), n)),
            order in prop::collection::vec(any::<prop::sample::Index>(), 16),
        ) {
            let graph = match PartGraph::new(&needs) {
                Ok(graph) => graph,
                Err(Circle(way)) => {
                    prop_assert!(has_circle(&needs));
                    for (at, part) in way.iter().enumerate() {
                        prop_assert!(needs[*part].contains(&way[(at + 1) % way.len()]), "{:?} in {:?}", way, needs);
                    }
                    return Ok(());
                }
            };
            prop_assert!(!has_circle(&needs));
            let (mut course, ready) = graph.begin();
            let mut ready: Vec<usize> = ready.collect();
            let mut told: BTreeSet<usize> = ready.iter().copied().collect();
            let mut settled: BTreeSet<usize> = BTreeSet::new();
            for pick in order.iter().cycle() {
                if ready.is_empty() {
                    break;
                }
                let part = ready.swap_remove(pick.index(ready.len()));
                prop_assert!(needs[part].iter().all(|need| settled.contains(need)));
                settled.insert(part);
                for more in course.settle(&graph, part) {
                    prop_assert!(told.insert(more), "told twice");
                    ready.push(more);
                }
                // Nobody waits who could go on.
                for (part, needs) in needs.iter().enumerate() {
                    let could = needs.iter().all(|need| settled.contains(need));
                    prop_assert_eq!(could, told.contains(&part));
                }
            }
            prop_assert_eq!(settled.len(), needs.len());
        }
    }
}
