//! Axes: a range, its scale, its ticks, and how a tick is written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// One axis. Its range is never empty, and on a logarithmic scale it is above zero.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    ticks: Vec<f64>,
    write: fn(f64) -> String,
}

impl Axis {
    /// From `from` to `to` with about `wanted` round ticks between.
    pub(super) fn linear(from: f64, to: f64, wanted: usize, write: fn(f64) -> String) -> Self {
        let (from, to) = not_empty(from, to);
        Self { from, to, scale: Scale::Linear, ticks: round_ticks(from, to, wanted), write }
    }

    /// From zero to the next tick above `most`.
    pub(super) fn from_zero(most: f64, wanted: usize, write: fn(f64) -> String) -> Self {
        let (_, most) = not_empty(0.0, most.max(0.0));
        let step = round_step(most / wanted.max(1) as f64);
        Self::linear(0.0, (most / step).ceil() * step, wanted, write)
    }

    /// Decades from below `least` to above `most`, with 2 and 5 between where there is room.
    pub(super) fn logarithmic(least: f64, most: f64, wanted: usize, write: fn(f64) -> String) -> Self {
        let least = if least.is_finite() && least > 0.0 { least } else { 1.0 };
        let most = if most.is_finite() && most > least { most } else { least * 10.0 };
        let steps: &[f64] = if (most / least).log10() * 3.0 <= wanted as f64 * 1.4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = least.log10().floor() as i32 - 1..=most.log10().ceil() as i32 + 1;
        let all: Vec<f64> =
            decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade))).collect();
        let from = all.iter().copied().filter(|tick| *tick <= least * 0.95).fold(f64::MIN_POSITIVE, f64::max);
        let to = all.iter().copied().filter(|tick| *tick >= most * 1.05).fold(f64::INFINITY, f64::min);
        let ticks: Vec<f64> = all.into_iter().filter(|tick| (from..=to).contains(tick)).collect();
        // Many decades lie too close for their figures: every second one is enough then, or every third.
        let every = if steps.len() > 1 { 1 } else { ticks.len().div_ceil(wanted.max(1) + 1).max(1) };
        let ticks = ticks.into_iter().step_by(every).collect();
        Self { from, to, scale: Scale::Logarithmic, ticks, write }
    }

    /// A logarithmic axis with just these ticks, which begins and ends where it is told.
    pub(super) fn logarithmic_at(from: f64, to: f64, ticks: Vec<f64>, write: fn(f64) -> String) -> Self {
        let from = if from.is_finite() && from > 0.0 { from } else { 1.0 };
        let to = if to.is_finite() && to > from { to } else { from * 10.0 };
        Self { from, to, scale: Scale::Logarithmic, ticks, write }
    }

    /// The same without ticks.
    pub(super) fn bare(from: f64, to: f64) -> Self {
        let (from, to) = not_empty(from, to);
        Self { from, to, scale: Scale::Linear, ticks: Vec::new(), write: |_| String::new() }
    }

    /// Its first value.
    pub(super) fn from(&self) -> f64 {
        self.from
    }

    /// Its last value.
    pub(super) fn to(&self) -> f64 {
        self.to
    }

    /// A value's place between 0 and 1; what lies beyond the ends is at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Logarithmic => (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln(),
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (f64::from(limit.1 - limit.0) * self.place(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.write)(*value)
    }
}

fn not_empty(from: f64, to: f64) -> (f64, f64) {
    let from = if from.is_finite() { from } else { 0.0 };
    let to = if to.is_finite() && to > from { to } else { from + 1.0 };
    (from, to)
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= least * 0.999_999).unwrap_or(10.0);
    step * power
}

fn round_ticks(from: f64, to: f64, wanted: usize) -> Vec<f64> {
    let step = round_step((to - from) / wanted.max(1) as f64);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).take(100).map(|number| number as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        value.to_string()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Axis::linear(0.0, 40.0, 8, text).ticks, [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]);
        assert_eq!(Axis::linear(-3.1, 5.0, 4, text).ticks, [0.0, 5.0]);
        let axis = Axis::from_zero(2_113.0, 4, text);
        assert_eq!((axis.to, axis.ticks.len()), (3_000.0, 4));
        assert_eq!(Axis::logarithmic(1_900.0, 310_000.0, 4, text).ticks, [1e3, 1e4, 1e5, 1e6]);
        assert_eq!(Axis::logarithmic(1.0, 10_000.0, 5, text).ticks, [0.1, 10.0, 1e3, 1e5], "more have no room");
        assert_eq!(Axis::logarithmic(300.0, 900.0, 5, text).ticks, [200.0, 500.0, 1_000.0]);
        assert_eq!(Axis::logarithmic(101.0, 500.0, 5, text).ticks, [50.0, 100.0, 200.0, 500.0, 1_000.0]);
    }

    #[test]
    fn what_has_no_range_gets_one() {
        for (from, to) in [(0.0, 0.0), (5.0, 1.0), (f64::NAN, f64::NAN), (0.0, f64::INFINITY)] {
            for axis in [Axis::linear(from, to, 5, text), Axis::logarithmic(from, to, 5, text), Axis::bare(from, to)] {
                assert!(axis.from < axis.to && axis.to.is_finite(), "{from} {to}: {axis:?}");
                assert_eq!(axis.place(f64::MAX), 1.0);
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0] {
                    assert!((0..=100).contains(&axis.map(&value, (0, 100))), "{value} on {axis:?}");
                }
            }
        }
    }

    #[test]
    fn decades_are_equally_wide() {
        let axis = Axis::logarithmic_at(1.0, 1_000.0, vec![1.0, 10.0], text);
        assert_eq!([1.0, 10.0, 100.0, 1_000.0].map(|value| axis.map(&value, (0, 300))), [0, 100, 200, 300]);
    }
}
