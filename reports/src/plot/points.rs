//! Points with their intervals: against an axis below, where the points of a series are joined, or each under its name.

use plotters::drawing::IntoDrawingArea;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{BARE_HEAD, Chart, FOOT, Frame, RIGHT, curve, dot, panel, straight, write};
use super::{Drawing, Drawn, Ink, Mark, Shape, Sheet};
use crate::quantity::{BEYOND, in_unit, tick};
use crate::result::{ClaimPlot, ClaimPoint, Unit};

/// Names stand above their points, so there are no labels on the left.
const GUTTER: u32 = 22;

/// The drawing.
pub(crate) struct Points {
    plot: ClaimPlot,
}

impl Points {
    /// Of a plot; `None` when it has no point that can be drawn.
    pub(crate) fn of(plot: &ClaimPlot) -> Option<Self> {
        let mut plot = plot.clone();
        let (x_log, y_log) = (plot.x_log, plot.y_log);
        let fits = |value: f64, log: bool| value.abs() < BEYOND && (!log || value > 0.0);
        let is_drawable = |point: &ClaimPoint| {
            fits(point.x, x_log) && [point.y, point.low, point.high].iter().all(|y| fits(*y, y_log))
        };
        plot.series.iter_mut().for_each(|series| series.points.retain(is_drawable));
        plot.series.retain(|series| !series.points.is_empty());
        (!plot.series.is_empty()).then_some(Self { plot })
    }

    /// What the marks mean.
    pub(crate) fn key(&self) -> Vec<Mark> {
        let shape = if self.is_named() { Shape::Dot } else { Shape::Line };
        let mark = |(index, series): (usize, &crate::result::ClaimSeries)| {
            Mark::new(ink(index), shape, format!("{}, with its interval", series.name))
        };
        self.plot.series.iter().enumerate().map(mark).collect()
    }

    /// Points stand for themselves, each in a row of its own.
    fn is_named(&self) -> bool {
        self.plot.x.is_empty()
    }

    fn points(&self) -> impl Iterator<Item = (usize, &ClaimPoint)> {
        self.plot
            .series
            .iter()
            .enumerate()
            .flat_map(|(index, series)| series.points.iter().map(move |one| (index, one)))
    }

    fn reach(ends: impl Iterator<Item = f64>) -> (f64, f64) {
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), end| (least.min(end), most.max(end)))
    }

    fn measure(&self, ticks: usize) -> Axis {
        let (least, most) = Self::reach(self.points().flat_map(|(_, point)| [point.low, point.high, point.y]));
        let write = writer(self.plot.unit);
        match (self.plot.y_log, least < 0.0) {
            (true, _) => Axis::logarithmic(least, most, ticks, write),
            (false, true) => Axis::linear(least * 1.05, most.max(0.0) * 1.05, ticks, write),
            (false, false) => Axis::from_zero(most, ticks, write),
        }
    }

    fn below(&self, sheet: Sheet) -> Axis {
        let (least, most) = Self::reach(self.points().map(|(_, point)| point.x));
        match self.plot.x_log {
            true => Axis::logarithmic(least, most, sheet.ticks(), tick),
            false => Axis::from_zero(most, sheet.ticks(), tick),
        }
    }

    fn row_height(sheet: Sheet) -> u32 {
        if sheet.is_narrow() { 46 } else { 42 }
    }

    fn in_rows(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let count = self.points().count() as f64;
        let area = canvas.clone().into_drawing_area();
        let axis = self.measure(sheet.ticks() * 2 / 3);
        let frame = Frame { name: "", below: Some(&self.plot.y), gutter: GUTTER };
        let mut chart = panel(&area, (axis, Axis::bare(0.0, count)), &frame)?;
        for (row, (index, point)) in self.points().enumerate() {
            let top = count - row as f64;
            straight(&mut chart, (f64::MIN, top), (f64::MAX, top), Ink::Grid, 8)?;
            let (middle, ink) = (top - 0.7, ink(index));
            straight(&mut chart, (point.low, middle), (point.high, middle), ink, 26)?;
            dot(&mut chart, (point.y, middle), ink, 46)?;
            let y = (BARE_HEAD + row as u32 * Self::row_height(sheet)) as i32 + 4;
            write(&area, &point.name, (GUTTER as i32 + 4, y), Ink::Text, HPos::Left)?;
            let note = in_unit(point.y, self.plot.unit);
            write(&area, &note, ((sheet.width() - RIGHT) as i32 - 4, y), Ink::Faint, HPos::Right)?;
        }
        Ok(())
    }

    fn along(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let area = canvas.clone().into_drawing_area();
        let frame = Frame { name: &self.plot.y, below: Some(&self.plot.x), gutter: sheet.gutter() + 12 };
        let mut chart = panel(&area, (self.below(sheet), self.measure(8)), &frame)?;
        for (index, series) in self.plot.series.iter().enumerate() {
            curve(&mut chart, series.points.iter().map(|point| (point.x, point.y)), ink(index), 22)?;
            series.points.iter().try_for_each(|point| bar(&mut chart, point, ink(index)))?;
        }
        Ok(())
    }
}

impl Drawing for Points {
    fn height(&self, sheet: Sheet) -> u32 {
        match self.is_named() {
            true => BARE_HEAD + self.points().count() as u32 * Self::row_height(sheet) + FOOT,
            false if sheet.is_narrow() => 260,
            false => 300,
        }
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        if self.is_named() { self.in_rows(sheet, canvas) } else { self.along(sheet, canvas) }
    }
}

fn bar(chart: &mut Chart<'_>, point: &ClaimPoint, ink: Ink) -> Drawn {
    straight(chart, (point.x, point.low), (point.x, point.high), ink, 14)?;
    dot(chart, (point.x, point.y), ink, 34)
}

fn ink(index: usize) -> Ink {
    Ink::Series((index % usize::from(super::SERIES)) as u8)
}

/// How a tick is written: axes take no closure.
fn writer(unit: Unit) -> fn(f64) -> String {
    match unit {
        Unit::Number => tick,
        Unit::Times => |value| in_unit(value, Unit::Times),
        Unit::Share => |value| in_unit(value, Unit::Share),
        Unit::Ns => |value| in_unit(value, Unit::Ns),
        Unit::Us => |value| in_unit(value, Unit::Us),
        Unit::Ms => |value| in_unit(value, Unit::Ms),
        Unit::Bytes => |value| in_unit(value, Unit::Bytes),
        Unit::PerSecond => |value| in_unit(value, Unit::PerSecond),
        Unit::BytesPerSecond => |value| in_unit(value, Unit::BytesPerSecond),
    }
}
