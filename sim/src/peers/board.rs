//! The result of a comparison out of all turns, and whether it can be believed.

use loadgen::environment::Environment;
use loadgen::result::bounds::MOST_STOLEN;
use reports::result::{Kind, Lag, Peer, Ratio, ResultFile, Validity, Verdict};
use serde_json::{Map, Value};

use super::rounds::{Figures, Measured};
use super::{Contender, Options};
use crate::demo::findings::same;
use crate::processors;
use crate::rounds::turn::merged;
use crate::rounds::{BUSY, HEADROOM, REUSED};
use crate::statistics::{median, paired_ratio};

/// Everything that the result is made of.
pub(super) struct Board<'a> {
    pub(super) options: &'a Options,
    pub(super) contenders: &'a [Contender],
    pub(super) measured: &'a Measured,
    pub(super) idle_rss: Vec<u64>,
    pub(super) per_idle: Option<Vec<Option<f64>>>,
}

impl Board<'_> {
    pub(super) fn result_file(&self, environment: &Environment, started_at: String, interrupted: bool) -> ResultFile {
        let validity = self.validity(environment, interrupted);
        let mut environment = environment.clone();
        for contender in self.contenders {
            environment.versions.insert(contender.name.clone(), contender.version.clone());
        }
        ResultFile {
            kind: Kind::Peers,
            name: "peers".to_owned(),
            seed: self.options.seed,
            commit: self.options.programs.commit().to_owned(),
            started_at,
            command: self.options.command.clone(),
            environment: same(&environment),
            verdict: if validity.valid { Verdict::Pass } else { Verdict::Invalid },
            validity,
            peers: (0..self.contenders.len()).map(|index| self.peer(index)).collect(),
            ..ResultFile::default()
        }
    }

    fn figures(&self, index: usize) -> &[Figures] {
        &self.measured.rounds[index]
    }

    fn column(&self, index: usize, figure: fn(&Figures) -> f64) -> Vec<f64> {
        self.figures(index).iter().map(figure).collect()
    }

    fn middle(&self, index: usize, figure: fn(&Figures) -> f64) -> f64 {
        median(&self.column(index, figure)).unwrap_or(0.0)
    }

    /// Of all its rounds together.
    fn latency_us(&self, index: usize) -> Lag {
        let latency = merged(self.figures(index).iter().map(|one| &one.latency));
        let us = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Lag { p50: us(0.5), p99: us(0.99) }
    }

    fn peer(&self, index: usize) -> (String, Peer) {
        let contender = &self.contenders[index];
        let cost = |figures: &Figures| figures.cpu_us_per_request;
        let ratio = (index > 0).then(|| paired_ratio(&self.column(0, cost), &self.column(index, cost))).flatten();
        let mut other = Map::new();
        other.insert("workers".to_owned(), contender.workers.into());
        other.insert("core_share".to_owned(), round(self.middle(index, |one| one.core_share), 1e3).into());
        other.insert("reuse_ratio".to_owned(), round(self.middle(index, |one| one.reuse_ratio), 1e5).into());
        other.insert("rss_idle_bytes".to_owned(), self.idle_rss[index].into());
        if let Some(bytes) = self.per_idle.as_ref().and_then(|per_idle| per_idle[index]) {
            other.insert("idle_connection_bytes".to_owned(), bytes.round().into());
        }
        let rounds = self.column(index, cost).into_iter().map(|cost| Value::from(round(cost, 1e3)));
        other.insert("rounds_cpu_us_per_request".to_owned(), rounds.collect());
        let peer = Peer {
            version: contender.version.clone(),
            chain: contender.chain_in_words(),
            requests_per_second: self.middle(index, |one| one.requests_per_second).round(),
            cpu_us_per_request: round(self.middle(index, cost), 1e3),
            rss_bytes: self.figures(index).iter().map(|one| one.rss_bytes).max().unwrap_or(0),
            latency_us: self.latency_us(index),
            ratio_to_ours: ratio.map(|ratio| Ratio {
                estimate: round(ratio.estimate, 1e4),
                ci_low: round(ratio.low, 1e4),
                ci_high: round(ratio.high, 1e4),
            }),
            ratio_coverage: ratio.map(|ratio| round(ratio.coverage.max(0.0), 1e4)),
            other,
        };
        (contender.name.clone(), peer)
    }

    /// Whether the figures are the contenders' own: the driver had headroom, or each contender's core was full.
    fn validity(&self, environment: &Environment, interrupted: bool) -> Validity {
        let (mut reasons, mut notes) = (Vec::new(), Vec::new());
        let fastest = (0..self.contenders.len())
            .map(|index| self.middle(index, |one| one.requests_per_second))
            .fold(0.0, f64::max);
        let headroom = self.measured.direct_rps / fastest.max(1.0);
        notes.push(format!(
            "driver straight to the mock: {:.0} requests/s, {headroom:.2} times the fastest contender",
            self.measured.direct_rps
        ));
        if headroom < HEADROOM {
            let waiting: Vec<String> = (0..self.contenders.len())
                .filter(|index| self.middle(*index, |one| one.core_share) < BUSY)
                .map(|index| self.contenders[index].name.clone())
                .collect();
            if waiting.is_empty() {
                notes.push(format!(
                    "that is below {HEADROOM}, since driver and mock share a core; each contender's own was full, so \
                     the figures are theirs"
                ));
            } else {
                reasons.push(format!(
                    "the driver does {headroom:.2} times what the fastest contender does, less than {HEADROOM} times, \
                     and {} waited for driver or mock: their requests/s are the driver's, their CPU a request holds for \
                     that rate",
                    waiting.join(", ")
                ));
            }
        }
        if self.options.rounds < 6 {
            notes.push("fewer than six rounds give no 95 % interval; it is the widest that they have".to_owned());
        }
        for (index, contender) in self.contenders.iter().enumerate() {
            let not_ok: u64 = self.figures(index).iter().map(|one| one.not_ok).sum();
            if not_ok > 0 {
                reasons.push(format!("{}: {not_ok} answers were not as expected", contender.name));
            }
            if self.per_idle.as_ref().is_some_and(|per_idle| per_idle[index].is_none()) {
                notes.push(format!("{}: does not hold so many idle connections here", contender.name));
            }
            let reuse = self.middle(index, |one| one.reuse_ratio);
            if reuse < REUSED {
                notes.push(format!(
                    "{}: {:.1} % of upstream requests on an open connection",
                    contender.name,
                    reuse * 100.0
                ));
            }
        }
        notes.extend(processors::note(&environment.pinning));
        let steal_ratio = environment.steal_ratio;
        if steal_ratio > MOST_STOLEN {
            reasons.push(format!("the host took {:.1} % of the machine's time", steal_ratio * 100.0));
        }
        if interrupted {
            reasons.push("interrupted".to_owned());
        }
        let client_cpu_ratio = self.measured.driver_share;
        let valid = reasons.is_empty();
        Validity { valid, reasons, notes, achieved_over_offered: 1.0, client_cpu_ratio, ..Validity::default() }
    }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}
