//! Colours by meaning.
//!
//! A plot says what a mark means; the page's style sheet says how that looks, by day, by night and on paper. So an ink
//! travels through the plotting library as a colour that encodes its number, and leaves as a class name.

use plotters::style::{Color, RGBColor, ShapeStyle};

/// What a mark means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Labels and names.
    Text,
    /// Labels of axes, notes.
    Faint,
    /// Lines of the grid.
    Grid,
    /// The reference: no change, the objective.
    Reference,
    /// Requests a second.
    Rate,
    /// Median latency.
    Median,
    /// 99th percentile.
    Tail,
    /// What is bad: errors, open breakers, failed judgements.
    Bad,
    /// What is good.
    Good,
    /// What is neither: half-open breakers, open questions.
    Unsure,
    /// The time of a fault, behind other marks.
    Fault,
    /// A limit's tolerance, behind other marks.
    Tolerance,
    /// One of several series of equal rank, 0 to 5.
    Series(u8),
}

/// Class names, in the order of the inks' numbers.
const NAMES: [&str; 18] = [
    "text",
    "faint",
    "grid",
    "reference",
    "rate",
    "median",
    "tail",
    "bad",
    "good",
    "unsure",
    "fault",
    "tolerance",
    "s0",
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
];
/// Where the series begin in [`NAMES`].
const FIRST_SERIES: u8 = 12;
/// How many series can be told apart.
pub(crate) const SERIES: u8 = 6;

impl Ink {
    fn number(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::Faint => 1,
            Self::Grid => 2,
            Self::Reference => 3,
            Self::Rate => 4,
            Self::Median => 5,
            Self::Tail => 6,
            Self::Bad => 7,
            Self::Good => 8,
            Self::Unsure => 9,
            Self::Fault => 10,
            Self::Tolerance => 11,
            Self::Series(number) => FIRST_SERIES + number % SERIES,
        }
    }

    /// The name in the style sheet, without its prefix.
    pub(crate) fn name(self) -> &'static str {
        NAMES[usize::from(self.number())]
    }

    /// As the plotting library's colour.
    pub(super) fn color(self) -> RGBColor {
        RGBColor(0, 0, self.number())
    }

    /// A line of this many tenths of a pixel.
    pub(super) fn line(self, tenths: u32) -> ShapeStyle {
        ShapeStyle { color: self.color().to_rgba(), filled: false, stroke_width: tenths }
    }

    /// A filled shape.
    pub(super) fn fill(self) -> ShapeStyle {
        ShapeStyle { color: self.color().to_rgba(), filled: true, stroke_width: 0 }
    }
}

/// The name of the ink that a colour encodes; the library's own colours, which no plot asks for, are text.
pub(super) fn name_of(rgb: (u8, u8, u8)) -> &'static str {
    NAMES.get(usize::from(rgb.2)).copied().unwrap_or(NAMES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ink_survives_its_way_through_the_library() {
        for ink in [Ink::Text, Ink::Tolerance, Ink::Series(0), Ink::Series(5)] {
            let RGBColor(red, green, blue) = ink.color();
            assert_eq!(name_of((red, green, blue)), ink.name());
        }
        assert_eq!(Ink::Series(6).name(), "s0", "colours repeat after the last");
        assert_eq!(name_of((0, 0, 255)), "text");
    }
}
