//! One figure over many runs or rounds, with the level of each stretch and where it changed.

use plotters::drawing::IntoDrawingArea;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{Frame, curve, dashed, dot, panel, straight};
use super::{Drawing, Drawn, Ink, Sheet};
use crate::quantity::digits;

/// The drawing.
pub(crate) struct Trend<'a> {
    /// The figure's name.
    pub(crate) name: &'a str,
    /// What the axis below counts.
    pub(crate) axis: &'a str,
    /// Its values, the oldest first.
    pub(crate) values: &'a [f64],
    /// Stretches of equal level: first run, run after the last, median.
    pub(crate) levels: &'a [(usize, usize, f64)],
    /// Runs that stand outside of what is usual.
    pub(crate) outliers: &'a [usize],
}

impl Drawing for Trend<'_> {
    fn height(&self, sheet: Sheet) -> u32 {
        if sheet.is_narrow() { 190 } else { 200 }
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let (least, most) =
            self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(*value), b.max(*value)));
        let room = ((most - least) * 0.12).max(most.abs() * 0.01);
        let from = if least >= 0.0 { (least - room).max(0.0) } else { least - room };
        let y = Axis::linear(from, most + room, 4, digits);
        let x = Axis::linear(0.0, self.values.len() as f64 + 1.0, sheet.ticks(), digits);
        let area = canvas.clone().into_drawing_area();
        let frame = Frame { name: self.name, below: Some(self.axis), gutter: sheet.gutter() };
        let mut chart = panel(&area, (x, y.clone()), &frame)?;
        for pair in self.levels.windows(2) {
            let border = pair[1].0 as f64 + 0.5;
            dashed(&mut chart, &[(border, y.from()), (border, y.to())], Ink::Bad, 14)?;
        }
        let points = || self.values.iter().enumerate().map(|(index, value)| (index as f64 + 1.0, *value));
        curve(&mut chart, points(), Ink::Grid, 12)?;
        for (from, until, level) in self.levels {
            straight(&mut chart, (*from as f64 + 0.6, *level), (*until as f64 + 0.4, *level), Ink::Reference, 18)?;
        }
        for (index, point) in points().enumerate() {
            let ink = if self.outliers.contains(&index) { Ink::Bad } else { Ink::Median };
            dot(&mut chart, point, ink, if self.outliers.contains(&index) { 46 } else { 30 })?;
        }
        Ok(())
    }
}
