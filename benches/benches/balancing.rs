//! Wall-clock time of a pick, and of a look-up on the ring.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use benches::{balancer, policies, ring, seen};
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::algorithms::balancer::Pick;
use gateway::algorithms::peak_ewma::Seen;
use gateway::algorithms::rng::{Draws, mix};

fn picks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for endpoints in [3, 100] {
        let load: Vec<AtomicU32> = (0..endpoints).map(|number| AtomicU32::new(number as u32 % 5)).collect();
        let known: Vec<Seen> = (0..endpoints).map(seen).collect();
        for (name, policy) in policies() {
            let balancer = balancer(&policy, endpoints);
            let mut draws = Draws::new(1);
            let mut ticket = 0;
            group.bench_function(format!("{name}/{endpoints}"), |bencher| {
                bencher.iter(|| {
                    ticket += 1;
                    let bits = draws.next_u64();
                    let seen = |endpoint: usize| known[endpoint];
                    let in_flight = |endpoint: usize| load[endpoint].load(Ordering::Relaxed);
                    let ask =
                        Pick { bits, ticket, hash: bits, in_flight: &in_flight, seen: &seen, eligible: &|_| true };
                    black_box(balancer.pick(black_box(&ask)))
                });
            });
        }
    }
    group.finish();
}

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    for endpoints in [3, 1000] {
        let ring = ring(endpoints);
        let mut key = 0;
        group.bench_function(endpoints.to_string(), |bencher| {
            bencher.iter(|| {
                key += 1;
                black_box(ring.owner(mix(black_box(key))))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, picks, rings);
criterion_main!(benches);
