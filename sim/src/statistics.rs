//! Estimates, intervals and decisions from paired rounds, without assuming any distribution.
//!
//! Rounds of a comparison are paired: both sides ran within seconds of each other. The logarithm of their ratio is one
//! observation, and everything here works on such observations. Nothing here measures, reads a clock or draws a random
//! number.
//!
//! | module | what it holds |
//! |---|---|
//! | [`signed_rank`] | the distribution of Wilcoxon's statistic when nothing differs |
//! | [`shift`] | Hodges-Lehmann estimate, its interval, its p-values |
//! | [`paired`] | ratios of two columns, medians |
//! | [`normal`], [`student`] | two distributions that plans need |
//! | [`sequential`] | how strict each of several looks has to be |
//! | [`power`] | the smallest effect that would be found, and what more rounds would buy |
//! | [`proportion`] | intervals of shares |
//! | [`trend`] | whether something grows with time |

pub mod normal;
pub mod paired;
pub mod power;
pub mod proportion;
pub mod sequential;
pub mod shift;
pub mod signed_rank;
pub mod student;
pub mod trend;

pub use paired::{median, paired_ratio};
