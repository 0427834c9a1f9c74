//! Latency against offered load: the hockey stick, with its bands, the objective and the knee.

use plotters::drawing::IntoDrawingArea;
use plotters::element::Polygon;

use super::axis::Axis;
use super::canvas::Canvas;
use super::panel::{Chart, Frame, curve, dashed, dot, filled, panel};
use super::{Drawing, Drawn, Ink, Mark, Shape, Sheet};
use crate::quantity::{duration, percent, tick};
use crate::result::{Capacity, CapacityStep, Ratio};

/// The drawing.
pub(crate) struct LoadCurve {
    capacity: Capacity,
}

impl LoadCurve {
    /// Of a search for capacity; `None` when it has fewer than two steps.
    pub(crate) fn of(capacity: &Capacity) -> Option<Self> {
        let mut capacity = capacity.clone();
        capacity.steps.retain(|step| step.p50_us.estimate > 0.0 && step.p99_us.estimate > 0.0);
        capacity.steps.sort_by(|one, other| one.offered_rps.total_cmp(&other.offered_rps));
        (capacity.steps.len() > 1).then_some(Self { capacity })
    }

    /// What the marks mean.
    pub(crate) fn key(&self) -> Vec<Mark> {
        // Few sweeps give an interval that holds the truth less often; an old result does not say how often.
        let often = self.capacity.coverage.map_or_else(String::new, |coverage| percent(coverage) + " ");
        vec![
            Mark::new(Ink::Tail, Shape::Line, format!("p99, with its {often}interval")),
            Mark::new(Ink::Median, Shape::Line, format!("p50, with its {often}interval")),
            Mark::new(
                Ink::Reference,
                Shape::Dashed,
                format!("objective: p99 of {}", duration(self.capacity.objective_p99_us)),
            ),
            Mark::new(Ink::Tolerance, Shape::Area, "the most that holds the objective, with its interval"),
        ]
    }

    fn band(&self, chart: &mut Chart<'_>, figure: fn(&CapacityStep) -> Ratio, ink: Ink) -> Drawn {
        let steps = &self.capacity.steps;
        let upper = steps.iter().map(|step| (step.offered_rps, figure(step).ci_high));
        let lower = steps.iter().rev().map(|step| (step.offered_rps, figure(step).ci_low));
        let mut style = ink.fill();
        style.color.3 = 0.18;
        chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), style)])?;
        curve(chart, steps.iter().map(|step| (step.offered_rps, figure(step).estimate)), ink, 22)?;
        steps.iter().try_for_each(|step| dot(chart, (step.offered_rps, figure(step).estimate), ink, 32))
    }
}

impl Drawing for LoadCurve {
    fn height(&self, sheet: Sheet) -> u32 {
        if sheet.is_narrow() { 300 } else { 360 }
    }

    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn {
        let Capacity { steps, objective_p99_us, knee_rps, .. } = &self.capacity;
        let most_load = steps.iter().map(|step| step.offered_rps).fold(0.0, f64::max);
        let least = steps.iter().map(|step| step.p50_us.ci_low).filter(|us| *us > 0.0).fold(f64::INFINITY, f64::min);
        let most = steps.iter().map(|step| step.p99_us.ci_high).fold(*objective_p99_us, f64::max);
        let x = Axis::from_zero(most_load, sheet.ticks() * 2 / 3, tick);
        let y = Axis::logarithmic(least, most, 8, duration);
        let area = canvas.clone().into_drawing_area();
        let frame = Frame { name: "latency", below: Some("offered requests a second"), gutter: sheet.gutter() };
        let mut chart = panel(&area, (x.clone(), y.clone()), &frame)?;
        filled(&mut chart, (knee_rps.ci_low, y.from()), (knee_rps.ci_high, y.to()), Ink::Tolerance)?;
        dashed(&mut chart, &[(x.from(), *objective_p99_us), (x.to(), *objective_p99_us)], Ink::Reference, 14)?;
        self.band(&mut chart, |step| step.p99_us, Ink::Tail)?;
        self.band(&mut chart, |step| step.p50_us, Ink::Median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_says_how_often_it_holds_the_truth() {
        let us = |us| Ratio { estimate: us, ci_low: us, ci_high: us };
        let step =
            |offered_rps| CapacityStep { offered_rps, p50_us: us(1.0), p99_us: us(2.0), ..CapacityStep::default() };
        let texts = |coverage| {
            let capacity = Capacity { steps: vec![step(1.0), step(2.0)], coverage, ..Capacity::default() };
            LoadCurve::of(&capacity).unwrap().key().into_iter().map(|mark| mark.text).collect::<Vec<String>>()
        };
        assert_eq!(texts(Some(0.5))[..2], ["p99, with its 50.0 % interval", "p50, with its 50.0 % interval"]);
        assert_eq!(texts(None)[0], "p99, with its interval");
    }
}
