//! What is measured of each side in a round, and how two sides compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::median;
use crate::statistics::shift::Shift;

/// What base and head are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// User and system time for each request, microseconds.
    #[serde(rename = "cpu_us_per_request")]
    Cpu,
    /// Answers within the objective, a second, under as much load as there can be.
    #[serde(rename = "requests_per_second_at_objective")]
    Rate,
    /// Median latency under open load, microseconds.
    #[serde(rename = "latency_p50_us")]
    P50,
    /// 99th percentile of it.
    #[serde(rename = "latency_p99_us")]
    P99,
    /// Resident memory after the round's load.
    #[serde(rename = "rss_bytes")]
    Rss,
}

impl Metric {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Rate, Self::P50, Self::P99, Self::Rss];

    /// Its name in settings and results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_us_per_request",
            Self::Rate => "requests_per_second_at_objective",
            Self::P50 => "latency_p50_us",
            Self::P99 => "latency_p99_us",
            Self::Rss => "rss_bytes",
        }
    }

    /// How much worse head is than base, as the logarithm of a ratio.
    #[must_use]
    pub fn worse(self, base: f64, head: f64) -> f64 {
        match self {
            Self::Rate => (base / head).ln(),
            Self::Cpu | Self::P50 | Self::P99 | Self::Rss => (head / base).ln(),
        }
    }

    /// How much worse head was in a round; `None` where a side showed nothing.
    ///
    /// A side of which no answer was in time, while the other's were, counts as one answer: such a round is the worst
    /// there is, and must not be the one that is left out. Where both had none, neither is worse.
    ///
    /// Of CPU time it is the estimate over neighbouring turns of both sides: what disturbs the machine for a moment
    /// disturbs one or two of them, and they do not move it.
    #[must_use]
    pub fn observe(self, round: &Round) -> Option<f64> {
        let neighbours = if self == Self::Cpu { round.neighbours() } else { Vec::new() };
        if let Some(shift) = Shift::of(&neighbours) {
            return Some(shift.estimate());
        }
        let usable = |value: f64| value.is_finite() && value > 0.0;
        let shown = |side: &Figures| {
            let value = side.value(self);
            if self == Self::Rate && value == 0.0 { side.one_answer_a_second() } else { value }
        };
        if self == Self::Rate && ![&round.base, &round.head].iter().any(|side| usable(side.value(self))) {
            return None;
        }
        let (base, head) = (shown(&round.base), shown(&round.head));
        (usable(base) && usable(head)).then(|| self.worse(base, head))
    }
}

/// One side in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// By metric.
    pub values: BTreeMap<Metric, f64>,
    /// CPU microseconds for each request in each turn, in order of time.
    pub cpu_turns: Vec<f64>,
    /// Median over turns of CPU time over time: 1 is one core.
    pub core_share: f64,
    /// Answers in the closed turns, in time or late.
    #[serde(default)]
    pub answers: f64,
    /// Answers in the turns of open load.
    #[serde(default)]
    pub open_answers: f64,
    /// How long the closed turns lasted together, seconds.
    #[serde(default)]
    pub wall_s: f64,
    /// Answers that were not as expected, in turns of both kinds.
    pub not_ok: u64,
    /// Arrivals dropped at the driver's bound.
    pub dropped: u64,
    /// How late the driver was in turns of open load, microseconds: median and 99th percentile of the worst one.
    #[serde(default)]
    pub lag_us: (f64, f64),
}

impl Figures {
    /// A metric's value; not a number when it was not measured.
    #[must_use]
    pub fn value(&self, metric: Metric) -> f64 {
        self.values.get(&metric).copied().unwrap_or(f64::NAN)
    }

    /// Answers a second in the closed turns, in time or late; not a number when it was not measured.
    #[must_use]
    pub fn answers_a_second(&self) -> f64 {
        self.answers / self.wall_s
    }

    /// Answers in turns of both kinds, which is what those that were not as expected are a share of.
    #[must_use]
    pub fn all_answers(&self) -> f64 {
        self.answers + self.open_answers
    }

    /// The least rate there is beside none: one answer in all closed turns.
    fn one_answer_a_second(&self) -> f64 {
        1.0 / self.wall_s
    }
}

/// One round: two new processes, and what each showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its number, from 1.
    pub number: u32,
    /// For each closed turn, in order of time, whether it was head's.
    pub order: Vec<bool>,
    /// Base.
    pub base: Figures,
    /// Head.
    pub head: Figures,
    /// The largest share of its core that the driver used.
    pub driver_share: f64,
}

impl Round {
    /// The round with head's CPU time worse by another log-ratio.
    #[must_use]
    pub fn slowed_by(mut self, log_ratio: f64) -> Self {
        let factor = log_ratio.exp();
        self.head.cpu_turns.iter_mut().for_each(|turn| *turn *= factor);
        if let Some(cpu) = self.head.values.get_mut(&Metric::Cpu) {
            *cpu *= factor;
        }
        self
    }

    /// The round with its sides' names exchanged.
    #[must_use]
    pub fn swapped(mut self) -> Self {
        std::mem::swap(&mut self.base, &mut self.head);
        self.order.iter_mut().for_each(|is_head| *is_head = !*is_head);
        self
    }

