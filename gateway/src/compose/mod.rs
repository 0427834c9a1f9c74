//! One request, several upstream calls, one JSON document (`[[aggregates]]`); and several requests, one upstream call:
//! of the same thing (`coalesce`, in `flights.rs`; over all workers by `all_flights.rs`), or of many (`[[batches]]`, in
//! `batches.rs`).
//!
//! Each part is an ordinary forwarded call: `pipeline.rs` lends what picks an endpoint and sends, so that balancing,
//! breakers, budgets, retries, limits and pools are those of any request, and this module knows none of them. It knows
//! which part waits for which (`algorithms/part_graph.rs`), what each is asked for (`target.rs`), what becomes of one
//! that fails (`stage.rs`), and how answers become one (`document.rs`).
//!
//! Invariants: no value, whoever it comes from, changes the shape of what an upstream is asked for; what stands in the
//! document is JSON, byte for byte as the parts sent it, or the answer is cut; of no part more is held than what
//! streams through, but for those whose values others need, and those count in the worker's memory; dropping what is
//! here ends every call.

mod aggregate;
mod all_flights;
mod batch;
mod batches;
mod call;
mod document;
mod flights;
mod items;
mod key;
mod landed;
pub mod stage;
mod target;
mod values;

pub use aggregate::Aggregate;
pub use all_flights::AllFlights;
pub use batch::Batch;
pub use batches::{Batches, gather};
pub use call::{Call, Called, called, discard};
pub use document::Document;
pub use flights::{Flights, Turn, share};
