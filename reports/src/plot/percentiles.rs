//! Latency at each percentile, on an axis of 1/(1-p): every further nine takes the same room.

use plotters::drawing::IntoDrawingArea;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{Frame, curve, dashed, panel};
use super::{Drawing, Drawn, Ink, Mark, SERIES, Shape, Sheet};
use crate::quantity::duration;
use crate::spectrum::{Kind, Spectrum};

/// The drawing.
pub(crate) struct Percentiles<'a> {
    /// The curves.
    pub(crate) spectra: &'a [Spectrum],
}

impl Percentiles<'_> {
    /// The phases in their order; a phase's number is its colour.
    fn phases(&self) -> Vec<&str> {
        let mut phases: Vec<&str> = Vec::new();
        for spectrum in self.spectra {
            if !phases.contains(&spectrum.phase.as_str()) {
                phases.push(&spectrum.phase);
            }
        }
        phases
    }

    fn ink(&self, spectrum: &Spectrum) -> Ink {
        let place = self.phases().iter().position(|phase| *phase == spectrum.phase).unwrap_or(0);
        Ink::Series((place % usize::from(SERIES)) as u8)
    }

    /// What the curves mean.
    pub(crate) fn key(&self) -> Vec<Mark> {
        let of = |kind| self.spectra.iter().filter(move |spectrum| spectrum.kind == kind);
        let mut marks: Vec<Mark> =
            of(Kind::Latency).map(|one| Mark::new(self.ink(one), Shape::Line, one.phase.clone())).collect();
        if of(Kind::Service).next().is_some() {
            marks.push(Mark::new(Ink::Faint, Shape::Dashed, "the same from the first byte sent"));
        }
        marks
    }
}

impl Drawing for Percentiles<'_> {
    fn height(&self, sheet: Sheet) -> u32 {
        if sheet.is_narrow() { 290 } else { 340 }
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let points = || self.spectra.iter().flat_map(|spectrum| &spectrum.points);
        let furthest = points().map(|point| point.0).fold(100.0, f64::max);
        let (least, most) =
            points().fold((f64::INFINITY, 0.0_f64), |(least, most), point| (least.min(point.1), most.max(point.1)));
        let ticks = (0..).map(|nines| 10_f64.powi(nines)).take_while(|tick| *tick <= furthest * 1.001).collect();
        let x = Axis::logarithmic_at(1.0, furthest, ticks, percentile);
        let y = Axis::logarithmic(least, most, 8, duration);
        let area = canvas.clone().into_drawing_area();
        let frame =
            Frame { name: "latency", below: Some("share of requests that were faster"), gutter: sheet.gutter() };
        let mut chart = panel(&area, (x, y), &frame)?;
        for spectrum in self.spectra {
            let ink = self.ink(spectrum);
            match spectrum.kind {
                Kind::Latency => curve(&mut chart, spectrum.points.iter().copied(), ink, 22)?,
                Kind::Service => dashed(&mut chart, &spectrum.points, ink, 14)?,
            }
        }
        Ok(())
    }
}

/// 1/(1-p) as the percentile that it stands for.
fn percentile(inverse: f64) -> String {
    let nines = inverse.log10().round().max(0.0) as usize;
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_written_out() {
        let told: Vec<String> = [1.0, 10.0, 100.0, 1e3, 1e5].into_iter().map(percentile).collect();
        assert_eq!(told, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }
}
