//! The rules of the layout, checked on a tree in memory.
//!
//! A rule is a function from the tree to its findings, in a file of its own with its own test. Rules see Rust through
//! a lexer that tells code from comments and literals, and test code from the rest; they do not parse it.

mod lexer;
mod paths;
mod rules;
mod tree;

#[cfg(test)]
mod samples;

pub(crate) use rules::{RULES, mend, warnings};
pub(crate) use tree::{Finding, Tree};
