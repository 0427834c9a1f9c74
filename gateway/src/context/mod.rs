//! The first stage of a request's way: what it is called, who sent it, and which of its headers may be believed.
//!
//! Everything here is pure: no clock, no globals, no I/O; random bits come in as numbers. The order in which a request
//! passes is fixed, and each step relies on the one before:
//!
//! 1. [`screen::screen_request_headers`] removes what a client may not say and what belongs to one connection only.
//!    A caller that needs `upgrade` or `expect` reads them before.
//! 2. [`request_id::RequestId::accept_or_mint`], [`trace::TraceContext::continue_or_start`] and
//!    [`client_address::client_address`] read what is left.
//! 3. [`passes::OwnName::passes`] tells how often it has been here already.
//! 4. [`forwarded::set_forwarded`] and the callers' own `insert`s write the gateway's own headers. They come last, so
//!    that no `Connection: x-forwarded-for` of a client can take them away.

pub mod any_fields;
mod client_address;
mod elements;
pub mod forwarded;
pub mod header_rules;
mod hex;
pub mod hop_by_hop;
mod hops;
mod http2;
pub mod names;
pub mod passes;
pub mod peer;
pub mod request_id;
pub mod screen;
pub mod stage;
pub mod survey;
pub mod target;
pub mod trace;
pub mod tracestate;
pub mod trusted_proxies;
mod via;
mod websocket_key;

pub use any_fields::AnyFields;
pub use client_address::{ClientAddress, client_address};
pub(crate) use elements::{ToldOfUrl, told_of_url};
pub use forwarded::set_forwarded;
pub use header_rules::{HeaderRules, Taken};
pub use hop_by_hop::{is_websocket, mark_websocket, remove_from_answer, remove_from_response};
pub use http2::to_http1_form;
pub use passes::{OwnName, Passes};
pub use peer::{AskedHost, Caller, Host, Peer, Scheme};
pub use request_id::RequestId;
pub use screen::{Refused, announce_what_passes, announce_what_passes_in, screen_request_headers, screen_trailers};
pub use trace::{TraceContext, TracePolicy};
pub use trusted_proxies::TrustedProxies;
pub use via::via;
pub use websocket_key::{WebSocketKey, answer_to};
