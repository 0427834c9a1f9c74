//! Decisions without a world: balancers, rings, samplers.
//!
//! Nothing here names a runtime, a network, a clock, global randomness or a log (`cargo xtask tidy` keeps that). Time,
//! random bits and load come in as parameters, an answer goes out. So each algorithm is tested exactly, and simulated a
//! million picks at a time.

pub mod adaptive_limit;
pub mod backoff;
pub mod balancer;
pub mod blocks;
pub mod breaker;
pub mod criticality;
pub mod ejection;
pub mod flow;
pub mod gathering;
pub mod gcra;
pub mod grpc_web;
pub mod hash_ring;
pub mod health;
pub mod joint_work;
pub mod json_items;
pub mod json_scan;
pub mod latency;
pub mod lease;
pub mod loop_delay;
pub mod part_graph;
pub mod peak_ewma;
pub mod per_second;
pub mod rendezvous;
pub mod retry_budget;
pub mod rng;
pub mod send_window;
pub mod shares;
pub mod silence;
pub mod slow_start;
pub mod space_saving;
pub mod tab;
pub mod tiers;
pub mod weighted_choice;
pub mod words;
