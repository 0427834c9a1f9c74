//! From a file to validated settings: parse -> validate -> build. Only this module reads files and environment.
//!
//! - `parse/`: TOML with places, environment variables, included files, one tree.
//! - `schema/`: the keys as data. `check/` holds a tree against them; `validate/` has the rules between keys.
//! - `build/`: the tree to `settings/`.
//! - `publish/`: the keys for people and editors: defaults, JSON Schema, documentation.
//!
//! Every problem is reported in one run, with its place. Nothing here panics, whatever a file holds.

pub mod fingerprint;
pub mod load;
pub mod problem;
pub mod publish;
pub mod registered;
pub mod settings;

mod build;
pub(crate) mod certificates;
mod check;
mod effective;
mod key_files;
mod ocsp;
mod parse;
pub(crate) mod revocation_lists;
mod schema;
mod source;
mod tree;
mod users_file;
mod validate;
mod value;
mod written;

pub(crate) use key_files::is_scope;
pub(crate) use parse::include::folders_of;
pub(crate) use parse::links::folders_of_links;
#[cfg(test)]
pub(crate) use value::batch_call;
pub(crate) use value::path_pattern;
pub(crate) use value::quantity::{show_duration, show_size};
pub(crate) use value::remote_url::may_be_asked;
pub(crate) use value::text::editable_header;
pub(crate) use value::value_match;

pub use fingerprint::{Files, Held};
pub(crate) use load::load_again;
pub use load::{
    LoadError, Loaded, Purpose, load, load_effective, load_effective_text, load_for, load_text, load_text_for,
    load_text_with, load_with, log_file,
};
pub use parse::environment::{Environment, ProcessEnvironment};
pub use problem::{Problem, Problems, Severity};
pub use registered::{Doors, PluginKind, Registered};
pub use settings::Config;
pub use validate::conflicts::{Conflict, conflicts};
pub use written::Written;
