//! The flight recorder: the last failed, slow and sampled requests, with every decision that was made about them.
//!
//! A request pays two comparisons at its end. Only one that is of note is written down then, from what its exchange
//! holds anyway; what would be gone by then (fields of heads, attempts but for one that was good) is noted on the way,
//! and only while the request is of note already. Each worker has rings of its own, bounded in number and bytes, and
//! kept apart by what they hold, so that a flood of one kind pushes out no other. Readers merge them. Of a flood only
//! so many a second are written down, so that it costs little more than without a recorder.

mod calls;
mod entry;
mod keeper;
mod notes;
mod ring;
mod slowness;

pub use calls::Calls;
pub use entry::{Consulted, Details};
pub use keeper::{Failure, Fill, Kept, Lane, Recorder, Wanted};
pub use notes::{Asked, AttemptNote, MissingPart, Notes, fields};
pub use slowness::{Slowness, keep_pace};
