//! The second pass: a tree against the tables of keys, then the rules between keys.
pub(crate) mod context;
mod other_words;
pub(crate) mod policies;
pub(crate) mod reader;
mod remedy;
pub(crate) mod same;
pub(crate) mod scalar;
pub(crate) mod screening;
pub(crate) mod shared_edits;
mod unknown;
pub(crate) mod walk;

pub(crate) use context::Context;
pub(crate) use reader::Reader;

/// What must hold between the keys of a table. It reports what does not, at the place where it is written.
pub(crate) type Rule = fn(&mut Context<'_>, &Reader<'_>);
