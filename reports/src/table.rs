//! Aligned columns, bars and sparklines, as plain text. Colour is the caller's affair.

/// A table whose columns are as wide as their widest cell. The first column is aligned left, the others right.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    left: Vec<usize>,
}

impl Table {
    /// A table with a head.
    #[must_use]
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self::of(&head)
    }

    /// The same with as many columns as there are names.
    #[must_use]
    pub fn of(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|name| (*name).to_owned()).collect()], left: vec![0] }
    }

    /// Aligns another column left.
    #[must_use]
    pub fn left(mut self, column: usize) -> Self {
        self.left.push(column);
        self
    }

    /// Adds a row; cells that are missing are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, without trailing spaces; the first is the head.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = widths.iter().enumerate().map(|(column, width)| {
                let cell = row.get(column).map_or("", String::as_str);
                let gap = " ".repeat(width - cell.chars().count());
                if self.left.contains(&column) { format!("{cell}{gap}") } else { format!("{gap}{cell}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// A bar of `width` characters for a share between 0 and 1, in eighths of a character.
#[must_use]
pub fn bar(share: f64, width: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(PARTS[eighths % 8]);
    }
    text
}

/// One character for each value, from the lowest block for zero to the highest for the largest value.
#[must_use]
pub fn sparkline(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| {
        let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        BLOCKS[(share * 7.0).round() as usize]
    };
    values.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["name", "value"]);
        table.row(["µs".to_owned(), "1234567".to_owned()]);
        table.row(["longer".to_owned(), "8".to_owned()]);
        assert_eq!(table.lines(), ["name      value", "µs      1234567", "longer        8"]);
        let mut left = Table::new(["a", "b"]).left(1);
        left.row(["1".to_owned(), "22".to_owned()]);
        assert_eq!(left.lines(), ["a  b", "1  22"]);
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(9.0, 4), "████");
        assert_eq!(bar(1.0 / 32.0, 4), "▏");
    }

    #[test]
    fn sparklines_are_relative_to_their_largest_value() {
        assert_eq!(sparkline(&[0.0, 5.0, 10.0]), "▁▅█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }
}
