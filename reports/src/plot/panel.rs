//! One pair of axes with its grid: the frame of every plot.

use std::convert::Infallible;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, TextStyle};

use super::Drawn;
use super::axis::Axis;
use super::canvas::{Canvas, TENTHS};
use super::ink::Ink;

/// A place to draw on.
pub(super) type Area = DrawingArea<Canvas, Shift>;
/// A pair of axes.
pub(super) type Chart<'a> = ChartContext<'a, Canvas, Cartesian2d<Axis, Axis>>;

/// Labels of axes, pixels.
const LABEL_SIZE: u32 = 12;
/// Names of panels and marks, pixels.
pub(super) const NAME_SIZE: u32 = 13;

/// What a panel shows beside its curves.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    /// Its name, above it on the left.
    pub(super) name: &'a str,
    /// What the axis below is of; `None` hides that axis.
    pub(super) below: Option<&'a str>,
    /// Room for labels on the left, pixels.
    pub(super) gutter: u32,
}

/// What a panel leaves above its axes for its name, pixels.
pub(super) const HEAD: u32 = 32;
/// What it leaves there when it has no name, pixels.
pub(super) const BARE_HEAD: u32 = 10;
/// What a panel leaves on the right, for half of the last label, pixels.
pub(super) const RIGHT: u32 = 24;
/// What a panel leaves below its axes for labels and the axis's name, pixels.
pub(super) const FOOT: u32 = 46;

/// Axes and grid on an area.
pub(super) fn panel<'a>(
    area: &'a Area,
    (x, y): (Axis, Axis),
    frame: &Frame<'_>,
) -> Result<Chart<'a>, DrawingAreaErrorKind<Infallible>> {
    let top = if frame.name.is_empty() { BARE_HEAD } else { HEAD };
    let bottom = if frame.below.is_some() { FOOT } else { 4 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(px(top))
        .margin_right(px(RIGHT))
        .set_label_area_size(LabelAreaPosition::Left, px(frame.gutter))
        .set_label_area_size(LabelAreaPosition::Bottom, px(bottom))
        .build_cartesian_2d(x, y)?;
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(Ink::Grid.line(8)).axis_style(Ink::Grid.line(12)).label_style(label_style());
    mesh.set_all_tick_mark_size(px(3)).x_labels(100).y_labels(100);
    match frame.below {
        Some(name) => mesh.x_desc(name).axis_desc_style(label_style()),
        None => mesh.disable_x_axis(),
    };
    mesh.draw()?;
    if !frame.name.is_empty() {
        write(area, frame.name, (2, HEAD as i32 - 20), Ink::Text, HPos::Left)?;
    }
    Ok(chart)
}

/// A curve.
pub(super) fn curve(
    chart: &mut Chart<'_>,
    points: impl IntoIterator<Item = (f64, f64)>,
    ink: Ink,
    width: u32,
) -> Drawn {
    chart.draw_series(LineSeries::new(points, ink.line(width)))?;
    Ok(())
}

/// A filled box from one corner to the other.
pub(super) fn filled(chart: &mut Chart<'_>, from: (f64, f64), to: (f64, f64), ink: Ink) -> Drawn {
    chart.draw_series([Rectangle::new([from, to], ink.fill())])?;
    Ok(())
}

/// Dashes along a straight or broken line.
pub(super) fn dashed(chart: &mut Chart<'_>, points: &[(f64, f64)], ink: Ink, width: u32) -> Drawn {
    let series = DashedLineSeries::new(points.iter().copied(), px(5), px(4), ink.line(width));
    chart.draw_series(series)?;
    Ok(())
}

/// A straight line.
pub(super) fn straight(chart: &mut Chart<'_>, from: (f64, f64), to: (f64, f64), ink: Ink, width: u32) -> Drawn {
    chart.draw_series([PathElement::new([from, to], ink.line(width))])?;
    Ok(())
}

/// A dot of this radius in tenths of a pixel.
pub(super) fn dot(chart: &mut Chart<'_>, at: (f64, f64), ink: Ink, radius: u32) -> Drawn {
    chart.draw_series([Circle::new(at, radius, ink.fill())])?;
    Ok(())
}

/// Text at a place of an area, in pixels from its corner; the place is the text's upper corner on that side.
pub(super) fn write(area: &Area, text: &str, at: (i32, i32), ink: Ink, side: HPos) -> Drawn {
    let style = style(NAME_SIZE, ink, side);
    area.draw(&Text::new(text.to_owned(), (at.0 * TENTHS as i32, at.1 * TENTHS as i32), style))
}

fn label_style() -> TextStyle<'static> {
    style(LABEL_SIZE, Ink::Faint, HPos::Left)
}

fn style(size: u32, ink: Ink, side: HPos) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, f64::from(px(size)), FontStyle::Normal);
    TextStyle { font, color: ink.color().to_backend_color(), pos: Pos::new(side, VPos::Top) }
}

/// Pixels in the library's own.
pub(super) fn px(pixels: u32) -> u32 {
    pixels * TENTHS
}
