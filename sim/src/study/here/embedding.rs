//! What it takes to mount the gateway in a program of one's own: the lines of the example, which a test runs.

use serde_json::{Value, json};

use crate::study::experiment::Terms;

/// The example.
const EXAMPLE: &str = include_str!("../../../../gateway/examples/embed.rs");

/// Lines of the function that builds the program, the text of its configuration apart; and of the whole example.
pub(in crate::study) fn lines(_: &Terms) -> Result<Value, String> {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let from = EXAMPLE.find("let gateway").ok_or("the example builds no gateway")?;
    let to = EXAMPLE[from..].find("\n}").ok_or("the function does not end")?;
    let (before, text) = EXAMPLE[from..from + to].split_once("r#\"").ok_or("the example has no configuration")?;
    let (_, after) = text.split_once("\"#").ok_or("the configuration does not end")?;
    let mounted = format!("{before}{after}").lines().filter(code).count();
    Ok(json!({ "mounting": mounted, "whole": EXAMPLE.lines().filter(code).count() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_where_the_gateway_is_mounted() {
        let lines = lines(&Terms { seed: 1, is_quick: true }).unwrap();
        let (mounting, whole) = (lines["mounting"].as_u64().unwrap(), lines["whole"].as_u64().unwrap());
        assert!(0 < mounting && mounting < whole, "{lines}");
    }
}
