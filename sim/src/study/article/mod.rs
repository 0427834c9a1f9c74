//! All claims of the article, in its order, each with its experiment: data alone.
//!
//! Thresholds are what the claim's words come to in figures; `docs/article.md` says how verdicts follow from them.

mod composition;
mod framework;
mod gateway;
mod identity;
mod limits;
mod proofs;
mod resilience;
mod routing;
mod tracing;

use super::experiment::Claim;

/// The claims, in the article's order.
pub static CLAIMS: [&Claim; 28] = [
    &gateway::A1,
    &gateway::A2,
    &gateway::A3,
    &routing::A4,
    &routing::A5,
    &routing::A6,
    &routing::A7,
    &routing::A8,
    &resilience::A9,
    &resilience::A10,
    &resilience::A11,
    &identity::A12,
    &identity::A13,
    &proofs::A14,
    &proofs::A15,
    &limits::A16,
    &limits::A17,
    &limits::A18,
    &limits::A19,
    &limits::A20,
    &tracing::A21,
    &tracing::A22,
    &composition::A23,
    &composition::A24,
    &composition::A25,
    &gateway::A26,
    &framework::A27,
    &framework::A28,
];
