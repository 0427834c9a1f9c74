//! What it takes to mount the gateway in a program of one's own: the lines of the example, which a test runs.

use serde_json::{Value, json};

use crate::article::experiment::Terms;

/// The example.
const EXAMPLE: &str = include_str!("../../../../gateway/examples/embed.rs");

/// Lines of the function that builds the program, its configuration apart; and of the whole example.
pub(in crate::article) fn lines(_: &Terms) -> Result<Value, String> {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let from = EXAMPLE.find("let config").ok_or("the example builds no configuration")?;
    let to = EXAMPLE[from..].find("\n}").ok_or("the function does not end")?;
    let mounted = EXAMPLE[from..from + to].lines().filter(code).count();
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
