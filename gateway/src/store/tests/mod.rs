//! What tests of stores stand on.

mod against_redis;
pub(crate) mod double;
pub(crate) mod scripts;
