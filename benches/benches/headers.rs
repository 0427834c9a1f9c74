//! Wall-clock time of the work on a request's headers and target.

use std::hint::black_box;

use benches::headers::{From, Headers, REWRITTEN};
use benches::messages::{clean_headers, hostile_headers, proxied_headers};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gateway::request_fields::RequestFields;

/// A name, what makes the headers, and who sends them.
type Case = (&'static str, fn() -> RequestFields, From);

const SENT: [Case; 3] = [
    ("clean", clean_headers, From::Client),
    ("hostile", hostile_headers, From::Client),
    ("proxied", proxied_headers, From::Proxy),
];

/// Steps that change their headers: each gets a copy of its own.
fn changing(criterion: &mut Criterion) {
    let headers = Headers::default();
    for (name, made, from) in SENT {
        criterion.bench_function(&format!("screen/{name}"), |bencher| {
            bencher.iter_batched_ref(made, |copy| headers.screen(black_box(copy), from), BatchSize::SmallInput);
        });
        criterion.bench_function(&format!("forwarded/{name}"), |bencher| {
            bencher.iter_batched_ref(made, |copy| headers.forwarded(black_box(copy), from), BatchSize::SmallInput);
        });
    }
}

fn naming(criterion: &mut Criterion) {
    let headers = Headers::default();
    for (name, made, from) in SENT {
        let (sent, mut seed) = (made(), 0);
        criterion.bench_function(&format!("request_id/{name}"), |bencher| {
            bencher.iter(|| {
                seed += 1;
                headers.request_id(black_box(&sent), from, seed)
            });
        });
        criterion.bench_function(&format!("trace/{name}"), |bencher| {
            bencher.iter(|| {
                seed += 1;
                headers.trace(black_box(&sent), from, seed)
            });
        });
    }
}

fn rewriting(criterion: &mut Criterion) {
    let headers = Headers::default();
    for (name, path) in ["prefix", "template"].into_iter().zip(REWRITTEN) {
        let rewriting = headers.rewrite(path);
        criterion.bench_function(&format!("rewrite/{name}"), |bencher| {
            bencher.iter(|| black_box(&rewriting).apply());
        });
    }
}

criterion_group!(benches, changing, naming, rewriting);
criterion_main!(benches);
