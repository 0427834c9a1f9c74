//! Estimates with their intervals, one row each: the gate's forest plot, ratios to peers, the gate's own rates.

use plotters::drawing::IntoDrawingArea;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{
    Area, BARE_HEAD, Chart, FOOT, Frame, NAME_SIZE, RIGHT, dashed, dot, filled, panel, straight, write,
};
use super::{Drawing, Drawn, Ink, Sheet};
use crate::quantity::BEYOND;

/// Names stand above their intervals, so there are no labels on the left.
const GUTTER: u32 = 22;
/// Height of a line of words in a row, pixels.
const LINE: u32 = 17;

/// An estimate with its interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// The estimate.
    pub(crate) estimate: f64,
    /// Lower end of the interval.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What the estimate is of.
    pub(crate) name: String,
    /// The figure in words.
    pub(crate) note: String,
    /// What was found; `None` where nothing was seen, and nothing is drawn.
    pub(crate) found: Option<Found>,
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

impl Row {
    /// Whether its name and its figure have room beside each other.
    fn fits(&self, sheet: Sheet) -> bool {
        let room = f64::from(sheet.width() - GUTTER - RIGHT - 8) - 2.0 * f64::from(NAME_SIZE);
        wide(&self.name) + wide(&self.note) <= room
    }

    /// Its name, without its beginning where all of it has no room: names of counts end in what tells them apart.
    fn shown_name(&self, sheet: Sheet) -> String {
        let most = f64::from(sheet.width() - GUTTER - RIGHT - 8) / (EM * f64::from(NAME_SIZE));
        let letters = self.name.chars().count();
        match letters.checked_sub(most as usize).filter(|over| *over > 0) {
            Some(over) => std::iter::once('…').chain(self.name.chars().skip(over + 1)).collect(),
            None => self.name.clone(),
        }
    }
}

/// About how wide a letter is, in parts of its size: fonts are the reader's.
const EM: f64 = 0.55;

fn wide(text: &str) -> f64 {
    text.chars().count() as f64 * EM * f64::from(NAME_SIZE)
}

impl Intervals {
    /// Name and figure of each row have lines of their own where they would lie on each other in one.
    fn lines(&self, sheet: Sheet) -> u32 {
        if self.rows.iter().all(|row| row.fits(sheet)) { 1 } else { 2 }
    }

    fn row_height(&self, sheet: Sheet) -> u32 {
        let more = (self.lines(sheet) - 1) * LINE;
        more + if sheet.is_narrow() { 52 } else { 46 }
    }

    fn reach(&self) -> (f64, f64) {
        let ends = |row: &Row| {
            let found = row.found.iter().flat_map(|found| [found.low, found.high, found.estimate]);
            let (from, to) = row.allowed.unzip();
            found.chain(row.tick).chain(from).chain(to).collect::<Vec<f64>>()
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
        let (lines, height) = (self.lines(sheet), self.row_height(sheet));
        let top = (self.rows.len() - index) as f64;
        // Marks have the lower part of a row, words the upper one.
        let share = |pixels: u32| f64::from(pixels) / f64::from(height);
        let (middle, words) = (top - 1.0 + share(15), top - share(6 + lines * LINE));
        straight(chart, (f64::MIN, top), (f64::MAX, top), Ink::Grid, 8)?;
        if let Some((from, to)) = row.allowed {
            filled(chart, (from, middle - share(9)), (to, middle + share(9)), Ink::Tolerance)?;
        }
        if let Some(reference) = self.reference() {
            straight(chart, (reference, top - 1.0), (reference, words), Ink::Reference, 14)?;
        }
        if let Some(Found { estimate, low, high }) = row.found {
            straight(chart, (low, middle), (high, middle), row.ink, 26)?;
            for end in [low, high] {
                straight(chart, (end, middle - share(6)), (end, middle + share(6)), row.ink, 16)?;
            }
            if let Some(tick) = row.tick {
                dashed(chart, &[(tick, middle - share(11)), (tick, middle + share(11))], Ink::Faint, 14)?;
            }
            dot(chart, (estimate, middle), row.ink, 46)?;
        }
        let y = (BARE_HEAD + index as u32 * height) as i32 + 5;
        write(area, &row.shown_name(sheet), (GUTTER as i32 + 4, y), Ink::Text, HPos::Left)?;
        match lines {
            1 => write(area, &row.note, ((sheet.width() - RIGHT) as i32 - 4, y), Ink::Faint, HPos::Right),
            _ => write(area, &row.note, (GUTTER as i32 + 4, y + LINE as i32), Ink::Faint, HPos::Left),
        }
    }
}

impl Drawing for Intervals {
    fn height(&self, sheet: Sheet) -> u32 {
        BARE_HEAD + self.rows.len() as u32 * self.row_height(sheet) + FOOT
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let rows = self.rows.len() as f64;
        let area = canvas.clone().into_drawing_area();
        let frame = Frame { name: "", below: Some(self.axis), gutter: GUTTER };
        let mut chart = panel(&area, (self.axis(sheet), Axis::bare(0.0, rows)), &frame)?;
        (0..self.rows.len()).try_for_each(|index| self.row(sheet, &area, &mut chart, index))
    }
}
