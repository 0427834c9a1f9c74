//! Requests a second, latency and errors over time, with faults shaded behind them and lanes below.

use plotters::drawing::IntoDrawingArea;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::Canvas;
use super::lanes::{Block, Lane, Window, lanes, step_s, windows};
use super::panel::{Area, BARE_HEAD, Chart, FOOT, Frame, HEAD, RIGHT, curve, filled, panel, px, straight, write};
use super::{Drawing, Drawn, Ink, Sheet};
use crate::quantity::{digits, duration, tick};
use crate::result::{Moment, ResultFile};

/// More moments than this are drawn in groups, each with its worst latency.
const MOST_MOMENTS: usize = 400;
/// A lane with its name, pixels.
const LANE: u32 = 32;

/// What the time axis is of.
const TIME: &str = "seconds since the run's start";

/// What draws one panel.
type Panel = fn(&TimeSeries, Sheet, &Area, &Frame<'_>) -> Drawn;

/// The drawing.
pub(crate) struct TimeSeries {
    moments: Vec<Moment>,
    step_s: f64,
    windows: Vec<Window>,
    lanes: Vec<Lane>,
}

impl TimeSeries {
    /// Of a result's timeline; `None` when it has none.
    pub(crate) fn of(result: &ResultFile) -> Option<Self> {
        if result.timeline.is_empty() {
            return None;
        }
        let windows = windows(&result.timeline);
        let moments = grouped(&result.timeline);
        Some(Self { step_s: step_s(&moments), moments, windows, lanes: lanes(result) })
    }

    /// Whether anything failed, so that there is a panel of errors.
    pub(crate) fn has_errors(&self) -> bool {
        self.moments.iter().any(|moment| moment.errors > 0)
    }

    /// Whether faults are shaded.
    pub(crate) fn has_faults(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether a lane shows a breaker.
    pub(crate) fn has_breakers(&self) -> bool {
        self.lanes.iter().any(|lane| lane.name.starts_with("breaker "))
    }

    fn panels(&self, sheet: Sheet) -> Vec<u32> {
        let lower = if sheet.is_narrow() { 20 } else { 0 };
        let mut heights = vec![HEAD + 110 - lower, HEAD + 180 - lower];
        if self.has_errors() {
            heights.push(HEAD + 70);
        }
        heights
    }

    fn time(&self, sheet: Sheet) -> Axis {
        let from = self.moments.first().map_or(0.0, |first| first.t_ms as f64 / 1e3);
        let to = self.moments.last().map_or(1.0, |last| last.t_ms as f64 / 1e3 + self.step_s);
        Axis::linear(from, to, sheet.ticks(), digits)
    }

    fn points(&self, value: fn(&Moment) -> f64) -> Vec<Vec<(f64, f64)>> {
        // A moment without requests has no latency: the curve has a gap there, and does not fall to zero.
        let point = |moment: &Moment| (moment.t_ms as f64 / 1e3 + self.step_s / 2.0, value(moment));
        let pieces = self.moments.split(|moment| value(moment) <= 0.0);
        pieces.filter(|piece| !piece.is_empty()).map(|piece| piece.iter().map(point).collect()).collect()
    }

    fn shade(&self, chart: &mut Chart<'_>, y: &Axis) -> Drawn {
        for window in &self.windows {
            filled(chart, (window.from_s, y.from()), (window.until_s, y.to()), Ink::Fault)?;
            for edge in [window.from_s, window.until_s] {
                straight(chart, (edge, y.from()), (edge, y.to()), Ink::Unsure, 8)?;
            }
        }
        Ok(())
    }

    fn rate(&self, sheet: Sheet, area: &Area, frame: &Frame<'_>) -> Drawn {
        let most = self.moments.iter().map(|moment| moment.rps).fold(0.0, f64::max);
        let y = Axis::from_zero(most * 1.05, 4, tick);
        let mut chart = panel(area, (self.time(sheet), y.clone()), frame)?;
        self.shade(&mut chart, &y)?;
        let points = self.moments.iter().map(|moment| (moment.t_ms as f64 / 1e3 + self.step_s / 2.0, moment.rps));
        curve(&mut chart, points, Ink::Rate, 18)
    }

    fn latency(&self, sheet: Sheet, area: &Area, frame: &Frame<'_>) -> Drawn {
        let positive = |value: fn(&Moment) -> f64| self.moments.iter().map(value).filter(|us| *us > 0.0);
        let least = positive(|moment| moment.p50).fold(f64::INFINITY, f64::min);
        let most = positive(|moment| moment.p99).fold(0.0, f64::max);
        let y = Axis::logarithmic(least, most, 6, duration);
        let mut chart = panel(area, (self.time(sheet), y.clone()), frame)?;
        self.shade(&mut chart, &y)?;
        for piece in self.points(|moment| moment.p99) {
            curve(&mut chart, piece, Ink::Tail, 20)?;
        }
        for piece in self.points(|moment| moment.p50) {
            curve(&mut chart, piece, Ink::Median, 20)?;
        }
        Ok(())
    }

    fn errors(&self, sheet: Sheet, area: &Area, frame: &Frame<'_>) -> Drawn {
        let rate = |moment: &Moment| moment.errors as f64 / self.step_s;
        let y = Axis::from_zero(self.moments.iter().map(rate).fold(0.0, f64::max), 2, tick);
        let mut chart = panel(area, (self.time(sheet), y.clone()), frame)?;
        self.shade(&mut chart, &y)?;
        for moment in self.moments.iter().filter(|moment| moment.errors > 0) {
            let from = moment.t_ms as f64 / 1e3;
            let gap = self.step_s * 0.1;
            filled(&mut chart, (from + gap, 0.0), (from + self.step_s - gap, rate(moment)), Ink::Bad)?;
        }
        Ok(())
    }

    fn lanes(&self, sheet: Sheet, area: &Area, frame: &Frame<'_>) -> Drawn {
        let rows = self.lanes.len() as f64;
        let time = self.time(sheet);
        // No block is thinner than this share of the axis: a half-open breaker of 2 ms is a fact too.
        let least = (time.to() - time.from()) / 400.0;
        let mut chart = panel(area, (time, Axis::bare(0.0, rows)), frame)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            let floor = rows - index as f64 - 0.98;
            straight(&mut chart, (f64::MIN, floor), (f64::MAX, floor), Ink::Grid, 8)?;
            for Block { from_s, until_s, height, ink } in &lane.blocks {
                let until = until_s.max(from_s + least);
                filled(&mut chart, (*from_s, floor), (until, floor + 0.42 * height), *ink)?;
            }
            let at = (sheet.gutter() as i32 + 4, (BARE_HEAD + index as u32 * LANE) as i32 + 1);
            write(area, &lane.name, at, Ink::Faint, HPos::Left)?;
        }
        Ok(())
    }

    fn hints(&self, sheet: Sheet, canvas: &Canvas, height: u32) {
        let time = self.time(sheet);
        let (left, width) = (f64::from(sheet.gutter()), f64::from(sheet.width() - sheet.gutter() - RIGHT));
        for moment in &self.moments {
            let from_s = moment.t_ms as f64 / 1e3;
            let (from, to) = (time.place(from_s), time.place(from_s + self.step_s));
            let top = f64::from(HEAD);
            let bottom = f64::from(height - FOOT);
            canvas.hint(left + from * width, top, (to - from) * width, bottom - top, &in_words(moment));
        }
    }
}

impl Drawing for TimeSeries {
    fn height(&self, sheet: Sheet) -> u32 {
        let lanes = if self.lanes.is_empty() { 0 } else { BARE_HEAD + self.lanes.len() as u32 * LANE };
        self.panels(sheet).iter().sum::<u32>() + lanes + FOOT
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let mut rest = canvas.clone().into_drawing_area();
        let panels: [(&str, Panel); 3] = [
            ("requests a second", Self::rate),
            ("latency from the intended send time", Self::latency),
            ("errors a second", Self::errors),
        ];
        let heights = self.panels(sheet);
        for (index, height) in heights.iter().enumerate() {
            let is_last = self.lanes.is_empty() && index + 1 == heights.len();
            let height = height + if is_last { FOOT - 4 } else { 0 };
            let (area, below) = rest.split_vertically(px(height));
            let frame = Frame { name: panels[index].0, below: is_last.then_some(TIME), gutter: sheet.gutter() };
            panels[index].1(self, sheet, &area, &frame)?;
            rest = below;
        }
        if !self.lanes.is_empty() {
            self.lanes(sheet, &rest, &Frame { name: "", below: Some(TIME), gutter: sheet.gutter() })?;
        }
        self.hints(sheet, canvas, self.height(sheet));
        Ok(())
    }
}

fn in_words(moment: &Moment) -> String {
    let seconds = digits(moment.t_ms as f64 / 1e3);
    let mut lines = vec![
        format!("{seconds} s: {} requests/s, {} errors", digits(moment.rps), moment.errors),
        format!("p50 {}, p99 {}", duration(moment.p50), duration(moment.p99)),
    ];
    lines.extend(moment.fault_active.iter().map(|fault| format!("fault: {fault}")));
    let away = moment.breaker_states.iter().filter(|(_, state)| *state != "closed");
    lines.extend(away.map(|(endpoint, state)| format!("breaker {endpoint}: {state}")));
    lines.join("\n")
}

/// Neighbours as one where there are too many: rates are averaged, errors added, of latencies the worst is kept, since
/// percentiles cannot be averaged.
fn grouped(moments: &[Moment]) -> Vec<Moment> {
    let size = moments.len().div_ceil(MOST_MOMENTS).max(1);
    let worst = |group: &[Moment], value: fn(&Moment) -> f64| group.iter().map(value).fold(0.0, f64::max);
    let merge = |group: &[Moment]| Moment {
        rps: group.iter().map(|moment| moment.rps).sum::<f64>() / group.len() as f64,
        p50: worst(group, |moment| moment.p50),
        p99: worst(group, |moment| moment.p99),
        errors: group.iter().map(|moment| moment.errors).sum(),
        ..group[0].clone()
    };
    moments.chunks(size).map(merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lose_no_error_and_hide_no_tail() {
        let moment = |index: u64| Moment {
            t_ms: index * 100,
            rps: 10.0,
            p50: 1.0,
            p99: if index == 501 { 9.0 } else { 2.0 },
            errors: 1,
            ..Moment::default()
        };
        let moments: Vec<Moment> = (0..1_001).map(moment).collect();
        let grouped = grouped(&moments);
        assert!(grouped.len() <= MOST_MOMENTS);
        assert_eq!(grouped.iter().map(|moment| moment.errors).sum::<u64>(), 1_001);
        assert!(grouped.iter().any(|moment| moment.p99 >= 9.0));
        assert!((grouped[0].rps - 10.0).abs() < 1e-9);
    }
}
