//! Instruction counts under valgrind; `counts` has the benchmarks.
//!
//! `cargo test --all-targets` and nextest start every benchmark too, and this one would fail there for want of its
//! runner. So nothing happens unless the arguments are those of `cargo bench`, or of the runner.

mod counts;

// As in the gateway's binary: the allocator's instructions count.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::args().any(|arg| arg == "--bench" || arg == "--gungraun-run") {
        counts::run();
    }
}
