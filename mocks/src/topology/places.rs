//! Problems of a topology file as text: `file:line:column: error: message`, the line, and a caret under the spot.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::faults::{Problem, Problems, join};

/// The longest part of a line that is shown.
const WIDEST: usize = 120;

/// Where each key of a file is written, and its value.
#[derive(Debug, Default)]
struct Places(HashMap<String, (Range<usize>, Range<usize>)>);

impl Places {
    fn table(&mut self, table: &DeTable<'_>, at: &str) {
        for (key, value) in table {
            let path = join(at, key.get_ref());
            self.0.insert(path.clone(), (key.span(), value.span()));
            self.value(value.get_ref(), &path);
        }
    }

    fn value(&mut self, value: &DeValue<'_>, at: &str) {
        match value {
            DeValue::Table(table) => self.table(table, at),
            DeValue::Array(array) => {
                for (index, element) in array.iter().enumerate() {
                    let path = format!("{at}[{index}]");
                    self.0.insert(path.clone(), (element.span(), element.span()));
                    self.value(element.get_ref(), &path);
                }
            }
            _ => {}
        }
    }

    /// Where a problem is: at its value, at its key if it is about that, or else at what should hold it.
    fn of(&self, problem: &Problem) -> Option<Range<usize>> {
        let mut path = problem.key.as_str();
        let mut is_whole = true;
        loop {
            if let Some((key, value)) = self.0.get(path) {
                let about_value = is_whole && !problem.message.starts_with("unknown key");
                return Some(if about_value { value.clone() } else { key.clone() });
            }
            is_whole = false;
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// All problems of a file, one after the other.
pub(crate) fn render(file: &str, text: &str, problems: &Problems) -> String {
    let mut places = Places::default();
    match DeTable::parse(text) {
        Ok(table) => places.table(table.get_ref(), ""),
        // What cannot be parsed has no keys; there is one problem then.
        Err(error) => return one(file, text, error.span(), error.message()),
    }
    let shown = problems.0.iter().map(|problem| {
        let message = format!("{}: {}", problem.key, problem.message);
        one(file, text, places.of(problem), &message)
    });
    shown.collect::<Vec<String>>().join("\n")
}

fn one(file: &str, text: &str, at: Option<Range<usize>>, message: &str) -> String {
    let Some(at) = at else { return format!("{file}: error: {message}") };
    let start = at.start.min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |before| before + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    let number = 1 + text[..line_start].matches('\n').count();
    let column = text[line_start..start].chars().count();
    let width = text[start..at.end.clamp(start, text.len())].chars().take_while(|c| *c != '\n').count().max(1);
    let mut out = format!("{file}:{number}:{}: error: {message}", column + 1);
    if column + width <= WIDEST {
        let margin = number.to_string().len();
        let shown: String = line.chars().take(WIDEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Writing to a string cannot fail.
        let _ =
            write!(out, "\n{:margin$} |\n{number} | {shown}\n{:margin$} | {:column$}{}", "", "", "", "^".repeat(width));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::Builder;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        render("m.toml", text, &Builder::from_toml(text).unwrap_err())
    }

    #[test]
    fn the_caret_stands_under_the_spot() {
        assert_eq!(
            shown("[services.a]\nendpoint = 2\n"),
            "m.toml:2:1: error: services.a.endpoint: unknown key; did you mean `endpoints`?\n  |\n2 | endpoint = 2\n  | ^^^^^^^^"
        );
        let rule = shown("[services.a]\n[[rules]]\nact = { delay = 'soon' }\n");
        assert!(
            rule.starts_with("m.toml:3:17: error: rules[0].act.delay: ")
                && rule.ends_with("\n  |                 ^^^^^^"),
            "{rule}"
        );
    }

    #[test]
    fn a_missing_key_is_shown_where_it_should_be_and_a_slip_of_syntax_where_it_is() {
        assert!(shown("[services.a]\n[[rules]]\n").starts_with("m.toml:2:1: error: rules[0].act: the key is missing"));
        assert!(shown("services = 1").starts_with("m.toml:1:12: error: services: a table for each service"));
        assert!(shown("seed = 1\nb = = 2").starts_with("m.toml:2:5: error: "), "{}", shown("seed = 1\nb = = 2"));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "(services|rules|act|seed|[a-z\\[\\]{}=.'\"#\n 0-9é]){0,60}") {
            if let Err(problems) = Builder::from_toml(&text) {
                prop_assert!(!render("m.toml", &text, &problems).is_empty());
            }
        }
    }
}
