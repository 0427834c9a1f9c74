//! Wall-clock time of finding a route and of making a path normal.

use std::hint::black_box;

use benches::{Lookups, RULES};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::routing::normalise;

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    group.throughput(Throughput::Elements(1));
    for routes in [1, 100, 10_000] {
        let lookups = Lookups::new(routes);
        let mut number = 0_usize;
        group.bench_function(routes.to_string(), |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(1);
                black_box(lookups.find(black_box(number)))
            });
        });
    }
    group.finish();
}

fn normalising(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalise");
    for (name, path) in
        [("clean", "/api/service-17/users/123456/files/a/b.txt"), ("dirty", "/api//service-17/./x/../%75sers/a%c3%a9")]
    {
        group.throughput(Throughput::Bytes(path.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(normalise(black_box(path), RULES).is_ok())));
    }
    group.finish();
}

criterion_group!(benches, matching, normalising);
criterion_main!(benches);
