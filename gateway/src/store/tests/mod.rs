//! What tests of stores stand on.

mod against_redis;
pub(crate) mod double;
pub(crate) mod scripts;

impl super::Store {
    /// Whether anybody has made this worker's way.
    pub(crate) fn has_way(&self, worker: usize) -> bool {
        super::lock(&self.couriers[worker]).is_some()
    }
}
