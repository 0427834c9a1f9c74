//! Estimates with their intervals, one row each: the gate's forest plot, ratios to peers, the gate's own rates.

use plotters::drawing::IntoDrawingArea;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{Area, BARE_HEAD, Chart, FOOT, Frame, RIGHT, dashed, dot, filled, panel, straight, write};
use super::{Drawing, Drawn, Ink, Sheet};
use crate::quantity::BEYOND;

/// Names stand above their intervals, so there are no labels on the left.
const GUTTER: u32 = 22;

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What the estimate is of.
    pub(crate) name: String,
    /// The figure in words.
    pub(crate) note: String,
    /// The estimate.
    pub(crate) estimate: f64,
    /// Lower end of the interval.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// What follows from it.
    pub(crate) ink: Ink,
    /// A range that is drawn behind, such as what a tolerance allows.
    pub(crate) allowed: Option<(f64, f64)>,
    /// A tick of its own, such as the least effect that would have been found.
    pub(crate) tick: Option<f64>,
}

/// The axis of all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    /// A change in percent; the reference is none.
    Change,
    /// A ratio, logarithmic; the reference is one.
    Ratio,
    /// A share between nothing and all.
    Share,
}

/// The drawing.
pub(crate) struct Intervals {
    /// The rows, from the top.
    pub(crate) rows: Vec<Row>,
    /// Their axis.
    pub(crate) measure: Measure,
    /// What the axis is of.
    pub(crate) axis: &'static str,
}

impl Intervals {
    fn row_height(sheet: Sheet) -> u32 {
        if sheet.is_narrow() { 52 } else { 46 }
    }

    fn reach(&self) -> (f64, f64) {
        let ends = |row: &Row| {
            let (from, to) = row.allowed.unwrap_or((row.low, row.high));
            [row.low, row.high, row.estimate, row.tick.unwrap_or(row.estimate), from, to]
        };
        let finite = self.rows.iter().flat_map(ends).filter(|end| end.abs() < BEYOND);
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), end| (least.min(end), most.max(end)))
    }

    fn axis(&self, sheet: Sheet) -> Axis {
        let (least, most) = self.reach();
        match self.measure {
            Measure::Share => Axis::linear(0.0, 1.0, sheet.ticks(), |share| format!("{:.0} %", share * 100.0)),
            Measure::Change => {
                let (least, most) = (least.min(0.0), most.max(0.0));
                let room = (most - least) * 0.06;
                Axis::linear(least - room, most + room, sheet.ticks(), |change| {
                    if change.abs() < 1e-9 { "0 %".to_owned() } else { format!("{change:+} %").replace('-', "−") }
                })
            }
            Measure::Ratio => {
                let (least, most) = (least.min(1.0) / 1.15, most.max(1.0) * 1.15);
                let all = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];
                let ticks = all.into_iter().filter(|tick| (least..=most).contains(tick)).collect();
                Axis::logarithmic_at(least, most, ticks, |ratio| format!("{ratio}"))
            }
        }
    }

    fn reference(&self) -> Option<f64> {
        match self.measure {
            Measure::Change => Some(0.0),
            Measure::Ratio => Some(1.0),
            Measure::Share => None,
        }
    }

    fn row(&self, sheet: Sheet, area: &Area, chart: &mut Chart<'_>, index: usize) -> Drawn {
        let row = &self.rows[index];
        let top = (self.rows.len() - index) as f64;
        let middle = top - 0.68;
        straight(chart, (f64::MIN, top), (f64::MAX, top), Ink::Grid, 8)?;
        if let Some((from, to)) = row.allowed {
            filled(chart, (from, middle - 0.2), (to, middle + 0.2), Ink::Tolerance)?;
        }
        straight(chart, (row.low, middle), (row.high, middle), row.ink, 26)?;
        for end in [row.low, row.high] {
            straight(chart, (end, middle - 0.12), (end, middle + 0.12), row.ink, 16)?;
        }
        if let Some(tick) = row.tick {
            dashed(chart, &[(tick, middle - 0.24), (tick, middle + 0.24)], Ink::Faint, 14)?;
        }
        dot(chart, (row.estimate, middle), row.ink, 46)?;
        let y = (BARE_HEAD + index as u32 * Self::row_height(sheet)) as i32 + 5;
        write(area, &row.name, (GUTTER as i32 + 4, y), Ink::Text, HPos::Left)?;
        write(area, &row.note, ((sheet.width() - RIGHT) as i32 - 4, y), Ink::Faint, HPos::Right)
    }
}

impl Drawing for Intervals {
    fn height(&self, sheet: Sheet) -> u32 {
        BARE_HEAD + self.rows.len() as u32 * Self::row_height(sheet) + FOOT
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let rows = self.rows.len() as f64;
        let area = canvas.clone().into_drawing_area();
        let frame = Frame { name: "", below: Some(self.axis), gutter: GUTTER };
        let mut chart = panel(&area, (self.axis(sheet), Axis::bare(0.0, rows)), &frame)?;
        if let Some(reference) = self.reference() {
            straight(&mut chart, (reference, 0.0), (reference, rows), Ink::Reference, 14)?;
        }
        (0..self.rows.len()).try_for_each(|index| self.row(sheet, &area, &mut chart, index))
    }
}
