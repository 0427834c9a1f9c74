//! Rules between keys. One file a setting; each rule reports at the place of what it refuses.
pub(crate) mod addresses;
pub(crate) mod certificates;
pub(crate) mod compose;
pub(crate) mod compress;
pub(crate) mod conflicts;
pub(crate) mod forward_auth;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod names;
pub(crate) mod own_answer;
pub(crate) mod references;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod tracing;
pub(crate) mod upstream;
pub(crate) mod upstream_tls;
