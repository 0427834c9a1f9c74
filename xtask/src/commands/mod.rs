//! The commands of `cargo xtask`, one file each.

pub(crate) mod bench_counts;
pub(crate) mod ci;
pub(crate) mod contract;
pub(crate) mod deny;
pub(crate) mod dist;
pub(crate) mod fuzz;
pub(crate) mod peers;
pub(crate) mod schema;
pub(crate) mod test;
pub(crate) mod tidy;

mod install;
