//! Plots as inline SVG, each in two widths: one for a screen or paper, one for a phone.
//!
//! The plotting library draws on a canvas of our own, see [`canvas`]; no plot names a colour, see [`ink`]. Keys and
//! captions are HTML, so that they wrap and never lie on a curve.

mod axis;
mod canvas;
mod ink;
pub(crate) mod intervals;
pub(crate) mod lanes;
pub(crate) mod load_curve;
mod panel;
pub(crate) mod percentiles;
pub(crate) mod points;
pub(crate) mod time_series;
pub(crate) mod trend;

use std::convert::Infallible;

use maud::{Markup, PreEscaped, html};
use plotters::drawing::DrawingAreaErrorKind;

use canvas::Canvas;
pub use canvas::escape;
pub(crate) use ink::{Ink, SERIES};

/// What drawing gives: the library's layout can fail, our canvas cannot.
type Drawn = Result<(), DrawingAreaErrorKind<Infallible>>;

/// One of the two widths in which a plot is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sheet {
    /// A screen or paper.
    Wide,
    /// A phone, upright.
    Narrow,
}

impl Sheet {
    /// Its width in pixels.
    fn width(self) -> u32 {
        match self {
            Self::Wide => 860,
            Self::Narrow => 344,
        }
    }

    fn is_narrow(self) -> bool {
        self == Self::Narrow
    }

    /// Room for the labels of the axis on the left, pixels.
    fn gutter(self) -> u32 {
        match self {
            Self::Wide => 62,
            Self::Narrow => 58,
        }
    }

    /// How many ticks an axis over the whole width has about.
    fn ticks(self) -> usize {
        match self {
            Self::Wide => 10,
            Self::Narrow => 5,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wide => "plot wide",
            Self::Narrow => "plot narrow",
        }
    }
}

/// A drawing: how high it is, and how it is done.
pub(crate) trait Drawing {
    /// Its height on a sheet, pixels.
    fn height(&self, sheet: Sheet) -> u32;
    /// Draws it.
    fn draw(&self, sheet: Sheet, canvas: &Canvas) -> Drawn;
}

/// A drawing on both sheets; `label` says in words what it shows, for who cannot see it.
pub(crate) fn both(label: &str, drawing: &impl Drawing) -> Markup {
    html! {
        (svg(label, drawing, Sheet::Wide))
        (svg(label, drawing, Sheet::Narrow))
    }
}

fn svg(label: &str, drawing: &impl Drawing, sheet: Sheet) -> Markup {
    let (width, height) = (sheet.width(), drawing.height(sheet));
    let canvas = Canvas::new(width, height);
    if let Err(error) = drawing.draw(sheet, &canvas) {
        return html! { p.note { "This plot could not be drawn: " (error) } };
    }
    html! {
        svg class=(sheet.class()) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(label) fill="none" {
            (PreEscaped(canvas.elements()))
        }
    }
}

/// One entry of a key: how the mark looks, and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    ink: Ink,
    shape: Shape,
    text: String,
}

/// How a mark looks in a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A line.
    Line,
    /// A dashed line.
    Dashed,
    /// A filled box.
    Area,
    /// A dot.
    Dot,
}

impl Mark {
    /// An entry.
    pub(crate) fn new(ink: Ink, shape: Shape, text: impl Into<String>) -> Self {
        Self { ink, shape, text: text.into() }
    }
}

/// A key as HTML.
pub(crate) fn key(marks: &[Mark]) -> Markup {
    html! {
        ul.key {
            @for mark in marks {
                li {
                    svg.swatch viewBox="0 0 22 12" aria-hidden="true" fill="none" { (swatch(mark)) }
                    (mark.text)
                }
            }
        }
    }
}

fn swatch(mark: &Mark) -> Markup {
    let (line, fill) = (format!("l-{}", mark.ink.name()), format!("f-{}", mark.ink.name()));
    match mark.shape {
        Shape::Line => html! { path class=(line) stroke-width="2.5" d="M1 6L21 6" {} },
        Shape::Dashed => html! { path class=(line) stroke-width="2" stroke-dasharray="4 3" d="M1 6L21 6" {} },
        Shape::Area => html! { rect class=(fill) x="2" y="1" width="18" height="10" {} },
        Shape::Dot => html! { circle class=(fill) cx="11" cy="6" r="4.5" {} },
    }
}
