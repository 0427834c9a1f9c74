//! What tests of stores stand on.

pub(crate) mod double;