    /// For each closed turn of one side and the neighbouring one of the other, the log-ratio of head's CPU time to
    /// base's.
    fn neighbours(&self) -> Vec<f64> {
        let (mut base, mut head) = (self.base.cpu_turns.iter(), self.head.cpu_turns.iter());
        let mut next = |is_head: bool| if is_head { head.next() } else { base.next() };
        let ratio = |pair: &[bool]| {
            let (first, second) = (next(pair[0])?, next(pair[1])?);
            let log_ratio = (second / first).ln();
            Some(if pair[0] { -log_ratio } else { log_ratio })
        };
        let pairs = self.order.chunks_exact(2).filter(|pair| pair[0] != pair[1]);
        pairs.filter_map(ratio).filter(|ratio| ratio.is_finite()).collect()
    }
}

/// How much base differs from itself: for each round, the log-ratio of its own turns, split in a mirrored order.
///
/// It has all of the machine's noise, and none of what differs between two processes of one program.
#[must_use]
pub fn own_noise(rounds: &[Round]) -> Vec<f64> {
    let split = |turns: &[f64]| -> Option<f64> {
        // First and last of each four against the two between, so that drift falls out.
        let whole = turns.len() / 4 * 4;
        let pick = |outer: bool| {
            let chosen = (0..whole).filter(move |turn| matches!(turn % 4, 0 | 3) == outer);
            median(&chosen.map(|turn| turns[turn]).collect::<Vec<_>>())
        };
        Some((pick(true)? / pick(false)?).ln()).filter(|ratio| ratio.is_finite())
    };
    rounds.iter().filter_map(|round| split(&round.base.cpu_turns)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(metric: Metric, value: f64) -> Figures {
        Figures { values: BTreeMap::from([(metric, value)]), ..Figures::default() }
    }

    #[test]
    fn worse_is_positive_for_every_metric() {
        for metric in Metric::ALL {
            let (better, worse) = if metric == Metric::Rate { (110.0, 100.0) } else { (100.0, 110.0) };
            let round = Round { base: figures(metric, better), head: figures(metric, worse), ..Round::default() };
            assert!((metric.observe(&round).unwrap() - 1.1_f64.ln()).abs() < 1e-12, "{}", metric.name());
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
    }

    #[test]
    fn a_side_that_showed_nothing_gives_no_observation() {
        let round = Round { base: figures(Metric::Cpu, 0.0), head: figures(Metric::Cpu, 1.0), ..Round::default() };
        assert_eq!(Metric::Cpu.observe(&round), None);
        assert_eq!(Metric::Rss.observe(&round), None);
    }

    #[test]
    fn a_side_of_which_nothing_was_in_time_is_as_bad_as_one_answer() {
        let side = |value: f64, wall_s: f64| Figures { wall_s, ..figures(Metric::Rate, value) };
        let observe = |base: f64, head: f64, wall_s: f64| {
            let (base, head) = (side(base, wall_s), side(head, wall_s));
            Metric::Rate.observe(&Round { base, head, ..Round::default() })
        };
        assert!((observe(100.0, 0.0, 2.0).unwrap() - 200.0_f64.ln()).abs() < 1e-12);
        assert!((observe(0.0, 100.0, 2.0).unwrap() + 200.0_f64.ln()).abs() < 1e-12, "the same the other way round");
        assert_eq!(observe(0.5, 0.0, 2.0), Some(0.0), "one answer is the least");
        assert_eq!(observe(0.0, 0.0, 2.0), None, "neither is worse");
        assert_eq!(observe(100.0, 0.0, 0.0), None, "an old recording, which does not say how long it took");
    }

    #[test]
    fn a_disturbed_turn_does_not_move_the_cpu_time_of_a_round() {
        let side = |turns: &[f64]| Figures { cpu_turns: turns.to_vec(), ..Figures::default() };
        let order = [false, true, true, false, true, false, false, true].to_vec();
        let (base, head) = (side(&[10.0, 10.0, 10.0, 10.0]), side(&[10.5, 10.5, 40.0, 10.5]));
        let round = Round { order, base, head, ..Round::default() };
        assert_eq!(round.neighbours().len(), 4);
        assert!((Metric::Cpu.observe(&round).unwrap() - 1.05_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_round_can_be_slowed_by_a_known_amount() {
        let mut head = figures(Metric::Cpu, 10.0);
        head.cpu_turns = vec![10.0, 10.0];
        let mut base = head.clone();
        base.cpu_turns = vec![10.0, 10.0];
        let order = vec![false, true, true, false];
        let round = Round { order, base, head, ..Round::default() }.slowed_by(0.05);
        assert!((Metric::Cpu.observe(&round).unwrap() - 0.05).abs() < 1e-12);
        assert!((round.head.value(Metric::Cpu) - 10.0 * 0.05_f64.exp()).abs() < 1e-12);
        assert_eq!(round.base.value(Metric::Cpu), 10.0);
        assert!((Metric::Cpu.observe(&round.swapped()).unwrap() + 0.05).abs() < 1e-12);
    }

    #[test]
    fn drift_is_no_noise_of_ones_own() {
        let round = |turns: &[f64]| Round {
            base: Figures { cpu_turns: turns.to_vec(), ..Figures::default() },
            ..Round::default()
        };
        let noise = own_noise(&[round(&[10.0, 11.0, 12.0, 13.0]), round(&[10.0, 12.0, 12.0, 10.0]), round(&[1.0])]);
        assert_eq!(noise.len(), 2, "a round with too few turns tells nothing");
        assert!(noise[0].abs() < 1e-12 && (noise[1] - (10.0_f64 / 12.0).ln()).abs() < 1e-12);
    }
}
