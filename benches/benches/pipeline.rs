//! Wall-clock time of one keep-alive GET through the whole gateway in memory, and of the memory network alone.

use std::hint::black_box;

use benches::codec::Bare;
use benches::world::{Log, World};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

// As in the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    for (name, log) in [("log_off", Log::Off), ("log_on", Log::On)] {
        let mut world = World::new(log);
        group.bench_function(name, |bencher| {
            // One entry into the runtime for all of a sample's exchanges, as a worker enters its own once.
            bencher.iter_custom(|count| {
                let clock = gateway::clock::Clock::system();
                let began = clock.now();
                world.exchanges(count);
                clock.now().duration_since(began)
            });
        });
    }
    let mut bare = Bare::default();
    group.bench_function("network_alone", |bencher| bencher.iter(|| black_box(&mut bare).exchange()));
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
