//! Journeys: what users do one step after another, with what they were given on the way.
//!
//! A journey's user logs in, keeps what it was given, looks around, fetches a page with all of its parts, and checks
//! out; then it begins again. The users are goose's, in a child process (the program `journeys`), since goose takes
//! Ctrl-C and standard output for itself. What happened to each request comes back over a pipe and goes into the same
//! recorder as the engine's samples: latency is that of the whole answer, to the last byte of its body.
//!
//! - [`mod@file`]: a file of journeys, and every problem in it; [`model`]: journeys that hold;
//! - [`wire`]: what parent and child tell each other; [`users`]: the child, from its start to its end;
//! - [`book`]: figures of each journey and each step.
//!
//! The model is closed: a user waits for its answer. Cost, capacity and tails at a given rate are the open model's.

pub mod book;
pub mod file;
pub mod model;
pub mod users;
pub mod wire;

pub use book::Book;
pub use file::FileError;
pub use model::{Journey, Journeys, Request, Step};
pub use users::{Crowd, Users, UsersError};
