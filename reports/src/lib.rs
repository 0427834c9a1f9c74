//! Rendering of versioned results.
//!
//! Every command that measures writes one `result.json`; what renders a report reads nothing else. The form is the
//! result contract (`docs/contract/result.md`), as Rust types in [`result`] and as JSON Schema in
//! `reports/schema/result.schema.json`, which a test holds against each other.
//!
//! | module | what it holds |
//! |---|---|
//! | [`result`] | the types of a result file, reading and writing it |
//! | [`table`] | aligned columns, bars and sparklines for a terminal or a pipe |
//! | [`text`] | a whole result as text |

pub mod result;
pub mod table;
pub mod text;
