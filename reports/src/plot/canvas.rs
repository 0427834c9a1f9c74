//! Where the plotting library draws: SVG elements with classes in place of colours.
//!
//! The library counts in whole pixels; one of its pixels is a tenth of ours, so that curves are smooth. Everything that
//! is not a number is escaped here.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};

use super::ink::name_of;

/// The library's pixels in one of ours.
pub(super) const TENTHS: u32 = 10;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Collects SVG elements.
#[derive(Clone)]
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    elements: Rc<RefCell<String>>,
}

impl Canvas {
    /// A canvas of so many pixels.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { width, height, elements: Rc::default() }
    }

    /// What was drawn so far.
    pub(super) fn elements(&self) -> String {
        self.elements.borrow().clone()
    }

    /// Adds a rectangle that nobody sees and that tells `title` to who points at it.
    pub(super) fn hint(&self, left: f64, top: f64, width: f64, height: f64, title: &str) {
        self.write(format_args!(
            "<rect class=\"hint\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
            escape(title)
        ));
    }

    fn write(&self, element: std::fmt::Arguments<'_>) {
        let mut elements = self.elements.borrow_mut();
        // Writing to a string does not fail.
        let _ = elements.write_fmt(element);
        elements.push('\n');
    }
}

/// Text as it may stand in an element or an attribute of SVG, HTML or XML.
///
/// Characters that XML cannot hold at all become the replacement character.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn ours(tenths: i32) -> String {
    let whole = tenths / 10;
    match tenths.abs() % 10 {
        0 => whole.to_string(),
        part => format!("{}{}.{part}", if tenths < 0 && whole == 0 { "-" } else { "" }, whole),
    }
}

fn path_data(points: impl IntoIterator<Item = BackendCoord>, is_closed: bool) -> String {
    let mut data = String::new();
    for (x, y) in points {
        data.push(if data.is_empty() { 'M' } else { 'L' });
        let _ = write!(data, "{} {}", ours(x), ours(y));
    }
    if is_closed {
        data.push('Z');
    }
    data
}

fn stroke<S: BackendStyle>(style: &S) -> String {
    let width = f64::from(style.stroke_width()) / f64::from(TENTHS);
    format!("class=\"l-{}\" stroke-width=\"{width}\"", name_of(style.color().rgb))
}

fn fill<S: BackendStyle>(style: &S) -> String {
    let BackendColor { alpha, rgb } = style.color();
    let opacity = if alpha < 1.0 { format!(" fill-opacity=\"{alpha}\"") } else { String::new() };
    format!("class=\"f-{}\"{opacity}", name_of(rgb))
}

impl DrawingBackend for Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.width * TENTHS, self.height * TENTHS)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        is_filled: bool,
    ) -> Drawn {
        let paint = if is_filled { fill(style) } else { stroke(style) };
        let (left, right) = (upper_left.0.min(bottom_right.0), upper_left.0.max(bottom_right.0));
        let (top, bottom) = (upper_left.1.min(bottom_right.1), upper_left.1.max(bottom_right.1));
        let (width, height) = (ours(right - left), ours(bottom - top));
        let (x, y) = (ours(left), ours(top));
        self.write(format_args!("<rect {paint} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let data = path_data(path, false);
        if !data.is_empty() {
            self.write(format_args!("<path {} d=\"{data}\"/>", stroke(style)));
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, is_filled: bool) -> Drawn {
        let paint = if is_filled { fill(style) } else { stroke(style) };
        let (x, y) = (ours(center.0), ours(center.1));
        let radius = f64::from(radius) / f64::from(TENTHS);
        self.write(format_args!("<circle {paint} cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, vert: I, style: &S) -> Drawn {
        let data = path_data(vert, true);
        self.write(format_args!("<path {} d=\"{data}\"/>", fill(style)));
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, at: BackendCoord) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let drop = match style.anchor().v_pos {
            VPos::Top => "0.8em",
            VPos::Center => "0.35em",
            VPos::Bottom => "-0.2em",
        };
        let (x, y) = (ours(at.0), ours(at.1));
        let turn = match style.transform() {
            FontTransform::None => String::new(),
            FontTransform::Rotate90 => format!(" transform=\"rotate(90 {x} {y})\""),
            FontTransform::Rotate180 => format!(" transform=\"rotate(180 {x} {y})\""),
            FontTransform::Rotate270 => format!(" transform=\"rotate(270 {x} {y})\""),
        };
        let (name, size) = (name_of(style.color().rgb), style.size() / f64::from(TENTHS));
        self.write(format_args!(
            "<text class=\"f-{name}\" x=\"{x}\" y=\"{y}\" dy=\"{drop}\" font-size=\"{size}\" text-anchor=\"{anchor}\"{turn}>{}</text>",
            escape(text)
        ));
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        // Fonts are the reader's; digits and small letters are about 0.55 em wide in most.
        Ok(((text.chars().count() as f64 * style.size() * 0.55) as u32, style.size() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_written_as_pixels() {
        let cases = [(0, "0"), (7, "0.7"), (10, "1"), (123, "12.3"), (-3, "-0.3"), (-13, "-1.3")];
        for (tenths, text) in cases {
            assert_eq!(ours(tenths), text);
        }
    }

    #[test]
    fn nothing_hostile_comes_through() {
        let escaped = escape("<script>'\"&\u{0}\u{1b}]\u{ffff}\r");
        assert_eq!(escaped, "&lt;script&gt;&#39;&quot;&amp;\u{fffd}\u{fffd}]\u{fffd}\u{fffd}");
    }
}
