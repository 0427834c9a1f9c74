//! Which route a request takes: the path is made normal once, then host, path and content decide.
//!
//! Order among routes that match: the higher priority; then the more specific host (exact, longer wildcard, shorter
//! wildcard, any); then the more specific path (compared segment by segment from the left: static, parameter, rest);
//! then more conditions on content; then the order of the file. `table.rs` holds this, `explain.rs` tells it.

mod clients;
pub mod content;
mod content_index;
pub mod explain;
mod host;
mod method;
pub mod of_url;
pub mod path;
pub mod pattern;
pub mod preflight;
pub mod rewrite;
pub mod stage;
pub mod table;
pub mod tie;
mod tree;
pub mod undecided;
mod wording;

#[cfg(test)]
mod naive;

pub use content::Body;
pub use path::{PathError, PathRules, normalise};
pub use pattern::Pattern;
pub use preflight::{Preflight, may_come_unnamed, refused as refused_preflight};
pub use rewrite::CompiledRewrite;
pub(crate) use table::conditions;
pub use table::{Ask, Found, Params, RouteTable};
