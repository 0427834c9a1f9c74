//! Rules between keys. One file a setting; each rule reports at the place of what it refuses.
pub(crate) mod addresses;
pub(crate) mod api_document;
pub(crate) mod batch;
pub(crate) mod cache;
pub(crate) mod certificates;
pub(crate) mod compose;
pub(crate) mod compress;
pub(crate) mod conflicts;
pub(crate) mod early_hints;
pub(crate) mod edit_effects;
pub(crate) mod forward_auth;
pub(crate) mod grpc_web;
pub(crate) mod header_edits;
pub(crate) mod identity;
pub(crate) mod known_secrets;
pub(crate) mod limits;
pub(crate) mod mirror;
pub(crate) mod mounted;
pub(crate) mod names;
pub(crate) mod open_elsewhere;
pub(crate) mod own_answer;
pub(crate) mod passwords;
pub(crate) mod plugins;
pub(crate) mod preflights;
pub(crate) mod problems;
pub(crate) mod provider_order;
pub(crate) mod query_edits;
pub(crate) mod recorded_headers;
pub(crate) mod recorded_query;
pub(crate) mod references;
pub(crate) mod revocation;
pub(crate) mod route;
pub(crate) mod screening;
pub(crate) mod server;
pub(crate) mod shared_edits;
pub(crate) mod split;
pub(crate) mod stores;
pub(crate) mod token_places;
pub(crate) mod tracing;
pub(crate) mod upstream;
pub(crate) mod upstream_tls;

/// Whether something is in both, of lists of which an empty one means any.
fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|it| other.contains(it))
}
