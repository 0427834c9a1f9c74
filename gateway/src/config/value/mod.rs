//! How single values read: durations, sizes, rates, and the kinds of text.
pub(crate) mod quantity;
pub(crate) mod remote_url;
pub(crate) mod store_url;
pub(crate) mod text;
pub(crate) mod upstream_url;

pub(crate) mod batch_call;
pub(crate) mod call;
pub(crate) mod edit_value;
pub(crate) mod host_port;
pub(crate) mod method;
pub(crate) mod origin;
pub(crate) mod path_pattern;
pub(crate) mod path_regex;
pub(crate) mod problem_key;
mod punycode;
pub(crate) mod statuses;
pub(crate) mod value_match;
