//! What programs that embed the gateway use: `use gateway::prelude::*;`.
//!
//! These names, and what can be reached from them, are the supported surface of this crate. All other modules are public
//! for the tools of this repository, and may change with any version (docs/adr/0044).

pub use crate::builder::{BuildError, Builder};
pub use crate::gateway::Gateway;
pub use crate::identity::Identity;
pub use crate::plugins::{NotEditable, RequestInfo, Stage, StageRequest};
pub use crate::service::GatewayService;
pub use crate::startup::Running;
