//! From a file to validated settings: parse -> validate -> build. Only this module reads files and environment.
pub mod settings;
