//! Wall-clock time of an exchange in the upstream side's codec: a request's head is written, an answer is read.

use benches::codec::Codec;
use benches::messages::{answer, chunked_answer, clean_headers, wide_answer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for (name, answer) in [("plain", answer()), ("wide_head", wide_answer()), ("chunked", chunked_answer())] {
        let mut codec = Codec::new(answer, clean_headers());
        group.throughput(Throughput::Bytes(answer.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| codec.exchange()));
    }
    group.finish();
}

criterion_group!(benches, exchanges);
criterion_main!(benches);
