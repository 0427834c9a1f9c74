//! Rendering of versioned results.
//!
//! Every command that measures writes one `result.json`; what renders a report reads nothing else but the histogram
//! logs beside it. The form is the result contract (`docs/contract/result.md`), as Rust types in [`result`] and as JSON
//! Schema in `reports/schema/result.schema.json`, which is made from the types.
//!
//! | module | what it holds |
//! |---|---|
//! | [`result`] | the types of a result file, reading and writing it |
//! | [`story`] | what a result says, in sentences: the head of every rendering |
//! | [`text`] | a whole result as text, for a terminal or a pipe |
//! | [`markdown`] | the same for a pull request |
//! | [`junit`] | expectations as test cases |
//! | [`page`] | the same as one HTML file with its plots inside |
//! | [`files`] | all of these, written beside a result |
//! | [`history`] | results of many runs, kept in a folder |
//! | [`trend`] | what changed over them |
//! | [`change_points`] | where a series changed its level |
//! | `compared` | the lines of a comparison of gateways, for all renderings |
//! | [`metric`] | a gate's metrics as people name them |
//! | [`reasons`] | by which words reasons against a run are told apart |
//! | [`quantity`] | figures as people read them |
//! | [`table`] | aligned columns, bars and sparklines |

pub mod change_points;
mod compared;
pub mod files;
pub mod history;
pub mod junit;
pub mod markdown;
pub mod metric;
pub mod page;
mod plot;
pub mod quantity;
pub mod reasons;
pub mod result;
mod spectrum;
pub mod story;
pub mod table;
pub mod text;
pub mod trend;
