//! What programs that embed the gateway use: `use gateway::prelude::*;`.
//!
//! These names, and what can be reached from them, are the supported surface of this crate. All other modules are
//! public for the tools of this repository, and may change with any version (docs/adr/0044).

#[doc(inline)]
pub use crate::builder::{BuildError, Builder};
#[doc(inline)]
pub use crate::client_info::ClientInfo;
#[doc(inline)]
pub use crate::config::{Problem, Severity};
#[doc(inline)]
pub use crate::gateway::Gateway;
#[doc(inline)]
pub use crate::identity::Identity;
#[doc(inline)]
pub use crate::plugins::{
    BalancePolicy, Candidates, Denied, EndedRequest, Granted, IdentityProvider, IdentityRequest, LimitKey,
    LimitRequest, NotEditable, RequestInfo, Stage, StageRequest, Unread,
};
#[doc(inline)]
pub use crate::reload::{ReloadError, ReloadReport};
#[doc(inline)]
pub use crate::running::{Handle, Running, Signals};
#[doc(inline)]
pub use crate::service::GatewayService;
#[doc(inline)]
pub use crate::shutdown::Drained;
#[doc(inline)]
pub use crate::telemetry::told::{Event, Record};
