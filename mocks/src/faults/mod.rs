//! Faults: what they are, how they are written, and which of them hits a request.
//!
//! Everything here is pure: time comes in as nanoseconds, randomness as a seed and a request's number. So the same seed
//! and the same order of requests give the same faults.
//!
//! - `rule`: a validated rule; `parse`: rules from JSON, TOML and the request header, with every problem found;
//! - `delay`: fixed and drawn delays; `queue`: servers, lines and waiting rooms; `draws`: seeded randomness;
//! - `glob`: path patterns; `window`: when a rule holds;
//! - `show`: rules as JSON; `ruleset`: the rules in force, and the one that hits a request.

mod delay;
mod draws;
mod glob;
mod parse;
mod queue;
mod rule;
mod ruleset;
mod show;
mod window;

pub use delay::Delay;
pub use draws::Draws;
pub use glob::Glob;
pub use parse::{Problem, Problems};
pub(crate) use parse::{Reader, act_from_header, headers, join, matching_nothing, rules_from_value, table, text};
pub use queue::{Queue, Station, Ticket, WAITING_ROOM};
pub use rule::{Act, Caching, Effect, Etag, Flap, Garbage, Match, Reset, Rule};
pub(crate) use ruleset::{Asked, Place, RuleSet};
pub use window::Origin;
