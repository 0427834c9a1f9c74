//! A smaller world that fails in the same way.
//!
//! Parts are taken away and sizes halved, one at a time, for as long as what was violated first is still violated. The
//! draws of a world do not depend on what it lacks, so what is left behaves as before.

use super::draft::Draft;

/// The most worlds that are tried.
const TRIES_MAX: usize = 400;

/// The smallest world that was found, and how many were tried. `fails` runs one; `in_time` says whether there is time
/// for another.
pub(super) fn shrink(
    draft: &Draft,
    in_time: &dyn Fn() -> bool,
    fails: &mut dyn FnMut(&Draft) -> bool,
) -> (Draft, usize) {
    let (mut best, mut tried) = (draft.clone(), 0);
    loop {
        let mut smaller = None;
        for candidate in candidates(&best) {
            if tried >= TRIES_MAX || !in_time() {
                return (best, tried);
            }
            tried += 1;
            if fails(&candidate) {
                smaller = Some(candidate);
                break;
            }
        }
        match smaller {
            Some(candidate) => best = candidate,
            None => return (best, tried),
        }
    }
}

/// Every world that is smaller by one step, the largest steps first.
fn candidates(draft: &Draft) -> Vec<Draft> {
    let mut found = Vec::new();
    let mut try_it = |change: &dyn Fn(&mut Draft)| {
        let mut candidate = draft.clone();
        change(&mut candidate);
        if candidate != *draft && is_whole(&candidate) {
            found.push(candidate);
        }
    };
    for index in 0..draft.services.len() {
        try_it(&|draft| {
            let name = draft.services.remove(index).name;
            draft.loads.retain(|load| load.service != name);
            draft.faults.retain(|fault| fault.service != name);
        });
    }
    try_it(&|draft| draft.faults.clear());
    try_it(&|draft| draft.reloads_ms.clear());
    for index in 0..draft.loads.len() {
        try_it(&|draft| drop(draft.loads.remove(index)));
    }
    for index in 0..draft.faults.len() {
        try_it(&|draft| drop(draft.faults.remove(index)));
    }
    for index in 0..draft.reloads_ms.len() {
        try_it(&|draft| {
            draft.reloads_ms.remove(index);
        });
    }
    try_it(&shorten);
    for index in 0..draft.loads.len() {
        try_it(&|draft| {
            let rate = draft.loads[index].rate;
            draft.loads[index].rate = (rate / 2).max(u64::from(rate > 0));
        });
        try_it(&|draft| draft.loads[index].connections = draft.loads[index].connections.div_ceil(2));
        for request in 0..draft.loads[index].requests.len() {
            try_it(&|draft| drop(draft.loads[index].requests.remove(request)));
            try_it(&|draft| draft.loads[index].requests[request].body_bytes /= 2);
            try_it(&|draft| draft.loads[index].requests[request].path = "/bytes/1".to_owned());
            try_it(&|draft| draft.loads[index].requests[request].method = "GET");
        }
    }
    for index in 0..draft.faults.len() {
        try_it(&|draft| draft.faults[index].for_ms = draft.faults[index].for_ms.div_ceil(2));
        try_it(&|draft| draft.faults[index].share = 1.0);
    }
    for index in 0..draft.services.len() {
        try_it(&|draft| {
            let service = &mut draft.services[index];
            service.weights.pop();
            let left = service.weights.len();
            draft.faults.retain(|fault| fault.service != service.name || fault.endpoint.is_none_or(|at| at < left));
        });
        try_it(&|draft| draft.services[index].weights.fill(1));
        try_it(&|draft| draft.services[index].policy = "round_robin");
        try_it(&|draft| draft.services[index].service_time = None);
        try_it(&|draft| draft.services[index].attempts = 1);
        try_it(&|draft| draft.services[index].hedge = None);
        try_it(&|draft| draft.services[index].fallback = None);
        try_it(&|draft| draft.services[index].breaker = None);
        try_it(&|draft| draft.services[index].health = None);
        try_it(&|draft| (draft.services[index].pool_idle_ms, draft.services[index].max_idle) = (60_000, 128));
    }
    try_it(&|draft| draft.workers = 1);
    found
}

/// Half as long; what would begin after the end goes.
fn shorten(draft: &mut Draft) {
    for load in &mut draft.loads {
        load.duration_ms = load.duration_ms.div_ceil(2);
    }
    let end = draft.loads.iter().map(|load| load.duration_ms).max().unwrap_or(0);
    draft.faults.retain(|fault| fault.at_ms < end);
    draft.reloads_ms.retain(|at| *at < end);
}

/// It is still a scenario.
fn is_whole(draft: &Draft) -> bool {
    !draft.loads.is_empty()
        && draft.loads.iter().all(|load| !load.requests.is_empty() && load.duration_ms > 0)
        && draft.services.iter().all(|service| !service.weights.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A world with a lot of everything.
    fn rich() -> Draft {
        let rich = |draft: &Draft| draft.services.len() == 3 && draft.faults.len() > 3 && draft.reloads_ms.len() > 3;
        (0..10_000).map(Draft::draw).find(rich).unwrap()
    }

    #[test]
    fn what_does_not_matter_goes() {
        let mut fails = |draft: &Draft| draft.faults.iter().any(|fault| fault.for_ms >= 10);
        let (small, tried) = shrink(&rich(), &|| true, &mut fails);
        assert_eq!((small.services.len(), small.loads.len(), small.faults.len(), small.workers), (1, 1, 1, 1));
        assert!(small.reloads_ms.is_empty() && (10..20).contains(&small.faults[0].for_ms), "{small:?}");
        assert!(small.loads[0].rate <= 1 && small.loads[0].requests.len() == 1);
        assert!(tried < TRIES_MAX);
    }

    #[test]
    fn a_world_that_stops_failing_stays_as_it_was() {
        let rich = rich();
        assert_eq!(shrink(&rich, &|| true, &mut |_| false).0, rich);
    }

    #[test]
    fn every_step_is_a_world_and_smaller_ones_come_to_an_end() {
        let (smallest, _) = shrink(&rich(), &|| true, &mut |_| true);
        assert_eq!((smallest.services.len(), smallest.loads.len(), smallest.faults.len()), (1, 1, 0));
    }

    #[test]
    fn when_time_is_up_the_smallest_so_far_is_kept() {
        let (rich, turns) = (rich(), std::cell::Cell::new(0));
        let in_time = || turns.replace(turns.get() + 1) < 3;
        let (small, tried) = shrink(&rich, &in_time, &mut |_| true);
        assert_eq!(tried, 3);
        assert!(small != rich && small.services.len() < rich.services.len());
    }
}
